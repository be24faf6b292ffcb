-- view: the_graph_historical_market_data
-- reads: stg_graph_market_data
-- Reserves of a market by its subgraph, at each block that was read.
SELECT * FROM stg_graph_market_data
