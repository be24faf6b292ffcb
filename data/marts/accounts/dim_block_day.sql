-- target: dim_block_day
-- reads: fact_snapshot
-- First block that was read on each chain in each UTC day, and how long after midnight it is (a long time means that
-- earlier blocks of the day were not read).
WITH touched AS MATERIALIZED (
  SELECT DISTINCT chain_id, date(block_time, 'unixepoch') AS day, is_synthetic FROM fact_snapshot WHERE batch > :since
)
SELECT
  t.chain_id, t.day, min(s.block) AS block, min(s.block_time) AS block_time,
  min(s.block_time) - CAST(strftime('%s', t.day) AS INTEGER) AS seconds_after_midnight, t.is_synthetic,
  max(s.batch) AS batch
FROM touched AS t
JOIN fact_snapshot AS s
  ON s.chain_id = t.chain_id AND date(s.block_time, 'unixepoch') = t.day AND s.is_synthetic = t.is_synthetic
GROUP BY t.chain_id, t.day, t.is_synthetic
