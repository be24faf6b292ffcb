"""What prices may do: scenarios of random paths, and explicit paths."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
from numpy.typing import ArrayLike

from risk_core.dependence import cholesky
from risk_core.errors import InputError
from risk_core.types import FloatArray, IntArray, Market, _frozen, _require

FIXED = -1
"""Factor of a reserve whose oracle price is a constant by construction (GHO at 1 USD on Aave)."""
YEAR = timedelta(days=365)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scenario:
    """Correlated zero-drift geometric Brownian motion of F factors, from a shock at time 0 to a horizon.

    factors: names, such as "ETH". volatility: (F,) annualised fractions. correlation: (F, F).
    factor: (R,) int64, the factor that each reserve's oracle price follows one for one (ratio reserves such as wstETH
    follow ETH); -1 is a fixed oracle price. shock: (F,) relative move at time 0, so -0.2 starts 20 % lower.
    n_steps equal steps up to `horizon`. Expected prices stay where they start (log drift -sigma^2/2).
    Raises `InputError`.
    """

    name: str
    horizon: timedelta
    n_steps: int
    factors: tuple[str, ...]
    volatility: FloatArray
    correlation: FloatArray
    factor: IntArray
    shock: FloatArray = field(default=None)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        object.__setattr__(self, "factors", tuple(self.factors))
        n = len(self.factors)
        if self.n_steps < 1:
            raise InputError(f"Scenario.n_steps: expected at least 1, found {self.n_steps}")
        if self.horizon <= timedelta(0):
            raise InputError(f"Scenario.horizon: expected a positive time, found {self.horizon}")
        volatility = _frozen(self, "volatility", self.volatility, np.float64, (n,))
        ok = np.isfinite(volatility) & (volatility >= 0)
        _require("Scenario.volatility", volatility, ok, "must be finite and not negative", self.factors)
        correlation = _frozen(self, "correlation", self.correlation, np.float64, (n, n))
        ok = np.isfinite(correlation) & (np.abs(correlation) <= 1 + 1e-12)
        _require("Scenario.correlation", correlation, ok, "must be in [-1, 1]", self.factors)
        if n and (np.abs(np.diag(correlation) - 1) > 1e-9).any():
            raise InputError("Scenario.correlation: the diagonal must be 1")
        if not np.allclose(correlation, correlation.T, atol=1e-12):
            raise InputError("Scenario.correlation: must be symmetric")
        lowest = float(np.linalg.eigvalsh(correlation).min()) if n else 1.0
        if lowest < -1e-8:
            raise InputError(
                f"Scenario.correlation: must be positive semi-definite, found the eigenvalue {lowest:.3g}; "
                "use risk_core.dependence.shrunk_correlation or lower the correlations"
            )
        factor = _frozen(self, "factor", self.factor, np.int64, (None,))
        _require("Scenario.factor", factor, (factor >= FIXED) & (factor < n), f"must be -1 or a row of the {n} factors")
        shock = _frozen(self, "shock", np.zeros(n) if self.shock is None else self.shock, np.float64, (n,))
        ok = np.isfinite(shock) & (shock > -1)
        _require("Scenario.shock", shock, ok, "a relative move must be finite and above -1", self.factors)

    @property
    def step(self) -> timedelta:
        return self.horizon / self.n_steps

    def of_one_step(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(log drift (F,), Cholesky factor (F, F) of the covariance, start (F,)) of one step."""
        years = self.step / YEAR
        covariance = np.outer(self.volatility, self.volatility) * self.correlation * years
        return -0.5 * self.volatility**2 * years, cholesky(covariance), 1.0 + self.shock


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PricePaths:
    """Explicit oracle prices, USD per token: history, an episode, a stress test.

    price: (n_paths, n_reserves, n_steps + 1); column 0 is the snapshot and is not simulated.
    """

    name: str
    price: FloatArray
    step: timedelta

    def __post_init__(self) -> None:
        price = _frozen(self, "price", self.price, np.float64, (None, None, None))
        bad = ~(np.isfinite(price) & (price > 0))
        if bad.any():
            path, reserve, step = (int(i) for i in np.argwhere(bad)[0])
            raise InputError(
                f"price: reserve {reserve} is {price[path, reserve, step]} at path {path}, step {step}; "
                "prices must be positive"
            )
        if price.shape[0] == 0 or price.shape[2] < 2:
            raise InputError(f"price: expected at least one path and one step, found shape {price.shape}")

    @property
    def n_steps(self) -> int:
        return self.price.shape[2] - 1

    @property
    def horizon(self) -> timedelta:
        return self.step * self.n_steps

    @classmethod
    def one_step(cls, market: Market, prices: ArrayLike, name: str = "one step") -> PricePaths:
        """Each row of `prices` (n_paths, R) as a path of one step from the market's own prices."""
        after = np.atleast_2d(np.asarray(prices, dtype=np.float64))
        if after.shape[1] != market.n_reserves:
            raise InputError(f"prices: expected {market.n_reserves} columns, found {after.shape[1]}")
        before = np.broadcast_to(market.price, after.shape)
        return cls(name=name, price=np.stack([before, after], axis=2), step=timedelta(hours=1))
