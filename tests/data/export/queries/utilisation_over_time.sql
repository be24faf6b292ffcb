-- What share of a protocol's deposits is lent at the last snapshot of each day, and how it changed since the day before.
WITH daily AS (
  SELECT slug, snapshot_ts / 86400 AS day, max(snapshot_ts) AS snapshot_ts
  FROM fact_protocol_snapshot GROUP BY slug, snapshot_ts / 86400
)
SELECT p.slug, date(p.snapshot_ts, 'unixepoch') AS day, p.tvl_usd, p.borrowed_usd, p.utilisation,
  p.utilisation - lag(p.utilisation) OVER (PARTITION BY p.slug ORDER BY p.snapshot_ts) AS change
FROM daily AS d JOIN fact_protocol_snapshot AS p ON p.slug = d.slug AND p.snapshot_ts = d.snapshot_ts
ORDER BY p.slug, p.snapshot_ts
