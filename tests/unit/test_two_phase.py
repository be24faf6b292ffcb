"""Two-phase samples: what they refuse, their ranges, and errors that agree with plain ones where both must."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import risk_core as rc
from risk_core import two_phase
from risk_core.first_strata import FirstStrata
from risk_core.kernels.first_phase import first_phase
from risk_core.kernels.paths import independent_of
from risk_core.price_models import PricePaths
from tests.markets import one_account, random_market, scenario

BOOK = random_market(11, "plain", 300)
DAY = replace(scenario(5, 6, seed=2, volatility=0.8), law=rc.StudentT(4.0))
SCREEN = two_phase.find_screen(BOOK, DAY, n_paths=6_000)
LAWS = {
    "gbm": rc.GBM(),
    "student-t": rc.StudentT(4.0),
    "jumps": rc.Jumps(60.0, -0.1, 0.05),
    "bootstrap": rc.Bootstrap(0.01 * np.sin(np.arange(1.0, 501.0).reshape(100, 5) ** 2), 6.0),
}
ARRAYS = ("loss_usd", "wide", "near", "count")


def same(one: two_phase.TwoPhaseSample, other: two_phase.TwoPhaseSample) -> None:
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.quantile() == other.quantile()


def test_ranges_add_up_to_the_whole_and_threads_change_no_bit():
    whole = two_phase.sample(BOOK, DAY, SCREEN, 6_000, seed=3, threads=1)
    cuts = [(0, 1), (1, 2_345), (2_345, 6_000)]
    first, *rest = (two_phase.sample(BOOK, DAY, SCREEN, seed=3, paths=cut, threads=3) for cut in cuts)
    joined = first + rest[0] + rest[1]
    same(whole, joined)
    assert (joined.n_paths, joined.count.sum() < 6_000) == (6_000, True)
    same(whole, two_phase.sample(BOOK, replace(DAY, sampling="antithetic"), SCREEN, 6_000, seed=3))
    with pytest.raises(rc.InputError, match="begins at path 0, expected 6000"):
        rest[1] + first
    with pytest.raises(rc.InputError, match="another seed"):
        first + two_phase.sample(BOOK, DAY, SCREEN, seed=4, paths=(1, 2_345))
    other = replace(SCREEN, account=SCREEN.account[1:])
    with pytest.raises(rc.InputError, match="another screen"):
        first + two_phase.sample(BOOK, DAY, other, seed=3, paths=(1, 2_345))


@pytest.mark.parametrize("law", LAWS)
def test_a_chosen_path_is_the_path_of_that_number(law):
    plan, free = replace(DAY, law=LAWS[law]), np.zeros(0)
    plain = rc.simulate(BOOK, plan, 400, seed=3)
    chosen = np.array([399, 7, 8, 250, 0])
    drawn = rc.simulate(BOOK, two_phase.Screened(plan, free, chosen), 5, seed=3)
    np.testing.assert_array_equal(drawn.path, plain.path[chosen])


def test_only_the_move_along_the_direction_changes():
    """Its sum over the path, in standard deviations, is the number known before; what is across stays as it was."""
    direction = np.array([0.6, 0.0, -0.8, 0.0, 0.0])
    free, aimed = DAY.draw(), DAY.draw()._replace(direction=direction)
    seen, z = np.empty((50, 4)), np.empty((7, 6))
    first_phase(aimed, np.uint64(3), 0, 50, seen)
    for path in range(50):
        moves = []
        for draw in (free, aimed):
            independent_of(draw, np.uint64(3), path, 6, z)
            moves.append(z[:5].copy())
        assert direction @ moves[1].sum(axis=1) / np.sqrt(6) == pytest.approx(seen[path, 0], abs=1e-12)
        change = moves[1] - moves[0]
        np.testing.assert_allclose(change, np.outer(direction, direction @ change), atol=1e-12)
        assert np.ptp(direction @ change) == pytest.approx(0, abs=1e-12)
    assert np.abs(seen[:, 0]).max() > 1.5


@pytest.mark.parametrize("law", ["jumps", "bootstrap"])
def test_where_every_path_is_followed_it_is_the_plain_run(law):
    """A law with other sources of moves has one first stratum, and a screen that follows all paths leaves none out."""
    plan = replace(DAY, law=LAWS[law])
    screen = two_phase.Screen(account=[0], direction=[], threshold_usd=[], followed=[1.0], level=0.9, of="repaid")
    found = two_phase.sample(BOOK, plan, screen, 2_000, seed=3)
    plain = rc.simulate(BOOK, plan, 2_000, seed=3)
    np.testing.assert_array_equal(found.loss_usd, plain.repaid_usd)
    np.testing.assert_allclose(found.weight, 1 / 2_000, rtol=1e-12)
    one, other = found.quantile(), rc.measures.lar(plain, 0.9)
    assert one.value == other.value
    assert one.se == pytest.approx(other.se, rel=0.15)
    assert one.variance_reduction == pytest.approx(1, rel=0.01)
    above = found.probability_above(1e4)
    p = rc.measures.probability_of_loss(plain, 1e4, "repaid")
    assert (above.value, above.se) == (pytest.approx(p.value), pytest.approx(p.se, rel=1e-3))
    mean, shortfall = found.tail_mean(), rc.measures.expected_shortfall(plain, 0.9, "repaid")
    assert mean.value == pytest.approx(shortfall.value)
    assert mean.se == pytest.approx(shortfall.se, rel=0.02)


def test_weights_are_the_probabilities_of_the_strata():
    found = two_phase.sample(BOOK, DAY, SCREEN, 20_000, seed=3)
    strata = FirstStrata.of(0.99, DAY.law)
    assert found.weight.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_array_equal(found.probability, strata.probability)
    # Of the widest 1.5 % of paths all are looked at, of the calmest half one in a hundred.
    expected = 20_000 * found.probability * strata.looked_at
    assert (np.abs(found.count.sum(axis=1) - expected) < 5 * np.sqrt(expected)).all()
    assert found.n_followed < 0.03 * 20_000
    # In one second stratum a path stands for the more, the fewer of its first stratum were looked at.
    stands_for = found.probability / found.count.sum(axis=1)
    for near in range(found.count.shape[1]):
        mine = found.near == near
        ratio = found.weight[mine] / stands_for[found.wide[mine]]
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)
        assert found.weight[mine].sum() == pytest.approx(stands_for @ found.count[:, near])


@pytest.mark.parametrize("law", [rc.StudentT(2.2), rc.StudentT(5.0), rc.StudentT(1e4), rc.GBM()], ids=repr)
@pytest.mark.parametrize("level", [0.5, 0.99, 0.9999])
def test_the_probabilities_are_those_of_a_normal_move_and_a_chi_square(law, level):
    """A million draws of scipy's and numpy's laws fall into the strata as often as stated."""
    rng, n = np.random.default_rng(1), 1_000_000
    strata = FirstStrata.of(level, law)
    reach = np.full(n, strata.move)
    if isinstance(law, rc.StudentT):
        reach *= np.sqrt(rng.chisquare(law.nu, n) / (law.nu - 2))
    score = reach * (reach - np.abs(rng.standard_normal(n)))
    p = strata.probability
    seen = np.bincount(np.searchsorted(strata.edge, score), minlength=len(p))
    assert (np.abs(seen - n * p) < 4.5 * np.sqrt(n * p * (1 - p)) + 1e-6).all()
    assert p.sum() == pytest.approx(1, abs=1e-12)
    if level == 0.99:
        assert p[:2] == pytest.approx([0.015, 0.015], rel=0.02)


def test_what_is_known_before_has_its_law():
    seen = np.empty((20_000, 4))
    first_phase(DAY.draw(), np.uint64(3), 0, 20_000, seen)
    known = (seen[:, 0], 2.0 / seen[:, 1] ** 2, seen[:, 2], seen[:, 3])  # s^2 = (nu - 2) / chi-square, nu = 4
    for values, law in zip(known, (stats.norm(), stats.chi2(4), stats.uniform(), stats.uniform()), strict=True):
        assert stats.kstest(values, law.cdf).pvalue > 1e-3
    assert np.abs(np.corrcoef(np.array(known)) - np.eye(4)).max() < 4 / np.sqrt(20_000)


def test_an_error_by_hand():
    """Two first strata of 0.2 and 0.8, two second ones; indicators. Cochran's formula, worked out with fractions."""
    found = two_phase.TwoPhaseSample(
        loss_usd=np.array([5.0, 0.0, 5.0, 0.0, 0.0, 0.0]),
        wide=np.array([0, 0, 0, 1, 1, 1]),
        near=np.array([1, 1, 1, 0, 0, 0]),
        probability=np.array([0.2, 0.8]),
        count=np.array([[0, 10], [20, 0]]),
        level=0.5,
        of="repaid",
        seed=1,
        first_path=0,
        n_paths=100,
        screen_id="",
        code_version="",
    )
    # each followed path of the second stratum 1 stands for 0.2 / 3, of the other for 0.8 / 3
    np.testing.assert_allclose(found.weight, [0.2 / 3] * 3 + [0.8 / 3] * 3)
    above = found.probability_above(1.0)
    # spread in stratum 1: 2/3 x 1/3 x 3/2 = 1/3, none in the other; 3 of 10 followed, 10 looked at
    second = 0.2**2 * (1 / 3) / 3 * (1 - 3 / 10)
    first = 0.2**2 * (1 / 3) / 9
    assert above.value == pytest.approx(0.2 * 2 / 3)
    assert found._error((found.loss_usd > 1.0) * 1.0) == pytest.approx(np.sqrt(first + second))
    assert above.no_interval == "2 paths with a loss were drawn, 30 are needed for an interval"
    assert found.quantile().value == 0.0
    assert found.quantile(0.9).value == 5.0


