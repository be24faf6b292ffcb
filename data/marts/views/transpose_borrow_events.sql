-- view: transpose_borrow_events
-- reads: fact_lending_borrow_events
-- Borrows of every protocol; the wallet is the account that owes the debt.
SELECT
  chain_id, block_number, log_index, block_timestamp, tx_hash, wallet, initiator, self_initiated, counterparty, protocol,
  market, asset, symbol, amount_raw, amount, amount_usd, amount_eth, debt_asset, debt_amount_raw, debt_amount, batch
FROM fact_lending_borrow_events
