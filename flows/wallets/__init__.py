"""From stored states and events of wallets to their features."""
