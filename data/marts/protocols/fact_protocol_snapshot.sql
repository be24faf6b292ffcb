-- target: fact_protocol_snapshot
-- reads: raw_defillama_protocol
-- Value that a protocol holds and has lent: the sum over chains at each time for which a chain has a point.
-- A chain counts with its newest point of the 25 hours before (points are daily), so a chain whose points are a few
-- seconds later than the others' is still in the sum. Changes compare with the same sum a day, or seven, earlier.
WITH RECURSIVE
changed AS MATERIALIZED (
  SELECT slug, min(date) AS first, max(date) AS last FROM raw_defillama_protocol WHERE batch > :since
  GROUP BY +slug  -- the sign keeps SQLite on the index by batch, where the key would walk the whole table
),
-- One seek for each key: SELECT DISTINCT would walk the whole history.
keys(slug, series) AS (
  SELECT slug, (SELECT min(p.series) FROM raw_defillama_protocol AS p WHERE p.slug = c.slug) FROM changed AS c
  UNION ALL
  SELECT slug, (SELECT min(p.series) FROM raw_defillama_protocol AS p WHERE p.slug = keys.slug AND p.series > keys.series)
  FROM keys WHERE series IS NOT NULL
),
-- Keys with a dash are parts of a chain's key (Ethereum-borrowed); the named ones are no deposits of the protocol.
series AS MATERIALIZED (
  SELECT slug, series, CASE
    WHEN series = 'borrowed' THEN 'borrowed'
    WHEN series LIKE '%-borrowed' THEN 'borrowed by chain'
    WHEN instr(series, '-') OR series IN ('staking', 'pool2', 'treasury', 'vesting', '(all)') THEN 'left out'
    ELSE 'tvl' END AS kind
  FROM keys WHERE series IS NOT NULL
),
-- A new point has a part in the snapshots of the seven days and 25 hours after it.
stamp AS MATERIALIZED (
  SELECT DISTINCT p.slug, p.date AS ts
  FROM changed AS c
  JOIN series AS s ON s.slug = c.slug AND s.kind = 'tvl'
  JOIN raw_defillama_protocol AS p ON p.slug = s.slug AND p.series = s.series
    AND p.date BETWEEN c.first AND c.last + 604800 + 90000
),
moment AS (
  SELECT slug, ts, back, ts - back AS at
  FROM stamp CROSS JOIN (SELECT 0 AS back UNION ALL SELECT 86400 UNION ALL SELECT 604800)
),
-- The newest row of the newest point; a corrected point is a row with a later batch.
value AS (
  SELECT m.slug, m.ts, m.back, s.kind,
    (SELECT p.usd FROM raw_defillama_protocol AS p
      WHERE p.slug = m.slug AND p.series = s.series AND p.date <= m.at AND p.date > m.at - 90000
      ORDER BY p.date DESC, p.batch DESC LIMIT 1) AS usd,
    (SELECT p.batch FROM raw_defillama_protocol AS p
      WHERE p.slug = m.slug AND p.series = s.series AND p.date <= m.at AND p.date > m.at - 90000
      ORDER BY p.date DESC, p.batch DESC LIMIT 1) AS batch,
    (SELECT p.source FROM raw_defillama_protocol AS p
      WHERE p.slug = m.slug AND p.series = s.series AND p.date <= m.at AND p.date > m.at - 90000
      ORDER BY p.date DESC, p.batch DESC LIMIT 1) AS source
  FROM moment AS m JOIN series AS s ON s.slug = m.slug
  WHERE s.kind = 'tvl' OR (s.kind <> 'left out' AND m.back = 0)
),
summed AS (
  SELECT slug, ts, max(batch) AS batch, max(source) FILTER (WHERE back = 0) AS source,
    sum(usd) FILTER (WHERE kind = 'tvl' AND back = 0) AS tvl,
    sum(usd) FILTER (WHERE kind = 'tvl' AND back = 86400) AS day_ago,
    sum(usd) FILTER (WHERE kind = 'tvl' AND back = 604800) AS week_ago,
    coalesce(
      sum(usd) FILTER (WHERE kind = 'borrowed'), sum(usd) FILTER (WHERE kind = 'borrowed by chain')
    ) AS borrowed
  FROM value GROUP BY slug, ts
)
SELECT
  slug, ts AS snapshot_ts, tvl AS tvl_usd, borrowed AS borrowed_usd,
  CASE WHEN tvl + borrowed > 0 THEN borrowed / (tvl + borrowed) END AS utilisation,
  CASE WHEN day_ago > 0 THEN tvl / day_ago - 1 END AS change_1d,
  CASE WHEN week_ago > 0 THEN tvl / week_ago - 1 END AS change_7d,
  source, batch
FROM summed
