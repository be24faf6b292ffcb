-- target: stg_lending_events
-- reads: raw_lending_blocks, raw_lending_{kind}_events, raw_lending_prices, dim_lending_asset, raw_aave_reserves, fact_snapshot, dim_prices
-- each: kind in borrow, deposit, liquidation, repay, withdraw, deficit
-- scope: chain_id, block_number from (SELECT chain_id, block_number, batch FROM raw_lending_blocks UNION ALL SELECT chain_id, block_number, batch FROM raw_lending_borrow_events UNION ALL SELECT chain_id, block_number, batch FROM raw_lending_deposit_events UNION ALL SELECT chain_id, block_number, batch FROM raw_lending_liquidation_events UNION ALL SELECT chain_id, block_number, batch FROM raw_lending_repay_events UNION ALL SELECT chain_id, block_number, batch FROM raw_lending_withdraw_events UNION ALL SELECT chain_id, block_number, batch FROM raw_lending_deficit_events)
-- One row for each lending event that is part of the chain, typed, valued at the newest price known when it happened.
-- The newest reading of a log counts; a log read from the chain counts before one from a subgraph. Sources of values,
-- in this order: the source's own value, the market's oracle at the event's block, then the newer of the market's
-- oracle in a stored snapshot and the traded series of the token itself (no ratio, no proxy), at most a day old. The
-- debt that a liquidation repaid uses the last three. Otherwise NULL: no price is estimated or taken from after the event.
WITH repriced AS (  -- prices that came in may change the events behind them
    SELECT min(ts) AS ts FROM (
        SELECT min(ts) AS ts FROM dim_prices WHERE batch > :since
        UNION ALL
        SELECT min(block_timestamp) FROM raw_lending_prices WHERE batch > :since
        UNION ALL
        SELECT min(block_time) FROM fact_snapshot WHERE batch > :since
    )
),
touched AS MATERIALIZED (
    SELECT chain_id, block_number FROM raw_lending_blocks WHERE batch > :since
    UNION
    SELECT chain_id, block_number FROM raw_lending_blocks WHERE block_timestamp >= (SELECT ts FROM repriced)
    UNION
    -- each kind, joined by UNION
    SELECT chain_id, block_number FROM raw_lending_{kind}_events WHERE batch > :since
    UNION
    SELECT chain_id, block_number FROM raw_lending_{kind}_events
     WHERE (chain_id, asset) IN (SELECT chain_id, asset FROM dim_lending_asset WHERE batch > :since)
    -- end
    UNION  -- only a liquidation has a debt token
    SELECT chain_id, block_number FROM raw_lending_liquidation_events
     WHERE (chain_id, debt_asset) IN (SELECT chain_id, asset FROM dim_lending_asset WHERE batch > :since)
),
alive AS MATERIALIZED (
    SELECT b.* FROM touched AS t CROSS JOIN raw_lending_blocks AS b
     WHERE b.chain_id = t.chain_id AND b.block_number = t.block_number AND b.n_events > 0
       AND NOT EXISTS (SELECT 1 FROM raw_lending_blocks AS n WHERE n.source = b.source AND n.market = b.market
                          AND n.chain_id = b.chain_id AND n.block_number = b.block_number AND n.batch > b.batch)
),
received AS (
    -- each kind, joined by UNION ALL
    SELECT r.*, '{kind}' AS event_type, b.batch AS block_batch, b.block_hash AS hash_now
      FROM alive AS b CROSS JOIN raw_lending_{kind}_events AS r
     WHERE r.source = b.source AND r.market = b.market AND r.chain_id = b.chain_id AND r.block_number = b.block_number
    -- end
),
newest AS (  -- the newest reading of a log may be that it is not there: then its row has another hash, or none
    SELECT *, row_number() OVER (PARTITION BY event_type, source, market, chain_id, block_number, log_index
                                 ORDER BY batch DESC) AS reading
    FROM received
),
chosen AS (
    SELECT *, row_number() OVER (PARTITION BY chain_id, block_number, log_index
                                 ORDER BY source = 'logs' DESC, source, batch DESC, event_type) AS choice
    FROM newest WHERE reading = 1 AND block_hash IS hash_now
),
known AS MATERIALIZED (  -- or every use of a column repeats the look-up behind it
    SELECT e.*, a.symbol, a.decimals, a.series, d.decimals AS debt_decimals, d.series AS debt_series,
           max(e.batch, e.block_batch, coalesce(a.batch, 0), coalesce(d.batch, 0)) AS known_batch,
           (SELECT s.block FROM fact_snapshot AS s
             WHERE s.market = e.market AND s.block <= e.block_number AND s.chain_id = e.chain_id
               AND s.block_time BETWEEN e.block_timestamp - 86400 AND e.block_timestamp
               AND s.base_currency_unit = '100000000' AND s.is_synthetic = 0
             ORDER BY s.block DESC LIMIT 1) AS snapshot_block,
           (SELECT max(p.ts) FROM dim_prices AS p
             WHERE p.symbol = a.series AND p.interval IN ('1m', '5m', '15m', '30m', '1h', '4h', '1d', 'latest')
               AND p.ts BETWEEN e.block_timestamp - 86400 AND e.block_timestamp AND p.is_synthetic = 0) AS series_ts,
           (SELECT max(p.ts) FROM dim_prices AS p
             WHERE p.symbol = d.series AND p.interval IN ('1m', '5m', '15m', '30m', '1h', '4h', '1d', 'latest')
               AND p.ts BETWEEN e.block_timestamp - 86400 AND e.block_timestamp AND p.is_synthetic = 0) AS debt_ts,
           (SELECT max(p.ts) FROM dim_prices AS p
             WHERE p.symbol = 'ETHUSDT' AND p.interval IN ('1m', '5m', '15m', '30m', '1h', '4h', '1d', 'latest')
               AND p.ts BETWEEN e.block_timestamp - 86400 AND e.block_timestamp AND p.is_synthetic = 0) AS eth_ts
    FROM chosen AS e
    LEFT JOIN dim_lending_asset AS a ON a.chain_id = e.chain_id AND a.asset = e.asset
    LEFT JOIN dim_lending_asset AS d ON d.chain_id = e.chain_id AND d.asset = e.debt_asset
    WHERE e.choice = 1
),
picked AS MATERIALIZED (
    SELECT k.*,
           (SELECT p.interval || '|' || p.source FROM dim_prices AS p
             WHERE p.symbol = k.series AND p.ts = k.series_ts AND p.interval IN ('1m', '5m', '15m', '30m', '1h', '4h', '1d', 'latest') AND p.is_synthetic = 0
             ORDER BY p.source = 'binance' DESC, p.source, p.interval LIMIT 1) AS series_pick,
           (SELECT p.interval || '|' || p.source FROM dim_prices AS p
             WHERE p.symbol = 'ETHUSDT' AND p.ts = k.eth_ts AND p.interval IN ('1m', '5m', '15m', '30m', '1h', '4h', '1d', 'latest') AND p.is_synthetic = 0
             ORDER BY p.source = 'binance' DESC, p.source, p.interval LIMIT 1) AS eth_pick,
           (SELECT p.interval || '|' || p.source FROM dim_prices AS p
             WHERE p.symbol = k.debt_series AND p.ts = k.debt_ts AND p.interval IN ('1m', '5m', '15m', '30m', '1h', '4h', '1d', 'latest') AND p.is_synthetic = 0
             ORDER BY p.source = 'binance' DESC, p.source, p.interval LIMIT 1) AS debt_pick,
           (SELECT max(n.batch) FROM raw_lending_prices AS n WHERE n.chain_id = k.chain_id
               AND n.block_number = k.block_number AND n.asset = k.asset AND n.market = k.market) AS oracle_batch,
           (SELECT max(n.batch) FROM raw_lending_prices AS n WHERE n.chain_id = k.chain_id
               AND n.block_number = k.block_number AND n.asset = k.debt_asset AND n.market = k.market) AS debt_oracle_batch
    FROM known AS k
),
quoted AS MATERIALIZED (
    SELECT k.*, CAST(k.amount_raw || 'e-' || k.decimals AS REAL) AS amount,
           CAST(k.debt_amount_raw || 'e-' || k.debt_decimals AS REAL) AS debt_amount,
           CAST(nullif(o.price_raw, '0') || 'e-8' AS REAL) AS oracle_price,
           CAST(nullif(o.eth_usd_raw, '0') || 'e-8' AS REAL) AS oracle_eth,
           CAST(r.price_raw || 'e-8' AS REAL) AS snapshot_price, s.block_time AS snapshot_ts,
           CAST(w.price_raw || 'e-8' AS REAL) AS snapshot_eth,
           p.price_usd AS series_price, p.source AS series_source, q.price_usd AS series_eth,
           CAST(nullif(f.price_raw, '0') || 'e-8' AS REAL) AS debt_oracle_price,
           CAST(g.price_raw || 'e-8' AS REAL) AS debt_snapshot_price,
           h.price_usd AS debt_series_price, h.source AS debt_series_source,
           max(k.known_batch, coalesce(k.oracle_batch, 0), coalesce(s.batch, 0), coalesce(r.batch, 0),
               coalesce(w.batch, 0), coalesce(p.batch, 0), coalesce(q.batch, 0),
               coalesce(k.debt_oracle_batch, 0), coalesce(g.batch, 0), coalesce(h.batch, 0)) AS newest_batch
    FROM picked AS k
    LEFT JOIN raw_lending_prices AS o ON o.chain_id = k.chain_id AND o.block_number = k.block_number
         AND o.asset = k.asset AND o.market = k.market AND o.batch = k.oracle_batch
    LEFT JOIN fact_snapshot AS s ON s.market = k.market AND s.block = k.snapshot_block
    LEFT JOIN raw_aave_reserves AS r ON r.market = k.market AND r.block = k.snapshot_block AND r.asset = k.asset
    LEFT JOIN raw_aave_reserves AS w ON w.market = k.market AND w.block = k.snapshot_block
         AND w.asset = (SELECT min(y.asset) FROM raw_aave_reserves AS y WHERE y.market = k.market
                           AND y.block = k.snapshot_block AND y.symbol = 'WETH')
    LEFT JOIN dim_prices AS p ON p.symbol = k.series AND p.ts = k.series_ts
         AND p.interval = substr(k.series_pick, 1, instr(k.series_pick, '|') - 1)
         AND p.source = substr(k.series_pick, instr(k.series_pick, '|') + 1)
    LEFT JOIN dim_prices AS q ON q.symbol = 'ETHUSDT' AND q.ts = k.eth_ts
         AND q.interval = substr(k.eth_pick, 1, instr(k.eth_pick, '|') - 1)
         AND q.source = substr(k.eth_pick, instr(k.eth_pick, '|') + 1)
    LEFT JOIN raw_lending_prices AS f ON f.chain_id = k.chain_id AND f.block_number = k.block_number
         AND f.asset = k.debt_asset AND f.market = k.market AND f.batch = k.debt_oracle_batch
    LEFT JOIN raw_aave_reserves AS g ON g.market = k.market AND g.block = k.snapshot_block AND g.asset = k.debt_asset
    LEFT JOIN dim_prices AS h ON h.symbol = k.debt_series AND h.ts = k.debt_ts
         AND h.interval = substr(k.debt_pick, 1, instr(k.debt_pick, '|') - 1)
         AND h.source = substr(k.debt_pick, instr(k.debt_pick, '|') + 1)
),
priced AS (
    SELECT *, CAST(usd_e8 || 'e-8' AS REAL) AS stated_usd,
           CASE WHEN usd_e8 IS NOT NULL THEN CASE WHEN source = 'logs' THEN 'log' ELSE source END
                WHEN oracle_price IS NOT NULL THEN 'oracle'
                WHEN snapshot_price IS NOT NULL AND snapshot_ts >= coalesce(series_ts, 0) THEN 'snapshot'
                WHEN series_price IS NOT NULL THEN series_source END AS price_source,
           CASE WHEN debt_asset IS NULL THEN NULL
                WHEN debt_oracle_price IS NOT NULL THEN 'oracle'
                WHEN debt_snapshot_price IS NOT NULL AND snapshot_ts >= coalesce(debt_ts, 0) THEN 'snapshot'
                WHEN debt_series_price IS NOT NULL THEN debt_series_source END AS debt_price_source
    FROM quoted
),
valued AS (
    SELECT *,
           CASE WHEN stated_usd IS NOT NULL THEN CASE WHEN amount > 0 THEN stated_usd / amount END
                WHEN price_source = 'oracle' THEN oracle_price
                WHEN price_source = 'snapshot' THEN snapshot_price ELSE series_price END AS price_usd,
           CASE WHEN stated_usd IS NOT NULL OR price_source = 'oracle' THEN 0
                WHEN price_source = 'snapshot' THEN block_timestamp - snapshot_ts
                WHEN series_price IS NOT NULL THEN block_timestamp - series_ts END AS price_age,
           CASE WHEN oracle_eth IS NOT NULL THEN oracle_eth
                WHEN snapshot_eth IS NOT NULL AND snapshot_ts >= coalesce(eth_ts, 0) THEN snapshot_eth
                ELSE series_eth END AS eth_usd,
           CASE WHEN debt_price_source = 'oracle' THEN debt_oracle_price
                WHEN debt_price_source = 'snapshot' THEN debt_snapshot_price ELSE debt_series_price END AS debt_price_usd
    FROM priced
)
SELECT chain_id, block_number, log_index, event_type, owner AS wallet, initiator, initiator = owner AS self_initiated,
       counterparty, protocol, market, event, asset, symbol, amount_raw, amount,
       coalesce(stated_usd, amount * price_usd) AS amount_usd,
       CASE WHEN symbol = 'WETH' OR asset = '0x0000000000000000000000000000000000000000' THEN amount
            ELSE coalesce(stated_usd, amount * price_usd) / eth_usd END AS amount_eth,
       price_usd, price_source, price_age, debt_asset, debt_amount_raw, debt_amount,
       debt_amount * debt_price_usd AS debt_amount_usd, debt_price_source, part, block_timestamp, tx_hash,
       source, newest_batch AS batch
FROM valued
