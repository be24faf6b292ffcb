"""What prices may do: scenarios of random paths, and explicit paths."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from risk_core.analytics import cholesky
from risk_core.checks import (
    SMALLEST,
    FloatArray,
    IntArray,
    checked_array,
    checked_duration,
    checked_int,
    checked_kind,
    checked_names,
    checked_number,
    checked_text,
    frozen,
    n_axes,
    require,
)
from risk_core.errors import InputError
from risk_core.kernels import draw as kernels
from risk_core.kernels.laws import dispatch
from risk_core.kernels.paths import FARTHEST
from risk_core.laws import GBM, LAWS, Law
from risk_core.types import Market

FIXED = -1
"""Factor of a reserve whose oracle price is a constant by construction (GHO at 1 USD on Aave)."""
YEAR = timedelta(days=365)
MOST_VOLATILITY = 20.0
"""An annualised volatility above 2,000 % is taken for a number in per cent. A token that moves by a fifth every hour
has 19."""
SNAPSHOT_TOLERANCE = 1e-9
"""Relative distance of explicit paths' first column from the snapshot's prices that is still the same price."""
SAMPLINGS = {"plain": kernels.PLAIN, "antithetic": kernels.ANTITHETIC, "quasi": kernels.QUASI}
"""How random numbers are drawn. plain: independent. antithetic: paths 2k and 2k + 1 are mirror images. quasi: the
most important numbers of a path come from 16 independently shifted copies of a Sobol sequence."""

NO_CAPS = {
    "follows": np.zeros(0, dtype=np.int64),
    "deviation": np.zeros(0),
    "heartbeat": np.zeros(0),
    "age": np.zeros(0),
    "lag": np.zeros(0, dtype=np.int64),
    "own": np.zeros(0, dtype=np.int64),
    "base": np.zeros(0, dtype=np.int64),
    "feed": np.zeros(0, dtype=np.int64),
    "plain": np.zeros(0, dtype=np.int64),
    "most": np.zeros(0),
}
"""Rows of prices that a market's feeds and caps make, before a market is known."""

EVERY_PATH = {"direction": np.zeros(0), "chosen": np.zeros(0, dtype=np.int64)}
"""The paths of a range are drawn, none is left out, and no direction is singled out."""

