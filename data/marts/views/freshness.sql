-- view: freshness
-- reads: mart_freshness
-- How old each table is at this moment, and whether that is more than is expected of it.
SELECT
  *,
  strftime('%s', 'now') - newest_at AS age_s,
  strftime('%s', 'now') - written_at AS written_age_s,
  strftime('%s', 'now') - coalesce(newest_at, written_at) > every_s AS is_late
FROM mart_freshness
