"""A market laid out for the engine: grouped, sorted, in snapshot dollars. Prepared once, used by every run.

Accounts that can never be liquidated are left out: those without debt, and those with debt but no collateral
(existing bad debt; the pool has nothing to seize).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from weakref import WeakKeyDictionary

import numpy as np

from risk_core.accounts import account_terms
from risk_core.checks import FloatArray, IntArray
from risk_core.kernels.book import Book, Walk
from risk_core.types import Market, require_rules

NEVER_OPEN = np.iinfo(np.int64).max
KEPT_BINDINGS = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """G groups of accounts that share collateral reserves, debt reserves and e-mode; weakest first inside a group.

    account: (n,) rows of the market, in the engine's order. first, leg, value_at: (G + 1,). Legs of a group:
    collateral then debt, each in reserve order. value: (nnz,) snapshot dollars. collateral_usd, debt_usd: (R,) their
    sums by reserve.
    """

    account: IntArray
    first: IntArray
    leg: IntArray
    n_collateral: IntArray
    value_at: IntArray
    value: FloatArray
    health: FloatArray
    reserve: IntArray
    terms: FloatArray
    kind: IntArray
    kind_leg: IntArray
    shape: IntArray
    record: FloatArray
    collateral_usd: FloatArray
    debt_usd: FloatArray
    bound: dict[tuple[bytes, int, bytes], tuple[Book, Walk]] = field(default_factory=dict)

    @property
    def n_accounts(self) -> int:
        """Accounts that the plan follows."""
        return len(self.account)

    @property
    def n_groups(self) -> int:
        """Number of groups G."""
        return len(self.n_collateral)

    @property
    def most_legs(self) -> int:
        """Most legs of one group; 0 without a group."""
        return int(self.shape[:, 3].max(initial=0))

    @property
    def nbytes(self) -> int:
        """Bytes of the plan's arrays and of the books bound to scenarios."""
        return sum({id(array): array.nbytes for array in self._arrays()}.values())

    def _arrays(self) -> Iterator[np.ndarray]:
        for owner in (tuple(getattr(self, name) for name in self.__slots__), *chain(*self.bound.values())):
            yield from (array for array in owner if isinstance(array, np.ndarray))

    def most_usd(self, x: FloatArray) -> FloatArray:
        """The larger of all collateral and all debt, USD, at relative prices x (..., R); shape (...)."""
        return np.maximum(x @ self.collateral_usd, x @ self.debt_usd)

    def book(self, factor: IntArray, n_factors: int, open_from: IntArray) -> Book:
        """The kernel's layout under a scenario: `factor` (R,) of each reserve (-1 fixed), `open_from` (R,)."""
        leg_factor = np.where(factor < 0, n_factors, factor)[self.reserve]
        group = np.repeat(np.arange(self.n_groups), np.diff(self.leg))
        within = np.arange(len(self.reserve)) - self.leg[group]
        is_debt = within >= self.n_collateral[group]
        # every (collateral leg, debt leg) of a group, as one code; each distinct code once
        n_debt = np.diff(self.leg) - self.n_collateral
        repeat = n_debt[group[~is_debt]]
        left = np.repeat(np.flatnonzero(~is_debt), repeat)
        offset = np.arange(len(left)) - np.repeat(np.cumsum(repeat) - repeat, repeat)
        right = (self.leg[:-1] + self.n_collateral)[group[left]] + offset
        width = n_factors + 1
        code = leg_factor[left] * width + leg_factor[right]
        both = np.unique(group[left] * (width * width) + code)
        pair_group, pair_code = both // (width * width), both % (width * width)
        used, pair = np.unique(pair_code, return_inverse=True)
        pair_at = np.zeros(self.n_groups + 1, dtype=np.int64)
        np.cumsum(np.bincount(pair_group, minlength=self.n_groups), out=pair_at[1:])
        # Copies of the legs: to numba a read-only array is another type, and `settle` reads writable ones, too.
        return Book(
            first=self.first, leg=self.leg, n_collateral=self.n_collateral, value_at=self.value_at,
            value=self.value, health=self.health, factor=leg_factor.astype(np.int64), reserve=self.reserve.copy(),
            terms=self.terms.copy(), pair_at=pair_at, pair=pair.astype(np.int64).ravel(),
            pair_collateral=(used // width).astype(np.int64), pair_debt=(used % width).astype(np.int64),
            open_from=open_from.astype(np.int64),
        )  # fmt: skip

    def walk(self, book: Book) -> Walk:
        """The layout of `book` that the pruned engine reads."""
        return Walk(
            weakest=self.health[self.first[:-1]],
            shape=self.shape,
            record=self.record,
            kind=self.kind,
            factor=book.factor[self.kind_leg],
            reserve=book.reserve[self.kind_leg],
            terms=np.ascontiguousarray(book.terms[self.kind_leg]),
        )

    def bind(self, factor: IntArray, n_factors: int, open_from: IntArray) -> tuple[Book, Walk]:
        """`book` and its `walk`; the last few are kept, because runs on one market mostly share a scenario's shape."""
        key = (factor.tobytes(), n_factors, open_from.tobytes())
        if key not in self.bound:
            book = self.book(factor, n_factors, open_from)
            while len(self.bound) >= KEPT_BINDINGS:
                self.bound.pop(next(iter(self.bound)), None)
            self.bound[key] = (book, self.walk(book))
        return self.bound[key]


_plans: WeakKeyDictionary[Market, Plan] = WeakKeyDictionary()


def plan_of(market: Market) -> Plan:
    """The plan of a market, prepared at the first call and kept as long as the market lives."""
    plan = _plans.get(market)
    if plan is None:
        plan = _plans.setdefault(market, prepare(market))
    return plan


def prepare(market: Market) -> Plan:
    """Group and sort a market's accounts; O(n log n). Raises `UnknownRevision`."""
    require_rules(market.revision)
    worth_c = market.collateral.amount * market.price[market.collateral.reserve]
    worth_d = market.debt.amount * market.price[market.debt.reserve]
    n_c, n_d = np.diff(market.collateral.indptr), np.diff(market.debt.indptr)
    keep = np.flatnonzero((n_c > 0) & (n_d > 0))

    # both sides of the kept accounts as one list of legs: account, collateral before debt, reserve
    at_c, at_d = market.collateral.indptr[keep], market.debt.indptr[keep]
    n_c, n_d = n_c[keep], n_d[keep]
    n_legs = n_c + n_d
    start = np.zeros(len(keep) + 1, dtype=np.int64)
    np.cumsum(n_legs, out=start[1:])
    reserve = np.empty(start[-1], dtype=np.int64)
    worth = np.empty(start[-1])
    owner = np.empty(start[-1], dtype=np.int64)
    is_debt = np.zeros(start[-1], dtype=bool)
    for side, values, count, at, skip in (
        (market.collateral, worth_c, n_c, at_c, 0 * n_c),
        (market.debt, worth_d, n_d, at_d, n_c),
    ):
        source = _ranges(at, count)
        target = _ranges(start[:-1] + skip, count)
        reserve[target] = side.reserve[source]
        worth[target] = values[source]
        owner[target] = np.repeat(np.arange(len(keep)), count)
        is_debt[target] = side is market.debt

    threshold, factor = account_terms(market)
    emode = market.emode[keep]
    leg_threshold = np.where(is_debt, 0.0, threshold[emode[owner], reserve])
    health = _sums(worth * leg_threshold, start) / _sums(np.where(is_debt, worth, 0.0), start)

    key = _group_keys(market, reserve, is_debt, start, emode)
    order = np.lexsort((health, key, n_legs))
    sorted_key, sorted_legs = key[order], n_legs[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (sorted_key[1:] != sorted_key[:-1]) | (sorted_legs[1:] != sorted_legs[:-1])
    first = np.append(np.flatnonzero(new), len(order)).astype(np.int64)
    leader = order[first[:-1]]

    value = worth[_ranges(start[:-1][order], n_legs[order])]
    value_at = np.zeros(len(first), dtype=np.int64)
    np.cumsum(np.diff(first) * n_legs[leader], out=value_at[1:])
    leg = np.zeros(len(first), dtype=np.int64)
    np.cumsum(n_legs[leader], out=leg[1:])
    group_legs = _ranges(start[:-1][leader], n_legs[leader])
    group_emode = np.repeat(emode[leader], n_legs[leader])
    group_reserve = reserve[group_legs]
    seizing = np.where(is_debt[group_legs], 0.0, factor[group_emode, group_reserve])
    inverse = np.divide(1.0, seizing, out=np.zeros_like(seizing), where=seizing > 0)
    fee_rate = (1.0 - inverse) * market.reserves.protocol_fee[group_reserve]
    terms = np.column_stack([leg_threshold[group_legs], seizing, inverse, fee_rate])
    side = is_debt[group_legs].astype(np.int64)
    code = ((group_emode + 1) * market.n_reserves + group_reserve) * 2 + side
    _, kind_leg, kind = np.unique(code, return_index=True, return_inverse=True)
    shape, record = _records(first, leg, n_c[leader].astype(np.int64), value, health[order])
    arrays = dict(
        account=keep[order], first=first, leg=leg, n_collateral=n_c[leader].astype(np.int64), value_at=value_at,
        value=value, health=health[order], reserve=group_reserve, terms=np.ascontiguousarray(terms),
        collateral_usd=np.bincount(reserve[~is_debt], weights=worth[~is_debt], minlength=market.n_reserves),
        debt_usd=np.bincount(reserve[is_debt], weights=worth[is_debt], minlength=market.n_reserves),
        kind=kind.astype(np.int64).ravel(), kind_leg=kind_leg.astype(np.int64), shape=shape, record=record,
    )  # fmt: skip
    for array in arrays.values():
        array.setflags(write=False)
    return Plan(**arrays)


def _records(
    first: IntArray, leg: IntArray, n_collateral: IntArray, value: FloatArray, health: FloatArray
) -> tuple[IntArray, FloatArray]:
    """(shape (G, 6), record (n + nnz,)): each account's health factor followed by its values."""
    n_legs = np.diff(leg)
    count = np.repeat(n_legs, np.diff(first))
    at = np.cumsum(count + 1) - (count + 1)
    record = np.empty(len(value) + len(health))
    record[at] = health
    record[_ranges(at + 1, count)] = value
    begin = at[first[:-1]] if len(at) else np.zeros(0, dtype=np.int64)
    return np.column_stack([first[:-1], first[1:], n_collateral, n_legs, begin, leg[:-1]]).astype(np.int64), record


def _ranges(start: IntArray, count: IntArray) -> IntArray:
    """start[0] .. start[0] + count[0] - 1, start[1] .., as one array."""
    ends = np.cumsum(count)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(start - (ends - count), count) + np.arange(total)


def _sums(values: FloatArray, start: IntArray) -> FloatArray:
    return np.add.reduceat(values, start[:-1]) if len(start) > 1 else np.zeros(0)


def _group_keys(market: Market, reserve: IntArray, is_debt: np.ndarray, start: IntArray, emode: IntArray) -> IntArray:
    """(n,) int64, equal for accounts with the same collateral set, debt set and e-mode.

    A sum of random 64-bit words finds the groups; equality is then checked leg by leg, and a collision (2^-64 a
    pair) would only draw other words.
    """
    if len(start) == 1:
        return np.zeros(0, dtype=np.int64)
    for salt in range(8):
        rng = np.random.default_rng(salt)
        words = rng.integers(0, 2**63, size=(2, market.n_reserves), dtype=np.int64)
        mode_words = rng.integers(0, 2**63, size=len(market.emodes) + 1, dtype=np.int64)
        with np.errstate(over="ignore"):
            hashes = np.add.reduceat(words[is_debt.astype(int), reserve], start[:-1]) + mode_words[emode]
        n_legs = np.diff(start)
        _, leader, group = np.unique(hashes, return_index=True, return_inverse=True)
        leader = leader[group]
        if (n_legs != n_legs[leader]).any() or (emode != emode[leader]).any():
            continue
        twin = _ranges(start[:-1][leader], n_legs)
        if (reserve == reserve[twin]).all() and (is_debt == is_debt[twin]).all():
            return group.astype(np.int64)
    raise AssertionError("no collision-free grouping in eight draws of 64-bit words")
