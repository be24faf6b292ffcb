"""Build a `Market` from rows, the same way for stored rows and for rows that are about to be written."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from data import amounts
from data.amounts import Columns
from data.errors import SnapshotIncomplete
from risk_core import EModes, InputError, Market, Positions, Reserves, Snapshot, units
from risk_core.types import require_rules

if TYPE_CHECKING:
    import pandas as pd

    from data.snapshot.untouched import Untouched

HEAD = ("market", "block", "chain_id", "block_time", "pool_revision", "is_synthetic", "snapshot_hash")
ORACLE = ("price_cap_raw", "ratio_cap", "ratio_of", "linked_to", "price_is_fixed")
"""Columns of the oracle's model; None where there is no model, and in rows older than these columns."""
RESERVE = (
    "reserve_id", "symbol", "asset", "decimals", "ltv_bps", "liquidation_threshold_bps", "liquidation_bonus_bps",
    "liquidation_protocol_fee_bps", "is_active", "is_paused", "grace_until", "price_raw", *ORACLE,
)  # fmt: skip
EMODE = (
    "emode_id", "label", "ltv_bps", "liquidation_threshold_bps", "liquidation_bonus_bps", "collateral_bitmap",
    "borrowable_bitmap", "ltvzero_bitmap", "isolated",
)  # fmt: skip
ACCOUNT = ("account", "emode_id")
POSITION = ("account", "reserve_id", "is_collateral", "supply", "debt")
INDICES = (
    "liquidity_index",
    "liquidity_rate",
    "variable_borrow_index",
    "variable_borrow_rate",
    "last_update_timestamp",
)
STATE = ("account", "emode_id", "config_bitmap")
BALANCE = ("account", "reserve_id", "scaled_supply", "scaled_debt", "stable_debt")
_NUMBERS = {
    "reserve_id", "decimals", "ltv_bps", "liquidation_threshold_bps", "liquidation_bonus_bps", "is_active", "is_paused",
    "liquidation_protocol_fee_bps", "grace_until", "emode_id", "isolated", "last_update_timestamp",
}  # fmt: skip
"""Columns of integers, which a frame may hold as text; other columns are used as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionArrays:
    """Accounts and what they hold, as arrays.

    `accounts`: addresses, rising. `mode`: row of each one's e-mode, -1 for none. One entry for each position: `who` is
    the row of the account, `what` that of the reserve, `enabled` whether the supply is collateral; `supply` and `debt`
    are in tokens.
    """

    accounts: np.ndarray
    mode: np.ndarray
    who: np.ndarray
    what: np.ndarray
    enabled: np.ndarray
    supply: np.ndarray
    debt: np.ndarray


def build(snapshot: Snapshot, reserve: Columns, emode: Columns, account: Columns, position: Columns) -> Market:
    """A market from columns of plain values; reserves sorted by id, accounts by address.

    A reserve without an oracle price (`price_raw` empty) is left out. Raises `UnknownRevision`; `InputError` where an
    account owes such a reserve or has it as collateral, and for a flag other than 0 and 1.
    """
    label = _checked_terms(snapshot, reserve, emode)
    reserve, position = _with_prices(label, reserve, position)
    row_of_account = {address: row for row, address in enumerate(account["account"])}
    row_of_reserve = {number: row for row, number in enumerate(reserve["reserve_id"])}
    row_of_emode = {0: -1} | {number: row for row, number in enumerate(emode["emode_id"])}
    who = _rows_of(
        position["account"], row_of_account, f"{label}: raw_aave_balances has account", "raw_aave_account_states"
    )
    what = _rows_of(
        position["reserve_id"], row_of_reserve, f"{label}: raw_aave_balances has reserve", "raw_aave_reserves"
    )
    mode = _rows_of(account["emode_id"], row_of_emode, f"{label}: an account is in e-mode", "raw_aave_emodes")
    arrays = PositionArrays(
        accounts=np.array(account["account"]) if account["account"] else np.empty(0, dtype="U42"),
        mode=mode,
        who=who,
        what=what,
        enabled=np.array(position["is_collateral"], dtype=np.int64) == 1,
        supply=np.array(position["supply"], dtype=np.float64),
        debt=np.array(position["debt"], dtype=np.float64),
    )
    return _market(snapshot, reserve, emode, arrays)


def of_arrays(snapshot: Snapshot, reserve: Columns, emode: Columns, arrays: PositionArrays) -> Market:
    """`build` from accounts as arrays, where every reserve has an oracle price. Raises as `build`."""
    _checked_terms(snapshot, reserve, emode)
    return _market(snapshot, reserve, emode, arrays)


def _checked_terms(snapshot: Snapshot, reserve: Columns, emode: Columns) -> str:
    """Market and block, for messages, once the rules and the flags are known ones."""
    require_rules(snapshot.revision)  # a stored snapshot must be one that can be simulated
    label = f"{snapshot.market} at block {snapshot.block}"
    _require_flags(label, "raw_aave_reserves", "symbol", reserve, ("is_active", "is_paused", "price_is_fixed"))
    _require_flags(label, "raw_aave_emodes", "emode_id", emode, ("isolated",))
    return label


def _market(snapshot: Snapshot, reserve: Columns, emode: Columns, arrays: PositionArrays) -> Market:
    n, enabled = len(arrays.accounts), arrays.enabled
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
            active=[bool(flag) for flag in reserve["is_active"]],
            paused=[bool(flag) for flag in reserve["is_paused"]],
            grace_until=reserve["grace_until"],
            **_oracle_models(reserve),
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
            isolated=[bool(flag) for flag in emode["isolated"]],
        ),
        accounts=arrays.accounts,
        emode=arrays.mode,
        # The flags decide: a supply that is not enabled backs no debt and cannot be seized.
        collateral=Positions.from_entries(arrays.who[enabled], arrays.what[enabled], arrays.supply[enabled], n),
        debt=Positions.from_entries(arrays.who, arrays.what, arrays.debt, n),
        price=[units.price_usd(raw) for raw in reserve["price_raw"]],
        snapshot=snapshot,
    )


def _oracle_models(reserve: Columns) -> dict[str, Any]:
    """The oracle's part of `Reserves`. Raises `InputError` for an asset that the market does not have."""
    row_of_asset = {asset: row for row, asset in enumerate(reserve["asset"])}

    def rows(name: str) -> list[int]:
        unknown = [asset for asset in reserve[name] if asset is not None and asset not in row_of_asset]
        if unknown:
            raise InputError(f"raw_aave_reserves.{name}: expected an asset of this market, found {unknown[0]}")
        return [-1 if asset is None else row_of_asset[asset] for asset in reserve[name]]

    return {
        "price_cap": [np.inf if raw is None else units.price_usd(raw) for raw in reserve["price_cap_raw"]],
        "ratio_cap": [np.inf if raw is None else int(raw) / units.RAY for raw in reserve["ratio_cap"]],
        "ratio_of": rows("ratio_of"),
        "linked_to": rows("linked_to"),
        "fixed_price": [bool(flag) for flag in reserve["price_is_fixed"]],
    }


