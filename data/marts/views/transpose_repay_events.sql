-- view: transpose_repay_events
-- reads: fact_lending_repay_events
-- Repayments of every protocol, without those by liquidators; the wallet is the account whose debt was repaid.
SELECT
  chain_id, block_number, log_index, block_timestamp, tx_hash, wallet, initiator, self_initiated, counterparty, protocol,
  market, asset, symbol, amount_raw, amount, amount_usd, amount_eth, debt_asset, debt_amount_raw, debt_amount, batch
FROM fact_lending_repay_events
