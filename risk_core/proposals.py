"""A proposed change of risk parameters beside the market as it is: who falls at once, and what changes in a day.

Both markets are simulated on the same paths (common random numbers), so the difference of a figure has a much smaller
error than two runs would have. Its interval is the percentile interval of the paired bootstrap: paths are drawn with
replacement, each with both of its outcomes (B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap, 1993,
sections 8.3 and 13.3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from risk_core.accounts import health_factor, totals
from risk_core.checks import (
    BELOW_ONE,
    FloatArray,
    IntArray,
    checked_array,
    checked_choice,
    checked_kind,
    checked_number,
    require,
)
from risk_core.engine import checked_seed, simulate
from risk_core.errors import InputError
from risk_core.estimates import FEW_DRAWS
from risk_core.governance import parameter_change
from risk_core.measures import losses
from risk_core.price_models import Scenario
from risk_core.shocks import WhatIf, what_if
from risk_core.types import Market

FIGURES = ("lar", "var", "es", "mean")
"""Measures of a `Paired`."""
LEVELS = (0.95, 0.99)
RESAMPLES = 1_000
WARN = 1.05
"""Health factor below which an account that the change brings closer is one to warn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """A figure before and after on the same paths, USD. `low` to `high`: 95 % interval of after minus before.

    measure: `lar` (quantile of debt repaid), `var` (quantile of the deficit), `es` (mean deficit of the worst share) or
    `mean` (mean debt repaid, level 0). few_draws: fewer than 30 paths with a loss in either market determine it.
    """

    measure: str
    level: float
    before: float
    after: float
    low: float
    high: float
    n_paths: int
    few_draws: bool

    @property
    def difference(self) -> float:
        """After minus before."""
        return self.after - self.before


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Proposal:
    """A market before and after a change of parameters. N accounts; rows are numbers of accounts.

    health_before, health_after, debt_usd: (N,). now, then: what is liquidatable before and after, at today's prices.
    falls: rows that become liquidatable by the change, the largest debt first. warn: other rows whose health factor
    falls, to below `warn_below`, the lowest first. measures: empty without a scenario.
    """

    changes: Mapping[str, float]
    before: Market
    after: Market
    health_before: FloatArray
    health_after: FloatArray
    debt_usd: FloatArray
    now: WhatIf
    then: WhatIf
    falls: IntArray
    warn: IntArray
    warn_below: float
    measures: tuple[Paired, ...] = ()

    @property
    def n_lower(self) -> int:
        """Accounts with debt whose health factor falls."""
        return int((self.health_after < self.health_before)[self.debt_usd > 0].sum())


def compare(
    market: Market,
    changes: Mapping[str, float],
    scenario: Scenario | None = None,
    n_paths: int = 10_000,
    seed: int = 7,
    policy: str = "largest_legs",
    *,
    warn_below: float = WARN,
    progress: Callable[[int, int], Any] | None = None,
) -> Proposal:
    """Compare `market` with the same one under `changes`, see `parameter_change`.

    scenario: also simulate both over its horizon, on the same plain paths whatever its own sampling is; None: only what
    is exact. n_paths, seed, policy: as `simulate` takes them. warn_below: health factor, at least 1. progress: called
    with (paths done, paths in all) over both runs. Raises `InputError`, and what `simulate` raises.
    """
    warn = checked_number("warn_below", warn_below, 1.0, 100.0, "a health factor from 1 to 100")
    after = parameter_change(market, changes)
    still = np.zeros(market.n_reserves)
    now, then = what_if(market, still, policy), what_if(after, still, policy)
    before_hf, after_hf = health_factor(market), health_factor(after)
    _, debt = totals(market)
    fallen = np.setdiff1d(then.liquidatable, now.liquidatable)
    closer = (debt > 0) & (after_hf < before_hf) & (after_hf < warn)
    closer[then.liquidatable] = False
    near = np.flatnonzero(closer)
    found = Proposal(
        changes=dict(changes),
        before=market,
        after=after,
        health_before=before_hf,
        health_after=after_hf,
        debt_usd=debt,
        now=now,
        then=then,
        falls=fallen[np.argsort(-debt[fallen], kind="stable")],
        warn=near[np.argsort(after_hf[near], kind="stable")],
        warn_below=warn,
    )
    if scenario is None:
        return found
    checked_kind("scenario", scenario, Scenario)
    plain = replace(scenario, sampling="plain")

    def part(first: int) -> Callable[[int, int], Any] | None:
        return None if progress is None else lambda done, total: progress(first + done, 2 * total)

    base = simulate(market, plain, n_paths=n_paths, seed=seed, policy=policy, progress=part(0))
    other = simulate(after, plain, n_paths=n_paths, seed=seed, policy=policy, progress=part(n_paths))
    repaid, deficit = ((losses(base, of), losses(other, of)) for of in ("repaid", "deficit"))
    kinds = [("lar", *repaid, level) for level in LEVELS] + [("var", *deficit, level) for level in LEVELS]
    kinds += [("es", *deficit, level) for level in LEVELS] + [("mean", *repaid, 0.0)]
    return replace(found, measures=tuple(paired(*kind, seed=seed) for kind in kinds))


