"""What covers bad debt of a market: offsets and stakes, from the contract that takes them."""
