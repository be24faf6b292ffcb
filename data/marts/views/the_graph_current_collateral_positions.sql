-- view: the_graph_current_collateral_positions
-- reads: mart_current_collateral_positions
-- Collateral of each wallet in each market at its newest block.
SELECT * FROM mart_current_collateral_positions
