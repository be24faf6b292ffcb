-- Where a price series stands still for longer than its usual step, and how far the price moved meanwhile.
WITH stepped AS (
  SELECT symbol, interval, source, ts, price_usd,
    ts - lag(ts) OVER series AS gap_s,
    price_usd / lag(price_usd) OVER series - 1 AS move
  FROM dim_prices
  WINDOW series AS (PARTITION BY symbol, interval, source ORDER BY ts)
),
usual AS (
  SELECT symbol, interval, source, min(gap_s) AS step_s FROM stepped WHERE gap_s > 0 GROUP BY symbol, interval, source
)
SELECT s.symbol, s.interval, s.source, s.ts, s.gap_s / u.step_s AS steps, s.move
FROM stepped AS s JOIN usual AS u ON u.symbol = s.symbol AND u.interval = s.interval AND u.source = s.source
WHERE s.gap_s > u.step_s
ORDER BY s.gap_s DESC, s.symbol, s.interval, s.source, s.ts
