-- target: dim_market
-- reads: fact_snapshot
-- Every market that was ever read, from its newest snapshot. Files of older versions hold only v3.
WITH touched AS MATERIALIZED (
  SELECT DISTINCT market FROM fact_snapshot WHERE batch > :since
),
span AS (
  SELECT s.market, count(*) AS n_snapshots, min(s.block) AS first_block, max(s.block) AS newest_block, max(s.batch) AS batch
  FROM touched AS t JOIN fact_snapshot AS s ON s.market = t.market
  GROUP BY s.market
)
SELECT
  s.market,
  coalesce(s.protocol, 'aave_v3') AS protocol,
  s.chain_id, s.provider, s.pool, s.oracle, s.data_provider, s.pool_revision, a.n_snapshots, a.first_block,
  a.newest_block, s.block_time AS newest_block_time, s.n_reserves, s.n_accounts, s.is_synthetic, a.batch
FROM span AS a JOIN fact_snapshot AS s ON s.market = a.market AND s.block = a.newest_block
