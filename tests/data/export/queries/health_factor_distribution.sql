-- Accounts and debt by health factor, in steps of a tenth up to 3.
SELECT
  market,
  CASE WHEN health_factor IS NULL THEN 'no debt' WHEN health_factor >= 3 THEN '3 and more'
       ELSE CAST(CAST(health_factor * 10 AS INTEGER) AS TEXT) END AS tenths,
  count(*) AS accounts, sum(is_liquidatable) AS liquidatable, sum(debt_usd) AS debt_usd,
  min(fall_to_liquidation) AS nearest
FROM mart_position_risk
GROUP BY 1, 2
ORDER BY 1, 2
