-- Each feed at each reading: how old its price was, as a share of its heartbeat, and what its updates came from.
SELECT
  chain_id, pair, feed, block, staleness, age_s, iif(heartbeat_s, 100 * age_s / heartbeat_s, NULL) AS percent_of_heartbeat,
  n_heartbeat + n_deviation + n_both + n_clock + n_neither = n_updates AS all_explained,
  coalesce(gap_p99_s > heartbeat_s, 0) AS often_late
FROM mart_feed_staleness
WHERE pair LIKE '%usd%' OR staleness NOT LIKE 'FRESH'
ORDER BY chain_id, feed, block
