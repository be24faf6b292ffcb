-- target: stg_prices
-- reads: raw_binance_klines
-- Closing price of every finished candle in USD. One USDT counts as one USD while it is within 0.2 % of USDC; beyond
-- that the price is divided by USDCUSDT of the same candle. A peg outside 0.5 to 2 is no dollar pair and corrects nothing.
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
-- New candles, and the candles of every other symbol that a new peg candle may correct.
touched(symbol, interval, open_time) AS (
  SELECT symbol, interval, open_time FROM fresh
  UNION
  SELECT s.symbol, p.interval, p.open_time FROM fresh AS p CROSS JOIN symbols AS s
  WHERE p.symbol = 'USDCUSDT' AND s.symbol IS NOT NULL
),
candle AS (
  SELECT k.symbol, k.interval, k.close_time AS ts, k.source, to_real(k.close) AS price,
    to_real(p.close) AS peg, max(k.batch, coalesce(p.batch, 0)) AS batch
  FROM touched AS t
  JOIN raw_binance_klines AS k ON k.symbol = t.symbol AND k.interval = t.interval AND k.open_time = t.open_time
  LEFT JOIN raw_binance_klines AS p
    ON p.symbol = 'USDCUSDT' AND p.interval = k.interval AND p.open_time = k.open_time AND k.symbol <> 'USDCUSDT'
    AND NOT EXISTS (
      SELECT 1 FROM raw_binance_klines AS newer
      WHERE newer.symbol = p.symbol AND newer.interval = p.interval AND newer.open_time = p.open_time
        AND newer.batch > p.batch
    )
  WHERE NOT EXISTS (  -- the newest row of a candle is the one that holds
    SELECT 1 FROM raw_binance_klines AS newer
    WHERE newer.symbol = k.symbol AND newer.interval = k.interval AND newer.open_time = k.open_time
      AND newer.batch > k.batch
  )
),
judged AS (
  SELECT *, coalesce(peg > 0.5 AND peg < 2.0 AND abs(1.0 / peg - 1.0) > 0.002, 0) AS corrected FROM candle
)
SELECT
  symbol, interval, ts, source,
  CASE WHEN corrected THEN price / peg ELSE price END AS price_usd,
  price AS price_usdt,
  CASE WHEN corrected THEN 'USDC' ELSE 'USDT' END AS usd_proxy,
  batch
FROM judged
