"""Books from logs beside what is stored of the same block: any difference stops the flow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows.aave.account_columns import AccountColumns
from flows.aave.contracts import NO_CONTRACT
from flows.aave.history import HistoryError
from flows.aave.rows import to_frames

if TYPE_CHECKING:
    from data.store.store import Store
    from flows.aave.rows import MarketState

OPEN = frozenset({"payload_sha256", "price_description", "price_cap_raw", "ratio_cap", "ratio_of", "linked_to",
                  "price_is_fixed", "market", "block"})  # fmt: skip
"""Columns of a reserve that say how a price was made or read."""
MAY_LACK = frozenset({"price_raw", "price_source", "optimal_usage_ratio", "base_rate", "slope1", "slope2"})
"""Columns that one of the two sides may not know."""


def is_stored(store: Store, state: MarketState) -> bool:
    """Whether the snapshot of this block is stored, compared value by value.

    False where there is none, and where the stored one is of a block that the chain has replaced: it is written anew.
    Raises `HistoryError` at the first difference: block, account, token, both values.
    """
    at = (state.market, state.block.number)
    found = store.rows(
        "SELECT block_hash, coalesce(read_mode, 'full'), block_time, pool_revision FROM fact_snapshot "
        "WHERE market = ? AND block = ?",
        at,
    )
    if not found or found[0][0] != state.block.hash:
        return False
    _, mode, time, revision = found[0]
    for name, stored, ours in (
        ("block time", time, state.block.time), ("POOL_REVISION", revision, state.contracts.revision)
    ):  # fmt: skip
        if stored != ours:
            _stop(state, mode, name, stored, ours)
    _compare_accounts(store, state, mode)
    _compare_table(store, state, mode, "raw_aave_reserves", "asset", OPEN)
    _compare_table(store, state, mode, "raw_aave_emodes", "emode_id", frozenset({"label", "market", "block"}))
    return True


def _compare_accounts(store: Store, state: MarketState, mode: str) -> None:
    stored = AccountColumns.stored(store, state.market, state.block.number)
    theirs = {account.address: account for account in stored.accounts()}
    ours = {account.address: account for account in state.accounts if mode != "borrowers" or account.debt}
    tokens = {r.id: {"supply": f"{r.atoken} ({r.symbol})", "debt": f"{r.vtoken} ({r.symbol})"} for r in state.reserves}
    for address in sorted(theirs.keys() | ours.keys()):
        one, other = theirs.get(address), ours.get(address)
        for side in ("supply", "debt"):
            said, given = (getattr(account, side) if account else {} for account in (one, other))
            for number in sorted(said.keys() | given.keys()):
                if said.get(number, 0) != given.get(number, 0):
                    token = tokens[number][side] if number in tokens else f"of reserve {number}"
                    what = f"scaled balance of account {address} in token {token}"
                    _stop(state, mode, what, said.get(number, 0), given.get(number, 0))
        for name in ("flags", "emode"):
            said, given = (getattr(account, name) if account else 0 for account in (one, other))
            if said != given:
                _stop(state, mode, f"{name} of account {address}", said, given)


def _compare_table(store: Store, state: MarketState, mode: str, table: str, key: str, left_out: frozenset[str]) -> None:
    frame = to_frames(state)[table]
    names = [name for name in frame.columns if name not in left_out]
    ours = {row[key]: row for row in frame.astype("object").where(frame.notna(), None).to_dict("records")}
    rows = store.rows(
        f"SELECT {', '.join(names)} FROM {table} WHERE market = ? AND block = ?", (state.market, state.block.number)
    )
    theirs: dict[Any, dict[str, Any]] = {row[names.index(key)]: dict(zip(names, row, strict=True)) for row in rows}
    if sorted(theirs) != sorted(ours):
        _stop(state, mode, f"{table}.{key}", sorted(theirs), sorted(ours))
    for one, row in ours.items():
        for name in names:
            said, given = theirs[one][name], row[name]
            if said == given or (name in MAY_LACK and {said, given} & {None, NO_CONTRACT}):
                continue
            _stop(state, mode, f"{name} of {table} {one}", said, given)


def _stop(state: MarketState, mode: str, what: str, stored: object, ours: object) -> None:
    raise HistoryError(
        f"{state.market} at block {state.block.number}: {what}: the stored snapshot ({mode}) says {stored}, the logs "
        f"give {ours}. One of the two is wrong; nothing was written. `aave-market --block {state.block.number}` on an "
        "archive node says which"
    )
