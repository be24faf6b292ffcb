"""Who is at risk: every account in a table, and each account in full."""
