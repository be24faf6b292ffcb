"""The records that all modules share: frozen, of read-only arrays, checked once at construction.

After construction the engine trusts them and does not check again. A what-if is `dataclasses.replace`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from risk_core.checks import (
    BoolArray,
    FloatArray,
    IntArray,
    checked_array,
    checked_int,
    checked_names,
    checked_text,
    frozen,
    n_axes,
    require,
    require_distinct,
)
from risk_core.errors import InputError, UnknownRevision
from risk_core.oracles import NO_RESERVE, OracleModels, checked_models, checked_snapshot, oracle_prices

REVISIONS = {10: "v3.6", 11: "v3.7"}
"""Protocol revisions (`POOL_REVISION`) whose rules are implemented."""


def require_rules(revision: int) -> None:
    """Raise `UnknownRevision` where no liquidation rules of a `POOL_REVISION` are implemented: none are guessed."""
    if revision not in REVISIONS:
        known = ", ".join(f"{r} ({v})" for r, v in REVISIONS.items())
        raise UnknownRevision(
            f"Market.snapshot.revision: POOL_REVISION {revision} has no implemented rules; known: {known}. Health "
            "factors need none. To liquidate, upgrade this package, or state the revision of a book of your own"
        )


NO_EMODE = -1
"""Value of `Market.emode` for an account outside every e-mode."""


LATEST_SECONDS = 10**11
"""Later times are refused: this is the year 5138 in seconds, but 1973 in milliseconds, which were probably meant."""


def _fraction(
    owner: object, name: str, shape: tuple[int | None, ...], symbols: tuple[str, ...] = (), high: float = 1.0
) -> None:
    array = frozen(owner, name, getattr(owner, name), np.float64, shape)
    with np.errstate(invalid="ignore"):
        ok = (array >= 0) & (array <= high)
    require(f"{type(owner).__name__}.{name}", array, ok, f"must be a fraction in [0, {high:g}]", symbols)


def _fractions(owner: object, names: tuple[str, ...], n: int, symbols: tuple[str, ...], high: float = 1.0) -> None:
    for name in names:
        _fraction(owner, name, (n,), symbols, high)


def _bonus(owner: object, name: str, shape: tuple[int | None, ...], symbols: tuple[str, ...] = ()) -> None:
    array = frozen(owner, name, getattr(owner, name), np.float64, shape)
    with np.errstate(invalid="ignore"):
        ok = (array == -1) | ((array >= 0) & (array <= 1))
    require(f"{type(owner).__name__}.{name}", array, ok, "must be in [0, 1], or -1 for none configured", symbols)


def _folded(owner: object, name: str) -> None:
    """Keep (E, R) as (E,) where every row holds one value, so that equal terms have one form."""
    array = getattr(owner, name)
    if array.size and (array == array[:, :1]).all():
        frozen(owner, name, array[:, 0], np.float64, (len(array),))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reserves:
    """The reserves of one market, in the order of every `reserve` index of the engine. R = number of reserves.

    `id` is the protocol's reserve id (its bit in every bitmap; ids may have gaps), `asset` the lower-case
    address of the underlying token. Fractions: 0.83 is 83 %, a bonus of 0.05 is 5 %. `liquidation_bonus` is
    -1 where none is configured: that reserve cannot be seized outside an e-mode. `protocol_fee` is the
    treasury's share of the bonus. `grace_until`: UTC epoch seconds, liquidations are barred up to and
    including it. Raises `InputError`.

    How the oracle makes a reserve's price (see `risk_core.oracles`); where left out, it is the feed's own price:
    `price_cap` highest USD per token, inf for none; `ratio_of` index of the reserve that the price is a ratio of (a
    staked token's base), `ratio_cap` the highest ratio of the two prices, inf for none; `linked_to` index of the
    reserve whose oracle price it follows instead of a feed of its own; `fixed_price` true where it never moves.
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
    price_cap: FloatArray = field(default=None)  # type: ignore[assignment]
    ratio_cap: FloatArray = field(default=None)  # type: ignore[assignment]
    ratio_of: IntArray = field(default=None)  # type: ignore[assignment]
    linked_to: IntArray = field(default=None)  # type: ignore[assignment]
    fixed_price: BoolArray = field(default=None)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        n = len(checked_names(self, "symbol"))
        checked_names(self, "asset", lower=True, distinct=True)
        if n == 0:
            raise InputError("Reserves: a market has at least one reserve, found none")
        if len(self.asset) != n:
            raise InputError(f"Reserves.asset: expected {n} addresses, one for each symbol, found {len(self.asset)}")
        ids = frozen(self, "id", self.id, np.int64, (n,))
        if len(np.unique(ids)) != n or (ids < 0).any():
            raise InputError(f"Reserves.id: ids must be distinct and not negative, found {ids.tolist()}")
        decimals = frozen(self, "decimals", self.decimals, np.int64, (n,))
        require("Reserves.decimals", decimals, (decimals >= 0) & (decimals <= 77), "must be in [0, 77]", self.symbol)
        _fractions(self, ("ltv", "liquidation_threshold", "protocol_fee"), n, self.symbol)
        _bonus(self, "liquidation_bonus", (n,), self.symbol)
        for name in ("active", "paused"):
            frozen(self, name, getattr(self, name), np.bool_, (n,))
        grace = frozen(self, "grace_until", self.grace_until, np.int64, (n,))
        ok = (grace >= 0) & (grace <= LATEST_SECONDS)
        require(
            "Reserves.grace_until", grace, ok, "must be UTC epoch seconds (not milliseconds), 0 for none", self.symbol
        )
        self._check_oracles(n)

    def _check_oracles(self, n: int) -> None:
        for name in ("price_cap", "ratio_cap"):
            given = getattr(self, name)
            cap = frozen(self, name, np.full(n, np.inf) if given is None else given, np.float64, (n,))
            with np.errstate(invalid="ignore"):
                require(f"Reserves.{name}", cap, cap > 0, "must be positive; inf for no cap", self.symbol)
        for name in ("ratio_of", "linked_to"):
            given = getattr(self, name)
            frozen(self, name, np.full(n, NO_RESERVE) if given is None else given, np.int64, (n,))
        fixed = np.zeros(n, dtype=np.bool_) if self.fixed_price is None else self.fixed_price
        frozen(self, "fixed_price", fixed, np.bool_, (n,))
        checked_models(self.oracle, self.symbol)

    @property
    def oracle(self) -> OracleModels:
        """How each price is made, as `risk_core.oracles` takes it."""
        return OracleModels(
            price_cap=self.price_cap,
            ratio_cap=self.ratio_cap,
            ratio_of=self.ratio_of,
            linked_to=self.linked_to,
            fixed_price=self.fixed_price,
        )

    def __len__(self) -> int:
        return len(self.symbol)

    def index(self, symbol: str) -> int:
        """Index of a reserve by symbol or by underlying address. Raises `InputError` with the known symbols."""
        if isinstance(symbol, str) and symbol in self.symbol:
            if self.symbol.count(symbol) > 1:
                raise InputError(f"reserve symbol {symbol!r} is not unique in this market; name it by address")
            return self.symbol.index(symbol)
        if isinstance(symbol, str) and symbol.lower() in self.asset:
            return self.asset.index(symbol.lower())
        raise InputError(f"no reserve {symbol!r:.60} in this market; known: {', '.join(self.symbol)}")

    def each(self, label: str, values: ArrayLike, what: str) -> FloatArray:
        """`values` as (R,) float64, one of `what` for each reserve. Raises `InputError`."""
        array = checked_array(label, values, np.float64, (None,) * (0 if isinstance(values, str) else n_axes(values)))
        if array.shape != (len(self),):
            raise InputError(
                f"{label}: expected {len(self)} {what}, one for each reserve, found {array.shape or repr(values)}"
            )
        return array

    def spread(self, label: str, by_symbol: Mapping[str, float]) -> FloatArray:
        """(R,) the numbers of `by_symbol` at their reserves, 0 elsewhere.

        Raises `InputError` for an unknown or repeated reserve, and for a value that is not a number.
        """
        spread, given = np.zeros(len(self)), {}
        for symbol, value in by_symbol.items():
            at = self.index(symbol)
            if at in given:
                raise InputError(f"{label}: {symbol} and {given[at]} are the same reserve; name it once")
            given[at] = symbol
            spread[at] = checked_array(f"{label}: {symbol}", value, np.float64, ())
        return spread

    def moves(self, label: str, by_symbol: Mapping[str, float]) -> FloatArray:
        """(R,) relative moves of the feeds: those of `by_symbol`, and of what is priced as a ratio to one of them.

        A token priced as a ratio has no feed of its own: its oracle multiplies the ratio, which stays, by the base's
        price. Where it is named itself, it moves as stated, and its ratio changes. Raises like `spread`.
        """
        moves = self.spread(label, by_symbol)
        named = np.zeros(len(self), dtype=bool)
        named[[self.index(symbol) for symbol in by_symbol]] = True
        for _ in range(len(self)):  # a base may be a ratio itself
            base = np.maximum(self.ratio_of, 0)
            follows = (self.ratio_of >= 0) & ~named & (named[base] | (moves[base] != 0))
            if not (moves[follows] != moves[base[follows]]).any():
                break
            moves[follows] = moves[base[follows]]
        return moves


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EModes:
    """E-mode categories. E = number of categories (may be 0), R = number of reserves.

    `collateral`, `borrowable`, `ltvzero`: (E, R) bool, the bitmaps spread over reserve *indices*. A category's
    threshold and bonus replace the reserve's own only where `collateral` is set (liquid e-modes, v3.2 on). Each of the
    two is (E,), or (E, R) where the members of a category differ. No chain has such categories; they hold the
    thresholds that a table of positions states for single positions. Where all members of every category agree it is
    kept as (E,).
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
        n = len(checked_names(self, "label"))
        ids = frozen(self, "id", self.id, np.int64, (n,))
        if len(np.unique(ids)) != n or (ids <= 0).any():
            raise InputError(f"EModes.id: ids must be distinct and positive, found {ids.tolist()}")
        _fractions(self, ("ltv",), n, self.label)
        for name, check in (("liquidation_threshold", _fraction), ("liquidation_bonus", _bonus)):
            if np.ndim(getattr(self, name)) == 2:
                check(self, name, (n, None))
                _folded(self, name)
            else:
                check(self, name, (n,), self.label)
        for name in ("collateral", "borrowable", "ltvzero"):
            value = getattr(self, name)
            frozen(self, name, value if n else np.zeros((0, 0), dtype=np.bool_), np.bool_, (n, None))
        frozen(self, "isolated", self.isolated, np.bool_, (n,))

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
        indptr = frozen(self, "indptr", self.indptr, np.int64, (None,))
        reserve = frozen(self, "reserve", self.reserve, np.int64, (None,))
        amount = frozen(self, "amount", self.amount, np.float64, (len(reserve),))
        if len(indptr) == 0 or indptr[0] != 0 or indptr[-1] != len(reserve):
            raise InputError(f"Positions.indptr: must start at 0 and end at {len(reserve)} (the number of entries)")
        step = np.diff(indptr)
        require("Positions.indptr", indptr[1:], step >= 0, "must not decrease")
        if len(reserve) > 1:
            rising = np.diff(reserve) > 0
            starts = indptr[1:-1]
            rising[starts[(starts > 0) & (starts < len(reserve))] - 1] = True
            require("Positions.reserve", reserve[1:], rising, "must rise strictly inside an account (no duplicates)")
        require("Positions.amount", amount, np.isfinite(amount) & (amount >= 0), "must be finite and not negative")

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @classmethod
    def from_entries(cls, account: ArrayLike, reserve: ArrayLike, amount: ArrayLike, n_accounts: int) -> Positions:
        """Build from unordered (account index, reserve index, tokens) triples; zero amounts are left out.

        Raises `InputError` when an (account, reserve) pair appears twice or an account is out of range.
        """
        n_accounts = checked_int("Positions: n_accounts", n_accounts, 0)
        who = checked_array("Positions: account", account, np.int64, (None,))
        what = checked_array("Positions: reserve", reserve, np.int64, (len(who),))
        much = checked_array("Positions: amount", amount, np.float64, (len(who),))
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

    def __post_init__(self) -> None:
        checked_text("Snapshot.market", self.market)
        checked_text("Snapshot.hash", self.hash, empty=True)
        for name, low in (("chain_id", 0), ("block", 0), ("revision", 0)):
            object.__setattr__(self, name, checked_int(f"Snapshot.{name}", getattr(self, name), low))
        hint = "; it is in seconds since 1970, UTC, and this looks like milliseconds or finer"
        late = isinstance(self.block_time, int | np.integer) and self.block_time > LATEST_SECONDS
        at = checked_int("Snapshot.block_time", self.block_time, 0, LATEST_SECONDS, hint if late else "")
        object.__setattr__(self, "block_time", at)
        if not isinstance(self.synthetic, bool | np.bool_):
            raise InputError(f"Snapshot.synthetic: expected true or false, found {self.synthetic!r:.60}")

    @property
    def time(self) -> datetime:
        """Time of the block, UTC."""
        return datetime.fromtimestamp(self.block_time, UTC)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class Market:
    """Every account of one lending market at one block.

    `accounts`: (n_accounts,) lower-case addresses; `emode`: (n_accounts,) row of `emodes`, -1 for none;
    `collateral`: only what is enabled as collateral (flags decide, not balances); `debt`: what is owed;
    `price`: (R,) oracle USD per token. All arrays are read-only. Raises `InputError`.

    Health factors can be computed for any revision; `liquidate`, `what_if`, `sweep` and `simulate` refuse a revision
    whose rules are not implemented.
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
        for name, kind in _PARTS.items():
            if not isinstance(getattr(self, name), kind):
                raise InputError(f"Market.{name}: expected {kind.__name__}, found {type(getattr(self, name)).__name__}")
        n_reserves = len(self.reserves)
        accounts = _addresses(self)
        n = len(accounts)
        emode = frozen(self, "emode", self.emode, np.int64, (n,))
        require(
            "Market.emode",
            emode,
            (emode >= NO_EMODE) & (emode < len(self.emodes)),
            f"must be -1 or a row of the {len(self.emodes)} e-modes",
        )
        for name in ("collateral", "debt"):
            side: Positions = getattr(self, name)
            if len(side) != n:
                raise InputError(f"Market.{name}: has {len(side)} accounts, Market.accounts has {n}")
            ok = (side.reserve >= 0) & (side.reserve < n_reserves)
            require(f"Market.{name}.reserve", side.reserve, ok, f"must be in [0, {n_reserves})")
        price = frozen(self, "price", self.price, np.float64, (n_reserves,))
        require(
            "Market.price", price, np.isfinite(price) & (price > 0), "prices must be positive", self.reserves.symbol
        )
        checked_snapshot(self.reserves.oracle, price, self.reserves.symbol)
        if len(self.emodes) and self.emodes.collateral.shape[1] != n_reserves:
            raise InputError(
                f"EModes.collateral: has {self.emodes.collateral.shape[1]} reserves, the market has {n_reserves}"
            )
        for name in ("liquidation_threshold", "liquidation_bonus"):
            shape = getattr(self.emodes, name).shape
            if len(shape) == 2 and shape[1] != n_reserves:
                raise InputError(f"EModes.{name}: has {shape[1]} reserves, the market has {n_reserves}")
        checked_names(self, "notes")

    @property
    def n_accounts(self) -> int:
        """Number of accounts n."""
        return len(self.accounts)

    @property
    def n_reserves(self) -> int:
        """Number of reserves R."""
        return len(self.reserves)

    @property
    def revision(self) -> int:
        """The pool's `POOL_REVISION`."""
        return self.snapshot.revision

    def index(self, account: int | str) -> int:
        """Row of an account given by row or by address. Raises `InputError` when unknown."""
        if isinstance(account, str):
            hit = np.flatnonzero(self.accounts == account.lower())
            if len(hit) == 0:
                raise InputError(f"account {account} is not in this snapshot (block {self.snapshot.block})")
            return int(hit[0])
        return checked_int("account", account, 0, self.n_accounts - 1)

    def shocked(self, shock: Mapping[str, float] | ArrayLike) -> FloatArray:
        """Oracle prices after a shock: {symbol: relative move} or (R,) relative moves; -0.2 is a fall by 20 %.

        The moves are of the feeds; `oracle_prices` turns them into oracle prices: a capped price stays at or below its
        cap, a linked one follows the other reserve. A token that is a ratio to a named reserve, and is not named
        itself, keeps its ratio; in an array every reserve is named. Returns (R,) USD per token. Raises `InputError` for
        an unknown symbol or a move of -100 % or worse.
        """
        if isinstance(shock, Mapping):
            move = self.reserves.moves("shock", shock)
        else:
            move = self.reserves.each("shock", shock, "moves")
        ok = np.isfinite(move) & (move > -1)
        require("shock", move, ok, "a relative move must be finite and above -1 (-100 %)", self.reserves.symbol)
        return self.oracle_prices(self.price * (1.0 + move))

    def oracle_prices(self, feeds: FloatArray) -> FloatArray:
        """Oracle prices, (..., R) USD per token, for feed prices (..., R); see `risk_core.oracles`."""
        return oracle_prices(self.reserves.oracle, self.price, feeds)


_PARTS: dict[str, type] = {
    "reserves": Reserves,
    "emodes": EModes,
    "collateral": Positions,
    "debt": Positions,
    "snapshot": Snapshot,
}


def _addresses(market: Market) -> np.ndarray:
    """`Market.accounts` in lower case, each once."""
    given = market.accounts
    listed = given.tolist() if isinstance(given, np.ndarray) and given.dtype.kind == "U" and given.ndim == 1 else None
    if listed is not None and all(map(str.islower, listed)) and len(set(listed)) == len(listed):
        return frozen(market, "accounts", given, np.str_, (None,))
    array = checked_array("Market.accounts", given, np.str_, (None,))
    lower = [text.lower() for text in array.tolist()]
    if "" in lower:
        raise InputError(f"Market.accounts: entry {lower.index('')} is empty; expected an address")
    require_distinct("Market.accounts", lower)
    return frozen(market, "accounts", np.array(lower, dtype=np.str_), np.str_, (None,))
