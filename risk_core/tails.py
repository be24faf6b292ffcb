"""Rare losses: the chance of a deficit that plain Monte Carlo hardly ever sees.

Importance sampling. Paths are drawn where the loss happens, and each counts with the exact ratio of its probability
under the scenario and under the law that it was drawn from. That law is a mixture: a share of plain paths, so that no
weight exceeds the inverse of the share whatever the tilt misses, and modes in which

- the independent normals are shifted, by `Tilt.shift` standard deviations evenly over the horizon and by `Tilt.burst`
  in one step, whichever (a deficit is often a gap: liquidators keep up with a slow fall),
- the chi-square of a Student-t path is multiplied by `Tilt.thinning`, so that all its moves are wider,
- common jumps come `Tilt.surge` times as often, their mean moved by `Tilt.jolt` deviations.

The tilt is found by pilot runs with other seeds, so the figure stays unbiased: Glasserman, Heidelberger and
Shahabuddin, "Portfolio value-at-risk with heavy-tailed risk factors", Mathematical Finance 12 (2002); the modes by the
cross-entropy method (de Boer, Kroese, Mannor, Rubinstein, Annals of Operations Research 134, 2005), defensive mixture
and its bound: Hesterberg, Technometrics 37 (1995). As elsewhere, a path depends on (seed, path number) alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np

from risk_core.engine import checked_seed, path_range, simulate
from risk_core.errors import InputError
from risk_core.kernels.paths import CHI_SQUARE, JUMP_SCORE, N_EXTRA, N_JUMPS, Draw, independent_of, tilt_statistics
from risk_core.measures import FEW_DRAWS, LOSSES, Z95, Estimate, losses
from risk_core.price_laws import Jumps, StudentT
from risk_core.price_models import Scenario
from risk_core.types import FloatArray, IntArray, Market, _frozen, _require

PLAIN_SHARE = 0.2
"""Share of paths drawn from the scenario itself; no weight exceeds its inverse."""
GENERAL_SHARE = 0.2
"""Share of paths from components that widen or jump without a direction: they bridge plain paths and modes."""
PILOT_PATHS = 2_000
"""Paths of one pilot run."""
ENOUGH_EVENTS = 40
"""Loss paths that a pilot run needs before its modes are believed."""
WIDENINGS = (1.0, 1.5, 2.0, 3.0, 4.5, 7.0)
"""Volatility multiples that the first pilot runs try until losses are no longer rare."""
MOST_EVENTS = 300
N_MODES = 3
"""Of each kind, at most."""
LEAST_PART = 0.005
"""A mode that explains less of the losses is dropped."""
EVEN_PART = 0.3
"""What of the modes' share is dealt out evenly, so that a mode seen by few pilot paths is still drawn from."""
REFINEMENTS = 5
GOOD_DRAWS = 200.0
"""Effective draws of the loss in a pilot run at which the tilt is good enough."""
PILOT_JUMPS = 1.0
PILOT_JOLT = 1.5
PILOT_THINNINGS = (0.5, 0.2)
"""What the components without a direction are drawn with: jumps expected over the horizon, at least; deviations by
which they are larger or smaller; and multiples of the chi-square."""
FARTHEST_SHIFT = 12.0
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
        share = _frozen(self, "share", self.share, np.float64, (None,))
        _require("Tilt.share", share, np.isfinite(share) & (share > 0), "must be positive")
        if len(share) == 0 or abs(share.sum() - 1) > 1e-9:
            raise InputError(f"Tilt.share: must add up to 1, found {share.sum():g}")
        shift = _frozen(self, "shift", self.shift, np.float64, (len(share), None))
        burst = _frozen(self, "burst", self.burst, np.float64, shift.shape)
        for name, array in (("shift", shift), ("burst", burst)):
            _require(f"Tilt.{name}", array, np.isfinite(array), "must be finite")
        for name in ("thinning", "surge"):
            array = _frozen(self, name, getattr(self, name), np.float64, (len(share),))
            _require(f"Tilt.{name}", array, np.isfinite(array) & (array > 0), "must be finite and positive")
        jolt = _frozen(self, "jolt", self.jolt, np.float64, (len(share),))
        _require("Tilt.jolt", jolt, np.isfinite(jolt), "must be finite")
        if (shift[0] != 0).any() or (burst[0] != 0).any() or (self.thinning[0], self.surge[0], jolt[0]) != (1, 1, 0):
            raise InputError("Tilt: component 0 must be the scenario itself (shift, burst, jolt 0; thinning, surge 1)")

    @classmethod
    def none(cls, n_factors: int, n_pilot: int = 0) -> Tilt:
        """Plain Monte Carlo."""
        return cls._unshifted([1.0], n_factors, n_pilot=n_pilot)

    @classmethod
    def _unshifted(cls, share: list[float], n_factors: int, **changes: Any) -> Tilt:
        k = len(share)
        ones = dict(thinning=np.ones(k), surge=np.ones(k), jolt=np.zeros(k))
        return cls(share=share, shift=np.zeros((k, n_factors)), burst=np.zeros((k, n_factors)), **(ones | changes))


