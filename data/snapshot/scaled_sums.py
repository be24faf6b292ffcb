"""Scaled balances at two blocks, added up as columns: sums by asset, and how many accounts owe more or less.

Exact, as `data.snapshot.changes` has it row by row; None is returned where a value does not fit into columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.snapshot import decimals
from data.snapshot.bulk import LENGTH, looked_up
from data.snapshot.decimals import Ints, Wide
from data.store.holding import HOLDS
from data.store.reader import Reader

_COLUMNS = "count(*), group_concat(reserve_id), group_concat(scaled_supply), group_concat(scaled_debt)"
_HELD = (
    f"SELECT {_COLUMNS}, group_concat(ifnull(valid_to <= ?3, 0)), "
    "group_concat(CASE WHEN valid_to <= ?3 AND scaled_debt != '0' THEN account || asset END, '') "
    f"FROM raw_aave_balances WHERE {HOLDS}"
)
"""Rows that hold at block ?2; of each, whether it has ended by block ?3; keys of those that have, and owe something."""
_BEGUN = (
    f"SELECT {_COLUMNS}, NULL, group_concat(CASE WHEN scaled_debt != '0' THEN account || asset END, '') "
    "FROM raw_aave_balances WHERE market = ?1 AND valid_from > ?2 AND valid_from <= ?3 "
    "AND (valid_to IS NULL OR valid_to > ?3)"
)
"""Rows that hold at block ?3 and began after block ?2; keys of those that owe something."""

Scaled = dict[str, tuple[int, int]]
"""Sums of scaled supply and debt by asset, exact."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """Some balances: place of the asset, what is supplied and owed; whether a row has `ended`.

    `key`: (account, asset) as bytes of the rows that are compared, ended ones where there are any; `owed`: their debts.
    """

    asset: Ints
    supply: Wide
    debt: Wide
    ended: np.ndarray
    key: np.ndarray
    owed: Wide


def between(store: Reader, market: str, low: int, high: int) -> tuple[Scaled, Scaled, int, int] | None:
    """(sums at block `low`, sums at block `high`, accounts that owe more of some token at `high`, that owe less).

    All balances are read once, at `low`; from there on only the rows that differ.
    """
    assets: dict[str, int] = {}
    at_low, at_high = (_places(store, market, block, assets) for block in (low, high))
    then = _read(store, _HELD, (market, low, high), at_low)
    now = _read(store, _BEGUN, (market, low, high), at_high)
    if then is None or now is None:
        return None
    n, gone = len(assets), then.ended
    sides = []
    for before, new in ((then.supply, now.supply), (then.debt, now.debt)):
        early = decimals.sums(before, then.asset, n)
        less = decimals.sums(before[gone], then.asset[gone], n)
        more = decimals.sums(new, now.asset, n)
        sides.append((early, [a - b + c for a, b, c in zip(early, less, more, strict=True)]))
    (supply_low, supply_high), (debt_low, debt_high) = sides
    at_first = dict(zip(assets, zip(supply_low, debt_low, strict=True), strict=True))
    at_second = dict(zip(assets, zip(supply_high, debt_high, strict=True), strict=True))
    return at_first, at_second, *_moved(then, now)


def _places(store: Reader, market: str, block: int, assets: dict[str, int]) -> dict[int, int]:
    """Reserve id -> place of its asset in `assets`, to which the assets of the block are added."""
    rows = store.rows("SELECT reserve_id, asset FROM raw_aave_reserves WHERE market = ? AND block = ?", (market, block))
    return {number: assets.setdefault(asset, len(assets)) for number, asset in rows}


def _read(store: Reader, sql: str, params: tuple[str | int, ...], places: dict[int, int]) -> _Rows | None:
    [(n, ids, supplies, debts, flags, joined)] = store.rows(sql, params)
    reserve_id = decimals.small(ids or "", n)
    supply, debt = decimals.wide(supplies or "", n), decimals.wide(debts or "", n)
    if n > decimals.MOST or reserve_id is None or supply is None or debt is None:
        return None
    asset = looked_up(reserve_id, places)
    marks = np.ones(n, dtype=np.int64) if flags is None else decimals.small(flags, n)
    if asset is None or marks is None:
        return None
    ended = marks == 1
    owed = debt[ended & ((debt.high != 0) | (debt.low != 0))]
    text = joined or ""
    if len(text) != 2 * LENGTH * len(owed) or not text.isascii() or "\0" in text:
        return None
    key = np.frombuffer(text.encode("ascii"), dtype=f"S{2 * LENGTH}")
    return _Rows(asset, supply, debt, ended, key, owed) if (key[1:] > key[:-1]).all() else None


def _moved(then: _Rows, now: _Rows) -> tuple[int, int]:
    """How many accounts owe more of some token `now`, and how many less; a key that only one has is 0 in the other.

    Both are sorted by (account, asset), each pair once.
    """
    if len(then.key) == len(now.key) and (then.key == now.key).all():
        key, before, after = now.key, then.owed, now.owed
    else:
        key = np.union1d(then.key, now.key)
        before, after = _spread(then, key), _spread(now, key)
    return _accounts(key, _less(before, after)), _accounts(key, _less(after, before))


def _spread(rows: _Rows, key: np.ndarray) -> Wide:
    """Debts at the places of their keys in `key`, zero elsewhere."""
    place = np.searchsorted(key, rows.key)
    high, low = np.zeros(len(key), dtype=np.int64), np.zeros(len(key), dtype=np.int64)
    high[place], low[place] = rows.owed.high, rows.owed.low
    return Wide(high, low)


def _less(one: Wide, other: Wide) -> np.ndarray:
    return (one.high < other.high) | ((one.high == other.high) & (one.low < other.low))


def _accounts(key: np.ndarray, chosen: np.ndarray) -> int:
    """Number of different accounts among the chosen keys, which are sorted."""
    some = key[chosen].astype(f"S{LENGTH}")  # an account comes first in its key
    return int(np.count_nonzero(some[1:] != some[:-1])) + 1 if len(some) else 0
