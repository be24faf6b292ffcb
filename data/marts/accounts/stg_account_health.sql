-- target: stg_account_health
-- reads: fact_snapshot, raw_aave_user_accounts, stg_positions, stg_aave_terms
-- scope: market, block from fact_snapshot
-- Collateral, debt and health factor of each account: sum of collateral x price x threshold over debt, each collateral
-- with its own threshold (in e-mode, its). Only what is enabled as collateral counts. No position, no row. Amounts are in
-- the market's own unit, dollars or ether, and beside them stands what an ether costs in it.
WITH snapshot AS MATERIALIZED (
  SELECT market, block, batch FROM fact_snapshot WHERE batch > :since
),
-- The oracle's own price of ether; WETH by the names that Aave's markets give it.
ether AS MATERIALIZED (
  SELECT t.market, t.block, max(iif(t.unit = 'ETH', 1.0, t.price)) AS eth_price
  FROM snapshot AS s  -- CROSS JOIN keeps this order: new snapshots first, and never a walk through all stored ones
  CROSS JOIN stg_aave_terms AS t ON t.market = s.market AND t.block = s.block AND t.emode_id = 0
  WHERE t.symbol IN ('WETH', 'WETH.e', 'ETH') OR t.unit = 'ETH'
  GROUP BY t.market, t.block
),
summed AS (
  SELECT
    p.market, p.block, p.account, a.emode_id, t.unit, s.batch,
    sum(iif(p.is_collateral, p.supply * t.price, 0.0)) AS collateral,
    sum(iif(p.is_collateral, p.supply * t.price * t.liquidation_threshold, 0.0)) AS lt_collateral,
    sum(iif(p.is_collateral, p.supply * t.price * t.ltv, 0.0)) AS ltv_collateral,
    sum(p.debt * t.price) AS debt
  FROM snapshot AS s
  CROSS JOIN stg_positions AS p ON p.market = s.market AND p.block = s.block
  CROSS JOIN raw_aave_user_accounts AS a ON a.market = p.market AND a.block = p.block AND a.account = p.account
  CROSS JOIN stg_aave_terms AS t
    ON t.market = p.market AND t.block = p.block AND t.emode_id = a.emode_id AND t.asset = p.asset
  GROUP BY p.market, p.block, p.account
  HAVING max(p.supply + p.debt) > 0
)
SELECT
  m.market, m.block, m.account, m.emode_id, m.unit, m.collateral, m.lt_collateral, m.ltv_collateral, m.debt,
  iif(m.debt > 0, m.lt_collateral / m.debt, NULL) AS health_factor,
  CASE WHEN m.debt = 0 THEN 0.0
       WHEN m.lt_collateral = 0 THEN 1e6
       ELSE min(m.debt / m.lt_collateral, 1e6) END AS risk_factor,
  e.eth_price, m.batch
FROM summed AS m
LEFT JOIN ether AS e ON e.market = m.market AND e.block = m.block
