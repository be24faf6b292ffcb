-- target: mart_position_risk
-- reads: fact_snapshot, dim_market, raw_aave_reserves, stg_positions, stg_aave_terms, stg_account_health, mart_current_collateral_positions
-- scope: market from fact_snapshot
-- How near each wallet is to liquidation in each market at its newest block. The liquidation price is that of the main
-- collateral k, all else unchanged, where the market counts in dollars; as `risk_core.liquidation_prices` has it:
-- (debt in others - collateral in others x threshold) / (collateral in k x threshold - debt in k), empty unless positive
-- and a price that the oracle can report. Linked reserves move together and count as one k.
WITH newest AS MATERIALIZED (
  SELECT m.* FROM dim_market AS m
  WHERE m.market IN (SELECT market FROM fact_snapshot WHERE batch > :since)
),
ranked AS (
  SELECT c.*, row_number() OVER (PARTITION BY c.wallet, c.market ORDER BY coalesce(c.collateral_usd, c.collateral_eth) DESC, c.asset) AS place
  FROM newest AS n JOIN mart_current_collateral_positions AS c ON c.market = n.market
),
main AS MATERIALIZED (
  SELECT * FROM ranked WHERE place = 1
),
-- The reserve whose price each one follows in the end; links are at most three deep.
linked AS MATERIALIZED (
  SELECT r.market, r.asset, coalesce(c.linked_to, b.linked_to, r.linked_to, r.asset) AS leader
  FROM newest AS n
  JOIN raw_aave_reserves AS r ON r.market = n.market AND r.block = n.newest_block
  LEFT JOIN raw_aave_reserves AS b ON b.market = r.market AND b.block = r.block AND b.asset = r.linked_to
  LEFT JOIN raw_aave_reserves AS c ON c.market = b.market AND c.block = b.block AND c.asset = b.linked_to
),
-- How far up the oracle lets each leader's price go: 0 where it is a constant.
leaders AS MATERIALIZED (
  SELECT l.market, l.asset, l.leader,
    CASE
      WHEN r.price_is_fixed = 1 THEN 0.0
      ELSE max(1.0, min(
        coalesce(to_real(r.price_cap_raw) / to_real(r.price_raw), 9e99),
        coalesce(to_real(r.ratio_cap) * 1e-27 * to_real(b.price_raw) / to_real(r.price_raw), 9e99)
      ))
    END AS most
  FROM newest AS n
  JOIN linked AS l ON l.market = n.market
  JOIN raw_aave_reserves AS r ON r.market = n.market AND r.block = n.newest_block AND r.asset = l.leader
  LEFT JOIN raw_aave_reserves AS b ON b.market = r.market AND b.block = r.block AND b.asset = r.ratio_of
),
-- Summed without k itself: k taken off the whole would leave rounding where there is nothing else.
weights AS MATERIALIZED (
  SELECT c.market, c.wallet, max(k.most) AS most,
    sum(iif(l.leader = k.leader, (p.supply * p.is_collateral * t.liquidation_threshold - p.debt) * t.price, 0.0)) AS own,
    sum(iif(l.leader = k.leader, 0.0, (p.supply * p.is_collateral * t.liquidation_threshold - p.debt) * t.price)) AS others,
    sum(p.debt) AS owed, max(iif(p.asset = c.asset, t.price, NULL)) AS price
  FROM main AS c
  JOIN leaders AS k ON k.market = c.market AND k.asset = c.asset
  CROSS JOIN stg_positions AS p ON p.market = c.market AND p.block = c.block AND p.account = c.wallet
  CROSS JOIN stg_aave_terms AS t
    ON t.market = p.market AND t.block = p.block AND t.emode_id = c.emode_id AND t.asset = p.asset
  JOIN leaders AS l ON l.market = p.market AND l.asset = p.asset
  GROUP BY c.market, c.wallet
)
SELECT
  h.market, h.account AS wallet, n.protocol, n.chain_id, h.block, n.newest_block_time AS block_time, h.emode_id,
  iif(h.unit = 'USD', h.collateral, NULL) AS collateral_usd, iif(h.unit = 'USD', h.lt_collateral, NULL) AS lt_collateral_usd,
  iif(h.unit = 'USD', h.debt, NULL) AS debt_usd, h.health_factor, h.risk_factor,
  coalesce(h.health_factor < 1, 0) AS is_liquidatable,
  iif(h.health_factor > 0, 1 - 1 / h.health_factor, NULL) AS fall_to_liquidation,
  c.asset AS main_collateral, c.symbol AS main_collateral_symbol, c.price_usd AS main_collateral_price_usd,
  CASE
    WHEN h.unit = 'USD' AND w.owed > 0 AND w.own <> 0 AND -w.others / w.own > 0 AND -w.others / w.own <= w.most
      THEN -w.others / w.own * w.price
  END AS liquidation_price_usd,
  n.is_synthetic, h.batch
FROM newest AS n
JOIN stg_account_health AS h ON h.market = n.market AND h.block = n.newest_block
LEFT JOIN main AS c ON c.market = h.market AND c.wallet = h.account
LEFT JOIN weights AS w ON w.market = h.market AND w.wallet = h.account
