-- target: mart_token_transfer_hourly
-- reads: stg_chain_blocks, stg_token_transfers
-- scope: chain_id, hour from (SELECT chain_id, timestamp / 3600 * 3600 AS hour, batch FROM stg_chain_blocks UNION ALL SELECT b.chain_id, b.timestamp / 3600 * 3600, t.batch FROM stg_token_transfers AS t CROSS JOIN stg_chain_blocks AS b ON b.chain_id = t.chain_id AND b.block_number = t.block_number)
-- Transfers of each token by the hour, on the chain as it is now; those that a reorganisation removed do not count.
WITH
-- A block takes the batch of whatever is written of it (data.store.parts), the mark of one that was replaced included;
-- what is mended by hand may not.
hours AS MATERIALIZED (
  SELECT chain_id, timestamp / 3600 * 3600 AS hour FROM stg_chain_blocks WHERE batch > :since
  UNION
  SELECT b.chain_id, b.timestamp / 3600 * 3600
  FROM (SELECT DISTINCT chain_id, block_number FROM stg_token_transfers WHERE batch > :since) AS t
  CROSS JOIN stg_chain_blocks AS b ON b.chain_id = t.chain_id AND b.block_number = t.block_number
),
heights AS MATERIALIZED (
  SELECT b.chain_id, b.block_number, b.block_hash, hours.hour
  FROM hours JOIN stg_chain_blocks AS b
    ON b.chain_id = hours.chain_id AND b.timestamp >= hours.hour AND b.timestamp < hours.hour + 3600
  WHERE b.orphaned = 0
)
SELECT
  t.chain_id, t.token, heights.hour,
  max(t.standard) AS standard,
  count(*) AS transfers,
  count(DISTINCT t.from_address) AS senders,
  count(DISTINCT t.to_address) AS recipients,
  sum(CAST(t.amount AS REAL)) AS amount,
  max(CAST(t.amount AS REAL)) AS largest,
  max(t.batch) AS batch
FROM heights
-- Block by block along the key: the transfers of an hour have no other index, and need none.
CROSS JOIN stg_token_transfers AS t
  ON t.chain_id = heights.chain_id AND t.block_number = heights.block_number AND t.block_hash = heights.block_hash
GROUP BY t.chain_id, t.token, heights.hour
