"""Just-in-time liquidity: put into a pool right before somebody's swap, taken out right after it in the same block."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np

from risk_core.analytics.mev.swaps import ABSENT, Swaps, check_columns
from risk_core.checks import FloatArray, IntArray, checked_kind, require

_INTEGERS = ("block", "transaction", "log", "pool", "sender", "contract")


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidityChanges:
    """Liquidity put into pools and taken out of them, ordered by (block, transaction, log); every array is (n,).

    block, transaction, log, pool, sender and contract as in `Swaps`, with the same codes. amount0, amount1: float64,
    change of the pool's balances in smallest units: not below 0 both where liquidity was put in, not above 0 both where
    it was taken out. A row of two zeros (a claim of fees) is neither. Raises `InputError`.
    """

    block: IntArray
    transaction: IntArray
    log: IntArray
    pool: IntArray
    sender: IntArray
    contract: IntArray
    amount0: FloatArray
    amount1: FloatArray

    def __post_init__(self) -> None:
        check_columns(self, _INTEGERS)
        one_way = self.amount0 * np.sign(self.amount1) >= 0
        require("LiquidityChanges.amount0", self.amount0, one_way, "amount0 and amount1 must have the same sign")

    def __len__(self) -> int:
        return len(self.block)


@dataclass(frozen=True, slots=True, kw_only=True)
class JustInTime:
    """Rows of `LiquidityChanges` that put in and took out, and the rows of `Swaps` that the liquidity stood for.

    put_in, taken_out: (token 0, token 1) in smallest units, not negative. What was taken out differs by what the swaps
    moved; fees are paid out by another event and are not in it.
    """

    block: int
    added: tuple[int, ...]
    removed: tuple[int, ...]
    swaps: tuple[int, ...]
    put_in: tuple[float, float]
    taken_out: tuple[float, float]


def just_in_time(swaps: Swaps, changes: LiquidityChanges) -> tuple[JustInTime, ...]:
    """Liquidity of one account that stood in a pool for other people's swaps alone.

    In one pool and block: put in by one or more transactions, taken out by a later one, and between the first and the
    last of these stands at least one swap in that pool, in another transaction, by another account through another
    contract. A transaction that both puts in and takes out moves a position and begins anew. In the order of the
    transactions that took out. The same contract is no identity here: strangers share a position manager.

    The rule is our own, after the pattern that X. Wan and A. Adams describe, "Just-in-time liquidity on the Uniswap
    protocol" (2022). How much of the liquidity was taken out again is not looked at: amounts differ by what the swaps
    moved. Linear in the number of rows but for sorting.
    """
    checked_kind("swaps", swaps, Swaps)
    checked_kind("changes", changes, LiquidityChanges)
    moved = np.flatnonzero((changes.amount0 != 0) | (changes.amount1 != 0))
    traded = _by_pool(swaps, np.arange(len(swaps)))
    found: list[JustInTime] = []
    for place, rows in _by_pool(changes, moved).items():
        mine: dict[int, list[int]] = {}
        for row in rows if place in traded else ():
            mine.setdefault(int(changes.sender[row]), []).append(row)
        for of_one in mine.values():
            found += _of_sender(of_one, changes, swaps, traded[place])
    return tuple(sorted(found, key=lambda one: one.removed))


def _by_pool(columns: Swaps | LiquidityChanges, rows: IntArray) -> dict[tuple[int, int], list[int]]:
    """The rows of each (block, pool), in order."""
    order = rows[np.lexsort((rows, columns.pool[rows], columns.block[rows]))]
    block, pool = columns.block[order], columns.pool[order]
    cuts = np.flatnonzero((np.diff(block) != 0) | (np.diff(pool) != 0)) + 1
    listed = order.tolist()
    return {(int(block[a]), int(pool[a])): listed[a:b] for a, b in pairwise([0, *cuts.tolist(), len(listed)]) if b > a}


def _of_sender(rows: list[int], changes: LiquidityChanges, swaps: Swaps, traded: list[int]) -> list[JustInTime]:
    """What one account did in one pool and block; `traded`: the rows of that pool's swaps."""
    found = []
    added: list[int] = []
    for _, group in groupby(rows, key=lambda row: int(changes.transaction[row])):
        now = list(group)
        inward = {bool(changes.amount0[row] > 0 or changes.amount1[row] > 0) for row in now}
        if inward == {True}:
            added += now
            continue
        if inward == {False} and added:
            between = _others(added + now, changes, swaps, traded)
            if between:
                found.append(
                    JustInTime(
                        block=int(changes.block[rows[0]]),
                        added=tuple(added),
                        removed=tuple(now),
                        swaps=tuple(between),
                        put_in=(float(changes.amount0[added].sum()), float(changes.amount1[added].sum())),
                        taken_out=(0.0 - float(changes.amount0[now].sum()), 0.0 - float(changes.amount1[now].sum())),
                    )
                )
        added = []
    return found


def _others(rows: list[int], changes: LiquidityChanges, swaps: Swaps, traded: list[int]) -> list[int]:
    """Swaps between the first and the last of `rows` that share no transaction, account or contract with them."""
    mine, account = set(changes.transaction[rows].tolist()), int(changes.sender[rows[0]])
    contracts = set(changes.contract[rows].tolist()) - {ABSENT}

    def when(row: int) -> int:
        return int(swaps.transaction[row])

    between = traded[bisect_right(traded, min(mine), key=when) : bisect_left(traded, max(mine), key=when)]
    return [
        row
        for row in between
        if when(row) not in mine and int(swaps.sender[row]) != account and int(swaps.contract[row]) not in contracts
    ]
