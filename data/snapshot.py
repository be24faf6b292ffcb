"""Snapshots in and out: `save_snapshot` writes one whole, `load_market` gives one back, or a clear refusal.

Stored raw integers became floats once, when the snapshot was written (`supply`, `debt`: the correctly rounded
quotient); the text beside them stays the source of truth.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data import settings
from data.errors import NoSnapshot, SnapshotIncomplete, SnapshotRefused
from data.identity import snapshot_hash
from data.store import Store, WriteReport
from risk_core import EModes, InputError, Market, Positions, Reserves, Snapshot, health_factor, units

if TYPE_CHECKING:
    import pandas as pd

MAX_SHARE_BELOW_ONE = 0.005
"""Share of the debt below health factor 1 that passes without the chain's own word for it. Liquidators leave less."""

PARTS = {
    "raw_aave_reserves": "n_reserves",
    "raw_aave_emodes": "n_emodes",
    "raw_aave_user_accounts": "n_accounts",
    "stg_positions": "n_positions",
}
"""Tables of a snapshot, and the column of `fact_snapshot` that states how many rows each must have."""

_RESERVE = (
    "reserve_id", "symbol", "asset", "decimals", "ltv_bps", "liquidation_threshold_bps", "liquidation_bonus_bps",
    "liquidation_protocol_fee_bps", "is_active", "is_paused", "grace_until", "price_raw",
)  # fmt: skip
_EMODE = (
    "emode_id", "label", "ltv_bps", "liquidation_threshold_bps", "liquidation_bonus_bps", "collateral_bitmap",
    "borrowable_bitmap", "ltvzero_bitmap", "isolated",
)  # fmt: skip
_ACCOUNT = ("account", "emode_id")
_POSITION = ("account", "reserve_id", "is_collateral", "supply", "debt")
_TEXT = {
    "symbol", "asset", "price_raw", "label", "collateral_bitmap", "borrowable_bitmap", "ltvzero_bitmap", "account",
    "supply", "debt",
}  # fmt: skip
"""Columns that are taken as they come; the others are integers, which a frame may hold as text."""
_HEAD = ("market", "block", "chain_id", "block_time", "pool_revision", "is_synthetic", "snapshot_hash")
_AGAIN = "run `python -m flows aave-market --block {block}` again (or `python -m data.sample` for the sample)"

