"""`python -m tests.statistical.es_coverage`: how often do the 95 % intervals of the measures hold the truth?

The truth of a book is a large simulation, the population. A sample is drawn from it by its independent parts (a path,
an antithetic pair, one copy of the quasi-random points), so the figure that its interval should hold is known exactly,
and any number of samples costs no further simulation. A row counts, over many samples, in how many the interval lay
below the truth, above it, or was not given; beside it stands mean +- 1.96 standard errors, as the engine had it once.
Importance sampling draws paths one by one, from one tilt.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache

import numpy as np

import risk_core as rc
from data.sample import book
from risk_core import measures, tails
from risk_core.price_models import SAMPLINGS
from tests.benchmarks.book import bench_scenario
from tests.markets import random_market, scenario

FALL = -0.25
"""Shock of a shocked book: everything that moves starts a quarter lower."""
SEED = 20_230_311
TILTED = "importance"


@dataclass(frozen=True)
class Case:
    """What is measured: amounts of one kind, on one book, at `n_paths` paths and a level (0: without one)."""

    book: str
    of: str
    measure: str
    level: float
    n_paths: int


SHORTFALLS = tuple(
    Case(where, of, "shortfall", level, n_paths)
    for where, of in (
        ("default", "repaid"),
        ("default shocked", "repaid"),
        ("default shocked", "deficit"),
        ("small", "repaid"),
        ("small shocked", "repaid"),
        ("small shocked", "deficit"),
        ("rare deficits", "deficit"),
    )
    for level, n_paths in ((0.9, 1_024), (0.9, 10_000), (0.95, 10_000), (0.99, 10_000), (0.99, 1_024))
)
OTHERS = tuple(
    Case(where, of, measure, level, n_paths)
    for where, of in (
        ("default", "repaid"),
        ("small", "repaid"),
        ("small shocked", "deficit"),
        ("rare deficits", "deficit"),
    )
    for measure, level in (("quantile", 0.95), ("quantile", 0.99), ("mean", 0.0), ("share", 0.0))
    for n_paths in (1_024, 10_000)
)
TILTS = tuple(
    Case("rare deficits", "deficit", measure, 0.0, n) for measure in ("share", "mean") for n in (4_096, 10_000)
)


@dataclass(frozen=True)
class Row:
    """Coverage of one case under one sampling. Shares of the samples that had an interval; `given` of all samples."""

    case: Case
    sampling: str
    given: float
    below: float
    above: float
    width: float
    plain_coverage: float
    reason: str

    @property
    def coverage(self) -> float:
        return 1.0 - self.below - self.above

    def __str__(self) -> str:
        c = self.case
        head = f"{c.book:16s}{c.of:8s}{c.measure:10s}{c.level or '':<6}{c.n_paths:>7,}  {self.sampling:11s}"
        if not self.given:
            return f"{head}  no interval: {self.reason}"
        return (
            f"{head}{self.plain_coverage:8.1%}{self.coverage:10.1%}{self.above:9.1%}{self.below:9.1%}"
            f"{self.given:8.0%}{self.width:9.2%}"
        )


HEAD = (
    f"{'book':16s}{'amount':8s}{'measure':10s}{'level':6s}{'paths':>7s}  {'sampling':11s}{'+-1.96':>8s}{'covers':>10s}"
    f"{'too low':>9s}{'too high':>9s}{'given':>8s}{'width':>9s}"
)


def market_of(name: str) -> tuple[rc.Market, rc.Scenario]:
    """A book of the study and its day of 24 hours."""
    if name == "rare deficits":
        return random_market(1, "whales", 60), scenario(5)
    market = book(20_000 if name.startswith("default") else 3_000)
    day = bench_scenario(market, 24, timedelta(hours=1))
    shock = np.where(day.volatility > 0.3, FALL, 0.0) if name.endswith("shocked") else None
    return market, replace(day, shock=shock)


class Population:
    """Independent parts of a simulation: (parts, k) amounts, each part drawn together."""

    def __init__(self, name: str, sampling: str, size: int, total: int) -> None:
        market, day = market_of(name)
        day = replace(day, sampling=sampling)
        runs = [rc.simulate(market, day, size, seed=SEED + i) for i in range(-(-total // size))]
        of_run = runs[0].cluster
        order = np.argsort(of_run, kind="stable") if of_run is not None else slice(None)
        self.parts = 1 if of_run is None else len(np.unique(of_run))
        self.amounts = {
            of: np.concatenate([measures.losses(run, of)[order].reshape(self.parts, -1) for run in runs])
            if of_run is not None
            else np.concatenate([measures.losses(run, of)[:, None] for run in runs])
            for of in ("repaid", "deficit")
        }

    def samples(self, of: str, n_paths: int, times: int) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """`times` samples of `n_paths`: amounts, and what was drawn together (None: nothing)."""
        whole = self.amounts[of]
        k = whole.shape[1]
        count = n_paths // k
        cluster = None if k == 1 else np.repeat(np.arange(count), k)
        rng = np.random.default_rng(SEED)
        for _ in range(times):
            yield whole[rng.integers(len(whole), size=count)].ravel(), cluster


@lru_cache(maxsize=6)
def population(name: str, sampling: str, size: int, total: int) -> Population:
    """`total` paths in runs of `size`, simulated once for all that is measured of them.

    Copies of quasi-random points belong to a run of a length; other paths depend on nothing but their number.
    """
    return Population(name, sampling, size, total)


def threshold(amounts: np.ndarray) -> float:
    """The amount whose share is measured: 0 where losses are rare, else what two paths in a hundred exceed."""
    return 0.0 if (amounts > 0).mean() < 0.5 else float(np.quantile(amounts, 0.98))


def figure(case: Case, above: float) -> Callable[[np.ndarray, np.ndarray | None], measures.Estimate]:
    match case.measure:
        case "shortfall":
            return lambda x, cluster: measures.tail_mean(x, case.level, cluster)
        case "quantile":
            return lambda x, cluster: measures.quantile(x, case.level, cluster)
        case "mean":
            return measures.average
    return lambda x, cluster: measures.share(x, above, cluster)


def study(cases: Sequence[Case], times: int, total: int, samplings: Sequence[str] = tuple(SAMPLINGS)) -> Iterator[Row]:
    """A row for each case and sampling, from populations of `total` paths and `times` samples."""
    for sampling in samplings:
        for case in cases:
            whole = population(case.book, sampling, case.n_paths if sampling == "quasi" else total, total)
            everything = whole.amounts[case.of].ravel()
            above = threshold(everything)
            measured = figure(case, above)
            truth = measured(everything, None).value
            drawn = whole.samples(case.of, case.n_paths, times)
            yield counted(case, sampling, truth, (measured(*sample) for sample in drawn))


def tilted(cases: Sequence[Case], times: int, total: int) -> Iterator[Row]:
    """The same for the weighted paths of importance sampling: deficits beyond what one path in two hundred exceeds."""
    market, day = market_of("rare deficits")
    above = float(np.quantile(rc.simulate(market, day, 200_000, seed=SEED).deficit_usd, 0.995))
    whole = tails.sample(market, day, tails.find_tilt(market, day, above), total, seed=SEED)
    rng = np.random.default_rng(SEED)
    for case in cases:

        def measured(at: np.ndarray | slice, case: Case = case) -> tails.TailEstimate:
            sample = replace(whole, loss_usd=whole.loss_usd[at], weight=whole.weight[at])
            return sample.probability(above) if case.measure == "share" else sample.mean(above)

        draws = (rng.integers(total, size=case.n_paths) for _ in range(times))
        yield counted(case, TILTED, measured(slice(None)).value, (measured(at) for at in draws))


def counted(case: Case, sampling: str, truth: float, estimates: Iterator[measures.Estimate]) -> Row:
    below = above = given = plain = times = 0
    width, reason = 0.0, ""
    near = 1e-9 * abs(truth)  # the same money added up in another order
    for estimate in estimates:
        times += 1
        if estimate.no_interval:
            reason = reason or estimate.no_interval
            continue
        given += 1
        above += estimate.high < truth - near
        below += estimate.low > truth + near
        plain += abs(estimate.value - truth) <= measures.Z95 * estimate.se + near
        width += (estimate.high - estimate.low) / truth if truth else 0.0
    part = 1 / max(given, 1)
    return Row(case, sampling, given / times, below * part, above * part, width * part, plain * part, reason)


def worst(rows: Sequence[Row]) -> float:
    """The lowest coverage of all rows with an interval, in 0 to 1."""
    return min(row.coverage for row in rows if row.given)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.statistical.es_coverage", description=__doc__)
    parser.add_argument("--samples", type=int, default=1_000, help="samples a row (default: %(default)s)")
    parser.add_argument("--paths", type=int, default=1_000_000, help="paths of a population (default: %(default)s)")
    parser.add_argument("--all", action="store_true", help="the other measures as well, and importance sampling")
    asked = parser.parse_args(arguments)
    sys.stdout.write(HEAD + "\n")
    rows = []
    for row in study(SHORTFALLS, asked.samples, asked.paths):
        rows.append(row)
        sys.stdout.write(f"{row}\n")
        sys.stdout.flush()
    if asked.all:
        for row in study(OTHERS, asked.samples, asked.paths):
            sys.stdout.write(f"{row}\n")
        for row in tilted(TILTS, asked.samples, asked.paths // 4):
            sys.stdout.write(f"{row}\n")
    error = np.sqrt(0.95 * 0.05 / asked.samples)
    sys.stdout.write(f"lowest coverage of a shortfall: {worst(rows):.3f}, each counted to +- {1.96 * error:.3f}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
