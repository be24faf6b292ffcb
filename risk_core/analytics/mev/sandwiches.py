"""Sandwiches: an attacker swaps before and after its victims in one pool and block."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from risk_core.analytics.mev.swaps import ABSENT, Rows, Swaps
from risk_core.checks import checked_int

MOST_GROUPS, MOST_VICTIMS = 10, 30
"""A set with more groups of victims or more victims is discarded: it is a router or a market maker."""
MOST_CALLERS = 2
"""A contract that more accounts than this call in the block is a public router and names nobody."""


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
    rows = Rows.of(swaps)
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


def _public_contracts(swaps: Swaps, most: int) -> set[tuple[int, int]]:
    """(block, contract) of the contracts that more than `most` accounts swap through, and of no contract at all."""
    pairs = np.unique(np.stack([swaps.block, swaps.contract, swaps.sender]), axis=1)
    both, callers = np.unique(pairs[:2], axis=1, return_counts=True)
    many = (callers > most) | (both[1] == ABSENT)
    return set(zip(both[0, many].tolist(), both[1, many].tolist(), strict=True))


def _scan(
    stretch: list[int],
    actors: list[int],
    rows: Rows,
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


def _victims(between: list[int], inward: bool, front: int, back: int, rows: Rows) -> list[int]:
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


def _profit(legs: tuple[int, ...], inward: bool, rows: Rows) -> float:
    paid, bought = (rows.amount0, rows.amount1) if inward else (rows.amount1, rows.amount0)
    got = -sum(bought[row] for row in legs[:-1])
    sold = bought[legs[-1]]
    if got <= 0 or abs(sold - got) > 0.01 * got:
        return float("nan")
    return -sum(paid[row] for row in legs)
