-- target: stg_account_health
-- reads: fact_snapshot, raw_aave_reserves, raw_aave_account_states, raw_aave_balances, stg_aave_terms
-- scope: market, block from (SELECT market, block, batch FROM fact_snapshot UNION ALL SELECT s.market, (SELECT max(o.block) FROM fact_snapshot AS o WHERE o.market = s.market AND o.block < s.block), s.batch FROM fact_snapshot AS s UNION ALL SELECT s.market, (SELECT min(o.block) FROM fact_snapshot AS o WHERE o.market = s.market AND o.block > s.block), s.batch FROM fact_snapshot AS s)
-- engine: sqlite
-- Collateral, debt and health factor of each account at the newest block of its market and at the first block of each
-- UTC day: sum of collateral x price x threshold over debt, each collateral with its threshold (in an e-mode, that of the
-- e-mode). Only supplies that are enabled as collateral count. An account without a position has no row. Amounts are in
-- the market's unit, dollars or ether, with the price of one ether in that unit. After a new snapshot, the one before or
-- after it may no longer be the newest or the first of its day.
WITH touched AS MATERIALIZED (
  SELECT s.market, s.block,
    (SELECT max(o.block) FROM fact_snapshot AS o WHERE o.market = s.market AND o.block < s.block) AS before,
    (SELECT min(o.block) FROM fact_snapshot AS o WHERE o.market = s.market AND o.block > s.block) AS after
  FROM fact_snapshot AS s WHERE s.batch > :since
),
concerned AS MATERIALIZED (
  SELECT market, block FROM touched UNION SELECT market, before FROM touched UNION SELECT market, after FROM touched
),
snapshot AS MATERIALIZED (
  SELECT s.market, s.block, s.block_time, s.protocol, s.batch
  FROM concerned AS c JOIN fact_snapshot AS s ON s.market = c.market AND s.block = c.block
  WHERE NOT EXISTS (SELECT 1 FROM fact_snapshot AS o WHERE o.market = s.market AND o.block > s.block)
    OR NOT EXISTS (
      SELECT 1 FROM fact_snapshot AS o
      WHERE o.market = s.market AND o.block < s.block
        AND date(o.block_time, 'unixepoch') = date(s.block_time, 'unixepoch')
    )
),
-- The oracle's own price of ether; WETH by the names that Aave's markets give it.
ether AS MATERIALIZED (
  SELECT t.market, t.block, max(iif(t.unit = 'ETH', 1.0, t.price)) AS eth_price
  FROM snapshot AS s  -- CROSS JOIN keeps this order: new snapshots first, and never a walk through all stored ones
  CROSS JOIN stg_aave_terms AS t ON t.market = s.market AND t.block = s.block AND t.emode_id = 0
  WHERE t.symbol IN ('WETH', 'WETH.e', 'ETH') OR t.unit = 'ETH'
  GROUP BY t.market, t.block
),
indices AS MATERIALIZED (
  SELECT
    s.market, s.block, s.protocol, r.asset, r.decimals,
    normalized_income(r.liquidity_index, r.liquidity_rate, r.last_update_timestamp, s.block_time) AS income,
    normalized_debt(r.variable_borrow_index, r.variable_borrow_rate, r.last_update_timestamp, s.block_time) AS owing
  FROM snapshot AS s JOIN raw_aave_reserves AS r ON r.market = s.market AND r.block = s.block
),
held AS MATERIALIZED (
  SELECT
    s.market, s.block, b.account, b.asset, a.emode_id, s.batch,
    has_bit(a.config_bitmap, 2 * b.reserve_id + 1) AS is_collateral,
    tokens(supplied(b.scaled_supply, i.income, i.protocol), i.decimals) AS supply,
    tokens(owed(b.scaled_debt, i.owing, i.protocol, b.stable_debt), i.decimals) AS debt
  FROM snapshot AS s
  CROSS JOIN raw_aave_balances AS b
    ON b.market = s.market AND b.valid_from <= s.block AND (b.valid_to IS NULL OR b.valid_to > s.block)
  CROSS JOIN indices AS i ON i.market = s.market AND i.block = s.block AND i.asset = b.asset
  CROSS JOIN raw_aave_account_states AS a
    ON a.market = s.market AND a.account = b.account AND a.valid_from <= s.block
    AND (a.valid_to IS NULL OR a.valid_to > s.block)
),
summed AS (
  SELECT
    p.market, p.block, p.account, p.emode_id, t.unit, p.batch,
    sum(iif(p.is_collateral, p.supply * t.price, 0.0)) AS collateral,
    sum(iif(p.is_collateral, p.supply * t.price * t.liquidation_threshold, 0.0)) AS lt_collateral,
    sum(iif(p.is_collateral, p.supply * t.price * t.ltv, 0.0)) AS ltv_collateral,
    sum(p.debt * t.price) AS debt
  FROM held AS p
  CROSS JOIN stg_aave_terms AS t
    ON t.market = p.market AND t.block = p.block AND t.emode_id = p.emode_id AND t.asset = p.asset
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
