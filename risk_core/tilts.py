"""The law that rare losses are drawn from, and the exact weight of each path drawn from it.

That law is a mixture: a share of plain paths, so that no weight exceeds the inverse of the share whatever the tilt
misses, and modes in which

- the independent normals are shifted, by `Tilt.shift` standard deviations evenly over the horizon and by `Tilt.burst`
in one step chosen at random (a deficit is often a gap: liquidators keep up with a slow fall),
- the chi-square of a Student-t path is multiplied by `Tilt.thinning`, so that all its moves are wider,
- common jumps come `Tilt.surge` times as often, their mean moved by `Tilt.jolt` deviations.

Defensive mixture and its bound: Hesterberg, Technometrics 37 (1995). As elsewhere, a path depends on (seed, path
number) alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np

from risk_core.checks import FloatArray, IntArray, frozen, require
from risk_core.errors import InputError
from risk_core.kernels.draw import CHI_SQUARE, JUMP_SCORE, N_EXTRA, N_JUMPS, Draw
from risk_core.kernels.paths import tilt_statistics
from risk_core.laws import Jumps, StudentT
from risk_core.price_models import YEAR, Scenario

CHUNK = 1 << 15


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tilt:
    """A mixture to draw from. Component 0 is the scenario itself. K components, F factors.

    share: (K,) probabilities. shift, burst: (K, F) standard deviations over the horizon and of one step, on the
    independent normals behind the factors (in the order of the Cholesky factor). thinning, surge, jolt: (K,); see the
    module. n_pilot: paths spent on finding it.
    """

    share: FloatArray
    shift: FloatArray
    burst: FloatArray
    thinning: FloatArray
    surge: FloatArray
    jolt: FloatArray
    n_pilot: int = 0

    def __post_init__(self) -> None:
        share = frozen(self, "share", self.share, np.float64, (None,))
        require("Tilt.share", share, np.isfinite(share) & (share > 0), "must be finite and positive")
        if len(share) == 0 or abs(share.sum() - 1) > 1e-9:
            raise InputError(f"Tilt.share: must add up to 1, found {share.sum():g}")
        shift = frozen(self, "shift", self.shift, np.float64, (len(share), None))
        burst = frozen(self, "burst", self.burst, np.float64, shift.shape)
        for name, array in (("shift", shift), ("burst", burst)):
            require(f"Tilt.{name}", array, np.isfinite(array), "must be finite")
        for name in ("thinning", "surge"):
            array = frozen(self, name, getattr(self, name), np.float64, (len(share),))
            require(f"Tilt.{name}", array, np.isfinite(array) & (array > 0), "must be finite and positive")
        jolt = frozen(self, "jolt", self.jolt, np.float64, (len(share),))
        require("Tilt.jolt", jolt, np.isfinite(jolt), "must be finite")
        if (shift[0] != 0).any() or (burst[0] != 0).any() or (self.thinning[0], self.surge[0], jolt[0]) != (1, 1, 0):
            raise InputError("Tilt: component 0 must be the scenario itself (shift, burst, jolt 0; thinning, surge 1)")

    @classmethod
    def none(cls, n_factors: int, n_pilot: int = 0) -> Tilt:
        """Plain Monte Carlo."""
        return cls.unshifted([1.0], n_factors, n_pilot=n_pilot)

    @classmethod
    def unshifted(cls, share: list[float], n_factors: int, **changes: Any) -> Tilt:
        """A mixture of these shares in which only `changes` differ from the scenario's own law."""
        k = len(share)
        ones = dict(thinning=np.ones(k), surge=np.ones(k), jolt=np.zeros(k))
        return cls(share=share, shift=np.zeros((k, n_factors)), burst=np.zeros((k, n_factors)), **(ones | changes))


@dataclass(frozen=True, slots=True, eq=False)
class Redrawn:
    """A scenario as the engine takes it, whose paths are drawn in another way: subclasses define `draw`."""

    scenario: Scenario

    @property
    def name(self) -> str:
        """The scenario's name."""
        return self.scenario.name

    @property
    def n_steps(self) -> int:
        """The scenario's number of steps."""
        return self.scenario.n_steps

    @property
    def step(self) -> timedelta:
        """The scenario's time of one step."""
        return self.scenario.step

    @property
    def horizon(self) -> timedelta:
        """The scenario's horizon."""
        return self.scenario.horizon

    @property
    def factors(self) -> tuple[str, ...]:
        """Names of the scenario's factors."""
        return self.scenario.factors

    @property
    def factor(self) -> IntArray:
        """(R,) factor of each reserve, as the scenario has it."""
        return self.scenario.factor


@dataclass(frozen=True, slots=True, eq=False)
class Tilted(Redrawn):
    """A scenario drawn by a tilt; or, in the first pilot runs, with wider moves."""

    tilt: Tilt
    widening: float = 1.0

    def __post_init__(self) -> None:
        law = self.scenario.law
        if not law.draws_normals:
            raise InputError(
                f"Scenario.law: {type(law).__name__} draws rows of a history, and importance sampling shifts normal "
                "draws; use `simulate` with more paths"
            )

    def draw(self) -> Draw:
        """What the kernels draw with: the scenario's law, tilted."""
        draw = self.scenario.draw()
        tilt = self.tilt
        return draw._replace(
            cholesky=draw.cholesky * self.widening,
            share=np.cumsum(tilt.share),
            shift=tilt.shift / np.sqrt(self.n_steps) / self.widening,
            burst=tilt.burst / self.widening,
            thinning=np.array(tilt.thinning),
            surge=np.array(tilt.surge),
            jolt=np.array(tilt.jolt),
        )


def statistics(tilted: Tilted, seed: int, first: int, n_paths: int) -> FloatArray:
    """(n_paths, K + N_EXTRA): see `kernels.paths.tilt_statistics`."""
    draw, out = tilted.draw(), np.empty((n_paths, len(tilted.tilt.share) + N_EXTRA))
    z = np.empty((len(tilted.factors) + 2, tilted.n_steps))
    for a in range(0, n_paths, CHUNK):
        part = out[a : a + CHUNK]
        tilt_statistics(draw, np.uint64(seed), first + a, len(part), tilted.n_steps, z, part)
    return out


def weights(tilted: Tilted, seen: FloatArray) -> FloatArray:
    """(P,) density of each path under the scenario over that under the mixture: exact, from sufficient statistics."""
    tilt, law = tilted.tilt, tilted.scenario.law
    log_ratio, extra = seen[:, :-N_EXTRA].copy(), seen[:, -N_EXTRA:]
    if isinstance(law, StudentT):
        chi = extra[:, CHI_SQUARE, None]
        log_ratio += -0.5 * law.nu * np.log(tilt.thinning) - 0.5 * chi * (1 / tilt.thinning - 1)
    if isinstance(law, Jumps):
        expected = law.expected(tilted.step / YEAR) * tilted.n_steps
        count, score = extra[:, N_JUMPS, None], extra[:, JUMP_SCORE, None]
        log_ratio += count * np.log(tilt.surge) - (tilt.surge - 1) * expected
        log_ratio += score * tilt.jolt - 0.5 * count * tilt.jolt**2
    highest = log_ratio.max(axis=1)
    return np.exp(-highest) / (tilt.share * np.exp(log_ratio - highest[:, None])).sum(axis=1)


def effective_draws(weight: FloatArray) -> float:
    """Number of equally weighted draws that would give the same information (Kish)."""
    return float(weight.sum() ** 2 / (weight**2).sum())
