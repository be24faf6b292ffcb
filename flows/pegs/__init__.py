"""Where stablecoins stand: from stored prices of every source to a state, and how unusual it is."""
