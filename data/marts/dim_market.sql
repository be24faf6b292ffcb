-- target: dim_market
-- reads: fact_snapshot
-- Every market that was ever read, as its newest snapshot has it. The name says the protocol; a pool that is known by its
-- address alone was read by the v3 flow.
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
  CASE
    WHEN s.market LIKE '%AaveV2%' THEN 'aave_v2' WHEN s.market LIKE '%AaveV4%' THEN 'aave_v4'
    WHEN s.market LIKE '%CompoundV2%' THEN 'compound_v2' WHEN s.market LIKE '%CompoundV3%' THEN 'compound_v3'
    ELSE 'aave_v3'
  END AS protocol,
  s.chain_id, s.provider, s.pool, s.oracle, s.data_provider, s.pool_revision, a.n_snapshots, a.first_block,
  a.newest_block, s.block_time AS newest_block_time, s.n_reserves, s.n_accounts, s.is_synthetic, a.batch
FROM span AS a JOIN fact_snapshot AS s ON s.market = a.market AND s.block = a.newest_block
