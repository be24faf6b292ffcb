"""The prices that protocols use: Chainlink rounds, price adapters and their caps."""