@dataclass(frozen=True, slots=True, kw_only=True)
class TailEstimate(Estimate):
    """An estimate from weighted paths.

    effective_draws: how many equally weighted paths with a loss would carry as much. variance_reduction: variance of
    plain Monte Carlo with as many paths over that of this estimate; the pilot paths are not counted in. Both are
    estimates themselves, and mean nothing where `few_draws` says that the error cannot be trusted.
    """

    effective_draws: float
    variance_reduction: float

    @property
    def few_draws(self) -> bool:
        return self.effective_draws < FEW_DRAWS


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TailSample:
    """Weighted paths. P paths.

    loss_usd: (P,) USD. weight: (P,) probability ratio of each path; means over paths of weight x f(loss) estimate
    E[f(loss)] under the scenario. Samples of adjacent path ranges add up to the sample of both, bit for bit.
    """

    loss_usd: FloatArray
    weight: FloatArray
    tilt: Tilt
    seed: int
    first_path: int
    code_version: str

    def __post_init__(self) -> None:
        self.loss_usd.setflags(write=False)
        self.weight.setflags(write=False)

    @property
    def n_paths(self) -> int:
        return len(self.weight)

    def probability(self, above: float = 0.0) -> TailEstimate:
        """P(loss > above)."""
        event = self.loss_usd > above
        estimate = self._mean(np.where(event, self.weight, 0.0))
        p, se = estimate.value, estimate.se
        return replace(
            estimate, high=min(estimate.high, 1.0), n_positive=int(event.sum()),
            effective_draws=_draws(self.weight[event]) if event.any() else 0.0,
            variance_reduction=float(p * (1 - p) / self.n_paths / se**2) if se > 0 else float("nan"),
        )  # fmt: skip

    def mean(self, above: float = 0.0) -> TailEstimate:
        """E[loss; loss > above], USD: what such losses cost on average over all paths."""
        event = self.loss_usd > above
        paid = np.where(event, self.loss_usd, 0.0)
        estimate = self._mean(self.weight * paid)
        plain = float((self.weight * paid**2).mean() - estimate.value**2)
        return replace(
            estimate, n_positive=int(event.sum()),
            effective_draws=_draws((self.weight * paid)[event]) if event.any() else 0.0,
            variance_reduction=float(plain / self.n_paths / estimate.se**2) if estimate.se > 0 else float("nan"),
        )  # fmt: skip

    def _mean(self, values: FloatArray) -> TailEstimate:
        n = self.n_paths
        value = float(values.mean())
        se = float(values.std(ddof=1) / np.sqrt(n)) if n > 1 else float("inf")
        return TailEstimate(
            value=value, low=max(value - Z95 * se, 0.0), high=value + Z95 * se, se=se, level=0.0, n_paths=n,
            n_positive=0, effective_draws=0.0, variance_reduction=float("nan"),
        )  # fmt: skip

    def __add__(self, other: TailSample) -> TailSample:
        same_tilt = all(
            np.array_equal(getattr(self.tilt, name), getattr(other.tilt, name))
            for name in ("share", "shift", "burst", "thinning", "surge", "jolt")
        )
        if not same_tilt or (self.seed, self.code_version) != (other.seed, other.code_version):
            raise InputError("tail samples of different tilts, seeds or code versions cannot be added")
        if other.first_path != self.first_path + self.n_paths:
            raise InputError(
                f"the second sample begins at path {other.first_path}, expected {self.first_path + self.n_paths}"
            )
        return replace(
            self, loss_usd=np.concatenate([self.loss_usd, other.loss_usd]),
            weight=np.concatenate([self.weight, other.weight]),
        )  # fmt: skip


