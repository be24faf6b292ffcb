"""Whether liquidations come in bursts: the fitted process, its record, and the chance of the next burst."""
