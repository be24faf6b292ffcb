"""Two-phase samples against plain Monte Carlo with many more paths: no bias, errors and intervals that hold."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from scipy import stats

import risk_core as rc
from risk_core import two_phase
from tests.markets import random_market, scenario

pytestmark = pytest.mark.statistical

LAWS = {
    "student-t": rc.StudentT(4.0),
    "gbm": rc.GBM(),
    "jumps": rc.Jumps(20.0, -0.1, 0.06),
}
BOOK = random_market(11, "plain", 400)
SEEDS = 40


def day(law: str) -> rc.Scenario:
    return replace(scenario(5, 6, seed=2, volatility=0.8), law=LAWS[law])


@lru_cache(maxsize=4)
def plain(law: str) -> np.ndarray:
    """(100,000,) USD repaid on plain paths with another seed, sorted."""
    return np.sort(rc.simulate(BOOK, day(law), 100_000, seed=99).repaid_usd)


@lru_cache(maxsize=8)
def samples(law: str, blind: bool, whole_tail: bool = False) -> list[two_phase.TwoPhaseSample]:
    """One sample a seed: of 20,000 paths, or of 6,000 for jumps, whose paths are all looked at.

    blind: nothing is known of a path when it is chosen, by 2 in 5.
    """
    found, n_paths = [], 6_000 if law == "jumps" else 20_000
    for seed in range(SEEDS):
        screen = two_phase.find_screen(BOOK, day(law), n_paths=n_paths, seed=seed, whole_tail=whole_tail)
        if blind:
            screen = replace(screen, account=screen.account[:1], threshold_usd=[], followed=[0.4])
        found.append(two_phase.sample(BOOK, day(law), screen, n_paths, seed))
    return found


@pytest.mark.parametrize("blind", [False, True], ids=["found", "blind"])
@pytest.mark.parametrize("law", LAWS)
def test_the_chance_of_a_loss_is_that_of_plain_monte_carlo(law, blind):
    """Means over 40 seeds of P(loss > y), for y that 5 %, 1 % and 0.2 % of plain paths exceed, within 4 standard
    errors of both; and their spread is the one that the samples state, within 4 standard errors of its own. A blind
    screen has one stratum for wide and calm paths alike, and the error stated is then too large."""
    for p in (0.05, 0.01, 0.002):
        loss = plain(law)
        above = float(loss[int(len(loss) * (1 - p))])
        exact = float((loss > above).mean())
        values = np.array([one.probability_above(above).value for one in samples(law, blind)])
        stated = np.array([one._error((one.loss_usd > above) * 1.0) for one in samples(law, blind)])
        error = np.hypot(values.std(ddof=1) / np.sqrt(SEEDS), np.sqrt(exact * (1 - exact) / len(loss)))
        assert abs(values.mean() - exact) < 4 * error
        ratio = (SEEDS - 1) * values.var(ddof=1) / (stated**2).mean()
        assert (0 if blind else stats.chi2.ppf(3e-5, SEEDS - 1)) < ratio < stats.chi2.isf(3e-5, SEEDS - 1)


@pytest.mark.parametrize("law", ["student-t", "gbm"])
def test_intervals_hold_the_quantile_and_the_mean_beyond_it(law):
    """Of 40 intervals of 95 %, 30 or fewer hold with a chance of 1e-5."""
    loss = plain(law)
    share = len(loss) // 100
    quantiles = [one.quantile() for one in samples(law, False)]
    figures = [(quantiles, loss[-share - 1])]
    if law == "student-t":
        figures.append(([one.tail_mean() for one in samples(law, False, True)], loss[-share:].mean()))
    for found, exact in figures:
        assert sum(one.low <= exact <= one.high for one in found) > 30
        assert all(one.low <= one.value <= one.high < np.inf for one in found)
    assert np.mean([one.variance_reduction for one in quantiles]) > (10 if law == "student-t" else 3)
