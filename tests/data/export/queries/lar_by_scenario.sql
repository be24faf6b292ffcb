-- Liquidations at risk of each market by scenario and level, the newest run of each, with the width of its interval.
WITH newest AS (
  SELECT market, scenario_id, measure, level, max(created_at) AS created_at
  FROM fact_risk_scenarios GROUP BY market, scenario_id, measure, level
)
SELECT s.market, s.scenario_id, s.measure, s.level, s.run_id, s.value, (s.high - s.low) / nullif(s.value, 0) AS width,
  s.n_paths, s.few_draws AND s.level > 0.95 AS doubtful
FROM newest AS n
JOIN fact_risk_scenarios AS s ON s.market = n.market AND s.scenario_id = n.scenario_id AND s.measure = n.measure
  AND s.level = n.level AND s.created_at = n.created_at
ORDER BY s.market, s.scenario_id, s.measure, s.level, s.run_id
