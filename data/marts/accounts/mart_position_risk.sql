-- target: mart_position_risk
-- reads: fact_snapshot, dim_market, stg_account_health, mart_current_collateral_positions
-- scope: market from fact_snapshot
-- How near each wallet is to liquidation in each market at its newest block. The liquidation price is that of the main
-- collateral k with all else unchanged, where the market counts in dollars: (debt - sum of the other collateral x threshold) / (amount_k x threshold_k).
WITH newest AS MATERIALIZED (
  SELECT m.* FROM dim_market AS m
  WHERE m.market IN (SELECT market FROM fact_snapshot WHERE batch > :since)
),
ranked AS (
  SELECT c.*, row_number() OVER (PARTITION BY c.wallet, c.market ORDER BY coalesce(c.collateral_usd, c.collateral_eth) DESC, c.asset) AS place
  FROM newest AS n JOIN mart_current_collateral_positions AS c ON c.market = n.market
),
main AS MATERIALIZED (
  SELECT *, collateral_usd * liquidation_threshold AS lt_usd FROM ranked WHERE place = 1
)
SELECT
  h.market, h.account AS wallet, n.protocol, n.chain_id, h.block, n.newest_block_time AS block_time, h.emode_id,
  iif(h.unit = 'USD', h.collateral, NULL) AS collateral_usd, iif(h.unit = 'USD', h.lt_collateral, NULL) AS lt_collateral_usd,
  iif(h.unit = 'USD', h.debt, NULL) AS debt_usd, h.health_factor, h.risk_factor,
  coalesce(h.health_factor < 1, 0) AS is_liquidatable,
  iif(h.health_factor > 0, 1 - 1 / h.health_factor, NULL) AS fall_to_liquidation,
  c.asset AS main_collateral, c.symbol AS main_collateral_symbol, c.price_usd AS main_collateral_price_usd,
  CASE WHEN h.debt > 0 AND c.lt_usd > 0 AND h.debt > h.lt_collateral - c.lt_usd
       THEN (h.debt - (h.lt_collateral - c.lt_usd)) / (c.amount * c.liquidation_threshold) END
    AS liquidation_price_usd,
  n.is_synthetic, h.batch
FROM newest AS n
JOIN stg_account_health AS h ON h.market = n.market AND h.block = n.newest_block
LEFT JOIN main AS c ON c.market = h.market AND c.wallet = h.account
