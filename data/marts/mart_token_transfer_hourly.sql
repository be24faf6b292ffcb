-- target: mart_token_transfer_hourly
-- reads: stg_chain_blocks, stg_token_transfers
-- Transfers of each token by the hour, on the chain as it is now. An hour whose blocks were all replaced stays, with 0.
WITH
-- All rows of a block are written with it, so its own batch says whether anything about it is new.
hours AS MATERIALIZED (
  SELECT DISTINCT chain_id, timestamp / 3600 * 3600 AS hour FROM stg_chain_blocks WHERE batch > :since
),
heights AS MATERIALIZED (
  SELECT DISTINCT b.chain_id, b.block_number, hours.hour
  FROM hours JOIN stg_chain_blocks AS b
    ON b.chain_id = hours.chain_id AND b.timestamp >= hours.hour AND b.timestamp < hours.hour + 3600
)
SELECT
  t.chain_id, t.token, heights.hour,
  max(t.standard) FILTER (WHERE t.orphaned = 0) AS standard,
  count(*) FILTER (WHERE t.orphaned = 0) AS transfers,
  count(DISTINCT t.from_address) FILTER (WHERE t.orphaned = 0) AS senders,
  count(DISTINCT t.to_address) FILTER (WHERE t.orphaned = 0) AS recipients,
  coalesce(sum(CAST(t.amount AS REAL)) FILTER (WHERE t.orphaned = 0), 0.0) AS amount,
  coalesce(max(CAST(t.amount AS REAL)) FILTER (WHERE t.orphaned = 0), 0.0) AS largest,
  max(t.batch) AS batch
FROM heights
-- Block by block along the key: the transfers of an hour have no other index, and need none.
CROSS JOIN stg_token_transfers AS t
  ON t.chain_id = heights.chain_id AND t.block_number = heights.block_number
  AND t.timestamp / 3600 * 3600 = heights.hour
GROUP BY t.chain_id, t.token, heights.hour
