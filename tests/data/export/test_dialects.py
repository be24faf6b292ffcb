"""Tables, marts and questions in other dialects: parsed back in all, answered alike by DuckDB and PostgreSQL."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import duckdb
import numpy as np
import pytest
import sqlglot
from sqlglot import exp

from data.export import export
from data.export.__main__ import main
from data.export.ddl import DIALECTS, ddl
from data.export.functions import FUNCTIONS
from data.export.marts import build, translate
from data.export.scripts import scripts
from data.marts.functions import register
from data.marts.target import targets
from data.schemas.tables import tables
from data.store.store import Store
from tests.data.export.answers import difference

QUESTIONS = {path.stem: path.read_text() for path in sorted((Path(__file__).parent / "queries").glob("*.sql"))}


@pytest.fixture(scope="module")
def duck(world_once, tmp_path_factory):
    """All tables of the world in DuckDB, with the functions of the marts."""
    path = tmp_path_factory.mktemp("duck") / "x.duckdb"
    export(str(path), everything=True, path=world_once)
    with duckdb.connect(str(path)) as connection:
        connection.execute(FUNCTIONS["duckdb"])
        yield lambda sql: connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def post(world_once, databases):
    """The same in PostgreSQL."""
    psycopg = pytest.importorskip("psycopg")
    address = databases()
    export(address, everything=True, path=world_once)
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(FUNCTIONS["postgres"])
        connection.execute("ANALYZE")
        yield lambda sql: connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def lite(world_once):
    with Store.open(world_once, readonly=True) as store, store.one_state() as connection:
        register(connection)
        yield lambda sql: connection.execute(sql).fetchall()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_tables_and_marts_are_parsed_back_to_the_same_tree(dialect):
    for table in tables().values():
        text = ddl(table, dialect)
        tree = sqlglot.parse_one(text, read=dialect)
        assert isinstance(tree, exp.Create)
        assert tree.sql(dialect, pretty=True) == text
        assert [column.name for column in tree.find_all(exp.ColumnDef)] == list(table.names)
    for target in targets().values():
        text = build(target, dialect)
        tree = sqlglot.parse_one(text, read=dialect)
        assert isinstance(tree, exp.Insert)
        assert tree.sql(dialect, pretty=True) == text
        assert {table.name for table in tree.find_all(exp.Table)} >= {target.name, *target.reads}
        assert not list(tree.find_all(exp.Placeholder))


@pytest.mark.parametrize(
    ("dialect", "types"),
    [
        ("postgres", {"BIGINT", "DOUBLE PRECISION", "TEXT"}),
        ("duckdb", {"BIGINT", "DOUBLE", "TEXT"}),
        ("bigquery", {"INT64", "FLOAT64", "STRING"}),
        ("snowflake", {"BIGINT", "DOUBLE", "VARCHAR"}),
        ("clickhouse", {"Int64", "Float64", "String", "Nullable(Int64)", "Nullable(Float64)", "Nullable(String)"}),
    ],
)
def test_every_type_is_as_wide_as_here(dialect, types):
    found = {
        column.args["kind"].sql(dialect)
        for table in tables().values()
        for column in sqlglot.parse_one(ddl(table, dialect), read=dialect).find_all(exp.ColumnDef)
    }
    assert found == types


@pytest.mark.parametrize("name", [name for name, target in targets().items() if target.everywhere])
def test_duckdb_builds_each_mart_as_sqlite_does(name, lite, duck):
    assert_built_alike(name, "duckdb", lite, duck)


@pytest.mark.postgres
@pytest.mark.parametrize("name", [name for name, target in targets().items() if target.everywhere])
def test_postgres_builds_each_mart_as_sqlite_does(name, lite, post):
    assert_built_alike(name, "postgres", lite, post)


def assert_built_alike(name, dialect, lite, other):
    target = targets()[name]
    expected = lite(target.sql.replace(":since", "0"))
    found = other(translate(target.sql, dialect))

    assert expected, f"{name}: the test's warehouse has no row for it, so it proves nothing"
    assert difference(expected, found) is None


@pytest.mark.parametrize("name", list(QUESTIONS))
def test_duckdb_answers_as_sqlite_does(name, lite, duck):
    assert_answered_alike(name, "duckdb", lite, duck)


@pytest.mark.postgres
@pytest.mark.parametrize("name", list(QUESTIONS))
def test_postgres_answers_as_sqlite_does(name, lite, post):
    assert_answered_alike(name, "postgres", lite, post)


def assert_answered_alike(name, dialect, lite, other):
    expected, found = lite(QUESTIONS[name]), other(translate(QUESTIONS[name], dialect))

    assert len(expected) > 1, f"{name}: the answer has {len(expected)} rows, so it proves little"
    assert difference(expected, found) is None


QUIRKS = [
    "ts / 7000", "-ts / 7000", "ts / 0", "price_usd / 0", "ts / 3600 * 3600", "ts % 7", "1 / 3", "1 / 3.0",
    "CAST(price_usd AS INTEGER)", "CAST(-price_usd AS INTEGER)", "CAST(ts * 4 AS INTEGER)",
    "CAST('0.1' AS REAL)", "CAST('16777217' AS REAL)", "CAST(ts || 'e-3' AS REAL)",
    "to_real(ts || 'e-' || is_synthetic)",
    "0.1 + 0.2", "3 * 0.1", "1e22 + 1", "price_usd * 1.1",
    "max(ts, price_usdt)", "min(price_usd, price_usdt)", "max(1, is_synthetic)", "max(coalesce(price_usdt, 0.0), 1.0)",
    "price_usd > 1", "coalesce(price_usdt < 1, 0)", "price_usdt IS NULL", "price_usdt IS NOT NULL AND is_synthetic",
    "NOT is_synthetic", "is_synthetic OR price_usdt > 1", "iif(is_synthetic, 'made up', 'live')",
    "iif(price_usdt, 1, 0)",
    "CASE WHEN is_synthetic THEN 1 WHEN price_usd > 5 THEN 2 END", "(price_usd > 1) + (ts > 5)",
    "price_usdt IS price_usd",
    "usd_proxy IS NOT symbol", "symbol LIKE '%usdt'", "symbol NOT LIKE 'eth%'", "instr(symbol, 'USD')",
    "symbol || '|' || interval", "symbol || ts", "symbol IN ('ETHUSDT', 'BTCUSDT')", "ts BETWEEN 0 AND 5",
    "date(ts, 'unixepoch')", "date(ts - 1, 'unixepoch')", "CAST(strftime('%s', date(ts, 'unixepoch')) AS INTEGER)",
    "total(price_usdt) OVER (PARTITION BY symbol)", "nullif(is_synthetic, 1)", "abs(price_usd - 10)",
    "EXISTS (SELECT 1)", "CASE is_synthetic WHEN 1 THEN 'made up' ELSE 'live' END",
]  # fmt: skip
"""What SQLite reads in its own way, over the columns of `dim_prices`; `price_usdt` may be missing."""
GROUPED = [
    "SELECT market, asset, symbol, count(*) FROM mart_current_collateral_positions GROUP BY market, asset",
    "SELECT ts / 86400 * 86400 AS day, sum(is_synthetic = 1), sum(price_usdt > 1) FROM dim_prices GROUP BY ts / 86400",
    "SELECT symbol, total(price_usdt), count(DISTINCT source) FILTER (WHERE is_synthetic) FROM dim_prices GROUP BY 1",
    "SELECT count(*) FROM dim_prices WHERE is_synthetic",
    "SELECT symbol FROM dim_prices GROUP BY symbol HAVING max(is_synthetic)",
    "SELECT ts FROM dim_prices WHERE (symbol, ts) IN (SELECT symbol, max(ts) FROM dim_prices GROUP BY symbol)",
    "SELECT a.ts FROM dim_asset AS d CROSS JOIN dim_prices AS a ON a.symbol = d.series AND a.ts % 86400 = 0",
    "SELECT symbol FROM dim_prices ORDER BY price_usdt, symbol = 'ETHUSDT' DESC, symbol, ts, interval, source LIMIT 50",
    "SELECT symbol FROM dim_prices ORDER BY price_usdt DESC, symbol, ts, interval, source LIMIT 50",
]


def assert_quirks_alike(dialect, lite, other):
    asked = ", ".join(f"{quirk} AS it_{n}" for n, quirk in enumerate(QUIRKS))
    key = "symbol, interval, ts, source"
    # Every 25th hour of the sample, which knows no price in USDT, and whatever else was written.
    some = "ts / 3600 % 25 = 0 OR price_usdt IS NOT NULL OR NOT is_synthetic"
    together = f"SELECT {asked}, {key} FROM dim_prices WHERE {some}"
    for sql in (together, *GROUPED):
        expected, found = lite(sql), other(translate(sql, dialect))
        assert expected, sql
        assert difference(expected, found) is None, sql


def test_duckdb_reads_what_sqlite_lets_pass_as_sqlite_does(lite, duck):
    assert_quirks_alike("duckdb", lite, duck)


@pytest.mark.postgres
def test_postgres_reads_what_sqlite_lets_pass_as_sqlite_does(lite, post):
    assert_quirks_alike("postgres", lite, post)


def test_there_are_ten_questions_and_each_is_parsed_back_in_every_dialect():
    assert len(QUESTIONS) == 10
    for text in QUESTIONS.values():
        for dialect in DIALECTS:
            written = translate(text, dialect)
            assert sqlglot.parse_one(written, read=dialect).sql(dialect, pretty=True, identify=True) == written


def test_the_scripts_of_duckdb_run_in_their_order_on_an_empty_database(tmp_path, capsys):
    assert main(["ddl", "--dialect", "duckdb", "--out", str(tmp_path)]) == 0
    with closing(duckdb.connect()) as connection:
        for path in sorted(tmp_path.rglob("*.sql")):
            connection.execute(path.read_text())
        assert {row[0] for row in connection.execute("SHOW TABLES").fetchall()} == set(tables())
    assert len(capsys.readouterr().out.splitlines()) == 2 + len(targets())


@pytest.mark.postgres
def test_the_scripts_of_postgres_run_in_their_order_on_an_empty_database(database):
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(database) as connection:
        for text in scripts("postgres").values():
            connection.execute(text)
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert {row[0] for row in found} == set(tables())


def bits(random: np.random.Generator, n: int) -> list[tuple[str, int, int]]:
    numbers = [0, 1, 2**n - 1, 2 ** (n - 1), *(int.from_bytes(random.bytes(n // 8), "big") for _ in range(20))]
    return [(str(number), bit, number >> bit & 1) for number in numbers for bit in {0, 1, 63, 64, 65, n // 2, n - 1}]


def asked(cases: list[tuple[str, int, int]]) -> str:
    return "SELECT " + ", ".join(f"has_bit('{digits}', {bit})" for digits, bit, _ in cases)


def test_bits_of_large_numbers_in_duckdb(duck):
    cases = bits(np.random.default_rng(3), 128)
    assert list(duck(asked(cases))[0]) == [expected for *_, expected in cases]


@pytest.mark.postgres
def test_bits_of_large_numbers_in_postgres(post):
    cases = bits(np.random.default_rng(3), 256)
    assert list(post(asked(cases))[0]) == [expected for *_, expected in cases]


def test_an_unknown_dialect_is_named(capsys):
    assert main(["ddl", "--dialect", "cobol"]) == 1
    assert "expected one of postgres, duckdb, bigquery, snowflake, clickhouse, found 'cobol'" in capsys.readouterr().err
