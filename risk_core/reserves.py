"""The terms of a market: its reserves with their parameters and oracles, and its e-modes. Frozen, read-only arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from risk_core.checks import (
    BoolArray,
    FloatArray,
    IntArray,
    checked_array,
    checked_names,
    frozen,
    n_axes,
    require,
    require_distinct,
)
from risk_core.errors import InputError
from risk_core.oracles import NO_RESERVE, OracleModels, checked_models

LATEST_SECONDS = 10**11
"""Times above are refused: the year 5138 in seconds, but 1973 in the milliseconds that were probably meant."""


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
        require("Reserves.id", ids, ids >= 0, "must not be negative", self.symbol)
        require_distinct("Reserves.id", ids.tolist())
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

        Such a token has no feed of its own: its oracle multiplies the ratio, which stays, by the base's price. Named
        itself, it moves as stated, and its ratio with it. Raises like `spread`.
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
    two is (E,), or (E, R) where the members of a category differ, as no chain has it: that is how a table of positions
    with thresholds of their own is held. Where all members of every category agree it is kept as (E,).
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
        require("EModes.id", ids, ids > 0, "must be positive", self.label)
        require_distinct("EModes.id", ids.tolist())
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
