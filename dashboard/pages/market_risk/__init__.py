"""What a position can lose in a day, and what providing liquidity costs."""
