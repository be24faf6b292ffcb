"""A new snapshot from a stored one: accounts that no event has touched keep their rows and are not written again."""

from __future__ import annotations

from dataclasses import dataclass

from data.amounts import Columns
from data.errors import WarehouseError
from data.schemas.tables import tables
from data.store.holding import HOLDS
from data.store.store import Store
from data.store.validity import Kept, Moment, value_columns

ACCOUNT_TABLES = ("raw_aave_account_states", "raw_aave_balances")
"""Tables of a snapshot whose rows hold from block to block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Untouched:
    """All accounts of the snapshot at `base_block`, without the `touched` ones.

    `base_batch`: batch that wrote that snapshot; a different number shows that it was changed since. `account`,
    `position`: their columns `data.snapshot.building.ACCOUNT` and `POSITION` at the new block.
    """

    base_block: int
    base_batch: int
    touched: frozenset[str]
    account: Columns
    position: Columns


def moment_of(
    store: Store, market: str, block: int, untouched: Untouched | None
) -> tuple[Moment, dict[str, list[Kept]]]:
    """(moment of the snapshot to write, rows of untouched accounts that must be written with it, by table).

    If the base is the snapshot just before, only touched accounts are compared with the stored rows. If there are
    snapshots in between, or this block is stored already, the untouched accounts are compared as well. Raises
    `WarehouseError` where the base was changed since it was read.
    """
    if untouched is None:
        return Moment(market, block), {}
    with store.one_state():
        return _moment_on(store, market, block, untouched)


def _moment_on(store: Store, market: str, block: int, untouched: Untouched) -> tuple[Moment, dict[str, list[Kept]]]:
    base = store.rows("SELECT batch FROM fact_snapshot WHERE market = ? AND block = ?", (market, untouched.base_block))
    if base != [(untouched.base_batch,)]:
        raise WarehouseError(
            f"{market}: the snapshot at block {untouched.base_block}, which this one is built on, was changed by "
            "another process meanwhile; nothing was written, run again"
        )
    last = store.rows("SELECT max(block) FROM fact_snapshot WHERE market = ? AND block <= ?", (market, block))
    if last == [(untouched.base_block,)] and untouched.base_block < block:
        return Moment(market, block, untouched.touched, untouched.base_block, untouched.base_batch), {}
    beside = {name: _kept(store, name, market, untouched) for name in ACCOUNT_TABLES}
    return Moment(market, block, None, untouched.base_block, untouched.base_batch), beside


def _kept(store: Store, table: str, market: str, untouched: Untouched) -> list[Kept]:
    """The stored rows of the accounts that were not touched."""
    layout = tables()[table]
    subject, value = layout.subject, value_columns(layout)
    place, n = subject.index("account"), len(subject)
    found = store.rows(
        f'SELECT {", ".join([*subject, *value])} FROM "{table}" WHERE {HOLDS}', (market, untouched.base_block)
    )
    return [(row[:n], row[n:]) for row in found if row[place] not in untouched.touched]
