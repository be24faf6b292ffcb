"""Which snapshots the warehouse holds, whether one is whole, and the one to load."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from data import settings
from data.amounts import Columns
from data.errors import NoSnapshot, SnapshotIncomplete, SnapshotRefused
from data.snapshot.building import HEAD
from data.store.holding import HOLDS
from data.store.reader import Reader
from risk_core import Snapshot

PARTS = {
    "raw_aave_reserves": "n_reserves",
    "raw_aave_emodes": "n_emodes",
    "raw_aave_account_states": "n_accounts",
    "raw_aave_balances": "n_positions",
}
"""Tables of a snapshot, and the column of `fact_snapshot` that states how many rows each must have."""
WHERE = {
    "raw_aave_reserves": "market = ?1 AND block = ?2",
    "raw_aave_emodes": "market = ?1 AND block = ?2",
    "raw_aave_account_states": HOLDS,
    "raw_aave_balances": HOLDS,
}
"""Table -> condition for the rows of the snapshot of market ?1 at block ?2."""
AGAIN = "run `python -m flows aave-market --block {block}` again (or `python -m data.sample` for the sample)"


@dataclass(frozen=True, slots=True)
class Stored:
    """One row of `fact_snapshot`: identity, expected counts, and what the chain confirmed."""

    snapshot: Snapshot
    expected: dict[str, int]
    below_one_confirmed: int

    @property
    def label(self) -> str:
        """Market and block, as messages name them."""
        return f"{self.snapshot.market} at block {self.snapshot.block}"


OF_THE_ENGINE = "aave_v3"
ENGINE = f"(protocol IS NULL OR protocol = '{OF_THE_ENGINE}')"
"""Snapshots whose rules the engine knows."""


def stored_snapshots(store: Reader, market: str | None, block: int | None, kinds: str = ENGINE) -> list[Stored]:
    """Stored snapshots of a market and block (None: of all), that of `AAVE_MARKET` and the newest first.

    kinds: condition on `fact_snapshot`. Raises `SnapshotRefused` for a damaged flag.
    """
    where = kinds
    params: list[str | int] = []
    if market is not None:
        where, params = where + " AND market = ?", [*params, market]
    if block is not None:
        where, params = where + " AND block = ?", [*params, block]
    rows = store.rows(
        f"SELECT {', '.join(HEAD)}, {', '.join(PARTS.values())}, below_one_confirmed FROM fact_snapshot "
        f"WHERE {where} ORDER BY market = ? DESC, is_synthetic, block_time DESC, block DESC",
        [*params, settings.aave_market()],
    )
    return [
        Stored(
            Snapshot(
                market=row[0],
                block=row[1],
                chain_id=row[2],
                block_time=row[3],
                revision=row[4],
                synthetic=_flag(row[5], f"fact_snapshot.is_synthetic of {row[0]} at block {row[1]}"),
                hash=row[6],
            ),
            dict(zip(PARTS, row[7:11], strict=True)),
            row[11],
        )
        for row in rows
    ]


def _flag(value: object, what: str) -> bool:
    if value not in (0, 1):
        raise SnapshotRefused(f"{what} is {value!r}; a flag is 0 or 1: the row was changed after it was written")
    return bool(value)


def choose(
    store: Reader, market: str | None, block: int | None, counted: Callable[[Stored], Mapping[str, int]] | None = None
) -> tuple[Stored, list[str]]:
    """The snapshot to load, and a note for each newer one that is incomplete.

    `counted`: how many rows of a snapshot the caller has read, by table; other rows are counted here. Raises
    `NoSnapshot`, `SnapshotRefused` for a market whose rules are not known, `SnapshotIncomplete`.
    """
    candidates = stored_snapshots(store, market, block)
    if not candidates and market is not None and (others := stored_snapshots(store, market, block, f"NOT {ENGINE}")):
        raise SnapshotRefused(
            f"{others[0].label} is of a protocol that is for reading only (fact_snapshot.protocol): its liquidation "
            "rules are not implemented, and its prices may be in another currency. Its rows can be queried; for risk "
            "figures choose a market of Aave v3"
        )
    if not candidates:
        have = ", ".join(stored.label for stored in stored_snapshots(store, None, None)[:5]) or "none"
        wanted = f"{market or 'any market'}" + (f" at block {block}" if block is not None else "")
        raise NoSnapshot(
            f"{store.path}: holds no snapshot of {wanted}; stored: {have}. Run `python -m flows aave-market`, or "
            "`python -m data.sample` for the built-in sample"
        )
    # Never load another market instead: an incomplete live snapshot must not become the sample.
    candidates = [stored for stored in candidates if stored.snapshot.market == candidates[0].snapshot.market]
    notes: list[str] = []
    for stored in candidates:
        missing = missing_of(store, stored, counted(stored) if counted else {})
        if not missing:
            return stored, notes
        notes.append(f"The newer snapshot {stored.label} is incomplete and not used: {missing}")
    first = candidates[0]
    raise SnapshotIncomplete(
        f"{first.label} is incomplete: {missing_of(store, first)}; {AGAIN.format(block=first.snapshot.block)}"
    )


def missing_of(store: Reader, stored: Stored, counts: Mapping[str, int] = MappingProxyType({})) -> str:
    """Which rows it lacks ("raw_aave_balances has 3 rows, expected 4"), "" when it is complete.

    `counts`: numbers of rows that are known, by table.
    """
    at = (stored.snapshot.market, stored.snapshot.block)
    faults = []
    for table, expected in stored.expected.items():
        count = counts.get(table)
        if count is None:
            count = store.rows(f"SELECT count(*) FROM {table} WHERE {WHERE[table]}", at)[0][0]
        if count != expected:
            faults.append(f"{table} has {count} rows, expected {expected}")
    return "; ".join(faults)


def columns_of(store: Reader, table: str, names: tuple[str, ...], stored: Stored, order: str) -> Columns:
    """Columns of a table's rows of one snapshot, in the order of the SQL expression `order`."""
    rows = store.rows(
        f"SELECT {', '.join(names)} FROM {table} WHERE {WHERE[table]} ORDER BY {order}",
        (stored.snapshot.market, stored.snapshot.block),
    )
    # One list for each column: four times faster than zip(*rows), which makes an iterator for every row.
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}
