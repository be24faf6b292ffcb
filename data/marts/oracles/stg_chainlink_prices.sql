-- target: stg_chainlink_prices
-- reads: raw_chainlink_rounds
-- Newest reading of every finished round of a feed; price in whole units, empty where the answer is not a price.
SELECT
  r.chain_id,
  r.feed,
  r.phase_id,
  r.round_id,
  r.updated_at,
  -- As a decimal text with an exponent: one rounding.
  CASE WHEN r.answer NOT LIKE '-%' AND r.answer <> '0' THEN to_real(r.answer || 'e-' || r.decimals) END AS price,
  r.is_carried_over,
  r.batch
FROM raw_chainlink_rounds r
WHERE r.batch > :since
  AND r.batch = (
    SELECT max(n.batch) FROM raw_chainlink_rounds n
    WHERE n.chain_id = r.chain_id AND n.feed = r.feed AND n.phase_id = r.phase_id AND n.round_id = r.round_id
  )
