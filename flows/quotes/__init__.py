"""What a sale of collateral brings in, by quotes from outside."""
