-- view: transpose_withdraw_events
-- reads: fact_lending_withdraw_events
-- Withdrawals of every protocol; the wallet is the account that was debited.
SELECT
  chain_id, block_number, log_index, block_timestamp, tx_hash, wallet, initiator, self_initiated, counterparty, protocol,
  market, asset, symbol, amount_raw, amount, amount_usd, amount_eth, debt_asset, debt_amount_raw, debt_amount, batch
FROM fact_lending_withdraw_events
