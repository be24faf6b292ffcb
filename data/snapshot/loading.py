"""Load snapshots from the warehouse: `load_market` returns a whole one, or raises a clear error.

Balances are stored scaled, when they change. Their amounts in tokens at a block are computed exactly, from the indices
of that block, and become floats once, correctly rounded (`data.amounts`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np

from data import amounts, settings
from data.amounts import Columns
from data.errors import NoSnapshot, SnapshotIncomplete, SnapshotRefused
from data.snapshot.building import BALANCE, EMODE, HEAD, INDICES, RESERVE, STATE, build
from data.snapshot.identity import snapshot_hash
from data.store.holding import HOLDS
from data.store.reader import Reader
from risk_core import InputError, Market, Snapshot, UnknownRevision, health_factor, units
from risk_core.interest import normalized_income, supply_balance

MAX_SHARE_BELOW_ONE = 0.005
"""Largest share of the debt below health factor 1 that needs no confirmation by the pool; liquidators leave less."""

REPLAYED = "replayed"
"""`fact_snapshot.read_mode` of a snapshot that was made from logs."""

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

_AGAIN = "run `python -m flows aave-market --block {block}` again (or `python -m data.sample` for the sample)"


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


def load_market(
    block: int | None = None,
    market: str | None = None,
    db: Path | str | None = None,
    max_age: timedelta | None = None,
    *,
    verify: bool = True,
) -> Market:
    """The newest complete snapshot, or that of one `block`, as the engine takes it.

    `market`: name, None prefers `AAVE_MARKET`, then any live market, then the sample. `db`: file, None is `RISK_DB`.
    `max_age`: refuse an older snapshot. `verify`: recompute the content's digest, and refuse rows
    that were changed after they were written. Accounts come in the order of
    their addresses, reserves in the order of their ids. Warnings that a screen must show are in `notes`.

    Raises `NoSnapshot`; `SnapshotIncomplete` when rows are missing; `SnapshotRefused` for damaged or changed rows, for
    Aave v2, when more than 0.5 % of the debt is below health factor 1 and the chain did not confirm it (a note, where
    the snapshot was made from logs), and when the age is above `max_age`; `WarehouseError`.
    """
    with Reader.open(db) as store, store.one_state():
        stored, notes = _choose(store, market, block)
        if max_age is not None:
            _require_young(stored, max_age)
        found = _built(
            stored,
            _columns(store, "raw_aave_reserves", (*RESERVE, *INDICES), stored, "reserve_id"),
            _columns(store, "raw_aave_emodes", EMODE, stored, "emode_id"),
            _columns(store, "raw_aave_account_states", STATE, stored, "account"),
            _columns(store, "raw_aave_balances", BALANCE, stored, "account, asset"),
        )
        note = [
            *_only_debtors(store, stored, found),
            *_replayed(store, stored),
            *_unpriced(store, stored),
            *_require_believable(store, stored, found),
        ]
    if verify:
        digest = snapshot_hash(found)
        if digest != stored.snapshot.hash:
            raise SnapshotRefused(
                f"{stored.label}: the stored rows have digest {digest[:16]}, fact_snapshot says "
                f"{stored.snapshot.hash[:16]}: rows were changed after they were written; "
                + _AGAIN.format(block=stored.snapshot.block)
            )
    return replace(found, notes=(*notes, *note))


def _built(stored: Stored, reserve: Columns, emode: Columns, state: Columns, balance: Columns) -> Market:
    """The market of stored rows. Raises `SnapshotRefused` where a stored value is not valid."""
    try:
        _require_reserves(stored, reserve, balance)
        position = amounts.positions(state, balance, amounts.terms(reserve, stored.snapshot.block_time))
        return build(stored.snapshot, reserve, emode, state, position)
    except UnknownRevision:
        raise
    except (InputError, KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise SnapshotRefused(
            f"{stored.label}: the stored rows are damaged ({type(error).__name__}: {error}); "
            + _AGAIN.format(block=stored.snapshot.block)
        ) from error


def _require_reserves(stored: Stored, reserve: Columns, balance: Columns) -> None:
    if unknown := set(balance["reserve_id"]) - set(reserve["reserve_id"]):
        raise SnapshotIncomplete(
            f"{stored.label}: raw_aave_balances has reserve {min(unknown)}, which raw_aave_reserves lacks"
        )


def newest(market: str | None = None, db: Path | str | None = None) -> Snapshot:
    """Identity of the snapshot that `load_market` would load. Raises `NoSnapshot`, `SnapshotIncomplete`."""
    with Reader.open(db) as store, store.one_state():
        return _choose(store, market, None)[0].snapshot


def available(db: Path | str | None = None) -> list[Snapshot]:
    """Every stored snapshot that the engine can load, complete or not, newest first; the sample last."""
    with Reader.open(db) as store:
        return [stored.snapshot for stored in _stored(store, None, None)]


def positions_at(store: Reader, market: str, block: int) -> Columns:
    """What each account holds in each reserve at a stored block; see `data.amounts.positions` for the columns.

    Supplies that are not enabled as collateral are among them, which `load_market` leaves out. Raises `NoSnapshot`.
    """
    stored = _stored(store, market, block)
    if not stored:
        raise NoSnapshot(f"{store.path}: holds no snapshot of {market} at block {block} that the engine can load")
    reserve = _columns(store, "raw_aave_reserves", (*RESERVE, *INDICES), stored[0], "reserve_id")
    return amounts.positions(
        _columns(store, "raw_aave_account_states", STATE, stored[0], "account"),
        _columns(store, "raw_aave_balances", BALANCE, stored[0], "account, asset"),
        amounts.terms(reserve, stored[0].snapshot.block_time),
    )


def missing_rows(store: Reader, market: str, block: int) -> str:
    """Which rows a stored snapshot lacks ("raw_aave_balances has 3 rows, expected 4"), "" when it is complete.

    Raises `NoSnapshot` where none is stored for that market and block.
    """
    stored = _stored(store, market, block, "1")
    if not stored:
        raise NoSnapshot(f"{store.path}: holds no snapshot of {market} at block {block}")
    return _missing(store, stored[0])


# Choosing


OF_THE_ENGINE = "aave_v3"
ENGINE = f"(protocol IS NULL OR protocol = '{OF_THE_ENGINE}')"
"""Snapshots whose rules the engine knows."""


def _stored(store: Reader, market: str | None, block: int | None, kinds: str = ENGINE) -> list[Stored]:
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


def _choose(store: Reader, market: str | None, block: int | None) -> tuple[Stored, list[str]]:
    """The snapshot to load, and a note for each newer one that is incomplete."""
    candidates = _stored(store, market, block)
    if not candidates and market is not None and (others := _stored(store, market, block, f"NOT {ENGINE}")):
        raise SnapshotRefused(
            f"{others[0].label} is of a protocol that is for reading only (fact_snapshot.protocol): its liquidation "
            "rules are not implemented, and its prices may be in another currency. Its rows can be queried; for risk "
            "figures choose a market of Aave v3"
        )
    if not candidates:
        have = ", ".join(stored.label for stored in _stored(store, None, None)[:5]) or "none"
        wanted = f"{market or 'any market'}" + (f" at block {block}" if block is not None else "")
        raise NoSnapshot(
            f"{store.path}: holds no snapshot of {wanted}; stored: {have}. Run `python -m flows aave-market`, or "
            "`python -m data.sample` for the built-in sample"
        )
    # Never load another market instead: an incomplete live snapshot must not become the sample.
    candidates = [stored for stored in candidates if stored.snapshot.market == candidates[0].snapshot.market]
    notes: list[str] = []
    for stored in candidates:
        missing = _missing(store, stored)
        if not missing:
            return stored, notes
        notes.append(f"The newer snapshot {stored.label} is incomplete and not used: {missing}")
    first = candidates[0]
    raise SnapshotIncomplete(
        f"{first.label} is incomplete: {_missing(store, first)}; {_AGAIN.format(block=first.snapshot.block)}"
    )


def _missing(store: Reader, stored: Stored) -> str:
    """As `missing_rows`, for a snapshot that is stored."""
    at = (stored.snapshot.market, stored.snapshot.block)
    faults = []
    for table, expected in stored.expected.items():
        count = store.rows(f"SELECT count(*) FROM {table} WHERE {WHERE[table]}", at)[0][0]
        if count != expected:
            faults.append(f"{table} has {count} rows, expected {expected}")
    return "; ".join(faults)


def _require_young(stored: Stored, max_age: timedelta) -> None:
    age = timedelta(seconds=int(time.time()) - stored.snapshot.block_time)
    if age > max_age:
        raise SnapshotRefused(
            f"{stored.label} is of {stored.snapshot.time:%Y-%m-%d %H:%M} UTC, {age} old, and at most {max_age} was "
            "asked for; run `python -m flows aave-market` for a newer one"
        )


def _only_debtors(store: Reader, stored: Stored, market: Market) -> list[str]:
    """A note on a snapshot with debtors only: supplies by the reserves' totals, and the part of these accounts."""
    at = (stored.snapshot.market, stored.snapshot.block)
    if _mode(store, stored) != "borrowers":
        return []
    rows = store.rows(
        "SELECT scaled_atoken_supply, liquidity_index, liquidity_rate, last_update_timestamp, price_raw, decimals "
        "FROM raw_aave_reserves WHERE market = ? AND block = ? AND price_raw IS NOT NULL",
        at,
    )
    supplied = (
        sum(
            supply_balance(int(scaled), normalized_income(int(index), int(rate), updated, stored.snapshot.block_time))
            * int(price)
            / 10**decimals
            for scaled, index, rate, updated, price, decimals in rows
        )
        / units.USD
    )
    collateral = float((market.collateral.amount * market.price[market.collateral.reserve]).sum())
    return [
        f"Only accounts with debt were read ({market.n_accounts:,}; they owe every debt token's whole supply). "
        f"The reserves state supplies of {supplied:,.0f} USD by all accounts; {collateral:,.0f} USD of it is "
        "the collateral of these accounts. The rest (other accounts, supplies not enabled) is not stored by account"
    ]


