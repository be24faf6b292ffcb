"""What a liquidator pays out of its gain: for being first, and by selling what it took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from risk_core.analytics.slippage import SlippageCurve
from risk_core.checks import checked_int, checked_kind, checked_number
from risk_core.errors import InputError


def priority_fee(gas_used: int, price: int, base_fee: int) -> int:
    """Wei that a transaction paid to the block's producer: gas used, times what its price was above the base fee.

    gas_used: gas. price: the effective price, base_fee: of the block; wei per gas. The base fee is burnt (EIP-1559).
    Raises `InputError`, also for a price below the base fee, which no block accepts.
    """
    used = checked_int("gas_used", gas_used, 0, 2**256)
    base = checked_int("base_fee", base_fee, 0, 2**256)
    return used * (checked_int("price", price, base, 2**256) - base)


@dataclass(frozen=True, slots=True)
class Sold:
    """A sale through one or more markets. slippage: share of it that was lost; lower_bound: a part has no quote."""

    slippage: float
    lower_bound: bool


def sold_through(curves: Sequence[SlippageCurve], size_usd: float) -> Sold:
    """What selling `size_usd` at once loses by going through these markets, one after the other.

    What the first brings in is sold in the second, so shares that are kept multiply. Without a curve nothing is sold,
    and nothing lost. A size beyond the last quote of a curve makes the whole a lower bound. Raises `InputError`.
    """
    if not isinstance(curves, list | tuple):
        raise InputError(f"curves: expected a list of curves, found {curves!r:.60}")
    left = checked_number("size_usd", size_usd, 0.0, rule="USD >= 0")
    kept, bound = 1.0, False
    for curve in curves:
        checked_kind("curves", curve, SlippageCurve)
        bound = bound or bool(curve.is_lower_bound(left))
        share = 1.0 - float(np.asarray(curve.slippage_at(left)))
        kept, left = kept * share, left * share
    return Sold(1.0 - kept, bound)