def paired(measure: str, before: FloatArray, after: FloatArray, level: float, *, seed: int = 7) -> Paired:
    """A figure of two samples of the same paths, and the interval of its difference.

    before, after: (n,) USD a path, finite, the same path at the same place. level: in [0, 1); a mean takes 0. seed: of
    the resampling. Raises `InputError`.
    """
    checked_choice("measure", measure, FIGURES)
    level = checked_number("level", level, 0.0, BELOW_ONE, "a number in [0, 1)")
    before = checked_array("before", before, np.float64, (None,))
    after = checked_array("after", after, np.float64, before.shape)
    n = len(before)
    if not n:
        raise InputError("before: expected at least one path, found none")
    for label, sample in (("before", before), ("after", after)):
        require(label, sample, np.isfinite(sample), "must be finite USD")
    order = [np.argsort(sample, kind="stable") for sample in (before, after)]
    ones = np.ones(n)
    values = [_weighted(measure, sample[o], ones[o], level) for sample, o in zip((before, after), order, strict=True)]
    rng = np.random.default_rng([checked_seed(seed), n])
    differences = np.empty(RESAMPLES)
    for k in range(RESAMPLES):
        weight = np.bincount(rng.integers(0, n, n), minlength=n).astype(np.float64)
        first, second = (
            _weighted(measure, sample[o], weight[o], level) for sample, o in zip((before, after), order, strict=True)
        )
        differences[k] = second - first
    low, high = np.quantile(differences, [0.025, 0.975])
    beyond = max(int(np.ceil(n * level)) - 1, 0)
    positive = min(int((sample[o][beyond:] > 0).sum()) for sample, o in zip((before, after), order, strict=True))
    return Paired(
        measure=measure, level=level, before=values[0], after=values[1], low=float(low), high=float(high), n_paths=n,
        few_draws=positive < FEW_DRAWS,
    )  # fmt: skip


def _weighted(measure: str, ordered: FloatArray, weight: FloatArray, level: float) -> float:
    """The figure of a sample in rising order whose draws count `weight` times; the weights add up to its length."""
    n = len(ordered)
    if measure == "mean":
        return float(ordered @ weight / n)
    if measure in ("lar", "var"):
        rank = max(np.ceil(n * level), 1.0)
        return float(ordered[int(np.searchsorted(np.cumsum(weight), rank))])
    # The worst n (1 - level) draws; the one at the boundary counts with what is left of it.
    share = n * (1 - level)
    above = np.concatenate([np.cumsum(weight[::-1])[::-1][1:], [0.0]])
    counted = np.clip(share - above, 0.0, weight)
    return float(ordered @ counted / share)
