"""What the SQL of `data/marts` calls and other engines lack: a few functions, defined once in each dialect.

`utc_day(seconds)`: 'YYYY-MM-DD'. `utc_midnight(day)`: its first second. `has_bit(digits, n)`: 1 where bit n of an
unsigned integer in decimal text is set, else 0; of 256 bits in PostgreSQL, BigQuery, Snowflake and ClickHouse, of 128
(what Aave's bitmaps have) in DuckDB, which fails on a longer one.
"""

from __future__ import annotations

FUNCTIONS: dict[str, str] = {
    "postgres": """\
CREATE OR REPLACE FUNCTION utc_day(seconds bigint) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS
$$ SELECT to_char(to_timestamp(seconds) AT TIME ZONE 'UTC', 'YYYY-MM-DD') $$;
CREATE OR REPLACE FUNCTION utc_midnight(day text) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT AS
$$ SELECT (to_date(day, 'YYYY-MM-DD') - DATE '1970-01-01') * 86400::bigint $$;
CREATE OR REPLACE FUNCTION has_bit(digits text, n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT AS
$$ SELECT mod(div(digits::numeric, power(2::numeric, n::numeric)), 2)::bigint $$;
""",
    "duckdb": """\
CREATE OR REPLACE MACRO utc_day(seconds) AS strftime(make_timestamp(seconds * 1000000), '%Y-%m-%d');
CREATE OR REPLACE MACRO utc_midnight(day) AS date_diff('day', DATE '1970-01-01', CAST(day AS DATE)) * 86400;
CREATE OR REPLACE MACRO has_bit(digits, n) AS
  CAST((CAST(digits AS UHUGEINT) >> CAST(n AS UHUGEINT)) & CAST(1 AS UHUGEINT) AS BIGINT);
""",
    "bigquery": """\
CREATE OR REPLACE FUNCTION utc_day(seconds INT64) RETURNS STRING AS
  (FORMAT_TIMESTAMP('%Y-%m-%d', TIMESTAMP_SECONDS(seconds)));
CREATE OR REPLACE FUNCTION utc_midnight(day STRING) RETURNS INT64 AS (UNIX_SECONDS(TIMESTAMP(day, 'UTC')));
CREATE OR REPLACE FUNCTION has_bit(digits STRING, n INT64) RETURNS INT64 LANGUAGE js AS
  r'''return digits === null || n === null ? null : String((BigInt(digits) >> BigInt(n)) & 1n)''';
""",
    "snowflake": """\
CREATE OR REPLACE FUNCTION utc_day("seconds" BIGINT) RETURNS VARCHAR AS
  'TO_CHAR(TO_TIMESTAMP_NTZ("seconds"), ''YYYY-MM-DD'')';
CREATE OR REPLACE FUNCTION utc_midnight("day" VARCHAR) RETURNS BIGINT AS
  'DATEDIFF(second, DATE ''1970-01-01'', TO_DATE("day"))';
CREATE OR REPLACE FUNCTION has_bit("digits" VARCHAR, "n" DOUBLE) RETURNS DOUBLE LANGUAGE JAVASCRIPT STRICT AS
  'return Number((BigInt(digits) >> BigInt(n)) & BigInt(1));';
""",
    "clickhouse": """\
CREATE OR REPLACE FUNCTION utc_day AS (seconds) -> formatDateTime(toDateTime(seconds, 'UTC'), '%Y-%m-%d');
CREATE OR REPLACE FUNCTION utc_midnight AS (day) -> toInt64(toUnixTimestamp(toDateTime(toDate(day), 'UTC')));
CREATE OR REPLACE FUNCTION has_bit AS (digits, n) -> toInt64(bitTest(toUInt256(digits), n));
""",
}
"""Definitions by dialect of `data.export.ddl.DIALECTS`."""
