"""How much liquidators may repay over the horizon: the share of paths by amount, baseline and scenario."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import risk_core as rc
from dashboard.market.loaded import ShownFigure

Array = NDArray[np.float64]

LEVEL = 0.99
"""Of the figure that the chart marks."""
BINS = 48
INSIDE = 0.999
"""Share of the paths of each side that the axis shows at least; what lies beyond is said in words."""


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """Shares of paths by the debt repaid, in USD, in bins of one width; the first bin begins at 0.

    A bin holds its lower edge. beyond: shares of the paths (baseline, scenario) at or above the last edge. n_paths of
    `of_paths` are in it. lar: the engine's estimates (baseline, scenario) at `LEVEL`.
    """

    edges: Array
    baseline: Array
    scenario: Array
    beyond: tuple[float, float]
    lar: tuple[ShownFigure, ShownFigure]
    n_paths: int
    of_paths: int
    changed: bool

    @property
    def partial(self) -> bool:
        """Whether more paths are still to come."""
        return self.n_paths < self.of_paths


def spread(base: rc.Result, then: rc.Result, of_paths: int, *, changed: bool) -> Spread:
    """The spread of two runs over the same paths."""
    sides = (base.repaid_usd, then.repaid_usd)
    top = max(float(np.quantile(side, INSIDE)) for side in sides)
    edges = np.linspace(0.0, top * (1 + 1 / BINS) if top > 0 else 1.0, BINS + 1)
    shares = [np.histogram(side[side < edges[-1]], edges)[0] / len(side) for side in sides]
    beyond = [float((side >= edges[-1]).mean()) for side in sides]
    lars = [ShownFigure.of(rc.measures.lar(result, LEVEL)) for result in (base, then)]
    return Spread(
        edges=edges, baseline=shares[0], scenario=shares[1], beyond=(beyond[0], beyond[1]), lar=(lars[0], lars[1]),
        n_paths=base.n_paths, of_paths=of_paths, changed=changed,
    )  # fmt: skip
