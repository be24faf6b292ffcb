"""Books of past blocks into the warehouse: which blocks, what is kept between two runs, and the rows."""