def probability_of_deficit(
    market: Market, scenario: Scenario, above: float = 0.0, n_paths: int = 10_000, seed: int = 7, **how: Any
) -> TailEstimate:
    """P(deficit > above USD) over the horizon, by importance sampling; unbiased, with its error.

    how: `threads`, `policy`, `progress` and the like as in `simulate`. Raises `InputError`.
    """
    _check(scenario, "deficit")
    path_range(scenario, n_paths, None)
    tilt = find_tilt(market, scenario, above, seed, **how)
    return sample(market, scenario, tilt, n_paths, seed, **how).probability(above)


def sample(
    market: Market,
    scenario: Scenario,
    tilt: Tilt,
    n_paths: int = 10_000,
    seed: int = 7,
    paths: tuple[int, int] | None = None,
    of: str = "deficit",
    **how: Any,
) -> TailSample:
    """Weighted losses (`of`: deficit, repaid, seized or fee) of paths drawn by `tilt`; the scenario's own `sampling` is
    put aside. paths: [start, stop) of them only, for sharding."""
    _check(scenario, of)
    if tilt.shift.shape[1] != len(scenario.factors):
        raise InputError(f"Tilt.shift: expected {len(scenario.factors)} factors, found {tilt.shift.shape[1]}")
    tilted = _Tilted(replace(scenario, sampling="plain"), tilt)
    result = simulate(market, tilted, n_paths, seed, paths=paths, **how)  # type: ignore[arg-type]
    seen = _statistics(tilted, seed, result.first_path, result.n_paths)
    return TailSample(
        loss_usd=losses(result, of), weight=_weights(tilted, seen), tilt=tilt, seed=int(seed),
        first_path=result.first_path, code_version=result.code_version,
    )  # fmt: skip


def find_tilt(
    market: Market,
    scenario: Scenario,
    above: float = 0.0,
    seed: int = 7,
    n_paths: int = PILOT_PATHS,
    of: str = "deficit",
    **how: Any,
) -> Tilt:
    """A mixture under which `of` > above is common, from pilot runs of `n_paths` paths whose seeds derive from `seed`.

    First the volatility is multiplied until losses show. Where they lie gives up to two modes; run by run the
    volatility comes back to the scenario's, and each mode moves to the weighted mean of the losses that it explains.
    Where no loss shows at all the answer is plain Monte Carlo.
    """
    _check(scenario, of)
    if isinstance(above, bool) or not isinstance(above, int | float | np.number) or not np.isfinite(above) or above < 0:
        raise InputError(f"above: expected USD, finite and not negative, found {above!r}")
    scenario = replace(scenario, sampling="plain")
    seeds = iter(np.random.default_rng([checked_seed(seed), 1]).integers(2**63, size=2 * len(WIDENINGS) + REFINEMENTS))
    tilt, spent = _everything_more_often(scenario), 0
    for level, widening in enumerate(WIDENINGS):  # noqa: B007
        pilot = _Pilot(market, _Tilted(scenario, tilt, widening), n_paths, int(next(seeds)), of, above, how)
        spent += n_paths
        if len(pilot.weight) >= ENOUGH_EVENTS:
            break
    else:
        return Tilt.none(len(scenario.factors), spent)
    tilt, exact = _modes(pilot), []
    for widening in [*WIDENINGS[level - 1 : 0 : -1], *[1.0] * REFINEMENTS]:
        pilot = _Pilot(market, _Tilted(scenario, tilt, widening), n_paths, int(next(seeds)), of, above, how)
        spent += n_paths
        if widening == 1.0:
            exact.append(pilot)
            pilot = _Pilot.pooled(exact)
        if len(pilot.weight) >= FEW_DRAWS / 3:
            tilt = _modes(pilot)
        if widening == 1.0 and len(pilot.weight) and _draws(pilot.weight) > GOOD_DRAWS:
            break
    return replace(tilt, n_pilot=spent)