Columns = Mapping[str, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Stored:
    """One row of `fact_snapshot`: identity, expected counts, and what the chain confirmed."""

    snapshot: Snapshot
    expected: dict[str, int]
    below_one_confirmed: int

    @property
    def label(self) -> str:
        return f"{self.snapshot.market} at block {self.snapshot.block}"


def load_market(
    block: int | None = None,
    market: str | None = None,
    db: Path | str | None = None,
    max_age: timedelta | None = None,
    *,
    verify: bool = False,
) -> Market:
    """The newest complete snapshot, or that of one `block`, as the engine takes it.

    `market`: name, None prefers `AAVE_MARKET`, then any live market, then the sample. `db`: file, None is `RISK_DB`.
    `max_age`: refuse an older snapshot. `verify`: recompute the content's digest too. Accounts come in the order of
    their addresses, reserves in the order of their ids. Warnings that a screen must show are in `notes`.

    Raises `NoSnapshot`; `SnapshotIncomplete` when rows are missing; `SnapshotRefused` when more than 0.5 % of the debt
    is below health factor 1 and the chain did not confirm it, or the age is above `max_age`; `WarehouseError`.
    """
    with Store.open(db, readonly=True) as store:
        stored, notes = _choose(store, market, block)
        if max_age is not None:
            _require_young(stored, max_age)
        found = _build(
            stored.snapshot,
            _columns(store, "raw_aave_reserves", _RESERVE, stored, "reserve_id"),
            _columns(store, "raw_aave_emodes", _EMODE, stored, "emode_id"),
            _columns(store, "raw_aave_user_accounts", _ACCOUNT, stored, "account"),
            _columns(store, "stg_positions", _POSITION, stored, "account, asset"),
        )
        note = _require_believable(store, stored, found)
    if verify:
        digest = snapshot_hash(found)
        if digest != stored.snapshot.hash:
            raise SnapshotRefused(
                f"{stored.label}: the stored rows have digest {digest[:16]}, fact_snapshot says "
                f"{stored.snapshot.hash[:16]}: rows were changed after they were written; "
                + _AGAIN.format(block=stored.snapshot.block)
            )
    return replace(found, notes=(*notes, *note))


def newest(market: str | None = None, db: Path | str | None = None) -> Snapshot:
    """Identity of the snapshot that `load_market` would load. Raises `NoSnapshot`, `SnapshotIncomplete`."""
    with Store.open(db, readonly=True) as store:
        return _choose(store, market, None)[0].snapshot


def available(db: Path | str | None = None) -> list[Snapshot]:
    """Every stored snapshot, complete or not, newest first; the sample last."""
    with Store.open(db, readonly=True) as store:
        return [stored.snapshot for stored in _stored(store, None, None)]


def save_snapshot(
    store: Store,
    source: str,
    frames: Mapping[str, pd.DataFrame],
    run_id: str | None = None,
    *,
    payload_sha256: str | None = None,
) -> WriteReport:
    """Write one whole snapshot in one transaction, replacing whatever was stored for its market and block.

    `frames`: the four tables of `PARTS` and one row of `fact_snapshot`, in which the counts and `snapshot_hash` are
    filled in here, as are `supply` and `debt` of `stg_positions` where they are left out. Other tables (such as
    `ingest_checkpoint`) may come along. Every bad row refuses all of it. Raises `BatchRefused`.
    """
    frames = {name: frame.reset_index(drop=True) for name, frame in frames.items()}
    head = frames["fact_snapshot"]
    if len(head) != 1:
        raise ValueError(f"save_snapshot: expected one row of fact_snapshot, found {len(head)}")
    frames["stg_positions"] = _with_tokens(frames["stg_positions"], frames["raw_aave_reserves"])
    counts = {count: len(frames[table]) for table, count in PARTS.items()}
    head = head.assign(**counts, snapshot_hash="0" * 64)
    try:
        digest = snapshot_hash(_from_frames(frames | {"fact_snapshot": head}))
    except (InputError, SnapshotIncomplete, KeyError, TypeError, ValueError, OverflowError) as error:
        unsound: Exception | None = error
        head = head.assign(snapshot_hash="")  # no digest, so the schema refuses the batch and keeps what is wrong
    else:
        unsound = None
        head = head.assign(snapshot_hash=digest)
    scope = {"market": head["market"].iloc[0], "block": _plain(head["block"].iloc[0])}
    key = f"{scope['market']}:{scope['block']}"
    try:
        return store.write_batch(
            source, key, {**frames, "fact_snapshot": head}, run_id, payload_sha256=payload_sha256, scope=scope
        )
    except Exception as error:
        if unsound is not None:
            error.add_note(f"the snapshot cannot be built from its rows: {unsound}")
        raise


# Choosing


def _stored(store: Store, market: str | None, block: int | None) -> list[Stored]:
    where, params = "1", []
    if market is not None:
        where, params = where + " AND market = ?", [*params, market]
    if block is not None:
        where, params = where + " AND block = ?", [*params, block]
    rows = store.rows(
        f"SELECT {', '.join(_HEAD)}, {', '.join(PARTS.values())}, below_one_confirmed FROM fact_snapshot "
        f"WHERE {where} ORDER BY market = ? DESC, is_synthetic, block_time DESC, block DESC",
        [*params, settings.aave_market()],
    )
    return [
        Stored(
            Snapshot(
                market=row[0], block=row[1], chain_id=row[2], block_time=row[3], revision=row[4],
                synthetic=bool(row[5]), hash=row[6],
            ),
            dict(zip(PARTS, row[7:11], strict=True)),
            row[11],
        )
        for row in rows
    ]  # fmt: skip


def _choose(store: Store, market: str | None, block: int | None) -> tuple[Stored, list[str]]:
    """The snapshot to load, and a note for each newer one that is incomplete."""
    candidates = _stored(store, market, block)
    if not candidates:
        have = ", ".join(stored.label for stored in _stored(store, None, None)[:5]) or "none"
        wanted = f"{market or 'any market'}" + (f" at block {block}" if block is not None else "")
        raise NoSnapshot(
            f"{store.path}: holds no snapshot of {wanted}; stored: {have}. Run `python -m flows aave-market`, or "
            "`python -m data.sample` for the built-in sample"
        )
    # Never fall from one market to another: an incomplete live snapshot must not turn into the sample.
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


def _missing(store: Store, stored: Stored) -> str:
    """What keeps a stored snapshot from being whole, empty when it is."""
    at = (stored.snapshot.market, stored.snapshot.block)
    faults = []
    for table, expected in stored.expected.items():
        count = store.rows(f"SELECT count(*) FROM {table} WHERE market = ? AND block = ?", at)[0][0]
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


def _require_believable(store: Store, stored: Stored, market: Market) -> list[str]:
    """Refuse a book with much debt below health factor 1 that the chain did not confirm; else notes."""
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
            "SELECT account, health_factor_raw FROM raw_aave_user_accounts "
            "WHERE market = ? AND block = ? AND health_factor_raw IS NOT NULL",
            (stored.snapshot.market, stored.snapshot.block),
        )
        if int(raw) < units.WAD
    }
    doubtful = [str(market.accounts[row]) for row in below if str(market.accounts[row]) not in confirmed]
    if doubtful and stored.below_one_confirmed < len(below):
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


