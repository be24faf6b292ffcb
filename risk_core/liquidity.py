"""What selling does to a price: the impact that `simulate(..., impact=...)` feeds back into health factors."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
from numpy.typing import ArrayLike

from risk_core.checks import FloatArray, IntArray, checked_array, checked_duration, frozen, n_axes, require
from risk_core.errors import InputError
from risk_core.kernels.sales import MAX_FALL

IMMUNE = -1
"""Market of a reserve whose oracle price no sale moves."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Impact:
    """How the oracle price of each of R reserves reacts to what liquidators have sold.

    Liquidators sell what they seize, at once; the treasury keeps its fee. A health factor then sees

        oracle price = path price x multiplier,    multiplier = price(sold) in (0, 1],

    the price of the *next* token after selling `sold` dollars' worth, counted at path prices. So what a sale brings in
    is the integral of the multiplier, which never falls with size (`proceeds`).

    sold_usd: (R, K) USD, each row rising from 0. price: (R, K), each row falling from 1, never to 0. Between two points
    the logarithm of the price is linear, and beyond the last it continues with the last slope (down to e^-100): a curve
    that went flat where quotes end would understate the tail. A row of ones is a market without impact. half_life: time
    in which half of what was sold is absorbed, as if never sold; None, the impact stays. market: (R,) integers.
    Reserves of one market fall together, the logarithms of their falls add up, so give each of them the depth that they
    have in common. -1 is a price that no sale moves. None: reserves of one factor of the scenario share a market, fixed
    oracle prices do not move; on `PricePaths`, each reserve by itself.
    Raises `InputError`.
    """

    sold_usd: FloatArray
    price: FloatArray
    half_life: timedelta | None = timedelta(hours=2)
    market: IntArray | None = field(default=None)

    def __post_init__(self) -> None:
        sold = frozen(self, "sold_usd", self.sold_usd, np.float64, (None, None))
        if sold.shape[1] < 2:
            raise InputError(f"Impact.sold_usd: expected at least two points for each reserve, found {sold.shape[1]}")
        price = frozen(self, "price", self.price, np.float64, sold.shape)
        ok = np.isfinite(sold) & (np.diff(sold, axis=1, prepend=-1.0) > 0)
        ok[:, 0] = sold[:, 0] == 0
        require("Impact.sold_usd", sold, ok, "must rise from 0")
        with np.errstate(invalid="ignore"):
            ok = (price > 0) & (price <= 1) & (np.diff(price, axis=1, prepend=1.0) <= 0)
        ok[:, 0] = price[:, 0] == 1
        require("Impact.price", price, ok, "must fall from 1, and never to 0")
        ends_flat = (price[:, -1] < 1) & (price[:, -1] == price[:, -2])
        if ends_flat.any():
            raise InputError(
                f"Impact.price: the curve of reserve {int(ends_flat.argmax())} ends flat, so that larger sales would "
                "move it no further; leave the last point out"
            )
        if self.half_life is not None:
            checked_duration("Impact.half_life", self.half_life)
        if self.market is not None:
            market = frozen(self, "market", self.market, np.int64, (len(sold),))
            require("Impact.market", market, market >= IMMUNE, "must be -1 or the number of a market")

    @classmethod
    def exponential(
        cls, depth_usd: ArrayLike, half_life: timedelta | None = timedelta(hours=2), market: ArrayLike | None = None
    ) -> Impact:
        """The price falls by the factor exp(-sold / depth): 1 % for a hundredth of the depth. `inf` is no impact.

        depth_usd: (R,) positive USD.
        """
        depth = np.atleast_1d(checked_array("depth_usd", depth_usd, np.float64, (None,) * min(n_axes(depth_usd), 1)))
        require("depth_usd", depth, depth > 0, "must be positive; inf is no impact")
        deep = np.isinf(depth)
        sold = np.column_stack([np.zeros(len(depth)), np.where(deep, 1.0, depth)])
        price = np.column_stack([np.ones(len(depth)), np.where(deep, 1.0, np.exp(-1.0))])
        return cls(sold_usd=sold, price=price, half_life=half_life, market=market)  # type: ignore[arg-type]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Impact):
            return NotImplemented
        same = [np.array_equal(getattr(self, name), getattr(other, name)) for name in ("sold_usd", "price", "market")]
        return all(same) and self.half_life == other.half_life

    __hash__ = None  # type: ignore[assignment]

    @property
    def n_reserves(self) -> int:
        """Number of reserves R."""
        return len(self.sold_usd)

    @property
    def fall(self) -> FloatArray:
        """(R, K) minus the logarithm of the price, from 0."""
        return 0.0 - np.log(self.price)

    def multiplier(self, sold_usd: ArrayLike) -> FloatArray:
        """Price after selling `sold_usd` (R,) of each reserve by itself, over the price before; (R,) in (0, 1]."""
        sold = self._each(sold_usd)
        return np.exp(-np.minimum(self._fall_at(sold), MAX_FALL))

    def proceeds(self, sold_usd: ArrayLike) -> FloatArray:
        """USD that selling `sold_usd` (R,) of each reserve brings in: the integral of the multiplier, (R,)."""
        sold = self._each(sold_usd)
        total = np.zeros(self.n_reserves)
        slope = np.diff(self.fall, axis=1) / np.diff(self.sold_usd, axis=1)
        for k in range(slope.shape[1]):
            last = k == slope.shape[1] - 1
            end = sold if last else np.minimum(sold, self.sold_usd[:, k + 1])
            width = np.maximum(end - self.sold_usd[:, k], 0.0)
            with np.errstate(invalid="ignore", divide="ignore"):
                sunk = np.where(slope[:, k] > 0, -np.expm1(-slope[:, k] * width) / slope[:, k], width)
            total += self.price[:, k] * sunk
        return total

    def _each(self, sold_usd: ArrayLike) -> FloatArray:
        """(R,) USD sold of each reserve, from (R,) or one number for all. Raises `InputError`."""
        sold = checked_array("sold_usd", sold_usd, np.float64, (None,) * min(n_axes(sold_usd), 1))
        if sold.shape not in ((), (1,), (self.n_reserves,)):
            raise InputError(f"sold_usd: expected {self.n_reserves} amounts, one for each reserve, found {sold.shape}")
        require("sold_usd", np.atleast_1d(sold), np.atleast_1d(np.isfinite(sold) & (sold >= 0)), "must be USD >= 0")
        return np.broadcast_to(sold, (self.n_reserves,))

    def _fall_at(self, sold: FloatArray) -> FloatArray:
        fall = self.fall
        at = np.array([np.searchsorted(row[1:-1], q, side="right") for row, q in zip(self.sold_usd, sold, strict=True)])
        r = np.arange(self.n_reserves)
        low, high = self.sold_usd[r, at], self.sold_usd[r, at + 1]
        return fall[r, at] + (sold - low) * (fall[r, at + 1] - fall[r, at]) / (high - low)

    def kept(self, step: timedelta) -> float:
        """Share of what was sold that still weighs on the price one step later."""
        return 1.0 if self.half_life is None else 0.5 ** (checked_duration("step", step) / self.half_life)