def _require_flags(label: str, table: str, of: str, columns: Columns, names: Sequence[str]) -> None:
    for name in names:
        legal = {0, 1, None} if name == "price_is_fixed" else {0, 1}
        if not set(columns[name]) <= legal:
            at, odd = next((at, flag) for at, flag in enumerate(columns[name]) if flag not in legal)
            raise InputError(f"{label}: {table}.{name} of {columns[of][at]} is {odd!r}; a flag is 0 or 1")


def _with_prices(label: str, reserve: Columns, position: Columns) -> tuple[Columns, Columns]:
    """The reserves that have a price, and the positions in them."""
    unpriced = {
        number: symbol
        for number, symbol, raw in zip(reserve["reserve_id"], reserve["symbol"], reserve["price_raw"], strict=True)
        if not isinstance(raw, str | int)  # None, or NaN from a frame
    }
    if not unpriced:
        return reserve, position
    rows = zip(*(position[name] for name in ("account", "reserve_id", "is_collateral", "supply", "debt")), strict=True)
    held = [
        (who, what)
        for who, what, enabled, supply, debt in rows
        if what in unpriced and (float(debt) > 0 or (enabled and float(supply) > 0))
    ]
    if held:
        who, what = held[0]
        raise InputError(
            f"{label}: {unpriced[what]} has no oracle price, and account {who} owes it or has it as "
            f"collateral ({len(held)} positions in all)"
        )
    left = _without(reserve, unpriced)
    gone = {*reserve["asset"]} - {*left["asset"]}
    # Where the price was a ratio of, or a link to, a reserve that is left out, its own feed is used.
    links = {name: [None if asset in gone else asset for asset in left[name]] for name in ("ratio_of", "linked_to")}
    links["ratio_cap"] = [
        None if base is None else cap for base, cap in zip(links["ratio_of"], left["ratio_cap"], strict=True)
    ]
    return {**left, **links}, _without(position, unpriced)


