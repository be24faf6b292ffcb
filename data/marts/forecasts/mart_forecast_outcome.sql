-- target: mart_forecast_outcome
-- reads: fact_forecast, fact_risk_run, stg_forecast_window, raw_lending_reads
-- Each stored forecast with the outcome of its window. The scan that reads all kinds of events states how far they were
-- read: a window that was not read to its end is `partial`, one that was not read at all `unread`; both have no outcome.
-- A sum with an amount without a value in USD has no outcome either. All rows are compared and those that differ are
-- written: forecasts are few, and each reading changes all open windows.
WITH spanned AS MATERIALIZED (
    SELECT w.*, min(w.valid_until, (SELECT max(s.last_time) FROM raw_lending_reads AS s
            WHERE s.market = w.market AND s.chain_id = w.chain_id AND s.first_time <= w.made_at)) AS last_read,
           (SELECT max(s.batch) FROM raw_lending_reads AS s WHERE s.market = w.market AND s.chain_id = w.chain_id)
           AS read_batch
    FROM stg_forecast_window AS w
),
read AS MATERIALIZED (
    SELECT *, CASE WHEN last_read > made_at THEN last_read END AS read_until,
           CASE WHEN last_read >= valid_until THEN 'whole' WHEN last_read > made_at THEN 'partial' ELSE 'unread' END
           AS window_read
    FROM spanned
)
SELECT f.run_id, f.measure, f.level, f.market, r.scenario_id, r.block, f.made_at, f.horizon_seconds, f.valid_until,
       f.value, f.low, f.high, f.sha256, f.sealed_at, f.is_synthetic,
       f.is_synthetic = 0 AND f.sealed_at >= f.valid_until AS after_the_fact, w.window_read, w.read_until,
       w.repaid_usd, w.seized_usd, w.deficit_usd, w.n_liquidations, w.n_accounts, w.n_deficits, w.n_events,
       w.unpriced_repaid, w.unpriced_seized, w.unpriced_deficit,
       CASE WHEN w.window_read <> 'whole' THEN NULL
            WHEN f.measure IN ('lar_repaid', 'es_repaid', 'mean_repaid') AND w.unpriced_repaid = 0 THEN w.repaid_usd
            WHEN f.measure = 'lar_seized' AND w.unpriced_seized = 0 THEN w.seized_usd
            WHEN f.measure IN ('var_deficit', 'es_deficit') AND w.unpriced_deficit = 0 THEN w.deficit_usd
            WHEN f.measure = 'p_deficit' THEN CAST(w.n_deficits > 0 AS REAL) END AS outcome,
       max(f.batch, w.batch, coalesce(w.read_batch, 0)) AS batch
FROM read AS w
CROSS JOIN fact_forecast AS f ON f.run_id = w.run_id
CROSS JOIN fact_risk_run AS r ON r.run_id = w.run_id
