"""Who is at risk: every account in a table, and one account with all that is known of it."""
