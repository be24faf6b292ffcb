"""The shapes everything speaks: frozen records of read-only arrays, checked once at construction.

Behind this door the engine trusts them and stays quiet. A what-if is `dataclasses.replace`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from risk_core.errors import InputError, UnknownRevision

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

REVISIONS = {10: "v3.6", 11: "v3.7"}
"""Protocol revisions (`POOL_REVISION`) whose rules are implemented."""

NO_EMODE = -1
"""Value of `Market.emode` for an account outside every e-mode."""


def _frozen(owner: object, name: str, value: ArrayLike, dtype: type, shape: tuple[int | None, ...]) -> np.ndarray:
    """A read-only C-contiguous copy of `value`; the shape is checked, `None` matches any length."""
    label = f"{type(owner).__name__}.{name}"
    try:
        array = np.array(value, dtype=dtype, order="C")
    except (TypeError, ValueError) as exc:
        raise InputError(f"{label}: expected an array of {np.dtype(dtype).name}, found {value!r:.80}") from exc
    if array.ndim != len(shape) or any(want not in (None, got) for want, got in zip(shape, array.shape, strict=True)):
        want = "(" + ", ".join("any" if n is None else str(n) for n in shape) + ")"
        raise InputError(f"{label}: expected shape {want}, found {array.shape}")
    array.setflags(write=False)
    object.__setattr__(owner, name, array)
    return array


def _require(label: str, values: np.ndarray, good: np.ndarray, rule: str, names: tuple[str, ...] = ()) -> None:
    """Raise `InputError` that names the first index at which `good` is false."""
    if good.all():
        return
    index = tuple(int(i) for i in np.argwhere(~good)[0])
    name = f" ({names[index[-1]]})" if names and index[-1] < len(names) else ""
    where = ", ".join(map(str, index))
    raise InputError(f"{label}: entry {where}{name} is {values[index]}; {rule}")


def _fractions(owner: object, names: tuple[str, ...], n: int, symbols: tuple[str, ...], high: float = 1.0) -> None:
    for name in names:
        array = _frozen(owner, name, getattr(owner, name), np.float64, (n,))
        with np.errstate(invalid="ignore"):
            ok = (array >= 0) & (array <= high)
        _require(f"{type(owner).__name__}.{name}", array, ok, f"must be a fraction in [0, {high:g}]", symbols)


def _bonuses(owner: object, n: int, symbols: tuple[str, ...]) -> None:
    array = _frozen(owner, "liquidation_bonus", owner.liquidation_bonus, np.float64, (n,))
    with np.errstate(invalid="ignore"):
        ok = (array == -1) | ((array >= 0) & (array <= 1))
    _require(
        f"{type(owner).__name__}.liquidation_bonus", array, ok, "must be in [0, 1], or -1 for none configured", symbols
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reserves:
    """The reserves of one market, in the order of every `reserve` index of the engine. R = number of reserves.

    `id` is the protocol's reserve id (its bit in every bitmap; ids may have gaps), `asset` the lower-case
    address of the underlying token. Fractions: 0.83 is 83 %, a bonus of 0.05 is 5 %. `liquidation_bonus` is
    -1 where none is configured: that reserve cannot be seized outside an e-mode. `protocol_fee` is the
    treasury's share of the bonus. `grace_until`: UTC epoch seconds, liquidations are barred up to and
    including it. Raises `InputError`.
    """

    id: IntArray
    symbol: tuple[str, ...]
    asset: tuple[str, ...]
    decimals: IntArray
    ltv: FloatArray
    liquidation_threshold: FloatArray
    liquidation_bonus: FloatArray
    protocol_fee: FloatArray
    active: BoolArray
    paused: BoolArray
    grace_until: IntArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "symbol", tuple(self.symbol))
        object.__setattr__(self, "asset", tuple(self.asset))
        n = len(self.symbol)
        if n == 0:
            raise InputError("Reserves: a market has at least one reserve, found none")
        if len(self.asset) != n:
            raise InputError(f"Reserves.asset: expected {n} addresses, one for each symbol, found {len(self.asset)}")
        ids = _frozen(self, "id", self.id, np.int64, (n,))
        if len(np.unique(ids)) != n:
            raise InputError(f"Reserves.id: ids must be distinct, found {ids.tolist()}")
        decimals = _frozen(self, "decimals", self.decimals, np.int64, (n,))
        _require("Reserves.decimals", decimals, (decimals >= 0) & (decimals <= 77), "must be in [0, 77]", self.symbol)
        _fractions(self, ("ltv", "liquidation_threshold", "protocol_fee"), n, self.symbol)
        _bonuses(self, n, self.symbol)
        for name in ("active", "paused"):
            _frozen(self, name, getattr(self, name), np.bool_, (n,))
        _frozen(self, "grace_until", self.grace_until, np.int64, (n,))

    def __len__(self) -> int:
        return len(self.symbol)

    def index(self, symbol: str) -> int:
        """Index of a reserve by symbol or by underlying address. Raises `InputError` with the known symbols."""
        if symbol in self.symbol:
            if self.symbol.count(symbol) > 1:
                raise InputError(f"reserve symbol {symbol!r} is not unique in this market; name it by address")
            return self.symbol.index(symbol)
        if symbol.lower() in self.asset:
            return self.asset.index(symbol.lower())
        raise InputError(f"no reserve {symbol!r} in this market; known: {', '.join(self.symbol)}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EModes:
    """E-mode categories. E = number of categories (may be 0), R = number of reserves.

    `collateral`, `borrowable`, `ltvzero`: (E, R) bool, the bitmaps spread over reserve *indices*. A category's
    threshold and bonus replace the reserve's own only where `collateral` is set (liquid e-modes, v3.2 on).
    """

    id: IntArray
    label: tuple[str, ...]
    ltv: FloatArray
    liquidation_threshold: FloatArray
    liquidation_bonus: FloatArray
    collateral: BoolArray
    borrowable: BoolArray
    ltvzero: BoolArray
    isolated: BoolArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", tuple(self.label))
        n = len(self.label)
        ids = _frozen(self, "id", self.id, np.int64, (n,))
        if len(np.unique(ids)) != n or (ids <= 0).any():
            raise InputError(f"EModes.id: ids must be distinct and positive, found {ids.tolist()}")
        _fractions(self, ("ltv", "liquidation_threshold"), n, self.label)
        _bonuses(self, n, self.label)
        for name in ("collateral", "borrowable", "ltvzero"):
            value = np.asarray(getattr(self, name))
            _frozen(self, name, value.reshape(n, -1) if value.size or n else np.zeros((0, 0)), np.bool_, (n, None))
        _frozen(self, "isolated", self.isolated, np.bool_, (n,))

    def __len__(self) -> int:
        return len(self.label)

    @classmethod
    def none(cls) -> EModes:
        """A market without e-modes."""
        empty: tuple[()] = ()
        return cls(
            id=empty, label=empty, ltv=empty, liquidation_threshold=empty, liquidation_bonus=empty,
            collateral=empty, borrowable=empty, ltvzero=empty, isolated=empty,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Positions:
    """One side (collateral or debt) of every account, as compressed sparse rows.

    Account i holds entries `indptr[i]:indptr[i + 1]`; `reserve` (nnz,) are reserve indices, strictly increasing
    inside an account; `amount` (nnz,) are tokens, not negative, finite. `indptr`: (n_accounts + 1,) int64.
    Raises `InputError` for unsorted or duplicate rows and for indices out of range (range is checked by `Market`).
    """

    indptr: IntArray
    reserve: IntArray
    amount: FloatArray

    def __post_init__(self) -> None:
        indptr = _frozen(self, "indptr", self.indptr, np.int64, (None,))
        reserve = _frozen(self, "reserve", self.reserve, np.int64, (None,))
        amount = _frozen(self, "amount", self.amount, np.float64, (len(reserve),))
        if len(indptr) == 0 or indptr[0] != 0 or indptr[-1] != len(reserve):
            raise InputError(f"Positions.indptr: must start at 0 and end at {len(reserve)} (the number of entries)")
        step = np.diff(indptr)
        _require("Positions.indptr", indptr[1:], step >= 0, "must not decrease")
        if len(reserve) > 1:
            rising = np.diff(reserve) > 0
            starts = indptr[1:-1]
            rising[starts[(starts > 0) & (starts < len(reserve))] - 1] = True
            _require("Positions.reserve", reserve[1:], rising, "must rise strictly inside an account (no duplicates)")
        _require("Positions.amount", amount, np.isfinite(amount) & (amount >= 0), "must be finite and not negative")

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @classmethod
    def from_entries(cls, account: ArrayLike, reserve: ArrayLike, amount: ArrayLike, n_accounts: int) -> Positions:
        """Build from unordered (account index, reserve index, tokens) triples; zero amounts are left out.

        Raises `InputError` when an (account, reserve) pair appears twice or an account is out of range.
        """
        who = np.asarray(account, dtype=np.int64)
        what = np.asarray(reserve, dtype=np.int64)
        much = np.asarray(amount, dtype=np.float64)
        if len(who) and (who.min() < 0 or who.max() >= n_accounts):
            raise InputError(f"Positions: account indices must be in [0, {n_accounts}), found {who.min()}..{who.max()}")
        keep = much != 0
        who, what, much = who[keep], what[keep], much[keep]
        order = np.lexsort((what, who))
        indptr = np.zeros(n_accounts + 1, dtype=np.int64)
        np.cumsum(np.bincount(who, minlength=n_accounts), out=indptr[1:])
        return cls(indptr=indptr, reserve=what[order], amount=much[order])


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Where a market's figures come from: the passport that every result carries.

    `block_time` is UTC epoch seconds; `revision` is the pool's `POOL_REVISION`; `hash` identifies the stored
    rows; `synthetic` is true for generated data, and every screen that shows it must say so.
    """

    market: str
    chain_id: int
    block: int
    block_time: int
    revision: int
    hash: str = ""
    synthetic: bool = False

    @property
    def time(self) -> datetime:
        return datetime.fromtimestamp(self.block_time, UTC)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class Market:
    """Every account of one lending market at one block.

    `accounts`: (n_accounts,) lower-case addresses; `emode`: (n_accounts,) row of `emodes`, -1 for none;
    `collateral`: only what is enabled as collateral (flags decide, not balances); `debt`: what is owed;
    `price`: (R,) oracle USD per token. All arrays are read-only. Raises `InputError`, `UnknownRevision`.
    """

    reserves: Reserves
    emodes: EModes
    accounts: NDArray[Any]
    emode: IntArray
    collateral: Positions
    debt: Positions
    price: FloatArray
    snapshot: Snapshot
    notes: tuple[str, ...] = field(default=())
    """Warnings a screen must show, such as accounts below health factor 1 confirmed by the chain."""

    def __post_init__(self) -> None:
        if self.snapshot.revision not in REVISIONS:
            known = ", ".join(f"{r} ({v})" for r, v in REVISIONS.items())
            raise UnknownRevision(
                f"Market.snapshot.revision: POOL_REVISION {self.snapshot.revision} has no implemented rules; "
                f"known: {known}. Upgrade this package before using this snapshot"
            )
        n_reserves = len(self.reserves)
        accounts = _frozen(self, "accounts", self.accounts, np.str_, (None,))
        n = len(accounts)
        emode = _frozen(self, "emode", self.emode, np.int64, (n,))
        _require(
            "Market.emode", emode, (emode >= NO_EMODE) & (emode < len(self.emodes)),
            f"must be -1 or a row of the {len(self.emodes)} e-modes",
        )  # fmt: skip
        for name in ("collateral", "debt"):
            side: Positions = getattr(self, name)
            if len(side) != n:
                raise InputError(f"Market.{name}: has {len(side)} accounts, Market.accounts has {n}")
            ok = (side.reserve >= 0) & (side.reserve < n_reserves)
            _require(f"Market.{name}.reserve", side.reserve, ok, f"must be in [0, {n_reserves})")
        price = _frozen(self, "price", self.price, np.float64, (n_reserves,))
        _require(
            "Market.price", price, np.isfinite(price) & (price > 0), "prices must be positive", self.reserves.symbol
        )
        if len(self.emodes) and self.emodes.collateral.shape[1] != n_reserves:
            raise InputError(
                f"EModes.collateral: has {self.emodes.collateral.shape[1]} reserves, the market has {n_reserves}"
            )
        object.__setattr__(self, "notes", tuple(self.notes))

    @property
    def n_accounts(self) -> int:
        return len(self.accounts)

    @property
    def n_reserves(self) -> int:
        return len(self.reserves)

    @property
    def revision(self) -> int:
        return self.snapshot.revision

    def index(self, account: int | str) -> int:
        """Row of an account given by row or by address. Raises `InputError` when unknown."""
        if isinstance(account, str):
            hit = np.flatnonzero(self.accounts == account.lower())
            if len(hit) == 0:
                raise InputError(f"account {account} is not in this snapshot (block {self.snapshot.block})")
            return int(hit[0])
        if not 0 <= account < self.n_accounts:
            raise InputError(f"account index {account} is not in [0, {self.n_accounts})")
        return int(account)

    def shocked(self, shock: Mapping[str, float] | ArrayLike) -> FloatArray:
        """Oracle prices after a shock: {symbol: relative move} or (R,) relative moves; -0.2 is a fall by 20 %.

        Returns (R,) USD per token. Raises `InputError` for an unknown symbol or a move of -100 % or worse.
        """
        if isinstance(shock, Mapping):
            move = np.zeros(self.n_reserves)
            for symbol, value in shock.items():
                move[self.reserves.index(symbol)] = value
        else:
            move = np.asarray(shock, dtype=np.float64)
            if move.shape != (self.n_reserves,):
                raise InputError(f"shock: expected {self.n_reserves} moves, one for each reserve, found {move.shape}")
        ok = np.isfinite(move) & (move > -1)
        _require("shock", move, ok, "a relative move must be finite and above -1 (-100 %)", self.reserves.symbol)
        return self.price * (1.0 + move)