def test_a_tail_mean_needs_all_of_the_tail():
    thinned = two_phase.find_screen(BOOK, DAY, n_paths=80_000)
    whole = two_phase.find_screen(BOOK, DAY, n_paths=80_000, whole_tail=True)
    np.testing.assert_array_equal(whole.account, thinned.account)
    assert (whole.followed[-3:] == 1).all()
    assert (thinned.followed[-3:] < 1).all()
    some, every = (two_phase.sample(BOOK, DAY, screen, 80_000) for screen in (thinned, whole))
    assert some.tail_mean().no_interval.endswith("worst paths were followed; find the screen with whole_tail=True")
    found = every.tail_mean()
    assert found.low < found.value < found.high
    plain = rc.measures.expected_shortfall(rc.simulate(BOOK, DAY, 40_000, seed=99), 0.99, "repaid")
    assert abs(found.value - plain.value) < 4 * np.hypot(found.se, plain.se)


def test_the_same_call_gives_the_same_figure_and_seeds_matter():
    one, again, other = (two_phase.lar(BOOK, DAY, 0.99, 20_000, seed=seed) for seed in (1, 1, 2))
    assert one == again
    assert one.value != other.value
    assert one.low < one.value < one.high


def test_where_no_loss_can_be_the_quantile_is_nothing():
    found = two_phase.lar(one_account(debt=10.0), replace(scenario(2), law=rc.StudentT(4.0)), 0.99, 5_000)
    assert (found.value, found.low, found.high, found.n_positive, found.few_draws) == (0.0, 0.0, 0.0, 0, True)


