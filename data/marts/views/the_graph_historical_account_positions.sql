-- view: the_graph_historical_account_positions
-- reads: stg_graph_account_positions
-- Holdings of each account in each reserve by the subgraph, at each block that was read.
SELECT * FROM stg_graph_account_positions
