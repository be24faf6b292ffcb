-- view: the_graph_current_collateral_positions
-- reads: mart_current_collateral_positions
-- What each wallet has as collateral in each market now.
SELECT * FROM mart_current_collateral_positions
