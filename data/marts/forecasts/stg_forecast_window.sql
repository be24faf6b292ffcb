-- target: stg_forecast_window
-- reads: fact_forecast, fact_risk_run, stg_lending_events, raw_lending_blocks, raw_lending_{kind}_events
-- each: kind in borrow, deposit, liquidation, repay, withdraw, deficit
-- scope: run_id from fact_forecast
-- Stored events in the window of a risk run's forecast, with sums of liquidations and deficits. The window begins after
-- the second of the snapshot. A liquidation of several collaterals counts once, with one debt. An amount without a value
-- in USD is counted, and adds nothing to the sum.
WITH moved AS MATERIALIZED (  -- by chain: another route may tell an event under another market's name
    SELECT chain_id, min(ts) AS first, max(ts) AS last FROM (
        SELECT chain_id, block_timestamp AS ts FROM stg_lending_events WHERE batch > :since
        UNION ALL  -- a block may have been replaced by one of another time
        SELECT b.chain_id, b.block_timestamp FROM raw_lending_blocks AS n CROSS JOIN raw_lending_blocks AS b
         WHERE n.batch > :since AND b.source = n.source AND b.market = n.market AND b.chain_id = n.chain_id
           AND b.block_number = n.block_number
        UNION ALL  -- an event that a second reading took back
        -- each kind, joined by UNION ALL
        SELECT chain_id, block_timestamp FROM raw_lending_{kind}_events WHERE batch > :since
        -- end
    ) GROUP BY chain_id
),
forecast AS MATERIALIZED (
    SELECT r.run_id, r.chain_id, f.market, min(f.made_at) AS made_at, max(f.valid_until) AS valid_until,
           max(f.batch) AS batch
    FROM fact_forecast AS f JOIN fact_risk_run AS r ON r.run_id = f.run_id
    GROUP BY r.run_id, r.chain_id, f.market
),
due AS MATERIALIZED (
    SELECT * FROM forecast AS f
     WHERE f.batch > :since OR EXISTS (
        SELECT 1 FROM moved AS m WHERE m.chain_id = f.chain_id AND m.last > f.made_at AND m.first <= f.valid_until)
),
totals AS (
    SELECT d.run_id, count(*) AS n_events, max(e.batch) AS batch,
           sum(e.event_type = 'liquidation') AS n_liquidations,
           count(DISTINCT CASE WHEN e.event_type = 'liquidation' THEN e.wallet END) AS n_accounts,
           sum(CASE WHEN e.event_type = 'liquidation' THEN e.debt_amount_usd END) AS repaid,
           sum(CASE WHEN e.event_type = 'liquidation' THEN e.debt_amount_usd IS NULL END) AS unpriced_repaid,
           sum(e.event_type = 'deficit') AS n_deficits,
           sum(CASE WHEN e.event_type = 'deficit' THEN e.amount_usd END) AS deficit,
           sum(CASE WHEN e.event_type = 'deficit' THEN e.amount_usd IS NULL END) AS unpriced_deficit
    FROM due AS d CROSS JOIN stg_lending_events AS e
    WHERE e.event_type IN ('borrow', 'deposit', 'liquidation', 'repay', 'withdraw', 'deficit') AND e.part = 0
      AND e.block_timestamp > d.made_at AND e.block_timestamp <= d.valid_until
      AND e.market = d.market AND e.chain_id = d.chain_id
    GROUP BY d.run_id
),
taken AS (
    SELECT d.run_id, max(e.batch) AS batch, sum(e.amount_usd) AS seized,
           sum(e.amount_usd IS NULL) AS unpriced_seized
    FROM due AS d CROSS JOIN stg_lending_events AS e
    WHERE e.event_type = 'liquidation' AND e.block_timestamp > d.made_at AND e.block_timestamp <= d.valid_until
      AND e.market = d.market AND e.chain_id = d.chain_id
    GROUP BY d.run_id
)
SELECT d.run_id, d.market, d.chain_id, d.made_at, d.valid_until, coalesce(t.n_events, 0) AS n_events,
       coalesce(t.n_liquidations, 0) AS n_liquidations, coalesce(t.n_accounts, 0) AS n_accounts,
       coalesce(t.n_deficits, 0) AS n_deficits, coalesce(t.repaid, 0.0) AS repaid_usd,
       coalesce(s.seized, 0.0) AS seized_usd, coalesce(t.deficit, 0.0) AS deficit_usd,
       coalesce(t.unpriced_repaid, 0) AS unpriced_repaid, coalesce(s.unpriced_seized, 0) AS unpriced_seized,
       coalesce(t.unpriced_deficit, 0) AS unpriced_deficit,
       max(d.batch, coalesce(t.batch, 0), coalesce(s.batch, 0)) AS batch
FROM due AS d
LEFT JOIN totals AS t ON t.run_id = d.run_id
LEFT JOIN taken AS s ON s.run_id = d.run_id
