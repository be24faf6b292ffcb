-- target: mart_current_collateral_positions
-- reads: fact_snapshot, dim_market, stg_positions, stg_aave_terms, stg_account_health
-- scope: market from fact_snapshot
-- Collateral of each wallet in each market at its newest block.
WITH newest AS MATERIALIZED (
  SELECT m.* FROM dim_market AS m
  WHERE m.market IN (SELECT market FROM fact_snapshot WHERE batch > :since)
)
SELECT
  p.account AS wallet, n.market, p.asset, n.protocol, n.chain_id, p.block, n.newest_block_time AS block_time, t.symbol,
  p.supply AS amount, iif(t.unit = 'USD', t.price, NULL) AS price_usd,
  iif(t.unit = 'USD', p.supply * t.price, NULL) AS collateral_usd,
  p.supply * t.price / h.eth_price AS collateral_eth, h.emode_id, t.liquidation_threshold, t.ltv, n.is_synthetic,
  h.batch
FROM newest AS n
CROSS JOIN stg_positions AS p ON p.market = n.market AND p.block = n.newest_block AND p.is_collateral = 1 AND p.supply > 0
CROSS JOIN stg_account_health AS h ON h.market = p.market AND h.block = p.block AND h.account = p.account
CROSS JOIN stg_aave_terms AS t
  ON t.market = p.market AND t.block = p.block AND t.emode_id = h.emode_id AND t.asset = p.asset
