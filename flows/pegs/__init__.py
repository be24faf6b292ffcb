"""How far stablecoins are from their peg: from stored prices of every source to a state, and how unusual it is."""