def _without(columns: Columns, numbers: Collection[int]) -> Columns:
    kept = [row for row, number in enumerate(columns["reserve_id"]) if number not in numbers]
    return {name: [values[row] for row in kept] for name, values in columns.items()}


def _rows_of(values: Sequence[Any], row_of: Mapping[Any, int], what: str, table: str) -> np.ndarray:
    try:
        return np.fromiter(map(row_of.__getitem__, values), dtype=np.int64, count=len(values))
    except KeyError as error:
        raise SnapshotIncomplete(f"{what} {error.args[0]}, which {table} lacks") from None


def _fractions(bps: Sequence[int]) -> list[float]:
    return [units.fraction(value) for value in bps]


def _spread(bitmaps: Sequence[str], ids: Sequence[int]) -> list[list[bool]]:
    """Bitmaps as columns of bools: bit i is the reserve with id i, whatever its place in the list."""
    return [[bool(int(bitmap) >> number & 1) for number in ids] for bitmap in bitmaps]


def plain(value: Any) -> Any:
    """A numpy scalar as the Python value that SQLite understands."""
    return value.item() if isinstance(value, np.generic) else value


def from_frames(frames: Mapping[str, pd.DataFrame], untouched: Untouched | None = None) -> Market:
    """The market that loading these rows will return; `untouched`: the accounts that are not in them."""
    head = {name: plain(frames["fact_snapshot"][name].iloc[0]) for name in HEAD}
    snapshot = Snapshot(
        market=head["market"], chain_id=int(head["chain_id"]), block=int(head["block"]),
        block_time=int(head["block_time"]), revision=int(head["pool_revision"]), synthetic=bool(head["is_synthetic"]),
    )  # fmt: skip
    reserve = _taken(frames["raw_aave_reserves"].sort_values("reserve_id", key=_as_int), (*RESERVE, *INDICES))
    emodes = frames["raw_aave_emodes"].sort_values("emode_id", key=_as_int)
    state, balance = _taken(frames["raw_aave_account_states"], STATE), _taken(frames["raw_aave_balances"], BALANCE)
    position = amounts.positions(state, balance, amounts.terms(reserve, snapshot.block_time))
    account: Columns = {name: state[name] for name in ACCOUNT}
    if untouched is not None:
        account = {name: [*untouched.account[name], *account[name]] for name in ACCOUNT}
        position = {name: [*untouched.position[name], *position[name]] for name in POSITION}
    return build(snapshot, reserve, _taken(emodes, EMODE), _in_order(account, "account"), position)


def _in_order(columns: Columns, by: str) -> Columns:
    order = sorted(range(len(columns[by])), key=columns[by].__getitem__)
    return {name: [values[row] for row in order] for name, values in columns.items()}


def _as_int(series: pd.Series) -> pd.Series:
    return series.astype("int64")


def _taken(frame: pd.DataFrame, names: tuple[str, ...]) -> Columns:
    return {name: _values(frame, name) for name in names}


def _values(frame: pd.DataFrame, name: str) -> tuple[Any, ...]:
    if name in ORACLE:
        if name not in frame:
            return (None,) * len(frame)
        given = zip(frame[name].tolist(), frame[name].isna(), strict=True)
        return tuple(None if absent else int(value) if name == "price_is_fixed" else value for value, absent in given)
    if name == "stable_debt":
        return (
            tuple(frame[name].astype("object").where(frame[name].notna(), None))
            if name in frame
            else (None,) * len(frame)
        )
    values = frame[name].tolist()
    return tuple(map(int, values) if name in _NUMBERS else values)
