-- target: stg_prices
-- reads: raw_binance_klines, dim_dollar
-- Closing price of every finished candle in USD. One USDT counts as one USD, unless USDCUSDT of the same candle is more
-- than 0.2 % off 1 and dim_dollar decides for this ratio that USDT had moved: then every price, also USDC's, is divided
-- by it. A ratio outside 0.5 to 2 is not a pair of dollars and changes no price.
WITH RECURSIVE
fresh AS MATERIALIZED (
  SELECT symbol, interval, open_time FROM raw_binance_klines WHERE batch > :since
),
-- One seek for each symbol: SELECT DISTINCT would walk the whole table.
symbols(symbol) AS (
  SELECT min(symbol) FROM raw_binance_klines
  UNION ALL
  SELECT (SELECT min(symbol) FROM raw_binance_klines WHERE symbol > symbols.symbol) FROM symbols WHERE symbol IS NOT NULL
),
-- Candles of the peg that are new, and those for which it was decided anew which dollar had moved.
pegs(interval, open_time) AS MATERIALIZED (
  SELECT interval, open_time FROM fresh WHERE symbol = 'USDCUSDT'
  UNION
  SELECT p.interval, p.open_time
  FROM dim_dollar AS d CROSS JOIN raw_binance_klines AS p
    ON p.symbol = 'USDCUSDT' AND p.interval = d.interval AND p.close_time = d.ts
    -- Twice the longest candle at most, so that this is a seek.
    AND p.open_time BETWEEN d.ts - CASE d.interval WHEN '1d' THEN 172800 WHEN '4h' THEN 28800 ELSE 7200 END AND d.ts
  WHERE d.batch > :since
),
-- New candles, and the candles of every other symbol that a peg candle may correct.
touched(symbol, interval, open_time) AS (
  SELECT symbol, interval, open_time FROM fresh
  UNION
  SELECT s.symbol, p.interval, p.open_time FROM pegs AS p CROSS JOIN symbols AS s WHERE s.symbol IS NOT NULL
),
candle AS (
  SELECT k.symbol, k.interval, k.close_time AS ts, k.source, to_real(k.close) AS price,
    to_real(p.close) AS peg, d.usd_proxy AS held, d.decided_by,
    max(k.batch, coalesce(p.batch, 0), coalesce(d.batch, 0)) AS batch
  FROM touched AS t
  JOIN raw_binance_klines AS k ON k.symbol = t.symbol AND k.interval = t.interval AND k.open_time = t.open_time
  LEFT JOIN raw_binance_klines AS p
    ON p.symbol = 'USDCUSDT' AND p.interval = k.interval AND p.open_time = k.open_time AND p.close_time = k.close_time
    AND NOT EXISTS (
      SELECT 1 FROM raw_binance_klines AS newer
      WHERE newer.symbol = p.symbol AND newer.interval = p.interval AND newer.open_time = p.open_time
        AND newer.batch > p.batch
    )
  LEFT JOIN dim_dollar AS d ON d.interval = p.interval AND d.ts = p.close_time AND d.ratio = to_real(p.close)
  WHERE NOT EXISTS (  -- the newest row of a candle is the one that holds
    SELECT 1 FROM raw_binance_klines AS newer
    WHERE newer.symbol = k.symbol AND newer.interval = k.interval AND newer.open_time = k.open_time
      AND newer.batch > k.batch
  )
),
judged AS (
  SELECT *, coalesce(peg > 0.5 AND peg < 2.0 AND abs(1.0 / peg - 1.0) > 0.002, 0) AS apart FROM candle
)
SELECT
  symbol, interval, ts, source,
  CASE WHEN apart AND held = 'USDC' THEN price / peg ELSE price END AS price_usd,
  price AS price_usdt,
  CASE WHEN apart AND held = 'USDC' THEN 'USDC' ELSE 'USDT' END AS usd_proxy,
  CASE WHEN apart THEN coalesce(decided_by, 'not decided') END AS usd_decided_by,
  batch
FROM judged
