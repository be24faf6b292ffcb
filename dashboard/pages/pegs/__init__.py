"""Which stablecoins stand at their peg, by every source, and who follows each."""