PLAIN_LAW = GBM()
DEFAULTS = {"law": PLAIN_LAW, "sampling": "plain"}
"""Law and sampling of a scenario that states none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scenario:
    """Correlated random prices of F factors, from a shock at time 0 to a horizon.

    factors: names, such as "ETH". volatility: (F,) annualised fractions. correlation: (F, F).
    factor: (R,) int64, the factor that each reserve's feed follows one for one (ratio reserves such as wstETH follow
    ETH); -1 is a fixed oracle price. shock: (F,) relative move at time 0, so -0.2 starts 20 % lower. n_steps equal
    steps up to `horizon`. law: see `risk_core.laws`; by default geometric Brownian motion, whose expected prices stay
    where they start (log drift -sigma^2/2). sampling: one of SAMPLINGS; it changes the error of a figure, not what the
    figure estimates, and the measures take it into account. Raises `InputError`.
    """

    name: str
    horizon: timedelta
    n_steps: int
    factors: tuple[str, ...]
    volatility: FloatArray
    correlation: FloatArray
    factor: IntArray
    shock: FloatArray = field(default=None)  # type: ignore[assignment]
    law: Law = PLAIN_LAW
    sampling: str = "plain"

    def __post_init__(self) -> None:
        checked_text("Scenario.name", self.name)
        n = len(checked_names(self, "factors", distinct=True))
        object.__setattr__(self, "n_steps", checked_int("Scenario.n_steps", self.n_steps, 1))
        checked_duration("Scenario.horizon", self.horizon)
        volatility = frozen(self, "volatility", self.volatility, np.float64, (n,))
        ok = np.isfinite(volatility) & (volatility >= 0) & (volatility <= MOST_VOLATILITY)
        rule = f"must be an annualised fraction in [0, {MOST_VOLATILITY:g}]; 0.8 is 80 % a year"
        require("Scenario.volatility", volatility, ok, rule, self.factors)
        correlation = frozen(self, "correlation", self.correlation, np.float64, (n, n))
        ok = np.isfinite(correlation) & (np.abs(correlation) <= 1 + 1e-12)
        require("Scenario.correlation", correlation, ok, "must be in [-1, 1]", self.factors)
        ok = np.abs(correlation - 1) <= 1e-9
        ok[~np.eye(n, dtype=bool)] = True
        require("Scenario.correlation", correlation, ok, "the diagonal must be 1", self.factors)
        ok = np.isclose(correlation, correlation.T, atol=1e-12)
        require("Scenario.correlation", correlation, ok, "must be symmetric", self.factors)
        lowest = float(np.linalg.eigvalsh(correlation).min()) if n else 1.0
        if lowest < -1e-8:
            raise InputError(
                f"Scenario.correlation: must be positive semi-definite, found the eigenvalue {lowest:.3g}; "
                "use risk_core.analytics.shrunk_correlation or lower the correlations"
            )
        factor = frozen(self, "factor", self.factor, np.int64, (None,))
        require("Scenario.factor", factor, (factor >= FIXED) & (factor < n), f"must be -1 or a row of the {n} factors")
        shock = frozen(self, "shock", np.zeros(n) if self.shock is None else self.shock, np.float64, (n,))
        ok = np.isfinite(shock) & (shock > -1)
        require("Scenario.shock", shock, ok, "a relative move must be finite and above -1", self.factors)
        if not isinstance(self.law, tuple(LAWS.values())):
            raise InputError(f"Scenario.law: expected one of {', '.join(LAWS)}, found {self.law!r:.80}")
        self.law.check(self.factors, self.step / YEAR)
        if not isinstance(self.sampling, str) or self.sampling not in SAMPLINGS:
            raise InputError(f"Scenario.sampling: expected one of {', '.join(SAMPLINGS)}, found {self.sampling!r:.80}")

    @property
    def step(self) -> timedelta:
        """Time of one step."""
        return self.horizon / self.n_steps

    def of_one_step(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(log drift (F,), Cholesky factor (F, F) of the covariance, start (F,)) of one step."""
        years = self.step / YEAR
        start = 1.0 + self.shock
        covariance = self.law.covariance(self.volatility, self.correlation, years)
        return self.law.drift(self.volatility, start, years), cholesky(covariance), start

    def draw(self) -> kernels.Draw:
        """The scenario as the kernel reads it."""
        n = len(self.factors)
        years = self.step / YEAR
        drift, lower, start = self.of_one_step()
        quasi = self.sampling == "quasi"
        return kernels.Draw(
            given=np.zeros((0, n, self.n_steps)), drift=drift, cholesky=lower, start=start, law=self.law.code,
            # Copies: another layout, or a read-only array, would be another type and compile everything again.
            parameters=np.array(self.law.parameters(n, years), dtype=np.float64, order="C"),
            history=np.array(self.law.history(n, years), dtype=np.float64, order="C"),
            sampling=SAMPLINGS[self.sampling],
            directions=sobol_directions(kernels.QUASI_PER_FACTOR * n if quasi else 0),
            share=np.ones(1), shift=np.zeros((1, n)), burst=np.zeros((1, n)),
            thinning=np.ones(1), surge=np.ones(1), jolt=np.zeros(1), **EVERY_PATH, **NO_CAPS,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PricePaths:
    """Explicit prices of the feeds, USD per token: history, an episode, a stress test.

    `Market.oracle_prices` turns them into oracle prices; without caps and links the two are the same. price: (n_paths,
    n_reserves, n_steps + 1); column 0 is the snapshot and is not simulated.
    """

    name: str
    price: FloatArray
    step: timedelta

    def __post_init__(self) -> None:
        checked_text("PricePaths.name", self.name)
        checked_duration("PricePaths.step", self.step)
        price = frozen(self, "price", self.price, np.float64, (None, None, None))
        ok = np.isfinite(price) & (price > 0)
        require("PricePaths.price", price, ok, "prices must be positive and finite (entry: path, reserve, step)")
        if price.shape[0] == 0 or price.shape[2] < 2:
            raise InputError(f"price: expected at least one path and one step, found shape {price.shape}")

    @property
    def n_steps(self) -> int:
        """Steps T after the start."""
        return self.price.shape[2] - 1

    def draw(self, market: Market) -> kernels.Draw:
        """The paths as the kernel reads them: relative to the market's prices, one factor for each reserve."""
        r = market.n_reserves
        if self.price.shape[1] != r:
            raise InputError(f"price: expected {r} reserves, found {self.price.shape[1]} ({self.name})")
        away = np.abs(self.price[:, :, 0] / market.price - 1.0) > SNAPSHOT_TOLERANCE
        if away.any():
            path, reserve = (int(i) for i in np.argwhere(away)[0])
            raise InputError(
                f"price: reserve {reserve} ({market.reserves.symbol[reserve]}) starts at "
                f"{self.price[path, reserve, 0]:g} on path {path}, the snapshot's price is {market.price[reserve]:g}; "
                "column 0 must be the snapshot. To replay another day's moves, multiply each path by "
                "market.price / price[:, :, 0]"
            )
        return kernels.Draw(
            given=self.price[:, :, 1:] / market.price[:, None], drift=np.zeros(r), cholesky=np.zeros((0, 0)),
            start=np.zeros(r), law=dispatch.GBM, parameters=np.zeros((0, r)), history=np.zeros((0, r)),
            sampling=kernels.PLAIN, directions=sobol_directions(0), share=np.ones(1), shift=np.zeros((1, r)),
            burst=np.zeros((1, r)), thinning=np.ones(1), surge=np.ones(1), jolt=np.zeros(1), **EVERY_PATH, **NO_CAPS,
        )  # fmt: skip

    @property
    def horizon(self) -> timedelta:
        """Time of all steps."""
        return self.step * self.n_steps

    @classmethod
    def one_step(cls, market: Market, prices: ArrayLike, name: str = "one step") -> PricePaths:
        """Each row of `prices` (n_paths, R), of the feeds, as a path of one step from the market's own prices."""
        checked_kind("market", market, Market)
        given = checked_array("prices", prices, np.float64, (None,) * (2 if n_axes(prices) > 1 else 1))
        after = np.atleast_2d(given)
        if after.shape[1] != market.n_reserves:
            raise InputError(f"prices: expected {market.n_reserves} a row, one for each reserve, found {given.shape}")
        before = np.broadcast_to(market.price, after.shape)
        return cls(name=name, price=np.stack([before, after], axis=2), step=timedelta(hours=1))

    @classmethod
    def replay(
        cls, market: Market, factor: ArrayLike, log_moves: ArrayLike, step: timedelta, scale: float = 1.0,
        name: str = "replay",
    ) -> PricePaths:  # fmt: skip
        """One path from the market's own prices: moves that were seen, each log move times `scale`.

        factor: (R,) row of `log_moves` that each reserve's feed follows, -1 for a price that stands still. log_moves:
        (F, T) by step. Raises `InputError`, also where a price would move by more than exp(20) times.
        """
        checked_kind("market", market, Market)
        moves = checked_array("log_moves", log_moves, np.float64, (None, None))
        require("log_moves", moves, np.isfinite(moves), "must be finite (entry: factor, step)")
        follows = checked_array("factor", factor, np.int64, (market.n_reserves,))
        ok = (follows >= FIXED) & (follows < len(moves))
        require("factor", follows, ok, f"must be -1 or a row of the {len(moves)} of log_moves")
        times = checked_number("scale", scale, SMALLEST, rule="a factor above 0")
        levels = times * np.cumsum(moves, axis=1)
        rule = f"of all moves up to it, scaled, must be in [-{FARTHEST:g}, {FARTHEST:g}]: is a move in per cent?"
        require("log_moves: the sum", levels, np.abs(levels) <= FARTHEST, rule)
        price = np.repeat(market.price[:, None], moves.shape[1] + 1, axis=1)
        moving = follows >= 0
        price[moving, 1:] *= np.exp(levels[follows[moving]])
        return cls(name=name, price=price[None], step=step)


@cache
def sobol_directions(n_dimensions: int) -> np.ndarray:
    """(n_dimensions, 22) uint64 direction numbers of the Sobol sequence, 32 bits each.

    Joe and Kuo's (SIAM J. Sci. Comput. 30, 2008) as scipy has them, read off its points: in Gray code order points
    2^j - 1 and 2^j differ by direction number j.
    """
    directions = np.zeros((n_dimensions, kernels.QUASI_BITS), dtype=np.uint64)
    if n_dimensions:
        # Here, not at the top: 0.5 s of processor time, and only quasi-random sampling needs it.
        from scipy.stats.qmc import Sobol

        sequence = Sobol(n_dimensions, scramble=False, bits=32)
        for j in range(kernels.QUASI_BITS):
            if j:  # scipy refuses to move a sequence at its start by 0
                sequence.fast_forward(2**j - 1)
            before, after = (sequence.random(2) * 2.0**32).astype(np.uint64)
            directions[:, j] = before ^ after
            sequence.reset()
    directions.setflags(write=False)
    return directions
