-- view: lineage
-- reads: fact_batch, fact_batch_rows, fact_run
-- The write and the run behind a row of any table: join by `batch`. One row for each write and table that it changed.
SELECT
  b.batch, r.table_name, b.source, b.key, b.payload_sha256, b.written_at, r.n_rows, r.n_changed, r.n_removed, r.newest_at,
  b.run_id, f.flow, f.params, f.started_at, f.state, f.code_version
FROM fact_batch AS b
LEFT JOIN fact_batch_rows AS r ON r.batch = b.batch
LEFT JOIN fact_run AS f ON f.run_id = b.run_id
