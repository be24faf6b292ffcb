"""Gas-price outliers, priority fees, and a score of each block from all that was found in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from risk_core.analytics.mev.arbitrage import arbitrages, back_runs
from risk_core.analytics.mev.sandwiches import Sandwiches, sandwiches
from risk_core.analytics.mev.swaps import Swaps
from risk_core.checks import FloatArray, IntArray, checked_array, checked_number, require, require_rising
from risk_core.errors import InputError

WEIGHTS: Mapping[str, float] = MappingProxyType(
    {"sandwiched": 0.35, "gas": 0.20, "priority": 0.15, "liquidations": 0.15, "arbitrage": 0.15}
)
"""Parts of the score and their weights, which sum to 1."""
NORMAL, LIMIT = 1.4826, 3.0
LEAST_SPREAD = 0.01
"""Smallest deviation of gas prices, as a share of their median: in many blocks most transactions pay the same."""
FULL_LIQUIDATIONS, FULL_ARBITRAGES, FULL_PRIORITY = 5, 10, 10
"""How many of each make its part of the score 1; the last is a multiple of the median priority fee."""


def gas_outliers(gas_price: ArrayLike, *, limit: float = LIMIT) -> np.ndarray:
    """True for transactions of one block that pay far more than its others: (price - median) / deviation > `limit`.

    gas_price: (n,) what was paid, any unit, not negative. deviation: 1.4826 times the median absolute deviation, at
    least `LEAST_SPREAD` of the median. Zero for all is no outlier.
    """
    price = _not_negative("gas_price", gas_price)
    if not len(price):
        return np.zeros(0, bool)
    median = np.median(price)
    deviation = max(NORMAL * float(np.median(np.abs(price - median))), LEAST_SPREAD * float(median))
    return price - median > checked_number("limit", limit, 0.0, rule="a number that is not negative") * deviation


def priority(fees: ArrayLike) -> float:
    """The priority part: 95th percentile of the block's priority fees (n,) over ten times their median, at most 1.

    0 without transactions and where nobody pays any; 1 where the median is 0 and the percentile is not.
    """
    fee = _not_negative("fees", fees)
    if not len(fee):
        return 0.0
    median, high = float(np.median(fee)), float(np.quantile(fee, 0.95))
    if median == 0:
        return float(high > 0)
    return min(1.0, high / (FULL_PRIORITY * median))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Per block, in the order asked for. parts: (blocks, 5) in [0, 1], columns as `WEIGHTS`; score: (blocks,) 0 to 100.

    points: (blocks, 5), each part times its weight times 100; they sum to the score. counts: swaps, sandwiched swaps,
    gas outliers, liquidations, arbitrages, back-runs and transactions, each (blocks,).
    """

    block: IntArray
    parts: FloatArray
    points: FloatArray
    score: FloatArray
    counts: Mapping[str, IntArray]
    sandwiches: Sandwiches
    back_runs: tuple[tuple[int, int], ...]


def scores(
    blocks: ArrayLike,
    swaps: Swaps,
    *,
    tx_block: ArrayLike,
    gas_price: ArrayLike,
    priority_fee: ArrayLike,
    liquidations: ArrayLike,
    weights: Mapping[str, float] = WEIGHTS,
    **limits: Any,
) -> Scores:
    """Score of each block: 100 times the weighted sum of five parts.

    sandwiched: victims' swaps of all swaps. gas: share of transactions that are `gas_outliers`. priority: see there.
    liquidations: of five, at most 1. arbitrage: `arbitrages` of ten, at most 1. Back-runs are counted beside them.

    blocks: (b,) strictly rising block numbers. tx_block, gas_price, priority_fee: (t,) of every transaction, tx_block
    ascending. liquidations: (b,) how many each block has. weights: one for each part, not negative, summing to 1.
    limits: as of `sandwiches`. Swaps and transactions of other blocks raise `InputError`.
    """
    at = checked_array("blocks", blocks, np.int64, (None,))
    require_rising("blocks", at, strictly=True)
    of_tx = checked_array("tx_block", tx_block, np.int64, (None,))
    require_rising("tx_block", of_tx, strictly=False)
    price = _not_negative("gas_price", gas_price, len(of_tx))
    fee = _not_negative("priority_fee", priority_fee, len(of_tx))
    liquidated = checked_array("liquidations", liquidations, np.int64, (len(at),))
    weight = _weights(weights)
    for label, numbers in (("swaps", swaps.block), ("tx_block", of_tx)):
        stray = np.flatnonzero(~np.isin(numbers, at))
        if len(stray):
            found = f"found block {numbers[stray[0]]} at entry {stray[0]}"
            raise InputError(f"{label}: expected the blocks that are asked for, {found}")
    taken = sandwiches(swaps, **limits)
    followed, cyclic = back_runs(swaps, taken), arbitrages(swaps)
    # A swap that two attackers surround is one sandwiched swap.
    victims = sorted({row for one in taken.found for row in one.victims})
    n_swaps = _count(at, swaps.block)
    counts = {
        "swaps": n_swaps,
        "sandwiched": _count(at, swaps.block[victims]),
        "liquidations": liquidated,
        "arbitrages": _count(at, swaps.block[cyclic]),
        "back_runs": _count(at, swaps.block[[row for _, row in followed]]),
        "transactions": _count(at, of_tx),
    }
    cuts = np.searchsorted(of_tx, at), np.searchsorted(of_tx, at, side="right")
    outliers, urgent = np.zeros(len(at), np.int64), np.zeros(len(at))
    for i, (a, b) in enumerate(zip(cuts[0].tolist(), cuts[1].tolist(), strict=True)):
        outliers[i], urgent[i] = gas_outliers(price[a:b]).sum(), priority(fee[a:b])
    counts["gas_outliers"] = outliers
    parts = np.stack(
        [
            counts["sandwiched"] / np.maximum(n_swaps, 1),
            outliers / np.maximum(counts["transactions"], 1),
            urgent,
            np.minimum(liquidated / FULL_LIQUIDATIONS, 1.0),
            np.minimum(counts["arbitrages"] / FULL_ARBITRAGES, 1.0),
        ],
        axis=1,
    )
    points = 100 * parts * weight
    return Scores(
        block=at,
        parts=parts,
        points=points,
        score=points.sum(axis=1),
        counts=MappingProxyType(counts),
        sandwiches=taken,
        back_runs=tuple(followed),
    )


def _weights(weights: Mapping[str, float]) -> FloatArray:
    if set(weights) != set(WEIGHTS):
        raise InputError(f"weights: expected {', '.join(WEIGHTS)}; found {', '.join(map(str, weights)) or 'none'}")
    found = [checked_number(f"weights[{k!r}]", weights[k], 0.0, rule="a number that is not negative") for k in WEIGHTS]
    if abs(sum(found) - 1) > 1e-9:
        raise InputError(f"weights: expected a sum of 1, so that the score ends at 100; found {sum(found):g}")
    return np.array(found)


def _count(blocks: IntArray, of: IntArray) -> IntArray:
    return np.bincount(np.searchsorted(blocks, of), minlength=len(blocks)).astype(np.int64)


def _not_negative(label: str, values: ArrayLike, n: int | None = None) -> FloatArray:
    found = checked_array(label, values, np.float64, (n,))
    require(label, found, np.isfinite(found) & (found >= 0), "must be finite and not negative")
    return found