# Building


def _columns(store: Store, table: str, names: tuple[str, ...], stored: Stored, order: str) -> Columns:
    rows = store.rows(
        f"SELECT {', '.join(names)} FROM {table} WHERE market = ? AND block = ? ORDER BY {order}",
        (stored.snapshot.market, stored.snapshot.block),
    )
    return dict(zip(names, zip(*rows, strict=True) if rows else ((),) * len(names), strict=True))


def _build(snapshot: Snapshot, reserve: Columns, emode: Columns, account: Columns, position: Columns) -> Market:
    """A market from columns of plain values; reserves sorted by id, accounts by address."""
    label = f"{snapshot.market} at block {snapshot.block}"
    row_of_account = {address: row for row, address in enumerate(account["account"])}
    row_of_reserve = {number: row for row, number in enumerate(reserve["reserve_id"])}
    row_of_emode = {0: -1} | {number: row for row, number in enumerate(emode["emode_id"])}
    who = _rows_of(position["account"], row_of_account, f"{label}: stg_positions has account", "raw_aave_user_accounts")
    what = _rows_of(position["reserve_id"], row_of_reserve, f"{label}: stg_positions has reserve", "raw_aave_reserves")
    mode = _rows_of(account["emode_id"], row_of_emode, f"{label}: an account is in e-mode", "raw_aave_emodes")
    supply = np.array(position["supply"], dtype=np.float64)
    enabled = np.array(position["is_collateral"], dtype=np.int64) == 1
    n = len(row_of_account)
    return Market(
        reserves=Reserves(
            id=reserve["reserve_id"],
            symbol=tuple(reserve["symbol"]),
            asset=tuple(reserve["asset"]),
            decimals=reserve["decimals"],
            ltv=_fractions(reserve["ltv_bps"]),
            liquidation_threshold=_fractions(reserve["liquidation_threshold_bps"]),
            liquidation_bonus=[units.bonus(bps) for bps in reserve["liquidation_bonus_bps"]],
            protocol_fee=_fractions(reserve["liquidation_protocol_fee_bps"]),
            active=[flag == 1 for flag in reserve["is_active"]],
            paused=[flag == 1 for flag in reserve["is_paused"]],
            grace_until=reserve["grace_until"],
        ),
        emodes=EModes(
            id=emode["emode_id"],
            label=tuple(emode["label"]),
            ltv=_fractions(emode["ltv_bps"]),
            liquidation_threshold=_fractions(emode["liquidation_threshold_bps"]),
            liquidation_bonus=[units.bonus(bps) for bps in emode["liquidation_bonus_bps"]],
            collateral=_spread(emode["collateral_bitmap"], reserve["reserve_id"]),
            borrowable=_spread(emode["borrowable_bitmap"], reserve["reserve_id"]),
            ltvzero=_spread(emode["ltvzero_bitmap"], reserve["reserve_id"]),
            isolated=[flag == 1 for flag in emode["isolated"]],
        ),
        accounts=account["account"] or np.empty(0, dtype="U42"),
        emode=mode,
        # Flags decide, not balances: what is supplied but not enabled backs nothing and cannot be seized.
        collateral=Positions.from_entries(who[enabled], what[enabled], supply[enabled], n),
        debt=Positions.from_entries(who, what, position["debt"], n),
        price=[units.price_usd(raw) for raw in reserve["price_raw"]],
        snapshot=snapshot,
    )


