"""Who takes from whom in a block: sandwiches, back-runs, cyclic arbitrage, gas-price outliers, and a score of these.

No standard exists for such a score; the formula is our own, its parts are returned with it and its weights are an
argument. Everything is linear in the number of swaps and transactions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from risk_core.checks import (
    FloatArray,
    IntArray,
    checked_array,
    checked_int,
    checked_number,
    require,
    require_rising,
)
from risk_core.errors import InputError

WEIGHTS: Mapping[str, float] = MappingProxyType(
    {"sandwiched": 0.35, "gas": 0.20, "priority": 0.15, "liquidations": 0.15, "arbitrage": 0.15}
)
"""Parts of the score and their weights, which sum to 1."""
MOST_GROUPS, MOST_VICTIMS = 10, 30
"""A set with more groups of victims or more victims is discarded: it is a router or a market maker."""
MOST_CALLERS = 2
"""A contract that more accounts than this call in the block is a public router and names nobody."""
ABSENT = -1
"""Code of what is not known: a token, or a contract where a transaction creates one."""
NORMAL, LIMIT = 1.4826, 3.0
LEAST_SPREAD = 0.01
"""Smallest deviation of gas prices, as a share of their median: in many blocks most transactions pay the same."""
FULL_LIQUIDATIONS, FULL_ARBITRAGES, FULL_PRIORITY = 5, 10, 10
"""How many of each make its part of the score 1; the last is a multiple of the median priority fee."""
_INTEGERS = ("block", "transaction", "log", "pool", "sender", "contract", "token0", "token1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Swaps:
    """Swaps of whole blocks, ordered by (block, transaction, log); every array is (n,).

    block: block numbers. transaction, log: place of the transaction and of the log in the block. pool, sender (account
    that signed), contract (that it called), token0, token1: int64 codes of any kind, `ABSENT` for unknown, which is
    allowed for contract and tokens. amount0, amount1: float64, change of the pool's balances in smallest units; what
    the pool pays is negative. Raises `InputError`.
    """

    block: IntArray
    transaction: IntArray
    log: IntArray
    pool: IntArray
    sender: IntArray
    contract: IntArray
    token0: IntArray
    token1: IntArray
    amount0: FloatArray
    amount1: FloatArray

    def __post_init__(self) -> None:
        n = len(np.atleast_1d(np.asarray(self.block)))
        for name in _INTEGERS:
            object.__setattr__(self, name, checked_array(f"Swaps.{name}", getattr(self, name), np.int64, (n,)))
        for name in ("amount0", "amount1"):
            found = checked_array(f"Swaps.{name}", getattr(self, name), np.float64, (n,))
            require(f"Swaps.{name}", found, np.isfinite(found), "must be finite")
            object.__setattr__(self, name, found)
        block, transaction, log = (np.diff(column) for column in (self.block, self.transaction, self.log))
        rises = (block > 0) | ((block == 0) & ((transaction > 0) | ((transaction == 0) & (log > 0))))
        if not rises.all():
            wrong = int(np.argmin(rises)) + 1
            now, before = (f"({self.block[i]}, {self.transaction[i]}, {self.log[i]})" for i in (wrong, wrong - 1))
            raise InputError(
                f"Swaps: expected distinct rows ordered by block, transaction and log, found {now} after {before} at "
                f"entry {wrong}; sort them first"
            )

    def __len__(self) -> int:
        return len(self.block)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandwich:
    """Rows of `Swaps`: the attacker's swaps from the first front-run to the back-run, and the victims between.

    profit: what the attacker's pool trades leave in the token that it began with, in that token's smallest unit, before
    gas; NaN where it sold another amount than it had bought (beyond 1 %), for then a balance is not closed here.
    """

    block: int
    legs: tuple[int, ...]
    victims: tuple[int, ...]
    profit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandwiches:
    """The sandwiches in the order of their back-runs, and how many sets were discarded for their size."""

    found: tuple[Sandwich, ...]
    discarded: int


def sandwiches(
    swaps: Swaps,
    *,
    most_groups: int = MOST_GROUPS,
    most_victims: int = MOST_VICTIMS,
    most_callers: int = MOST_CALLERS,
) -> Sandwiches:
    """Sandwiches by the same account, or the same contract.

    A set is a row of swaps of one attacker in one pool and block, each in a later transaction than the one before, all
    in one direction but the last, which is the opposite. Between any two of them stands at least one victim: a swap in
    the first direction, in another transaction, by another account through another contract. Where none stands the set
    is split there. Sets of more than `most_groups` groups of victims or `most_victims` victims are discarded. A
    contract that more than `most_callers` accounts swap through in the block does not identify anyone.

    Rules: brontes, book/mev_inspectors/sandwich.md (same account or contract, split, limits); mev-inspect-py (same
    pool, opposite directions, victims in the first). The limit on callers is ours: users of one router are no attacker.
    """
    most_groups = checked_int("most_groups", most_groups, 1)
    most_victims = checked_int("most_victims", most_victims, 1)
    most_callers = checked_int("most_callers", most_callers, 1)
    if not len(swaps):
        return Sandwiches(found=(), discarded=0)
    public = _public_contracts(swaps, most_callers)
    rows = _Rows.of(swaps)
    # One stretch for each block and pool; the sort is stable, so a stretch keeps the order of the block.
    order = np.lexsort((np.arange(len(swaps)), swaps.pool, swaps.block))
    change = (np.diff(swaps.block[order]) != 0) | (np.diff(swaps.pool[order]) != 0)
    cuts = [0, *(np.flatnonzero(change) + 1).tolist(), len(order)]
    ordered = order.tolist()
    found: dict[tuple[int, ...], Sandwich] = {}
    dropped: set[tuple[int, int]] = set()
    for a, b in pairwise(cuts):
        if b - a < 3:
            continue
        stretch = ordered[a:b]
        for actors in (rows.sender, rows.contract):
            _scan(stretch, actors, rows, public, (most_groups, most_victims), found, dropped)
    taken = {(s.legs[0], s.legs[-1]) for s in found.values()}
    every = sorted(found.values(), key=lambda s: (s.legs[-1], s.legs[0]))
    return Sandwiches(found=tuple(every), discarded=len(dropped - taken))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """The columns as lists: single entries of an array cost ten times as much."""

    block: list[int]
    transaction: list[int]
    sender: list[int]
    contract: list[int]
    inward: list[bool]
    amount0: list[float]
    amount1: list[float]

    @classmethod
    def of(cls, swaps: Swaps) -> _Rows:
        names = ("block", "transaction", "sender", "contract", "amount0", "amount1")
        return cls(inward=(swaps.amount0 > 0).tolist(), **{name: getattr(swaps, name).tolist() for name in names})


def _public_contracts(swaps: Swaps, most: int) -> set[tuple[int, int]]:
    """(block, contract) of the contracts that more than `most` accounts swap through, and of no contract at all."""
    pairs = np.unique(np.stack([swaps.block, swaps.contract, swaps.sender]), axis=1)
    both, callers = np.unique(pairs[:2], axis=1, return_counts=True)
    many = (callers > most) | (both[1] == ABSENT)
    return set(zip(both[0, many].tolist(), both[1, many].tolist(), strict=True))


def _scan(
    stretch: list[int],
    actors: list[int],
    rows: _Rows,
    public: set[tuple[int, int]],
    limits: tuple[int, int],
    found: dict[tuple[int, ...], Sandwich],
    dropped: set[tuple[int, int]],
) -> None:
    """Add the sandwiches of one pool in one block by one kind of identity."""
    by_contract = actors is rows.contract
    block = rows.block[stretch[0]]
    # How many swaps of each direction stand before a place: a gap too long to be a sandwich is never walked.
    inward_before = [0]
    for row in stretch:
        inward_before.append(inward_before[-1] + rows.inward[row])
    held: dict[int, tuple[list[int], list[int], int, int]] = {}  # actor: legs, victims, groups, place of the last leg
    for place, row in enumerate(stretch):
        actor = actors[row]
        if by_contract and (block, actor) in public:
            continue
        before = held.get(actor)
        if before is None:
            held[actor] = ([row], [], 0, place)
            continue
        legs, victims, groups, last = before
        inward = rows.inward[legs[0]]
        within = inward_before[place] - inward_before[last + 1]
        facing = within if inward else place - last - 1 - within
        if facing == 0:
            held[actor] = ([row], [], 0, place)
            continue
        too_many = facing > limits[1]
        gap = [] if too_many else _victims(stretch[last + 1 : place], inward, legs[-1], row, rows)
        if not gap and not too_many:
            held[actor] = ([row], [], 0, place)
            continue
        # Sets that grew too large go on without their victims, so that they are discarded at their end.
        groups = limits[0] + 1 if too_many else groups + 1
        if groups <= limits[0]:
            victims = victims + gap
        if rows.inward[row] == inward:
            held[actor] = ([*legs, row] if groups <= limits[0] else [legs[0], row], victims, groups, place)
            continue
        if groups > limits[0] or len(victims) > limits[1]:
            dropped.add((legs[0], row))
        else:
            whole = (*legs, row)
            found[whole] = Sandwich(
                block=block, legs=whole, victims=tuple(victims), profit=_profit(whole, inward, rows)
            )
        held[actor] = ([row], [], 0, place)


def _victims(between: list[int], inward: bool, front: int, back: int, rows: _Rows) -> list[int]:
    """Those that swap the way of the front-run, in other transactions, and share neither account nor contract."""
    accounts = (rows.sender[front], rows.sender[back])
    contracts = {rows.contract[front], rows.contract[back]} - {ABSENT}
    transactions = (rows.transaction[front], rows.transaction[back])
    return [
        row
        for row in between
        if rows.inward[row] == inward
        and rows.transaction[row] not in transactions
        and rows.sender[row] not in accounts
        and rows.contract[row] not in contracts
    ]


def _profit(legs: tuple[int, ...], inward: bool, rows: _Rows) -> float:
    paid, bought = (rows.amount0, rows.amount1) if inward else (rows.amount1, rows.amount0)
    got = -sum(bought[row] for row in legs[:-1])
    sold = bought[legs[-1]]
    if got <= 0 or abs(sold - got) > 0.01 * got:
        return float("nan")
    return -sum(paid[row] for row in legs)


def back_runs(swaps: Swaps, taken: Sandwiches | None = None) -> list[tuple[int, int]]:
    """(row of the swap that was followed, row of the back-run), in order.

    A back-run stands in the very next transaction of the block, by another account through another contract, in the
    same pool in the opposite direction, and swaps in at least one more pool in that transaction: it closes elsewhere
    what the first swap moved. Swaps of `taken` (attackers and victims) are not counted again. Each transaction counts
    once.
    """
    used: set[int] = set()
    for one in (taken or Sandwiches(found=(), discarded=0)).found:
        used.update(one.legs, one.victims)
    rows, pools = _Rows.of(swaps), swaps.pool.tolist()
    groups = _transactions(swaps)
    found: list[tuple[int, int]] = []
    for (a, b), (c, d) in pairwise(groups):
        adjacent = rows.block[a] == rows.block[c] and rows.transaction[c] == rows.transaction[a] + 1
        shared = rows.contract[a] == rows.contract[c] != ABSENT
        if not adjacent or rows.sender[a] == rows.sender[c] or shared or len(set(pools[c:d])) < 2:
            continue
        moved = {pools[row]: row for row in range(a, b) if row not in used}
        for row in range(c, d):
            first = moved.get(pools[row])
            if first is not None and row not in used and rows.inward[first] != rows.inward[row]:
                found.append((first, row))
                break
    return found


def arbitrages(swaps: Swaps) -> list[int]:
    """First rows of the transactions that are cyclic arbitrage by their balances.

    In at least two pools, and over all swaps of the transaction no token is lost and one is gained. Transactions in
    which a token is unknown are not counted.
    """
    pools = swaps.pool.tolist()
    tokens = (swaps.token0.tolist(), swaps.token1.tolist())
    amounts = (swaps.amount0.tolist(), swaps.amount1.tolist())
    found = []
    for a, b in _transactions(swaps):
        if b - a < 2 or len(set(pools[a:b])) < 2:
            continue
        net: dict[int, float] = {}
        gross: dict[int, float] = {}
        for side, amount in zip(tokens, amounts, strict=True):
            for row in range(a, b):
                net[side[row]] = net.get(side[row], 0.0) - amount[row]
                gross[side[row]] = gross.get(side[row], 0.0) + abs(amount[row])
        if ABSENT in net:
            continue
        # Amounts are doubles of exact integers: what is handed from pool to pool cancels to 15 digits, not to zero.
        gains = [0.0 if abs(value) <= 1e-12 * gross[token] else value for token, value in net.items()]
        if min(gains) >= 0 and max(gains) > 0:
            found.append(a)
    return found


def _transactions(swaps: Swaps) -> list[tuple[int, int]]:
    """First and one past the last row of each transaction."""
    if not len(swaps):
        return []
    new = np.flatnonzero((np.diff(swaps.block) != 0) | (np.diff(swaps.transaction) != 0)) + 1
    return list(zip([0, *new.tolist()], [*new.tolist(), len(swaps)], strict=True))


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
