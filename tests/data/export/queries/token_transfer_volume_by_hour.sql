-- Transfers of each token by hour of the day, and the busiest hour's share of the day.
WITH hourly AS (
  SELECT chain_id, token, hour / 86400 AS day, hour % 86400 / 3600 AS hour_of_day, sum(transfers) AS transfers,
    sum(amount) AS amount, max(largest) AS largest
  FROM mart_token_transfer_hourly
  GROUP BY chain_id, token, hour / 86400, hour % 86400 / 3600
)
SELECT chain_id, token, day, hour_of_day, transfers, amount, largest,
  1.0 * transfers / sum(transfers) OVER (PARTITION BY chain_id, token, day) AS share
FROM hourly WHERE transfers > 0
ORDER BY chain_id, token, day, hour_of_day
