"""Overview: the risk of the market now."""