@dataclass(frozen=True, slots=True, eq=False)
class _Tilted:
    """A scenario as the engine takes it, drawn by a tilt; or, in the first pilot runs, with wider moves."""

    scenario: Scenario
    tilt: Tilt
    widening: float = 1.0

    @property
    def name(self) -> str:
        return self.scenario.name

    @property
    def n_steps(self) -> int:
        return self.scenario.n_steps

    @property
    def step(self) -> timedelta:
        return self.scenario.step

    @property
    def horizon(self) -> timedelta:
        return self.scenario.horizon

    @property
    def factors(self) -> tuple[str, ...]:
        return self.scenario.factors

    @property
    def factor(self) -> IntArray:
        return self.scenario.factor

    def draw(self) -> Draw:
        draw = self.scenario.draw()
        tilt = self.tilt
        return draw._replace(
            cholesky=draw.cholesky * self.widening, share=np.cumsum(tilt.share),
            shift=tilt.shift / np.sqrt(self.n_steps) / self.widening, burst=tilt.burst / self.widening,
            thinning=np.array(tilt.thinning), surge=np.array(tilt.surge), jolt=np.array(tilt.jolt),
        )  # fmt: skip


def _check(scenario: object, of: str) -> None:
    if not isinstance(scenario, Scenario):
        raise InputError(f"scenario: importance sampling needs a Scenario with a law, found {type(scenario).__name__}")
    if of not in LOSSES:
        raise InputError(f"of: expected one of {', '.join(LOSSES)}, found {of!r}")


class _Pilot:
    """One pilot run. E of its paths have the loss (the first MOST_EVENTS are kept).

    z: (E, F, T) their independent normals, as wide as they were drawn. extra: (E, N_EXTRA). weight: (E,) exact, except
    that with wider moves the normals are not weighed.
    """

    def __init__(
        self, market: Market, tilted: _Tilted, n_paths: int, seed: int, of: str, above: float, how: dict[str, Any]
    ) -> None:
        quiet = {name: value for name, value in how.items() if name != "progress"}
        result = simulate(market, tilted, n_paths, seed, **quiet)  # type: ignore[arg-type]
        event = np.flatnonzero(losses(result, of) > above)
        found, event = len(event), event[:MOST_EVENTS]
        seen = _statistics(tilted, seed, 0, n_paths)[event]
        self.tilted, self.extra = tilted, seen[:, -N_EXTRA:]
        if tilted.widening > 1:
            seen[:, :-N_EXTRA] = 0.0
        self.weight = _weights(tilted, seen) * (found / max(len(event), 1))
        draw, n_factors = tilted.draw(), len(tilted.factors)
        self.z = np.empty((len(event), n_factors, tilted.n_steps))
        z = np.empty((n_factors + 2, tilted.n_steps))
        for row, path in enumerate(event):
            independent_of(draw, np.uint64(seed), path, tilted.n_steps, z)
            self.z[row] = z[:n_factors] * tilted.widening

    @classmethod
    def pooled(cls, pilots: list[_Pilot]) -> _Pilot:
        """Runs of equal length and unwidened as one."""
        whole = cls.__new__(cls)
        whole.tilted = pilots[-1].tilted
        for name in ("z", "extra", "weight"):
            setattr(whole, name, np.concatenate([getattr(pilot, name) for pilot in pilots]))
        return whole


