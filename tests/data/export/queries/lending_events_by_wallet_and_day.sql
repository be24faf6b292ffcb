-- What each wallet did on each day over all markets, and the balance of it in dollars.
WITH event AS (
  SELECT wallet, block_timestamp, 'borrow' AS did, amount_usd FROM fact_lending_borrow_events
  UNION ALL
  SELECT wallet, block_timestamp, 'repay', -amount_usd FROM fact_lending_repay_events
  UNION ALL
  SELECT wallet, block_timestamp, 'deposit', -amount_usd FROM fact_lending_deposit_events
  UNION ALL
  SELECT wallet, block_timestamp, 'withdraw', amount_usd FROM fact_lending_withdraw_events
)
SELECT wallet, date(block_timestamp, 'unixepoch') AS day,
  sum(did = 'borrow') AS borrows, sum(did = 'repay') AS repayments, sum(did = 'deposit') AS deposits,
  count(*) FILTER (WHERE did = 'withdraw') AS withdrawals, total(amount_usd) AS received_usd
FROM event
GROUP BY wallet, date(block_timestamp, 'unixepoch')
ORDER BY wallet, day
