-- target: mart_token_transfer_hourly
-- reads: stg_token_transfers
-- Transfers of each token by the hour, on the chain as it is now. An hour whose blocks were all replaced stays, with 0.
WITH touched AS MATERIALIZED (
  SELECT DISTINCT chain_id, token, timestamp / 3600 * 3600 AS hour FROM stg_token_transfers WHERE batch > :since
)
SELECT
  t.chain_id, t.token, t.timestamp / 3600 * 3600 AS hour,
  max(t.standard) FILTER (WHERE t.orphaned = 0) AS standard,
  count(*) FILTER (WHERE t.orphaned = 0) AS transfers,
  count(DISTINCT t.from_address) FILTER (WHERE t.orphaned = 0) AS senders,
  count(DISTINCT t.to_address) FILTER (WHERE t.orphaned = 0) AS recipients,
  coalesce(sum(CAST(t.amount AS REAL)) FILTER (WHERE t.orphaned = 0), 0.0) AS amount,
  coalesce(max(CAST(t.amount AS REAL)) FILTER (WHERE t.orphaned = 0), 0.0) AS largest,
  max(t.batch) AS batch
FROM stg_token_transfers AS t
JOIN touched ON touched.chain_id = t.chain_id AND touched.token = t.token
  AND touched.hour = t.timestamp / 3600 * 3600
GROUP BY t.chain_id, t.token, t.timestamp / 3600
