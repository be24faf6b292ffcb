"""Protocol scores: one by hand, what must hold for every one, and the scale of letters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

import risk_core as rc
from risk_core.analytics import scores
from risk_core.analytics.shares import clopper_pearson, wilson

POINTS = st.floats(0, 100)


def test_a_score_by_hand():
    """Two reserves, half the second lent beyond its kink; three parts, one of them not known."""
    used = scores.utilisation([80.0, 95.0], [20.0, 5.0])
    np.testing.assert_allclose(used, [0.8, 0.95])
    # 0.8 of a kink of 0.8 is 50; 0.95 lies half way from 0.9 to 1, so 75. Sizes 3 : 1.
    points = scores.use_points(used, [0.8, 0.9], [300.0, 100.0])
    assert points == pytest.approx((3 * 50 + 75) / 4)
    # 0.5, 0.3 and 0.2; the last is not known, so the first two are 0.625 and 0.375.
    found = scores.weighted([points, 20.0, np.nan], [0.5, 0.3, 0.2])
    np.testing.assert_allclose(found.used, [0.625, 0.375, 0])
    assert found.known == pytest.approx(0.8)
    assert found.score == pytest.approx(0.625 * 56.25 + 0.375 * 20)


@given(st.lists(st.tuples(POINTS, st.floats(0.01, 1)), min_size=1, max_size=8), st.data())
def test_a_score_rises_with_each_part_and_weights_sum_to_one(parts: list[tuple[float, float]], data: st.DataObject):
    points = np.array([part for part, _ in parts])
    weights = np.array([weight for _, weight in parts]) / sum(weight for _, weight in parts)
    unknown = np.array(data.draw(st.lists(st.booleans(), min_size=len(parts), max_size=len(parts))))
    seen = np.where(unknown, np.nan, points)
    found = scores.weighted(seen, weights)
    if unknown.all():
        assert np.isnan(found.score)
        assert found.known == 0
        return
    assert found.used.sum() == pytest.approx(1)
    assert (found.used[unknown] == 0).all()
    assert seen[~unknown].min() - 1e-9 <= found.score <= seen[~unknown].max() + 1e-9
    at = int(np.flatnonzero(~unknown)[0])
    higher = seen.copy()
    higher[at] = 100
    assert scores.weighted(higher, weights).score >= found.score - 1e-9


def test_nothing_known_is_no_zero():
    assert np.isnan(scores.weighted([np.nan], [1.0]).score)
    assert np.isnan(scores.ramp(float("nan"), 0, 1))
    assert np.isnan(scores.use_points([np.nan], [0.8], [1.0]))
    assert np.isnan(scores.share_of([0.0], [True]))


def test_ramps_go_either_way_and_stop_at_their_ends():
    assert scores.ramp(0.25, 0, 0.5) == 50
    assert scores.ramp(-0.25, 0, -0.5) == 50
    assert scores.ramp(9, 8, 2) == 0
    assert scores.ramp(1, 0.1, 10, log=True) == pytest.approx(50)
    assert scores.ramp(0, 0.1, 10, log=True) == 0
    assert scores.ramp(1e9, 0.1, 10, log=True) == 100


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.05, 0.95))
def test_points_for_use_rise_with_it(first: float, second: float, kink: float):
    low, high = sorted([first, second])
    assert scores.use_points([low], [kink], [1.0]) <= scores.use_points([high], [kink], [1.0]) + 1e-12


def test_the_cushion_by_hand():
    """LT 0.83 and bonus 5 %: the price may fall to 0.8715 of where it was, 13.75 % in logs, 3.44 days of 4 %."""
    found = scores.cushion([0.83, 0.95, 0.0, 0.8], [0.05, 0.06, 0.0, 0.05], [0.04, 0.04, 0.04, np.nan])
    assert found[0] == pytest.approx(-np.log(0.8715) / 0.04)
    assert found[1] == 0  # 0.95 x 1.06 is above 1: a liquidation leaves a loss at once
    assert np.isnan(found[2:]).all()


def test_cover_is_by_reserve():
    assert scores.uncovered([10.0, 5.0], [4.0, 100.0]) == 6
    # cover of the second does not serve the first
    assert scores.uncovered([0.0, 0.0], [0.0, 1.0]) == 0
    assert scores.share_of([1.0, 3.0], [False, True]) == 0.75


@pytest.mark.parametrize(
    ("chance", "name"),
    [(0, "A+"), (0.001, "A+"), (0.0010001, "A"), (0.008, "A-"), (0.02, "B"), (0.32, "C"), (0.999, "C-"), (0.9991, "D")],
)
def test_letters_are_those_of_the_published_scale(chance: float, name: str):
    assert scores.letter(chance) == name


def test_a_year_of_days():
    assert scores.over_year(0.0, 86_400) == 0
    assert scores.over_year(1.0, 86_400) == 1
    assert scores.over_year(1e-6, 86_400) == pytest.approx(1 - (1 - 1e-6) ** 365, rel=1e-9)
    assert scores.over_year(1e-14, 86_400) == pytest.approx(365e-14, rel=1e-9)
    assert scores.over_year(0.3, 365 * 86_400) == pytest.approx(0.3)
    # A week of days is a week: scaling to a year does not depend on the horizon that was simulated.
    week = 1 - (1 - 1e-4) ** 7
    assert scores.over_year(week, 7 * 86_400) == pytest.approx(scores.over_year(1e-4, 86_400), rel=1e-9)


def test_how_many_days_without_a_loss_prove_a_letter():
    needed = scores.paths_without(0.001, 86_400)
    assert scores.over_year(clopper_pearson(0, needed)[1], 86_400) <= 0.001
    assert scores.over_year(clopper_pearson(0, needed - 2)[1], 86_400) > 0.001


def test_the_exact_interval_holds_the_law_of_its_ends():
    """At the ends of the interval of k hits, k or more, and k or fewer, have a chance of 2.5 %."""
    for hits, n in ((1, 100), (7, 40), (29, 100_000)):
        low, high = clopper_pearson(hits, n)
        assert binom.sf(hits - 1, n, low) == pytest.approx(0.025)
        assert binom.cdf(hits, n, high) == pytest.approx(0.025)
        assert low < wilson(hits, n)[0] < hits / n < high
    assert clopper_pearson(0, 100_000) == (0.0, pytest.approx(1 - 0.025 ** (1 / 100_000)))
    assert clopper_pearson(5, 5)[1] == 1


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: scores.weighted([50.0], [0.9]), "weights: expected a sum of 1, found 0.9"),
        (lambda: scores.weighted([101.0], [1.0]), r"points: entry 0 is 101.0; must be in \[0, 100\], or NaN"),
        (lambda: scores.weighted([1.0], [-1.0]), "weights: entry 0 is -1.0"),
        (lambda: scores.weighted(["a"], [1.0]), "points: expected numbers"),
        (lambda: scores.ramp(1, 2, 2), "two numbers that differ"),
        (lambda: scores.ramp(1, 0, 2, log=True), "two positive numbers"),
        (lambda: scores.ramp("1", 0, 2), "value: expected a finite number"),
        (lambda: scores.use_points([1.2], [0.8], [1.0]), "used: entry 0 is 1.2"),
        (lambda: scores.use_points([0.2], [1.0], [1.0]), "kink: entry 0 is 1.0"),
        (lambda: scores.utilisation([-1.0], [1.0]), "debt: entry 0 is -1.0"),
        (lambda: scores.utilisation([1.0], [1.0, 2.0]), "liquidity: expected shape"),
        (lambda: scores.cushion([1.1], [0.0], [0.1]), "threshold: entry 0"),
        (lambda: scores.letter(1.5), "a probability in"),
        (lambda: scores.letter(float("nan")), "a probability in"),
        (lambda: scores.over_year(0.1, 0), "horizon_seconds"),
        (lambda: clopper_pearson(3, 2), "hits"),
    ],
)
def test_wrong_arguments_are_named(call, says: str):
    with pytest.raises(rc.InputError, match=says):
        call()
