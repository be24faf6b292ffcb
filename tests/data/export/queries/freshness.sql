-- How far each table is behind the newest one, and which are late.
SELECT table_name, newest_at, written_at, n_changed,
  (SELECT max(written_at) FROM mart_freshness) - written_at AS behind_s,
  coalesce((SELECT max(written_at) FROM mart_freshness) - newest_at > every_s, 0) AS is_late
FROM mart_freshness
ORDER BY behind_s DESC, table_name
