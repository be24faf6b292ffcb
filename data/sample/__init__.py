"""The built-in sample: real configuration of one Aave v3 Ethereum state, synthetic accounts, synthetic prices.

`python -m data.sample` fills the warehouse; `data.sample.book(n_accounts, seed)` is the same market in memory.
"""

from __future__ import annotations

from data.sample.book import book
from data.sample.fill import fill, main

__all__ = ["book", "fill", "main"]