def _statistics(tilted: _Tilted, seed: int, first: int, n_paths: int) -> FloatArray:
    """(n_paths, K + N_EXTRA): see `kernels.paths.tilt_statistics`."""
    draw, out = tilted.draw(), np.empty((n_paths, len(tilted.tilt.share) + N_EXTRA))
    z = np.empty((len(tilted.factors) + 2, tilted.n_steps))
    for a in range(0, n_paths, CHUNK):
        part = out[a : a + CHUNK]
        tilt_statistics(draw, np.uint64(seed), first + a, len(part), tilted.n_steps, z, part)
    return out


def _weights(tilted: _Tilted, seen: FloatArray) -> FloatArray:
    """(P,) density of each path under the scenario over that under the mixture: exact, from sufficient statistics."""
    tilt, law = tilted.tilt, tilted.scenario.law
    log_ratio, extra = seen[:, :-N_EXTRA].copy(), seen[:, -N_EXTRA:]
    if isinstance(law, StudentT):
        chi = extra[:, CHI_SQUARE, None]
        log_ratio += -0.5 * law.nu * np.log(tilt.thinning) - 0.5 * chi * (1 / tilt.thinning - 1)
    if isinstance(law, Jumps):
        expected = tilted.draw().shape[0] * tilted.n_steps
        count, score = extra[:, N_JUMPS, None], extra[:, JUMP_SCORE, None]
        log_ratio += count * np.log(tilt.surge) - (tilt.surge - 1) * expected
        log_ratio += score * tilt.jolt - 0.5 * count * tilt.jolt**2
    highest = log_ratio.max(axis=1)
    return np.exp(-highest) / (tilt.share * np.exp(log_ratio - highest[:, None])).sum(axis=1)


def _draws(weight: FloatArray) -> float:
    """Equally weighted draws that would carry as much (Kish)."""
    return float(weight.sum() ** 2 / (weight**2).sum())


def _tempered(weight: FloatArray) -> FloatArray:
    """A power of the weights, the highest up to 1 that leaves half the draws or enough of them a say."""
    weight = weight / weight.max()
    for power in (1.0, 0.7, 0.5, 0.3, 0.2, 0.1):
        if _draws(weight**power) >= min(ENOUGH_EVENTS, len(weight) / 2):
            return weight**power
    return np.ones(len(weight))


def _everything_more_often(scenario: Scenario) -> Tilt:
    """A mixture that knows nothing of the market: where the law has more than normals to move, move it."""
    n_factors, law = len(scenario.factors), scenario.law
    expected = scenario.draw().shape[0] * scenario.n_steps
    if isinstance(law, StudentT):
        return Tilt._unshifted([0.4, 0.3, 0.3], n_factors, thinning=[1.0, *PILOT_THINNINGS])
    if isinstance(law, Jumps) and expected > 0:
        surge = max(PILOT_JUMPS / expected, 1.0)
        return Tilt._unshifted(
            [0.2, 0.4, 0.4], n_factors, surge=[1.0, surge, surge], jolt=[0.0, PILOT_JOLT, -PILOT_JOLT]
        )
    return Tilt.none(n_factors)


