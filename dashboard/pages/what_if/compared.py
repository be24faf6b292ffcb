"""What is compared of two simulated sides, and the error of the difference: paths are resampled in pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import risk_core as rc
from dashboard.market.loaded import ShownFigure

Array = NDArray[np.float64]

RESAMPLES = 100


@dataclass(frozen=True, slots=True)
class Comparison:
    """One measure under both scenarios with the same random numbers. `error` is the half width of 95 %."""

    label: str
    unit: str
    baseline: ShownFigure
    scenario: ShownFigure
    change: float
    error: float
    is_loss: bool = True
    """More of it is worse. Of what is repaid that is not so where liquidators have limits: the rest waits."""

    @property
    def clear(self) -> bool:
        """The difference is larger than its error."""
        return abs(self.change) > self.error


def quantile(level: float) -> Callable[[Array], float]:
    """A function that gives the engine's quantile of a sample (n,): an order statistic."""

    def at(x: Array) -> float:
        rank = max(int(np.ceil(len(x) * level)), 1) - 1
        return float(np.partition(x, rank)[rank])

    return at


def mean_of_worst(level: float) -> Callable[[Array], float]:
    """A function that gives the mean of the worst 1 - level share of a sample (n,)."""

    def mean(x: Array) -> float:
        worst = max(1, round(len(x) * (1 - level)))
        return float(np.partition(x, len(x) - worst)[-worst:].mean())

    return mean


def share_above_zero(x: Array) -> float:
    """Fraction of the entries of (n,) `x` that are above zero."""
    return float((x > 0).mean())


@dataclass(frozen=True, slots=True)
class Measure:
    """A row of the comparison: its name, the engine's estimate of it, and the same statistic of a sample (n,)."""

    label: str
    unit: str
    column: str
    estimate: Callable[[rc.Result], rc.measures.Estimate]
    statistic: Callable[[Array], float]


MEASURES = (
    Measure("Debt repaid, LaR 95 %", "USD", "repaid_usd", lambda r: rc.measures.lar(r, 0.95), quantile(0.95)),
    Measure("Debt repaid, LaR 99 %", "USD", "repaid_usd", lambda r: rc.measures.lar(r, 0.99), quantile(0.99)),
    Measure(
        "Collateral seized, 99 %", "USD", "seized_usd", lambda r: rc.measures.lar(r, 0.99, "seized"), quantile(0.99)
    ),
    Measure("Deficit, VaR 99 %", "USD", "deficit_usd", lambda r: rc.measures.var(r, 0.99), quantile(0.99)),
    Measure(
        "Deficit, ES 99 %", "USD", "deficit_usd", lambda r: rc.measures.expected_shortfall(r, 0.99), mean_of_worst(0.99)
    ),
    Measure("P(deficit above $0)", "share", "deficit_usd", rc.measures.probability_of_loss, share_above_zero),
)


WAITING = (
    Measure("Waiting, 99 %", "USD", "waiting_usd",
            lambda r: rc.measures.quantile(r.waiting_usd, 0.99, r.cluster), quantile(0.99)),
    Measure("Shortfall, ES 99 %", "USD", "shortfall_usd",
            lambda r: rc.measures.tail_mean(r.shortfall_usd, 0.99, r.cluster), mean_of_worst(0.99)),
)  # fmt: skip
"""Beside `MEASURES` where liquidators have limits. Without limits nothing waits."""
RESPONDED = Measure("By borrowers, mean", "USD", "responded_usd",
                    lambda r: rc.measures.average(r.responded_usd, r.cluster), lambda x: float(x.mean()))  # fmt: skip
"""Beside `MEASURES` where borrowers respond."""
ON_THE_WAY = Measure("On the way there, mean", "USD", "repaid_usd",
                     lambda r: rc.measures.average(r.repaid_usd, r.cluster), lambda x: float(x.mean()))  # fmt: skip
"""Of paths that end at the prices of the what-if: below the others where prices move and nothing else limits them."""


def paired_errors(
    one: rc.Result, two: rc.Result, measures: Sequence[Measure] = MEASURES, n: int = RESAMPLES, seed: int = 1
) -> list[float]:
    """Half width of the 95 % interval of each measure's difference: paths are resampled in pairs (bootstrap).

    Both runs share their random numbers, so most of the sampling error cancels in the difference. Paths that were drawn
    together (`Result.cluster`) are resampled together.
    """
    rng = np.random.default_rng(seed)
    columns = {m.column for m in measures}
    sides = [{name: getattr(result, name) for name in columns} for result in (one, two)]
    differences = np.empty((n, len(measures)))
    draw = resampling(one.n_paths, one.cluster, rng)
    for k in range(n):
        pick = draw()
        before, after = ({name: values[pick] for name, values in side.items()} for side in sides)
        differences[k] = [m.statistic(after[m.column]) - m.statistic(before[m.column]) for m in measures]
    return (1.96 * differences.std(axis=0, ddof=1)).tolist()


def resampling(n: int, cluster: Array | None, rng: np.random.Generator) -> Callable[[], Array]:
    """A function that draws n paths with replacement, or whole clusters; cluster: (n,) numbers, None: by itself."""
    if cluster is None:
        return lambda: rng.integers(0, n, size=n)
    order = np.argsort(cluster, kind="stable")
    together = np.split(order, np.flatnonzero(np.diff(cluster[order])) + 1)
    return lambda: np.concatenate([together[i] for i in rng.integers(0, len(together), size=len(together))])
