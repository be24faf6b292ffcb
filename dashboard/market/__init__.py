"""What every page shares: the warehouse, the market loaded once, drivers of prices."""
