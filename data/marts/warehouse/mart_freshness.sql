-- target: mart_freshness
-- reads: fact_batch, fact_batch_rows
-- For each table: the newest time in its rows, and when it was last written to. The schemas state how old it may be
-- (`late_after`); the view `freshness` compares it with the clock.
WITH expected(table_name, every_s) AS (
  VALUES {late_after}
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
