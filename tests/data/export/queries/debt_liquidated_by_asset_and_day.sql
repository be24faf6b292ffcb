-- How much debt was liquidated in each asset on each day, in how many calls, and how much of it nobody could value.
SELECT
  date(block_timestamp, 'unixepoch') AS day, market, debt_asset, count(*) AS calls, count(DISTINCT wallet) AS wallets,
  sum(debt_amount) AS debt, sum(amount_usd) AS seized_usd, sum(amount_usd IS NULL) AS not_valued
FROM fact_lending_liquidation_events
GROUP BY date(block_timestamp, 'unixepoch'), market, debt_asset
ORDER BY 1, 2, 3