def test_limits_of_liquidators_and_levels_are_passed_on():
    how = dict(impact=rc.Impact.exponential(np.full(5, 1e5)), threads=1)
    screen = two_phase.find_screen(BOOK, DAY, 0.9, 3_000, of="seized", **how)
    found = two_phase.sample(BOOK, DAY, screen, 3_000, **how)
    assert (found.level, found.of) == (0.9, "seized")
    assert len(found.probability) == 4  # 1.5, 3 and 6 times 10 %, and the rest: 10 times is everything
    plain = rc.simulate(BOOK, DAY, 4_000, seed=99, **how)
    value, wanted = found.quantile(), rc.measures.lar(plain, 0.9, "seized")
    assert abs(value.value - wanted.value) < 4 * np.hypot(value.se, wanted.se)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(threshold_usd=[2.0, 1.0], followed=[1, 1, 1]), "Screen.threshold_usd"),
        (dict(threshold_usd=[np.inf], followed=[1, 1]), "Screen.threshold_usd: entry 0 is inf; must be finite"),
        (dict(followed=[0.0]), r"Screen.followed: entry 0 is 0.0; must be a share in \(0, 1\]"),
        (dict(followed=[0.5, 0.5]), r"Screen.followed: expected shape \(1\), found \(2,\)"),
        (dict(account=[[1]]), "Screen.account: expected shape"),
        (dict(direction=[1.0, 1.0]), "Screen.direction: expected a vector of length 1, or none"),
        (dict(level=2.0), "level: expected a number between 0 and 1"),
        (dict(of="profit"), "of: expected one of repaid"),
    ],
)
def test_a_screen_is_checked(change, message):
    whole = dict(account=[0], direction=[], threshold_usd=[], followed=[1.0], level=0.99, of="repaid")
    with pytest.raises(rc.InputError, match=message):
        two_phase.Screen(**(whole | change))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (dict(level=1.0), "level: expected a number between 0 and 1"),
        (dict(level="0.99"), "level: expected a number between 0 and 1"),
        (dict(n_paths=0), "n_paths: expected at least 1, found 0"),
        (dict(n_paths=60), "n_paths: of 60 paths .* are needed; take more paths"),
        (dict(seed=-1), "seed: expected an integer"),
        (dict(of="profit"), "of: expected one of repaid"),
    ],
)
def test_bad_arguments_are_refused(how, message):
    with pytest.raises(rc.InputError, match=message):
        two_phase.lar(BOOK, DAY, **(dict(n_paths=1_000) | how))


def test_other_inputs_are_refused():
    with pytest.raises(rc.InputError, match="needs a Scenario with a law, found PricePaths"):
        two_phase.lar(BOOK, PricePaths.one_step(BOOK, BOOK.price))
    with pytest.raises(rc.InputError, match="screen: expected"):
        two_phase.sample(BOOK, DAY, 0.99)
    with pytest.raises(rc.InputError, match="expected rows of the 1 accounts"):
        two_phase.sample(one_account(), replace(scenario(2), law=DAY.law), SCREEN)
    with pytest.raises(rc.InputError, match="expected 0 <= start < stop"):
        two_phase.sample(BOOK, DAY, SCREEN, paths=(5, 5))
