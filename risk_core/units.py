"""The only place where chain integers become floats, and the constants of the chain's fixed-point formats.

Inside the engine amounts are float64 tokens, prices float64 USD per token, parameters plain fractions
(0.05 is 5 %). Outside, on the chain and in the warehouse, everything is an integer in native units.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

RAY = 10**27
"""Fixed point of indices and rates."""
WAD = 10**18
"""Fixed point of health factors."""
BPS = 10_000
"""Fixed point of risk parameters."""
USD = 10**8
"""Fixed point of oracle prices and of the pool's base currency (USD, 8 decimals)."""
SECONDS_PER_YEAR = 365 * 86_400
"""The protocol's year (`SECONDS_PER_YEAR` in MathUtils.sol)."""
NO_DEBT_HEALTH_FACTOR = 2**256 - 1
"""The pool's health factor of an account without debt."""


def tokens(raw: int | str, decimals: int) -> float:
    """Token amount as a float, correctly rounded (Python divides integers exactly).

    >>> tokens("1500000", 6)
    1.5
    """
    return int(raw) / 10**decimals


def token_amounts(raw: Iterable[int | str], decimals: Iterable[int]) -> NDArray[np.float64]:
    """Element-wise `tokens`; shape (n,), float64, tokens."""
    return np.array([int(r) / 10 ** int(d) for r, d in zip(raw, decimals, strict=True)], dtype=np.float64)


def price_usd(raw: int | str) -> float:
    """Oracle price (8 decimals) in USD per token.

    >>> price_usd(312745123456)
    3127.45123456
    """
    return int(raw) / USD


def fraction(bps: int | str) -> float:
    """Basis points as a fraction: 8300 is 0.83."""
    return int(bps) / BPS


def bonus(bps: int | str) -> float:
    """Liquidation bonus as a fraction of the debt repaid.

    The contract stores 100 % + bonus (10500 is a bonus of 0.05). A reserve that was never configured as
    collateral stores 0, which becomes -1: a liquidator would get nothing, so nobody can seize it.
    """
    return (int(bps) - BPS) / BPS


def health_factor(raw: int | str) -> float:
    """Health factor (wad) as a float; `inf` without debt."""
    raw = int(raw)
    return float("inf") if raw == NO_DEBT_HEALTH_FACTOR else raw / WAD
