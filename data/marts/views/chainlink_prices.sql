-- view: chainlink_prices
-- reads: stg_chainlink_prices, dim_feed, dim_feed_phase
-- Every round of every feed with its price in whole units and its pair. A feed whose aggregator was replaced keeps the
-- rounds of the old aggregators: is_current_phase is 1 for rounds of the newest known phase.
WITH newest AS (
  SELECT chain_id, feed, max(phase_id) AS phase_id FROM (
    SELECT chain_id, feed, phase_id FROM dim_feed_phase
    UNION
    SELECT chain_id, feed, phase_id FROM stg_chainlink_prices
  ) AS known GROUP BY chain_id, feed
)
SELECT s.chain_id, s.feed, f.pair, s.phase_id, s.round_id, s.updated_at, s.price, s.is_carried_over,
  CASE WHEN s.phase_id = n.phase_id THEN 1 ELSE 0 END AS is_current_phase, s.batch
FROM stg_chainlink_prices AS s
JOIN newest AS n ON n.chain_id = s.chain_id AND n.feed = s.feed
LEFT JOIN dim_feed AS f ON f.chain_id = s.chain_id AND f.feed = s.feed
