"""Which stablecoins are at their peg by every source, and which reserves follow each."""
