-- target: stg_wallet_now
-- reads: fact_snapshot, dim_market, stg_account_health
-- scope: market from fact_snapshot
-- Newest state of each wallet in each market, in ether at the oracle's price of ether.
WITH newest AS MATERIALIZED (
  SELECT m.* FROM dim_market AS m
  WHERE m.market IN (SELECT market FROM fact_snapshot WHERE batch > :since)
)
SELECT
  h.account AS wallet, n.market, n.protocol, n.chain_id, n.newest_block_time AS as_of_ts, h.block,
  h.collateral / h.eth_price AS collateral_eth, h.lt_collateral / h.eth_price AS lt_collateral_eth,
  h.debt / h.eth_price AS borrow_eth,
  max(h.ltv_collateral - h.debt, 0.0) / h.eth_price AS available_borrows_eth,
  h.health_factor, h.risk_factor, n.is_synthetic, h.batch AS batch
FROM newest AS n JOIN stg_account_health AS h ON h.market = n.market AND h.block = n.newest_block
