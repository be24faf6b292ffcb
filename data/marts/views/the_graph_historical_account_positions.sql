-- view: the_graph_historical_account_positions
-- reads: stg_graph_account_positions
-- What each account holds in each reserve as the subgraph has it, at each block that was read.
SELECT * FROM stg_graph_account_positions
