-- target: stg_wallet_daily
-- reads: fact_snapshot, dim_market, stg_account_health
-- scope: market, day from (SELECT market, date(block_time, 'unixepoch') AS day, batch FROM fact_snapshot)
-- State of each wallet in each market at the first block of each UTC day that was read. There is no row for a
-- day without a position, or on which no block was read.
WITH touched AS MATERIALIZED (
  SELECT DISTINCT market, date(block_time, 'unixepoch') AS day FROM fact_snapshot WHERE batch > :since
),
first AS MATERIALIZED (
  SELECT t.market, t.day, min(s.block) AS block
  FROM touched AS t JOIN fact_snapshot AS s ON s.market = t.market AND date(s.block_time, 'unixepoch') = t.day
  GROUP BY t.market, t.day
)
SELECT
  h.account AS wallet, f.market, f.day, m.protocol, s.chain_id, s.block, s.block_time,
  h.collateral / h.eth_price AS collateral_eth, h.lt_collateral / h.eth_price AS lt_collateral_eth,
  h.debt / h.eth_price AS borrow_eth,
  max(h.ltv_collateral - h.debt, 0.0) / h.eth_price AS available_borrows_eth,
  h.health_factor, h.risk_factor, s.is_synthetic, h.batch AS batch
FROM first AS f
JOIN fact_snapshot AS s ON s.market = f.market AND s.block = f.block
JOIN dim_market AS m ON m.market = f.market
JOIN stg_account_health AS h ON h.market = f.market AND h.block = f.block
