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
    FloatArray,
    IntArray,
    checked_array,
    checked_int,
    checked_names,
    checked_text,
    frozen,
    require,
    require_distinct,
    require_rising,
)
from risk_core.errors import InputError, UnknownRevision
from risk_core.oracles import checked_snapshot, oracle_prices
from risk_core.reserves import LATEST_SECONDS, EModes, Reserves

__all__ = [
    "LATEST_SECONDS",
    "NO_EMODE",
    "REVISIONS",
    "EModes",
    "Market",
    "Positions",
    "Reserves",
    "Snapshot",
    "require_rules",
]

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
        require_rising("Positions.indptr", indptr, strictly=False)
        rising = np.ones(len(reserve), dtype=bool)
        rising[1:] = reserve[1:] > reserve[:-1]
        starts = indptr[:-1]
        rising[starts[starts < len(reserve)]] = True  # the first of an account has no predecessor
        require("Positions.reserve", reserve, rising, "must rise strictly inside an account (no duplicates)")
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
        require("Positions: account", who, (who >= 0) & (who < n_accounts), f"must be in [0, {n_accounts})")
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
        ok = np.isfinite(price) & (price > 0)
        require("Market.price", price, ok, "prices must be positive and finite", self.reserves.symbol)
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


def _is_plain(given: Any) -> bool:
    """Whether these are ASCII texts without capitals, none empty, that rise strictly: in lower case, each once."""
    if not isinstance(given, np.ndarray) or given.dtype.kind != "U" or given.ndim != 1 or not given.size:
        return False
    if not given.dtype.isnative or not given.flags.c_contiguous or not given.dtype.itemsize:
        return False
    signs = given.view(np.uint32).reshape(len(given), -1)
    capital = (signs - np.uint32(ord("A"))) < 26
    return bool(signs.max() < 128 and signs[:, 0].all() and not capital.any() and (given[1:] > given[:-1]).all())


def _addresses(market: Market) -> np.ndarray:
    """`Market.accounts` in lower case, each once."""
    given = market.accounts
    if _is_plain(given):
        return frozen(market, "accounts", given, np.str_, (None,))
    listed = given.tolist() if isinstance(given, np.ndarray) and given.dtype.kind == "U" and given.ndim == 1 else None
    if listed is not None and all(map(str.islower, listed)) and len(set(listed)) == len(listed):
        return frozen(market, "accounts", given, np.str_, (None,))
    array = checked_array("Market.accounts", given, np.str_, (None,))
    lower = [text.lower() for text in array.tolist()]
    if "" in lower:
        raise InputError(f"Market.accounts: entry {lower.index('')} is empty; expected an address")
    require_distinct("Market.accounts", lower)
    return frozen(market, "accounts", np.array(lower, dtype=np.str_), np.str_, (None,))
