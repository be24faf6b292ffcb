-- target: stg_aave_terms
-- reads: fact_snapshot, raw_aave_reserves, raw_aave_emodes
-- scope: market, block from fact_snapshot
-- Terms of each reserve as collateral. In an e-mode its parameters replace the reserve's own for members of its
-- collateral bitmap; a member of the ltvzero bitmap gives no borrowing power, nor does a reserve outside an isolated
-- e-mode (aave-v3 v3.7, GenericLogic and the facts of each version: v3.6 e-modes are never isolated).
-- Prices are in the market's unit: dollars, or ether in Aave v2. Markets with another unit are left out, and so is a
-- reserve without an oracle price, which no account owes or has as collateral.
WITH snapshot AS MATERIALIZED (
  SELECT
    market, block, to_real(base_currency_unit) AS one, batch,
    CASE WHEN base_currency_unit = '100000000' THEN 'USD'
         WHEN base_currency_unit = '1000000000000000000' AND protocol = 'aave_v2' THEN 'ETH' END AS unit
  FROM fact_snapshot WHERE batch > :since
)
SELECT
  s.market, s.block, 0 AS emode_id, r.asset, r.symbol, s.unit, to_real(r.price_raw) / s.one AS price,
  r.liquidation_threshold_bps / 1e4 AS liquidation_threshold, r.ltv_bps / 1e4 AS ltv, s.batch
FROM snapshot AS s
JOIN raw_aave_reserves AS r ON r.market = s.market AND r.block = s.block
WHERE s.unit IS NOT NULL AND r.price_raw IS NOT NULL
UNION ALL
SELECT
  s.market, s.block, e.emode_id, r.asset, r.symbol, s.unit, to_real(r.price_raw) / s.one,
  CASE WHEN has_bit(e.collateral_bitmap, r.reserve_id) THEN e.liquidation_threshold_bps
       ELSE r.liquidation_threshold_bps END / 1e4,
  CASE WHEN NOT has_bit(e.collateral_bitmap, r.reserve_id) THEN iif(e.isolated, 0, r.ltv_bps)
       WHEN has_bit(e.ltvzero_bitmap, r.reserve_id) THEN 0
       ELSE e.ltv_bps END / 1e4,
  s.batch
FROM snapshot AS s
JOIN raw_aave_emodes AS e ON e.market = s.market AND e.block = s.block
JOIN raw_aave_reserves AS r ON r.market = s.market AND r.block = s.block
WHERE s.unit IS NOT NULL AND r.price_raw IS NOT NULL
