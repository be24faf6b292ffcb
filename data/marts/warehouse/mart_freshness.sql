-- target: mart_freshness
-- reads: fact_batch, fact_batch_rows
-- How far each table has come: the newest time its rows speak of, and when it was last written to. What is expected is
-- twice the time between two runs of the flow that feeds it; the view `freshness` holds it against the clock.
WITH expected(table_name, every_s) AS (
  VALUES
    ('fact_snapshot', 2 * 86400),
    ('raw_aave_reserves', 2 * 86400),
    ('raw_binance_klines', 2 * 86400),
    ('raw_chainlink_feeds', 2 * 86400),
    ('raw_defillama_protocol', 2 * 86400),
    ('dim_prices', 2 * 86400),
    ('fact_risk_scenarios', 2 * 86400)
),
touched AS MATERIALIZED (
  SELECT DISTINCT +table_name AS table_name FROM fact_batch_rows WHERE batch > :since  -- by batch, not by name
)
SELECT
  r.table_name, max(r.newest_at) AS newest_at, max(b.written_at) AS written_at, sum(r.n_changed) AS n_changed,
  e.every_s, max(r.batch) AS batch
FROM touched AS t
CROSS JOIN fact_batch_rows AS r ON r.table_name = t.table_name
CROSS JOIN fact_batch AS b ON b.batch = r.batch
LEFT JOIN expected AS e ON e.table_name = r.table_name
GROUP BY r.table_name
