"""The built-in sample: real configuration of one Aave v3 Ethereum state, synthetic accounts, synthetic prices.

`python -m data.sample` fills the warehouse; `data.sample.book(n_accounts, seed)` is the same market in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from data.handed_on import handed_on
from data.sample.book import book

if TYPE_CHECKING:
    from data.sample.filling import fill, main

__all__ = ["book", "fill", "main"]

__getattr__ = handed_on(__name__, dict.fromkeys(("fill", "main"), "data.sample.filling"))
