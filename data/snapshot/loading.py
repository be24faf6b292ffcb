"""Load snapshots from the warehouse: `load_market` returns a whole one, or raises a clear error.

Balances are stored scaled, when they change. Their amounts in tokens at a block are computed exactly, from the indices
of that block, and become floats once, correctly rounded (`data.amounts`).
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np

from data import amounts
from data.amounts import Columns
from data.errors import NoSnapshot, SnapshotIncomplete, SnapshotRefused
from data.snapshot import bulk
from data.snapshot.building import BALANCE, EMODE, INDICES, RESERVE, STATE, build, of_arrays
from data.snapshot.bulk import Held
from data.snapshot.choosing import AGAIN, Stored, choose, columns_of, missing_of, stored_snapshots
from data.snapshot.identity import snapshot_hash
from data.store.reader import Reader
from risk_core import InputError, Market, Snapshot, UnknownRevision, health_factor, units
from risk_core.interest import normalized_income, supply_balance

MAX_SHARE_BELOW_ONE = 0.005
"""Largest share of the debt below health factor 1 that needs no confirmation by the pool; liquidators leave less."""

REPLAYED = "replayed"
"""`fact_snapshot.read_mode` of a snapshot that was made from logs."""


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
        read: dict[str, Held | None] = {}

        def counted(candidate: Stored) -> dict[str, int]:
            held = bulk.held_at(store, candidate.snapshot.market, candidate.snapshot.block)
            read[candidate.label] = held
            return held.counts if held else {}

        stored, notes = choose(store, market, block, counted)
        if max_age is not None:
            _require_young(stored, max_age)
        found = _built(store, stored, read[stored.label])
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
                + AGAIN.format(block=stored.snapshot.block)
            )
    return replace(found, notes=(*notes, *note))


def _built(store: Reader, stored: Stored, held: Held | None) -> Market:
    """The market of stored rows; `held`: its accounts, where they were read at once.

    Raises `SnapshotRefused` where a stored value is not valid.
    """
    reserve = columns_of(store, "raw_aave_reserves", (*RESERVE, *INDICES), stored, "reserve_id")
    emode = columns_of(store, "raw_aave_emodes", EMODE, stored, "emode_id")
    try:
        terms = amounts.terms(reserve, stored.snapshot.block_time)
        arrays = None if held is None else bulk.arrays_of(held, reserve, emode, terms)
        if arrays is not None:
            return of_arrays(stored.snapshot, reserve, emode, arrays)
        state = columns_of(store, "raw_aave_account_states", STATE, stored, "account")
        balance = columns_of(store, "raw_aave_balances", BALANCE, stored, "account, asset")
        _require_reserves(stored, reserve, balance)
        position = amounts.positions(state, balance, terms)
        return build(stored.snapshot, reserve, emode, state, position)
    except UnknownRevision:
        raise
    except (InputError, KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise SnapshotRefused(
            f"{stored.label}: the stored rows are damaged ({type(error).__name__}: {error}); "
            + AGAIN.format(block=stored.snapshot.block)
        ) from error


def _require_reserves(stored: Stored, reserve: Columns, balance: Columns) -> None:
    if unknown := set(balance["reserve_id"]) - set(reserve["reserve_id"]):
        raise SnapshotIncomplete(
            f"{stored.label}: raw_aave_balances has reserve {min(unknown)}, which raw_aave_reserves lacks"
        )


def newest(market: str | None = None, db: Path | str | None = None) -> Snapshot:
    """Identity of the snapshot that `load_market` would load. Raises `NoSnapshot`, `SnapshotIncomplete`."""
    with Reader.open(db) as store, store.one_state():
        return choose(store, market, None)[0].snapshot


def available(db: Path | str | None = None) -> list[Snapshot]:
    """Every stored snapshot that the engine can load, complete or not, newest first; the sample last."""
    with Reader.open(db) as store:
        return [stored.snapshot for stored in stored_snapshots(store, None, None)]


def positions_at(store: Reader, market: str, block: int) -> Columns:
    """What each account holds in each reserve at a stored block; see `data.amounts.positions` for the columns.

    Supplies that are not enabled as collateral are among them, which `load_market` leaves out. Raises `NoSnapshot`.
    """
    stored = stored_snapshots(store, market, block)
    if not stored:
        raise NoSnapshot(f"{store.path}: holds no snapshot of {market} at block {block} that the engine can load")
    reserve = columns_of(store, "raw_aave_reserves", (*RESERVE, *INDICES), stored[0], "reserve_id")
    return amounts.positions(
        columns_of(store, "raw_aave_account_states", STATE, stored[0], "account"),
        columns_of(store, "raw_aave_balances", BALANCE, stored[0], "account, asset"),
        amounts.terms(reserve, stored[0].snapshot.block_time),
    )


def missing_rows(store: Reader, market: str, block: int) -> str:
    """Which rows a stored snapshot lacks ("raw_aave_balances has 3 rows, expected 4"), "" when it is complete.

    Raises `NoSnapshot` where none is stored for that market and block.
    """
    stored = stored_snapshots(store, market, block, "1")
    if not stored:
        raise NoSnapshot(f"{store.path}: holds no snapshot of {market} at block {block}")
    return missing_of(store, stored[0])


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
            + AGAIN.format(block=stored.snapshot.block)
        )
    return [
        f"{share:.2%} of the debt ({len(below)} accounts) is below health factor 1; the pool's getUserAccountData "
        "confirmed each of them"
    ]
