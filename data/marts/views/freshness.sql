-- view: freshness
-- reads: mart_freshness
-- How old each table is now, and whether it is older than its schema allows.
SELECT
  *,
  strftime('%s', 'now') - newest_at AS age_s,
  strftime('%s', 'now') - written_at AS written_age_s,
  strftime('%s', 'now') - coalesce(newest_at, written_at) > every_s AS is_late
FROM mart_freshness
