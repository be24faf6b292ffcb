"""From tables of positions to a `Market` and back: the only module of the engine that knows pandas.

>>> from risk_core import frames
>>> market = frames.market_from_frame(pandas.read_csv("positions.csv"), reserves)  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from risk_core.checks import checked_int, checked_kind
from risk_core.errors import InputError
from risk_core.identity import snapshot_hash
from risk_core.rows import Faults, Rows
from risk_core.tables import (
    ACCOUNTS,
    EMODES,
    NEEDED_OF_EMODES,
    POSITIONS,
    RESERVES,
    SIDES,
    PositionTable,
    ReserveTable,
    own_terms,
    read_accounts,
    read_emodes,
    require_terms,
)
from risk_core.types import Market, Positions, Snapshot

NO_REVISION = 0
"""Revision of a book that states none: its health factors can be computed, its liquidations cannot."""


class Frames(NamedTuple):
    """A market as tables; `market_from_frame(*frames)` gives the market again. The columns are those it reads."""

    positions: pd.DataFrame
    reserves: pd.DataFrame
    emodes: pd.DataFrame
    accounts: pd.DataFrame
    snapshot: Snapshot
    notes: tuple[str, ...]


def market_from_frame(
    positions: pd.DataFrame,
    reserves: pd.DataFrame | None = None,
    emodes: pd.DataFrame | None = None,
    accounts: pd.DataFrame | None = None,
    snapshot: Snapshot | None = None,
    notes: Sequence[str] = (),
    *,
    name: str = "own book",
    revision: int | None = None,
) -> Market:
    """A market from a table of positions.

    positions, one row for each account, reserve and side: `account` (text, compared without case), `symbol` (of a
    reserve, or its address), `side` ("supply" or "debt"), and `amount` (tokens) or `amount_usd` (USD), one of them in
    each row. Optional: `collateral` (False for a supply that backs nothing; True where there is no such column) and
    `liquidation_threshold` (fraction) of a supply, where it is not the reserve's: published books often have one
    average a user. Rows with an amount of zero are left out.

    reserves, in the order that the market has them: `symbol`; `price` (USD per token), which may be missing where all
    rows of the reserve are in USD; `liquidation_threshold`, which may be missing where every position states its own.
    Only liquidations need: `liquidation_bonus` (0.05 is 5 %, -1 none), and `protocol_fee` (0), `decimals` (18),
    `active` (True), `paused` (False), `grace_until` (0, UTC seconds). Neither uses: `ltv` (0), `asset` and `id` (made
    up where missing). The oracle model of `Reserves`: `price_cap`, `fixed_price` (False), `ratio_of` and `linked_to`
    (symbol or address of the other reserve), `ratio_cap`. None: the symbols of `positions`, in the order in which they
    appear.

    emodes, one row for each category and reserve: `emode` (number from 1), `symbol`, `liquidation_threshold`,
    `liquidation_bonus`; optional `label`, `ltv`, `isolated`, `collateral` (True), `borrowable` (True) and `ltvzero`
    (False). accounts: `account` and `emode` (0 or empty for none); may name accounts without positions.

    snapshot: where the figures are from. Without one the market is called `name`, with the digest of its content, and
    `revision` is the `POOL_REVISION` whose rules liquidate it (10 or 11). Health factors can be computed with any
    revision and without one; `liquidate`, `what_if`, `sweep` and `simulate` raise `UnknownRevision` without a known
    one. With a known one every reserve that backs a debt needs its `liquidation_bonus`.

    Thresholds that are neither the reserve's nor the e-mode's become categories of their own (`EModes`), so the engine
    treats an account with terms of its own as a group of its own.

    Raises `InputError` that lists the faults of all tables at once, each with the caller's row label and column.
    """
    faults = Faults()
    p = _rows("positions", positions, ("account", "symbol", "side"), POSITIONS, faults)
    r = None if reserves is None else _rows("reserves", reserves, ("symbol",), RESERVES, faults)
    e = None if emodes is None else _rows("emodes", emodes, NEEDED_OF_EMODES, EMODES, faults)
    a = None if accounts is None else _rows("accounts", accounts, ACCOUNTS, ACCOUNTS, faults)
    if not p.has("amount") and not p.has("amount_usd"):
        faults.add("positions: no column 'amount' (tokens) and none 'amount_usd' (USD); expected one of them, or both")
    faults.settle()
    at = _identity(snapshot, name, revision)

    named = p.texts("symbol", "the symbol or the address of a reserve")
    if r is None:
        symbols = list(dict.fromkeys(symbol for symbol in named if symbol is not None))
        r = Rows("reserves", range(len(symbols)), {"symbol": symbols}, faults)
        if not symbols:
            faults.add("reserves: a market has at least one reserve, and neither table names one")
    book = ReserveTable(r)
    stated = PositionTable(p, named, book)
    modes = read_emodes(e, book)
    who = read_accounts(a, stated, modes)
    require_terms(stated, book, at)
    faults.settle()

    table, price, categories, emode = book.build(stated), book.price_or_one(), modes.build(), who.emode
    categories, emode = own_terms(stated, who.row, table, categories, emode)
    amount = stated.tokens(price)
    n = len(who.names)
    sides = [
        Positions.from_entries(who.row[rows], stated.reserve[rows], amount[rows], n)
        for rows in (stated.backs, stated.is_debt)
    ]
    market = Market(
        reserves=table, emodes=categories, accounts=np.array(who.names, dtype=np.str_), emode=emode,
        collateral=sides[0], debt=sides[1], price=price, snapshot=at, notes=notes,  # type: ignore[arg-type]  # judged there
    )  # fmt: skip
    return market if snapshot is not None else replace(market, snapshot=replace(at, hash=snapshot_hash(market)))


def market_to_frames(market: Market) -> Frames:
    """The tables of a market; amounts in tokens, reserves named by symbol, or by address where that is not unique."""
    checked_kind("market", market, Market)
    reserves, emodes = market.reserves, market.emodes
    symbol = np.array(
        [
            s if s.strip() and reserves.symbol.count(s) == 1 else a
            for s, a in zip(reserves.symbol, reserves.asset, strict=True)
        ],
        dtype=object,
    )
    sides = []
    for side, entries in zip(SIDES, (market.collateral, market.debt), strict=True):
        owner = np.repeat(np.arange(market.n_accounts), np.diff(entries.indptr))
        sides.append(pd.DataFrame({
            "account": market.accounts[owner], "symbol": symbol[entries.reserve], "side": side,
            "amount": entries.amount, "collateral": side == "supply",
        }))  # fmt: skip
    columns = {name: getattr(reserves, name) for name in RESERVES if name != "price"}
    for name in ("ratio_of", "linked_to"):
        columns[name] = np.append(symbol, None)[columns[name]]  # -1 is none
    shape = (len(emodes), len(reserves))
    each = np.arange(shape[0]).repeat(shape[1])
    terms = {
        name: (values if values.ndim == 2 else np.repeat(values, shape[1]).reshape(shape)).reshape(-1)
        for name in ("liquidation_threshold", "liquidation_bonus")
        for values in (getattr(emodes, name),)
    }
    members = {name: getattr(emodes, name).reshape(-1) for name in ("collateral", "borrowable", "ltvzero")}
    return Frames(
        positions=pd.concat(sides, ignore_index=True),
        reserves=pd.DataFrame({"symbol": reserves.symbol, "price": market.price} | columns),
        emodes=pd.DataFrame({
            "emode": emodes.id[each], "label": np.array(emodes.label, dtype=object)[each], "ltv": emodes.ltv[each],
            "isolated": emodes.isolated[each], "symbol": np.tile(symbol, shape[0]), **terms, **members,
        }),
        accounts=pd.DataFrame({
            "account": market.accounts,
            "emode": np.append(emodes.id, 0)[market.emode],
        }),
        snapshot=market.snapshot, notes=market.notes,
    )  # fmt: skip


def _rows(name: str, frame: object, required: Sequence[str], known: Sequence[str], faults: Faults) -> Rows:
    """The cells of a frame: arrays where they are plain numbers, else lists with None for a missing cell."""
    if not isinstance(frame, pd.DataFrame):
        raise InputError(f"{name}: expected a pandas.DataFrame, found {type(frame).__name__}")
    if not frame.columns.is_unique:
        twice = sorted({str(column) for column in frame.columns[frame.columns.duplicated()]})
        raise InputError(f"{name}: columns that appear twice: {', '.join(twice)}; each may appear once")
    columns: dict[str, np.ndarray | list[object]] = {}
    for column in frame.columns:
        cells = frame[column]
        if isinstance(cells.dtype, np.dtype) and cells.dtype.kind in "iufb":
            columns[column] = cells.to_numpy()
        else:
            missing = cells.isna().to_numpy()
            columns[column] = [None if gone else cell for cell, gone in zip(cells.tolist(), missing, strict=True)]
    rows = Rows(name, frame.index.tolist(), columns, faults)
    rows.expect(required, known)
    return rows


def _identity(snapshot: Snapshot | None, name: str, revision: int | None) -> Snapshot:
    if snapshot is not None:
        if not isinstance(snapshot, Snapshot):
            raise InputError(f"snapshot: expected a Snapshot, found {type(snapshot).__name__}")
        if revision is not None:
            raise InputError("revision: the snapshot has one; give it there, or give no snapshot")
        return snapshot
    number = NO_REVISION if revision is None else checked_int("revision", revision, 0)
    # Not second 0: a `grace_until` of 0 means no grace period, but would still cover it.
    return Snapshot(market=name, chain_id=0, block=0, block_time=1, revision=number)
