-- view: chainlink_prices
-- reads: stg_chainlink_prices, dim_feed
-- Every round of every feed with its price in whole units, and the pair it is a price of.
SELECT s.chain_id, s.feed, f.pair, s.phase_id, s.round_id, s.updated_at, s.price, s.is_carried_over, s.batch
FROM stg_chainlink_prices AS s LEFT JOIN dim_feed AS f ON f.chain_id = s.chain_id AND f.feed = s.feed
