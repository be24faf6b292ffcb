"""Speed and memory, as ratios to a baseline of the same run that gives the same answer. `make bench` runs them."""
