"""A whole market without a log scan: a source names the accounts, every figure is read from the chain."""
