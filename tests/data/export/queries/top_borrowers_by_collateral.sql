-- The three largest borrowers behind each collateral of each market, and their share of it.
WITH backing AS (
  SELECT c.market, c.symbol, c.asset, c.wallet, c.collateral_usd, r.debt_usd, r.health_factor,
    row_number() OVER (PARTITION BY c.market, c.asset ORDER BY r.debt_usd DESC, c.wallet) AS place,
    c.collateral_usd / sum(c.collateral_usd) OVER (PARTITION BY c.market, c.asset) AS share
  FROM mart_current_collateral_positions AS c
  JOIN mart_position_risk AS r ON r.market = c.market AND r.wallet = c.wallet
  WHERE r.debt_usd > 0
)
SELECT market, symbol, asset, place, wallet, debt_usd, collateral_usd, share, health_factor
FROM backing WHERE place <= 3 ORDER BY market, asset, place
