"""Blocks, transactions, receipts and logs of any chain, decoded; following the head of a chain."""
