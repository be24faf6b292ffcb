"""The accounts of a stored snapshot as arrays, without a Python object for each row.

SQLite joins each column to one text, from which arrays are made at once. Where anything is unusual (a value that is not
plain digits, an account without a state, debt at a stable rate) nothing is returned, and the rows are read one by one,
which also finds the words for what is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.amounts import Columns, Terms
from data.snapshot import decimals
from data.snapshot.building import PositionArrays
from data.snapshot.decimals import Ints, Wide
from data.store.holding import HOLDS
from data.store.reader import Reader

LENGTH = 42
"""Characters of an address."""
_IDS = 1 << 16
"""Reserve ids and e-modes below this are looked up in a table."""
_STATES = (
    "SELECT count(*), group_concat(account, ''), group_concat(emode_id), group_concat(config_bitmap) "
    f"FROM raw_aave_account_states WHERE {HOLDS}"
)
_BALANCES = (
    "SELECT count(*), group_concat(account, ''), group_concat(reserve_id), group_concat(scaled_supply), "
    f"group_concat(scaled_debt), count(stable_debt) FROM raw_aave_balances WHERE {HOLDS}"
)


@dataclass(frozen=True, slots=True)
class Balances:
    """Positions by address: row of the account in `States`, id of the reserve, scaled balances."""

    row: Ints
    reserve_id: Ints
    supply: Wide
    debt: Wide


@dataclass(frozen=True, slots=True)
class States:
    """Accounts by address (bytes, rising), their e-modes, and their flags as four words of 64 bits, lowest first."""

    address: np.ndarray
    emode: Ints
    flags: np.ndarray


def states_at(store: Reader, market: str, block: int) -> States | None:
    """The accounts at a stored block; None where they have to be read one by one."""
    [(n, joined, emodes, bitmaps)] = store.rows(_STATES, (market, block))
    address = _addresses(joined, n)
    emode = decimals.small(emodes or "", n)
    if address is None or emode is None or not (address[1:] > address[:-1]).all():
        return None
    flags = _words(bitmaps or "", n)
    return None if flags is None else States(address, emode, flags)


def balances_at(store: Reader, market: str, block: int, states: States) -> Balances | None:
    """The positions at a stored block; None where they have to be read one by one."""
    [(n, joined, ids, supplies, debts, stable)] = store.rows(_BALANCES, (market, block))
    holder = _addresses(joined, n)
    if holder is None or stable:
        return None
    row = _rows_among(holder, states.address)
    reserve_id = decimals.small(ids or "", n)
    supply, debt = decimals.wide(supplies or "", n), decimals.wide(debts or "", n)
    if row is None or reserve_id is None or supply is None or debt is None:
        return None
    return Balances(row, reserve_id, supply, debt)


@dataclass(frozen=True, slots=True)
class Held:
    """The accounts and positions of a stored snapshot."""

    states: States
    balances: Balances

    @property
    def counts(self) -> dict[str, int]:
        """Rows that were read, by table."""
        return {"raw_aave_account_states": len(self.states.emode), "raw_aave_balances": len(self.balances.row)}


def held_at(store: Reader, market: str, block: int) -> Held | None:
    """What is stored at a block; None where it has to be read row by row."""
    states = states_at(store, market, block)
    balances = None if states is None else balances_at(store, market, block, states)
    return None if states is None or balances is None else Held(states, balances)


def arrays_of(found: Held, reserve: Columns, emode: Columns, terms: dict[int, Terms]) -> PositionArrays | None:
    """The accounts for `data.snapshot.building.of_arrays`; None where they have to be read row by row."""
    if any(price is None for price in reserve["price_raw"]) or any(at.half_up for at in terms.values()):
        return None
    states, held = found.states, found.balances
    what = looked_up(held.reserve_id, {number: row for row, number in enumerate(reserve["reserve_id"])})
    mode = looked_up(states.emode, {0: -1} | {number: row for row, number in enumerate(emode["emode_id"])})
    if what is None or mode is None:
        return None
    by_row = [terms[number] for number in reserve["reserve_id"]]
    bit = 2 * held.reserve_id + 1
    if len(bit) and bit.max() >= 64 * states.flags.shape[1]:
        return None
    word = states.flags[held.row, bit >> 6]
    return PositionArrays(
        accounts=states.address.astype(f"U{LENGTH}"),
        mode=mode,
        who=held.row,
        what=what,
        enabled=(word >> (bit & 63).astype(np.uint64)) & np.uint64(1) == 1,
        supply=decimals.tokens(held.supply, what, [(at.income, at.unit) for at in by_row], up=False),
        debt=decimals.tokens(held.debt, what, [(at.debt, at.unit) for at in by_row], up=True),
    )


def _addresses(joined: str | None, n: int) -> np.ndarray | None:
    """`n` texts of 42 ASCII characters that were joined, as bytes."""
    text = joined or ""
    if len(text) != LENGTH * n or not text.isascii() or "\0" in text:
        return None
    return np.frombuffer(text.encode("ascii"), dtype=f"S{LENGTH}")


def _rows_among(holder: np.ndarray, address: np.ndarray) -> Ints | None:
    """Row in `address` (rising) of each holder; None where one is not there."""
    if not len(holder):
        return np.empty(0, dtype=np.int64)
    begins = np.flatnonzero(np.concatenate([[True], holder[1:] != holder[:-1]]))
    each = holder[begins]  # one for each run of equal holders, which come together
    row = np.arange(len(each))
    if len(each) != len(address) or not (each == address).all():
        row = np.minimum(np.searchsorted(address, each), len(address) - 1)
        if not len(address) or not (address[row] == each).all():
            return None
    return np.repeat(row, np.diff(np.append(begins, len(holder))))


def _words(bitmaps: str, n: int) -> np.ndarray | None:
    """Integers below 2**256 as rows of four words of 64 bits, lowest first."""
    texts = bitmaps.split(",") if n else []
    if len(texts) != n or not bitmaps.isascii() or bitmaps.encode("ascii").translate(None, b"0123456789,"):
        return None
    distinct = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    try:
        content = b"".join([int(text).to_bytes(32, "little") for text in distinct])
    except (OverflowError, ValueError):
        return None
    words = np.frombuffer(content, dtype="<u8").reshape(-1, 4)
    return words[np.fromiter(map(distinct.__getitem__, texts), dtype=np.int64, count=n)]


def looked_up(ids: Ints, row_of: dict[int, int]) -> Ints | None:
    """The row of each id; None where one is not known."""
    if not all(0 <= number < _IDS for number in row_of) or (len(ids) and ids.max() >= _IDS):
        return None
    table = np.full(_IDS, -2, dtype=np.int64)
    table[list(row_of)] = list(row_of.values())
    rows = table[ids]
    return None if (rows == -2).any() else rows
