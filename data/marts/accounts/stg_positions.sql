-- target: stg_positions
-- reads: fact_snapshot, raw_aave_reserves, raw_aave_account_states, raw_aave_balances
-- scope: market from fact_snapshot
-- engine: sqlite
-- Each account's supply and debt in each reserve at the newest block of its market: stored scaled balances times
-- the reserve's indices at the block's time (data.amounts).
WITH newest AS MATERIALIZED (
  SELECT s.market, s.block, s.block_time, s.protocol, s.batch
  FROM fact_snapshot AS s
  WHERE s.market IN (SELECT market FROM fact_snapshot WHERE batch > :since)
    AND s.block = (SELECT max(o.block) FROM fact_snapshot AS o WHERE o.market = s.market)
),
indices AS MATERIALIZED (
  SELECT
    n.market, n.protocol, r.asset, r.decimals,
    normalized_income(r.liquidity_index, r.liquidity_rate, r.last_update_timestamp, n.block_time) AS income,
    normalized_debt(r.variable_borrow_index, r.variable_borrow_rate, r.last_update_timestamp, n.block_time) AS owing
  FROM newest AS n JOIN raw_aave_reserves AS r ON r.market = n.market AND r.block = n.block
),
amounts AS MATERIALIZED (
  SELECT
    n.market, n.block, b.account, b.asset, b.reserve_id, b.scaled_supply, b.scaled_debt, i.decimals, n.batch,
    supplied(b.scaled_supply, i.income, i.protocol) AS supply_raw,
    owed(b.scaled_debt, i.owing, i.protocol, b.stable_debt) AS debt_raw
  FROM newest AS n
  CROSS JOIN raw_aave_balances AS b
    ON b.market = n.market AND b.valid_from <= n.block AND (b.valid_to IS NULL OR b.valid_to > n.block)
  CROSS JOIN indices AS i ON i.market = b.market AND i.asset = b.asset
)
SELECT
  a.market, a.block, a.account, a.asset, a.reserve_id, a.scaled_supply, a.supply_raw, a.scaled_debt, a.debt_raw,
  has_bit(s.config_bitmap, 2 * a.reserve_id + 1) AS is_collateral,
  tokens(a.supply_raw, a.decimals) AS supply, tokens(a.debt_raw, a.decimals) AS debt, a.batch
FROM amounts AS a
CROSS JOIN raw_aave_account_states AS s
  ON s.market = a.market AND s.account = a.account AND s.valid_from <= a.block
  AND (s.valid_to IS NULL OR s.valid_to > a.block)
