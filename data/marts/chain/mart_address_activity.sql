-- target: mart_address_activity
-- reads: stg_chain_blocks, raw_chain_transactions, stg_token_transfers, stg_primitives
-- scope: chain_id, block_number from (SELECT chain_id, block_number, batch FROM stg_chain_blocks UNION ALL SELECT chain_id, block_number, batch FROM stg_token_transfers UNION ALL SELECT chain_id, block_number, batch FROM stg_primitives)
-- What each address did in each block, on the chain as it is now: counts, values, counterparties, leverage events.
WITH heights AS MATERIALIZED (
  -- A block takes the batch of whatever is written of it (data.store.parts); what is mended by hand may not.
  SELECT chain_id, block_number, max(batch) AS batch,
    max(block_hash) FILTER (WHERE orphaned = 0) AS block_hash
  FROM stg_chain_blocks
  WHERE (chain_id, block_number) IN (
    SELECT chain_id, block_number FROM stg_chain_blocks WHERE batch > :since
    UNION SELECT chain_id, block_number FROM stg_token_transfers WHERE batch > :since
    UNION SELECT chain_id, block_number FROM stg_primitives WHERE batch > :since
  )
  GROUP BY chain_id, block_number
),
-- One row for each part of an address in something. kind: n native, t token, p primitive.
parts AS (
  SELECT h.chain_id, h.block_number, h.batch, x.from_address AS address, 'n' AS kind, 'sent' AS did,
    x.to_address AS other, NULL AS token, CAST(x.value AS REAL) / 1e18 AS native
  FROM heights AS h JOIN raw_chain_transactions AS x USING (chain_id, block_number, block_hash)
  UNION ALL
  SELECT h.chain_id, h.block_number, h.batch, x.to_address, 'n', 'received', x.from_address, NULL,
    CAST(x.value AS REAL) / 1e18
  FROM heights AS h JOIN raw_chain_transactions AS x USING (chain_id, block_number, block_hash)
  WHERE x.to_address IS NOT NULL AND x.value <> '0'
  UNION ALL
  SELECT h.chain_id, h.block_number, h.batch, t.from_address, 't', 'sent', t.to_address, t.token, NULL
  FROM heights AS h JOIN stg_token_transfers AS t USING (chain_id, block_number, block_hash)
  UNION ALL
  SELECT h.chain_id, h.block_number, h.batch, t.to_address, 't', 'received', t.from_address, t.token, NULL
  FROM heights AS h JOIN stg_token_transfers AS t USING (chain_id, block_number, block_hash)
  UNION ALL
  SELECT h.chain_id, h.block_number, h.batch, p.account, 'p', p.primitive, p.counterparty, NULL, NULL
  FROM heights AS h JOIN stg_primitives AS p USING (chain_id, block_number, block_hash)
)
SELECT
  chain_id, block_number, address,
  count(*) FILTER (WHERE kind = 'n' AND did = 'sent') AS transactions_sent,
  coalesce(sum(native) FILTER (WHERE did = 'sent'), 0.0) AS native_sent,
  coalesce(sum(native) FILTER (WHERE did = 'received'), 0.0) AS native_received,
  count(*) FILTER (WHERE kind = 't' AND did = 'sent') AS transfers_sent,
  count(*) FILTER (WHERE kind = 't' AND did = 'received') AS transfers_received,
  count(DISTINCT token) AS tokens,
  count(DISTINCT other) FILTER (WHERE other <> address) AS counterparties,
  count(*) FILTER (WHERE did = 'swap') AS swaps,
  count(*) FILTER (WHERE did IN ('mint', 'burn')) AS liquidity_changes,
  count(*) FILTER (WHERE did IN ('deposit', 'withdraw')) AS collateral_changes,
  count(*) FILTER (WHERE did IN ('borrow', 'flash_loan')) AS leverage_ups,
  count(*) FILTER (WHERE did = 'repay') AS leverage_downs,
  count(*) FILTER (WHERE did = 'liquidation') AS liquidations,
  max(batch) AS batch
FROM parts
GROUP BY chain_id, block_number, address
