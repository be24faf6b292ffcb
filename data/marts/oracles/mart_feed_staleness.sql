-- target: mart_feed_staleness
-- reads: raw_chainlink_feeds, raw_chainlink_rounds, dim_feed, fact_feed_update
-- Age of each feed's newest price at each block that was read, beside its heartbeat and its gaps in 30 days.
WITH changed AS (
  -- All readings of a round: where the chain replaced one, its former time counts as well.
  SELECT u.chain_id, u.feed, min(r.updated_at) AS first, max(r.updated_at) AS last
  FROM fact_feed_update u
  JOIN raw_chainlink_rounds r
    ON r.chain_id = u.chain_id AND r.feed = u.feed AND r.phase_id = u.phase_id AND r.round_id = u.round_id
  WHERE u.batch > :since
  GROUP BY u.chain_id, u.feed
),
touched AS (
  SELECT chain_id, feed, block FROM raw_chainlink_feeds WHERE batch > :since
  UNION
  SELECT r.chain_id, r.feed, r.block
  FROM dim_feed d JOIN raw_chainlink_feeds r ON r.chain_id = d.chain_id AND r.feed = d.feed
  WHERE d.batch > :since
  UNION
  SELECT r.chain_id, r.feed, r.block
  FROM changed c JOIN raw_chainlink_feeds r ON r.chain_id = c.chain_id AND r.feed = c.feed
  WHERE r.block_time >= c.first AND r.block_time < c.last + 2592000
),
reading AS (
  SELECT r.*
  FROM touched t
  JOIN raw_chainlink_feeds r ON r.chain_id = t.chain_id AND r.feed = t.feed AND r.block = t.block
  WHERE r.batch = (
    SELECT max(n.batch) FROM raw_chainlink_feeds n
    WHERE n.chain_id = r.chain_id AND n.feed = r.feed AND n.block = r.block
  )
),
-- Updates of the phase in use: an aggregator that was left may go on, and that was never the feed's price.
in_window AS (
  SELECT
    r.chain_id, r.feed, r.block, u.gap_s, u.trigger, u.batch,
    row_number() OVER (PARTITION BY r.chain_id, r.feed, r.block ORDER BY u.gap_s) AS rank,
    count(*) OVER (PARTITION BY r.chain_id, r.feed, r.block) AS n
  FROM reading r
  JOIN fact_feed_update u
    ON u.chain_id = r.chain_id AND u.feed = r.feed AND u.phase_id = r.phase_id
    AND u.updated_at <= r.block_time AND u.updated_at > r.block_time - 2592000
  WHERE u.gap_s IS NOT NULL
),
gaps AS (
  SELECT
    chain_id, feed, block, n,
    -- Nearest rank: the smallest gap that at least the share of all gaps does not exceed.
    max(CASE WHEN rank = (n + 1) / 2 THEN gap_s END) AS median_s,
    max(CASE WHEN rank = (99 * n + 99) / 100 THEN gap_s END) AS p99_s,
    max(gap_s) AS max_s,
    sum(trigger = 'heartbeat') AS n_heartbeat,
    sum(trigger = 'deviation') AS n_deviation,
    sum(trigger = 'both') AS n_both,
    sum(trigger = 'clock') AS n_clock,
    sum(trigger = 'neither') AS n_neither,
    max(batch) AS batch
  FROM in_window
  GROUP BY chain_id, feed, block
),
aged AS (
  SELECT
    r.*, d.pair, d.heartbeat_s, d.heartbeat_status, d.batch AS feed_batch,
    CASE WHEN r.updated_at BETWEEN 1 AND r.block_time THEN r.block_time - r.updated_at END AS age_s,
    CASE WHEN r.answer NOT LIKE '-%' AND r.answer <> '0' AND r.updated_at > 0
      THEN to_real(r.answer || 'e-' || r.decimals) END AS price
  FROM reading r
  JOIN dim_feed d ON d.chain_id = r.chain_id AND d.feed = r.feed
)
SELECT
  a.chain_id, a.feed, a.block, a.block_time, a.pair, a.price, a.updated_at, a.age_s, a.heartbeat_s, a.heartbeat_status,
  CASE
    WHEN a.price IS NULL THEN 'no price'
    WHEN a.heartbeat_s IS NULL OR a.age_s IS NULL THEN 'unknown'
    WHEN a.age_s <= a.heartbeat_s THEN 'fresh'
    WHEN 10 * a.age_s <= 11 * a.heartbeat_s THEN 'late'
    ELSE 'stale'
  END AS staleness,
  2592000 AS window_s,
  coalesce(g.n, 0) AS n_updates,
  g.median_s AS gap_median_s,
  g.p99_s AS gap_p99_s,
  g.max_s AS gap_max_s,
  coalesce(g.n_heartbeat, 0) AS n_heartbeat,
  coalesce(g.n_deviation, 0) AS n_deviation,
  coalesce(g.n_both, 0) AS n_both,
  coalesce(g.n_clock, 0) AS n_clock,
  coalesce(g.n_neither, 0) AS n_neither,
  max(a.batch, a.feed_batch, coalesce(g.batch, 0)) AS batch
FROM aged a
LEFT JOIN gaps g ON g.chain_id = a.chain_id AND g.feed = a.feed AND g.block = a.block
