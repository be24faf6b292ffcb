"""Whether liquidations come in clusters: a process fitted to what is stored, and the chance of the next cluster."""
