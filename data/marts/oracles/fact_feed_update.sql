-- target: fact_feed_update
-- reads: stg_chainlink_prices, dim_feed
-- What triggered each round: the feed's heartbeat, its deviation threshold, both, its clock, or an unknown cause.
WITH changed AS (
  SELECT chain_id, feed, phase_id, round_id FROM stg_chainlink_prices WHERE batch > :since
  UNION
  -- The round after it, whose gap and move begin there.
  SELECT s.chain_id, s.feed, s.phase_id, (
    SELECT min(n.round_id) FROM stg_chainlink_prices n
    WHERE n.chain_id = s.chain_id AND n.feed = s.feed AND n.phase_id = s.phase_id AND n.round_id > s.round_id
  )
  FROM stg_chainlink_prices s WHERE s.batch > :since
  UNION
  SELECT s.chain_id, s.feed, s.phase_id, s.round_id
  FROM dim_feed d JOIN stg_chainlink_prices s ON s.chain_id = d.chain_id AND s.feed = d.feed
  WHERE d.batch > :since
),
update_of AS (
  SELECT
    s.chain_id, s.feed, s.phase_id, s.round_id, s.updated_at,
    p.round_id IS NULL AS is_first,
    CASE WHEN s.updated_at >= p.updated_at THEN s.updated_at - p.updated_at END AS gap_s,
    100.0 * (s.price - p.price) / p.price AS move_pct,
    d.heartbeat_s, d.deviation_pct,
    max(s.batch, coalesce(p.batch, 0), d.batch) AS batch
  FROM changed c
  JOIN stg_chainlink_prices s
    ON s.chain_id = c.chain_id AND s.feed = c.feed AND s.phase_id = c.phase_id AND s.round_id = c.round_id
  JOIN dim_feed d ON d.chain_id = s.chain_id AND d.feed = s.feed
  -- Numbers between the two were left out by the aggregator or never answered: histories are stored without holes.
  LEFT JOIN stg_chainlink_prices p
    ON p.chain_id = s.chain_id AND p.feed = s.feed AND p.phase_id = s.phase_id AND p.round_id = (
      SELECT max(q.round_id) FROM stg_chainlink_prices q
      WHERE q.chain_id = s.chain_id AND q.feed = s.feed AND q.phase_id = s.phase_id AND q.round_id < s.round_id
    )
),
judged AS (
  SELECT
    *,
    -- The timer starts before the last update is mined, so the next one may come up to two minutes "early": the
    -- spread that recorded rounds of hourly feeds show on both sides of the hour.
    gap_s >= heartbeat_s - 120 AS by_heartbeat,
    abs(move_pct) >= deviation_pct * (1 - 1e-9) AS by_deviation,
    -- Hourly feeds were observed to update around the full hour whatever happened since the last one: of 5,652 updates
    -- of ETH/USD and BTC/USD in 2023 that neither explains, 97 % lie within five minutes of it.
    min(updated_at % heartbeat_s, heartbeat_s - updated_at % heartbeat_s) <= min(300, heartbeat_s / 12) AS by_clock
  FROM update_of
)
SELECT
  chain_id, feed, phase_id, round_id, updated_at, gap_s, move_pct,
  CASE
    WHEN is_first THEN 'first'
    WHEN by_heartbeat IS NULL THEN 'unknown'
    WHEN by_deviation IS NULL THEN CASE WHEN by_heartbeat THEN 'heartbeat' ELSE 'not heartbeat' END
    WHEN by_heartbeat AND by_deviation THEN 'both'
    WHEN by_heartbeat THEN 'heartbeat'
    WHEN by_deviation THEN 'deviation'
    WHEN by_clock THEN 'clock'
    ELSE 'neither'
  END AS trigger,
  batch
FROM judged