def _modes(pilot: _Pilot) -> Tilt:
    """Modes that fit weighted losses best: cross-entropy by expectation-maximisation with unit covariance.

    Some with an even shift alone, and some with a burst as well if there is more than one step.
    """
    scenario, variance = pilot.tilted.scenario, pilot.tilted.widening**2
    n_steps, weight = scenario.n_steps, _tempered(pilot.weight)
    weight = weight / weight.sum()
    steps, total = pilot.z.transpose(0, 2, 1), pilot.z.sum(axis=2)
    even = _centres(total / np.sqrt(n_steps), weight) / np.sqrt(n_steps)
    shift, burst = even, np.zeros_like(even)
    if n_steps > 1:
        farthest = steps[np.arange(len(steps)), (steps**2).sum(axis=2).argmax(axis=1)]
        sudden = _centres(farthest, weight)
        shift, burst = np.vstack([even, np.zeros_like(sudden)]), np.vstack([burst, sudden])
    part = np.full(len(shift), 1 / len(shift))
    for _ in range(20):
        log = np.empty((len(part), len(weight), n_steps))  # component, path, step of the burst
        for k in range(len(part)):
            base = total @ shift[k] - 0.5 * n_steps * shift[k] @ shift[k]
            peak = (steps - shift[k]) @ burst[k] - 0.5 * burst[k] @ burst[k]
            log[k] = np.log(max(part[k], 1e-12) / n_steps) + (base[:, None] + peak) / variance
        share = np.exp(log - log.max(axis=(0, 2))[:, None])
        share *= (weight / share.sum(axis=(0, 2)))[:, None]
        part = share.sum(axis=(1, 2))
        for k in range(len(part)):
            mass = max(part[k], 1e-12)
            everywhere = share[k].sum(axis=1) @ total / mass
            if k < len(even):
                shift[k] = everywhere / n_steps
            else:
                there = np.einsum("et,etf->f", share[k], steps) / mass
                shift[k] = (everywhere - there) / (n_steps - 1)
                burst[k] = there - shift[k]
    kept = part > LEAST_PART
    member = share.sum(axis=2)[kept]
    extra = (member / member.sum(axis=1, keepdims=True)) @ pilot.extra
    part, shift, burst = part[kept] / part[kept].sum(), _bounded(shift[kept] * np.sqrt(n_steps)), _bounded(burst[kept])
    part = (1 - EVEN_PART) * part + EVEN_PART / len(part)
    thinning, surge, jolt = np.ones(len(part)), np.ones(len(part)), np.zeros(len(part))
    expected = scenario.draw().shape[0] * n_steps
    if isinstance(scenario.law, StudentT):
        thinning = np.clip(extra[:, CHI_SQUARE] / scenario.law.nu, 0.005, 1.0)
    if isinstance(scenario.law, Jumps) and expected > 0:
        surge = np.clip(extra[:, N_JUMPS] / expected, 1.0, max(4.0 / expected, 1.0))
        jolt = np.clip(extra[:, JUMP_SCORE] / np.maximum(extra[:, N_JUMPS], 1e-12), -6.0, 6.0)
    base = _everything_more_often(scenario)
    floor = PLAIN_SHARE + (GENERAL_SHARE if len(base.share) > 1 else 0.0)
    general = np.full(len(base.share) - 1, GENERAL_SHARE / max(len(base.share) - 1, 1))
    return Tilt(
        share=np.concatenate([[PLAIN_SHARE], general, (1 - floor) * part]), shift=np.vstack([base.shift, shift]),
        burst=np.vstack([base.burst, burst]), thinning=np.append(base.thinning, thinning),
        surge=np.append(base.surge, surge), jolt=np.append(base.jolt, jolt),
    )  # fmt: skip


def _centres(seen: FloatArray, weight: FloatArray) -> FloatArray:
    """(N_MODES, F) to start from: the mean, then again and again the path that the others describe worst."""
    centre = [weight @ seen]
    for _ in range(N_MODES - 1):
        off = np.min([((seen - one) ** 2).sum(axis=1) for one in centre], axis=0)
        centre.append(seen[(weight * off).argmax()])
    return np.stack(centre)


def _bounded(shift: FloatArray) -> FloatArray:
    length = np.linalg.norm(shift, axis=1, keepdims=True)
    return shift * np.minimum(1.0, FARTHEST_SHIFT / np.maximum(length, 1e-12))
