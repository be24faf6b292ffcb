-- target: fact_lending_{kind}_events
-- each: kind in borrow, deficit, deposit, liquidation, repay, withdraw
-- reads: stg_lending_events, raw_lending_blocks, raw_lending_{kind}_events
-- scope: chain_id, block_number from (SELECT chain_id, block_number, batch FROM raw_lending_blocks UNION ALL SELECT chain_id, block_number, batch FROM raw_lending_{kind}_events)
-- The {kind} events of every protocol, valued in USD and ETH where a price was known when they happened.
WITH touched AS MATERIALIZED (
    SELECT chain_id, block_number FROM stg_lending_events WHERE batch > :since
    UNION
    SELECT chain_id, block_number FROM raw_lending_blocks WHERE batch > :since
    UNION  -- an event that a second reading took back
    SELECT chain_id, block_number FROM raw_lending_{kind}_events WHERE batch > :since
)
SELECT e.chain_id, e.block_number, e.log_index, e.event_type, e.wallet, e.initiator, e.self_initiated, e.counterparty,
       e.protocol, e.market, e.event, e.asset, e.symbol, e.amount_raw, e.amount, e.amount_usd, e.amount_eth,
       e.price_usd, e.price_source, e.price_age, e.debt_asset, e.debt_amount_raw, e.debt_amount, e.debt_amount_usd,
       e.debt_price_source, e.part,
       e.block_timestamp, e.tx_hash, e.source, e.batch
FROM touched AS t CROSS JOIN stg_lending_events AS e
WHERE e.chain_id = t.chain_id AND e.block_number = t.block_number AND e.event_type = '{kind}'
