-- target: stg_account_health
-- reads: fact_snapshot, raw_aave_user_accounts, stg_positions, stg_aave_terms
-- scope: market, block from fact_snapshot
-- Collateral, debt and health factor of each account: sum of collateral x price x threshold over debt, each collateral
-- with its own threshold (in e-mode, its). Only what is enabled as collateral counts. No position, no row.
WITH snapshot AS MATERIALIZED (
  SELECT market, block, batch FROM fact_snapshot WHERE batch > :since
),
-- The oracle's own price of ether; WETH by the names that Aave's markets give it.
ether AS MATERIALIZED (
  SELECT t.market, t.block, max(t.price_usd) AS eth_usd
  FROM snapshot AS s
  JOIN stg_aave_terms AS t ON t.market = s.market AND t.block = s.block AND t.emode_id = 0
  WHERE t.symbol IN ('WETH', 'WETH.e', 'ETH')
  GROUP BY t.market, t.block
),
summed AS (
  SELECT
    p.market, p.block, p.account, a.emode_id, s.batch,
    sum(iif(p.is_collateral, p.supply * t.price_usd, 0.0)) AS collateral_usd,
    sum(iif(p.is_collateral, p.supply * t.price_usd * t.liquidation_threshold, 0.0)) AS lt_collateral_usd,
    sum(iif(p.is_collateral, p.supply * t.price_usd * t.ltv, 0.0)) AS ltv_collateral_usd,
    sum(p.debt * t.price_usd) AS debt_usd
  FROM snapshot AS s
  CROSS JOIN stg_positions AS p ON p.market = s.market AND p.block = s.block
  CROSS JOIN raw_aave_user_accounts AS a ON a.market = p.market AND a.block = p.block AND a.account = p.account
  CROSS JOIN stg_aave_terms AS t
    ON t.market = p.market AND t.block = p.block AND t.emode_id = a.emode_id AND t.asset = p.asset
  GROUP BY p.market, p.block, p.account
  HAVING max(p.supply + p.debt) > 0
)
SELECT
  m.market, m.block, m.account, m.emode_id, m.collateral_usd, m.lt_collateral_usd, m.ltv_collateral_usd, m.debt_usd,
  iif(m.debt_usd > 0, m.lt_collateral_usd / m.debt_usd, NULL) AS health_factor,
  CASE WHEN m.debt_usd = 0 THEN 0.0
       WHEN m.lt_collateral_usd = 0 THEN 1e6
       ELSE min(m.debt_usd / m.lt_collateral_usd, 1e6) END AS risk_factor,
  e.eth_usd, m.batch
FROM summed AS m
LEFT JOIN ether AS e ON e.market = m.market AND e.block = m.block
