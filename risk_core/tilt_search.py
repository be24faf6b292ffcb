"""Where losses lie: pilot runs find the mixture that draws them often.

The modes by the cross-entropy method (de Boer, Kroese, Mannor, Rubinstein, Annals of Operations Research 134, 2005).
Pilot runs have seeds of their own, so that what is estimated with the tilt stays unbiased.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from risk_core.checks import FloatArray, checked_choice, checked_int, checked_kind, checked_number
from risk_core.engine import checked_seed, simulate
from risk_core.errors import InputError
from risk_core.kernels.draw import CHI_SQUARE, JUMP_SCORE, N_EXTRA, N_JUMPS
from risk_core.kernels.paths import independent_of
from risk_core.laws import Jumps, StudentT
from risk_core.measures import FEW_DRAWS, LOSSES, losses
from risk_core.price_models import YEAR, Scenario
from risk_core.tilts import Tilt, Tilted, effective_draws, statistics, weights
from risk_core.types import Market

PLAIN_SHARE = 0.2
"""Share of paths drawn from the scenario itself; no weight exceeds its inverse."""
GENERAL_SHARE = 0.2
"""Share of paths from components that widen or jump without a direction: they bridge plain paths and modes."""
PILOT_PATHS = 2_000
"""Paths of one pilot run."""
ENOUGH_EVENTS = 40
"""Loss paths that a pilot run needs before its modes are used."""
WIDENINGS = (1.0, 1.5, 2.0, 3.0, 4.5, 7.0)
"""Volatility multiples that the first pilot runs try until losses are no longer rare."""
MOST_EVENTS = 300
N_MODES = 3
"""Modes of each kind (with an even shift, with a burst), at most."""
LEAST_PART = 0.005
"""A mode that explains less of the losses is dropped."""
EVEN_PART = 0.3
"""Part of the modes' share that is divided evenly, so that a mode seen by few pilot paths is still drawn from."""
REFINEMENTS = 5
GOOD_DRAWS = 200.0
"""Effective draws of the loss in a pilot run at which the tilt is good enough."""
PILOT_JUMPS = 1.0
PILOT_JOLT = 1.5
PILOT_THINNINGS = (0.5, 0.2)
"""Of the components without a direction: jumps expected over the horizon, at least; deviations by which their mean is
larger or smaller; and multiples of the chi-square."""
FARTHEST_SHIFT = 12.0


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

    First the volatility is multiplied until losses occur. Where they lie gives the modes; run by run the volatility
    comes back to the scenario's, and each mode moves to the weighted mean of the losses that it explains. Where no loss
    occurs at all the result is plain Monte Carlo.
    """
    check_request(scenario, of)
    checked_kind("market", market, Market)
    above = checked_number("above", above, 0.0, rule="USD, finite and not negative")
    n_paths = checked_int("n_paths", n_paths, 1)
    scenario = replace(scenario, sampling="plain")
    seeds = iter(np.random.default_rng([checked_seed(seed), 1]).integers(2**63, size=2 * len(WIDENINGS) + REFINEMENTS))
    tilt, spent = _everything_more_often(scenario), 0
    for level, widening in enumerate(WIDENINGS):  # noqa: B007
        pilot = _Pilot(market, Tilted(scenario, tilt, widening), n_paths, int(next(seeds)), of, above, how)
        spent += n_paths
        if len(pilot.weight) >= ENOUGH_EVENTS:
            break
    else:
        return Tilt.none(len(scenario.factors), spent)
    tilt, exact = _modes(pilot), []
    for widening in [*WIDENINGS[level - 1 : 0 : -1], *[1.0] * REFINEMENTS]:
        pilot = _Pilot(market, Tilted(scenario, tilt, widening), n_paths, int(next(seeds)), of, above, how)
        spent += n_paths
        if widening == 1.0:
            exact.append(pilot)
            pilot = _Pilot.pooled(exact)
        if len(pilot.weight) >= FEW_DRAWS / 3:
            tilt = _modes(pilot)
        if widening == 1.0 and len(pilot.weight) and effective_draws(pilot.weight) > GOOD_DRAWS:
            break
    return replace(tilt, n_pilot=spent)


def check_request(scenario: object, of: str) -> None:
    """Raise `InputError` unless `scenario` is a `Scenario` and `of` names a loss."""
    if not isinstance(scenario, Scenario):
        raise InputError(f"scenario: importance sampling needs a Scenario with a law, found {type(scenario).__name__}")
    checked_choice("of", of, LOSSES)


class _Pilot:
    """One pilot run. E of its paths have the loss (the first MOST_EVENTS are kept).

    z: (E, F, T) their independent normals, multiplied by the widening. extra: (E, N_EXTRA). weight: (E,) exact, except
    that with wider moves the normals are not weighed.
    """

    def __init__(
        self, market: Market, tilted: Tilted, n_paths: int, seed: int, of: str, above: float, how: dict[str, Any]
    ) -> None:
        quiet = {name: value for name, value in how.items() if name != "progress"}
        result = simulate(market, tilted, n_paths, seed, **quiet)  # type: ignore[arg-type]
        event = np.flatnonzero(losses(result, of) > above)
        found, event = len(event), event[:MOST_EVENTS]
        seen = statistics(tilted, seed, 0, n_paths)[event]
        self.tilted, self.extra = tilted, seen[:, -N_EXTRA:]
        if tilted.widening > 1:
            seen[:, :-N_EXTRA] = 0.0
        self.weight = weights(tilted, seen) * (found / max(len(event), 1))
        draw, n_factors = tilted.draw(), len(tilted.factors)
        self.z = np.empty((len(event), n_factors, tilted.n_steps))
        z = np.empty((n_factors + 2, tilted.n_steps))
        for row, path in enumerate(event):
            independent_of(draw, np.uint64(seed), path, tilted.n_steps, z)
            self.z[row] = z[:n_factors] * tilted.widening

    @classmethod
    def pooled(cls, pilots: list[_Pilot]) -> _Pilot:
        """Runs of equal length, without widening, joined into one."""
        whole = cls.__new__(cls)
        whole.tilted = pilots[-1].tilted
        for name in ("z", "extra", "weight"):
            setattr(whole, name, np.concatenate([getattr(pilot, name) for pilot in pilots]))
        return whole


def _tempered(weight: FloatArray) -> FloatArray:
    """The weights to the highest power (at most 1) at which half the draws, or enough of them, are effective."""
    weight = weight / weight.max()
    for power in (1.0, 0.7, 0.5, 0.3, 0.2, 0.1):
        if effective_draws(weight**power) >= min(ENOUGH_EVENTS, len(weight) / 2):
            return weight**power
    return np.ones(len(weight))


def _jumps(scenario: Scenario) -> float:
    """Jumps expected over the horizon."""
    law = scenario.law
    return law.expected(scenario.step / YEAR) * scenario.n_steps if isinstance(law, Jumps) else 0.0


def _everything_more_often(scenario: Scenario) -> Tilt:
    """A mixture for any market: wider Student-t paths, or more and larger jumps, where the law has them."""
    n_factors, law = len(scenario.factors), scenario.law
    expected = _jumps(scenario)
    if isinstance(law, StudentT):
        return Tilt.unshifted([0.4, 0.3, 0.3], n_factors, thinning=[1.0, *PILOT_THINNINGS])
    if expected > 0:
        surge = max(PILOT_JUMPS / expected, 1.0)
        return Tilt.unshifted(
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
    expected = _jumps(scenario)
    if isinstance(scenario.law, StudentT):
        thinning = np.clip(extra[:, CHI_SQUARE] / scenario.law.nu, 0.005, 1.0)
    if expected > 0:
        surge = np.clip(extra[:, N_JUMPS] / expected, 1.0, max(4.0 / expected, 1.0))
        jolt = np.clip(extra[:, JUMP_SCORE] / np.maximum(extra[:, N_JUMPS], 1e-12), -6.0, 6.0)
    base = _everything_more_often(scenario)
    floor = PLAIN_SHARE + (GENERAL_SHARE if len(base.share) > 1 else 0.0)
    general = np.full(len(base.share) - 1, GENERAL_SHARE / max(len(base.share) - 1, 1))
    return Tilt(
        share=np.concatenate([[PLAIN_SHARE], general, (1 - floor) * part]),
        shift=np.vstack([base.shift, shift]),
        burst=np.vstack([base.burst, burst]),
        thinning=np.append(base.thinning, thinning),
        surge=np.append(base.surge, surge),
        jolt=np.append(base.jolt, jolt),
    )


def _centres(seen: FloatArray, weight: FloatArray) -> FloatArray:
    """(N_MODES, F) to start from: the mean, then each time the path that is farthest from those chosen before."""
    centre = [weight @ seen]
    for _ in range(N_MODES - 1):
        off = np.min([((seen - chosen) ** 2).sum(axis=1) for chosen in centre], axis=0)
        centre.append(seen[(weight * off).argmax()])
    return np.stack(centre)


def _bounded(shift: FloatArray) -> FloatArray:
    length = np.linalg.norm(shift, axis=1, keepdims=True)
    return shift * np.minimum(1.0, FARTHEST_SHIFT / np.maximum(length, 1e-12))