def _rows_of(values: Sequence[Any], row_of: Mapping[Any, int], what: str, table: str) -> np.ndarray:
    try:
        return np.fromiter((row_of[value] for value in values), dtype=np.int64, count=len(values))
    except KeyError as error:
        raise SnapshotIncomplete(f"{what} {error.args[0]}, which {table} lacks") from None


def _fractions(bps: Sequence[int]) -> list[float]:
    return [units.fraction(value) for value in bps]


def _spread(bitmaps: Sequence[str], ids: Sequence[int]) -> list[list[bool]]:
    """Bit i of a bitmap is the reserve with id i, whatever its place in the list."""
    return [[bool(int(bitmap) >> number & 1) for number in ids] for bitmap in bitmaps]


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _with_tokens(positions: pd.DataFrame, reserves: pd.DataFrame) -> pd.DataFrame:
    """Fill in `supply` and `debt` (tokens) where a frame leaves them out."""
    missing = [name for name in ("supply", "debt") if name not in positions.columns]
    if not missing or not {"reserve_id", "decimals"} <= set(reserves.columns):
        return positions
    try:
        known = dict(zip(_as_int(reserves["reserve_id"]), _as_int(reserves["decimals"]), strict=True))
        decimals = _as_int(positions["reserve_id"]).map(known)
        return positions.assign(**{name: units.token_amounts(positions[f"{name}_raw"], decimals) for name in missing})
    except (KeyError, TypeError, ValueError):
        return positions.assign(**dict.fromkeys(missing, 0.0))  # a bad raw amount: its own check refuses the batch


def _from_frames(frames: Mapping[str, pd.DataFrame]) -> Market:
    """The market that reading these rows back will give."""
    head = {name: _plain(frames["fact_snapshot"][name].iloc[0]) for name in _HEAD}
    snapshot = Snapshot(
        market=head["market"], chain_id=int(head["chain_id"]), block=int(head["block"]),
        block_time=int(head["block_time"]), revision=int(head["pool_revision"]), synthetic=bool(head["is_synthetic"]),
    )  # fmt: skip
    reserves = frames["raw_aave_reserves"].sort_values("reserve_id", key=_as_int)
    emodes = frames["raw_aave_emodes"].sort_values("emode_id", key=_as_int)
    accounts = frames["raw_aave_user_accounts"].sort_values("account")
    return _build(
        snapshot,
        _taken(reserves, _RESERVE),
        _taken(emodes, _EMODE),
        _taken(accounts, _ACCOUNT),
        _taken(frames["stg_positions"], _POSITION),
    )


def _as_int(series: pd.Series) -> pd.Series:
    return series.astype("int64")


def _taken(frame: pd.DataFrame, names: tuple[str, ...]) -> Columns:
    return {
        name: tuple(frame[name].tolist() if name in _TEXT else (int(value) for value in frame[name].tolist()))
        for name in names
    }
