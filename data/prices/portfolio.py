"""Portfolios of stored price series: their text form, and their daily value.

Weights are shares of the value, restored at the end of every day. No pandas here: the workbench imports this module.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np

from data.prices.served import newest_stretch
from risk_core import InputError

DAY = 86_400
MOST_PARTS = 20
_PART = re.compile(r"([^\s=]{1,200})=([0-9]*\.?[0-9]+)%?")


def parse(text: str) -> dict[str, float]:
    """Series -> weight, with sum 1, from a text such as `ETHUSDT=60 BTCUSDT=40` (or a single series).

    Shares are divided by their sum. Raises `InputError` for a malformed part, a series that is named twice, and a
    share of 0.
    """
    parts = text.replace(",", " ").split()
    if not 1 <= len(parts) <= MOST_PARTS:
        raise InputError(f"portfolio: expected 1 to {MOST_PARTS} parts such as ETHUSDT=60, found {len(parts)}")
    if len(parts) == 1 and "=" not in parts[0]:
        return {parts[0]: 1.0}
    weights: dict[str, float] = {}
    for part in parts:
        found = _PART.fullmatch(part)
        if not found:
            raise InputError(f"portfolio: expected parts such as ETHUSDT=60, found {part[:60]!r}")
        if found[1] in weights:
            raise InputError(f"portfolio: {found[1][:60]} is named twice; name it once")
        weights[found[1]] = float(found[2])
        if not 0 < weights[found[1]] < 1e9:
            raise InputError(f"portfolio: expected a share above 0 of {found[1][:60]}, found {found[2][:20]}")
    total = math.fsum(weights.values())
    return {series: weight / total for series, weight in weights.items()}


def name_of(weights: Mapping[str, float]) -> str:
    """The text form of a portfolio: its series in order with shares in per cent, or the single series.

    >>> name_of({"ETHUSDT": 0.6, "BTCUSDT": 0.4})
    'BTCUSDT=40 ETHUSDT=60'
    """
    if len(weights) == 1:
        return next(iter(weights))
    return " ".join(f"{series}={100 * weight:.6g}" for series, weight in sorted(weights.items()))


def combined(
    closes: Sequence[tuple[np.ndarray, np.ndarray]], weights: Sequence[float], step: int = DAY
) -> tuple[np.ndarray, np.ndarray]:
    """(times, value) of a portfolio over the newest stretch in which every series has a price at every step.

    closes: (times, prices) of each series, UTC seconds, rising. The value is that of 1 unit invested at the first time;
    for a single series it is the price.
    """
    common = closes[0][0]
    for ts, _ in closes[1:]:
        common = np.intersect1d(common, ts)
    common = common[newest_stretch(common, step) :]
    prices = [price[np.searchsorted(ts, common)] for ts, price in closes]
    if len(prices) == 1 or not len(common):
        return common, prices[0]
    moves = sum(weight * (price[1:] / price[:-1] - 1.0) for weight, price in zip(weights, prices, strict=True))
    return common, np.concatenate([[1.0], np.cumprod(1.0 + moves)])
