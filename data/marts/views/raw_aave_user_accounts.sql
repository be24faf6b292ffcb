-- view: raw_aave_user_accounts
-- reads: fact_snapshot, raw_aave_account_states, raw_aave_account_data
-- Every account that holds an aToken or a debt token, at each block that was read, with the pool's valuation.
SELECT
  s.market, s.block, a.account, a.emode_id, a.config_bitmap,
  d.total_collateral_base, d.total_debt_base, d.health_factor_raw, a.batch
FROM fact_snapshot AS s
JOIN raw_aave_account_states AS a
  ON a.market = s.market AND a.valid_from <= s.block AND (a.valid_to IS NULL OR a.valid_to > s.block)
LEFT JOIN raw_aave_account_data AS d ON d.market = s.market AND d.block = s.block AND d.account = a.account