def _mode(store: Reader, stored: Stored) -> str | None:
    at = (stored.snapshot.market, stored.snapshot.block)
    return store.rows("SELECT read_mode FROM fact_snapshot WHERE market = ? AND block = ?", at)[0][0]


def _replayed(store: Reader, stored: Stored) -> list[str]:
    """A note on a snapshot that was made from logs."""
    if _mode(store, stored) != REPLAYED:
        return []
    source = store.rows(
        "SELECT b.source FROM fact_snapshot AS s JOIN fact_batch AS b ON b.batch = s.batch "
        "WHERE s.market = ? AND s.block = ?",
        (stored.snapshot.market, stored.snapshot.block),
    )
    asked = source and source[0][0].endswith("_oracle")
    return [
        "Accounts and reserves were rebuilt from the market's logs, and equalled the node's at the newest block then; "
        "prices are "
        + ("what the oracle said at the block" if asked else "the answers that the feeds had logged by then")
    ]


def _unpriced(store: Reader, stored: Stored) -> list[str]:
    """A note for each reserve that is left out because the oracle has no price for it, or no log tells one."""
    rows = store.rows(
        "SELECT r.symbol, r.price_source, count(p.account) FROM raw_aave_reserves AS r "
        "LEFT JOIN raw_aave_balances AS p ON p.market = r.market AND p.asset = r.asset AND p.valid_from <= r.block "
        "AND (p.valid_to IS NULL OR p.valid_to > r.block) "
        "WHERE r.market = ? AND r.block = ? AND r.price_raw IS NULL GROUP BY r.asset ORDER BY r.reserve_id",
        (stored.snapshot.market, stored.snapshot.block),
    )
    nobody = "No log tells the oracle's price of" if _mode(store, stored) == REPLAYED else "The oracle has no price of"
    return [
        f"{nobody} {symbol} (feed {source}): it is in no total. No account owes it or has "
        f"it as collateral; {holders} accounts have supplied it" + (" without enabling it" if holders else "")
        for symbol, source, holders in rows
    ]


