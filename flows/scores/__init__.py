"""How risky a market is to lend to: a score with its parts, and the chance of a loss of principal."""