def _require_believable(store: Reader, stored: Stored, market: Market) -> list[str]:
    """Refuse a book with much debt below health factor 1 that the pool did not confirm; else return notes."""
    owed = np.zeros(market.n_accounts)
    entries = np.repeat(np.arange(market.n_accounts), np.diff(market.debt.indptr))
    np.add.at(owed, entries, market.debt.amount * market.price[market.debt.reserve])
    below = np.flatnonzero((health_factor(market) < 1.0) & (owed > 0))
    share = float(owed[below].sum() / owed.sum()) if len(below) else 0.0
    if share <= MAX_SHARE_BELOW_ONE:
        return []
    confirmed = {
        account
        for account, raw in store.rows(
            "SELECT account, health_factor_raw FROM raw_aave_account_data WHERE market = ? AND block = ?",
            (stored.snapshot.market, stored.snapshot.block),
        )
        if int(raw) < units.WAD
    }
    doubtful = [str(market.accounts[row]) for row in below if str(market.accounts[row]) not in confirmed]
    if doubtful and stored.below_one_confirmed < len(below):
        if _mode(store, stored) == REPLAYED:
            # No balance and no term was read here, so none was misread; a node without old state cannot confirm it.
            return [
                f"{share:.2%} of the debt ({len(below)} accounts) is below health factor 1, by the logs; the pool "
                f"itself was not asked about {len(doubtful)} of them"
            ]
        raise SnapshotRefused(
            f"{stored.label}: {share:.2%} of the debt ({len(below)} accounts) is below health factor 1, at most "
            f"{MAX_SHARE_BELOW_ONE:.1%} is believable; getUserAccountData confirmed none of {len(doubtful)} of them, "
            f"the first is {doubtful[0]}. A price, an e-mode or a threshold is likely wrong; "
            + _AGAIN.format(block=stored.snapshot.block)
        )
    return [
        f"{share:.2%} of the debt ({len(below)} accounts) is below health factor 1; the pool's getUserAccountData "
        "confirmed each of them"
    ]


def _columns(store: Reader, table: str, names: tuple[str, ...], stored: Stored, order: str) -> Columns:
    rows = store.rows(
        f"SELECT {', '.join(names)} FROM {table} WHERE {WHERE[table]} ORDER BY {order}",
        (stored.snapshot.market, stored.snapshot.block),
    )
    # One list for each column: four times faster than zip(*rows), which makes an iterator for every row.
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}
