"""A variance that follows its own path: the term structure is the closed form, one path is the plain loop's."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

import risk_core as rc
from risk_core.analytics import garch
from risk_core.laws.bootstrap import rows_correlation
from risk_core.price_models import YEAR
from tests.markets import one_account, prices, scenario
from tests.reference.path_laws import recursion
from tests.unit.laws.test_resampled import past

N = 40_000
NUMBERS = dict(alpha=(0.05, 0.2, 0.0), beta=(0.9, 0.5, 0.0), long_run=(0.3, 4.0, 1.0))


def plan_of(law: rc.Garch | rc.FilteredHistory, n_steps: int = 24, **changes) -> rc.Scenario:
    given = dict(law=law, horizon=timedelta(hours=n_steps))
    return replace(scenario(3, n_steps), **(given | changes))


def one_step(plan: rc.Scenario) -> np.ndarray:
    return plan.volatility * np.sqrt(plan.step / YEAR)


def test_one_path_is_that_of_the_plain_loop():
    """The same normals, by the law without memory, through the loop of the twin."""
    plan = plan_of(rc.Garch(**NUMBERS))
    sigma = one_step(plan)
    normal = np.log(prices(replace(plan, law=rc.GBM()), 30))
    steps = np.diff(normal, axis=2, prepend=0.0) + sigma[:, None] ** 2 / 2
    found = np.log(prices(plan, 30))
    for path, f in np.ndindex(30, 3):
        numbers = (NUMBERS[name][f] for name in ("alpha", "beta", "long_run"))
        np.testing.assert_allclose(found[path, f], recursion(steps[path, f], sigma[f], *numbers), atol=1e-12)
    np.testing.assert_array_equal(found[:, 2], normal[:, 2])  # without memory it has the bits of GBM


def test_without_memory_it_is_gbm_bit_for_bit():
    plan = plan_of(rc.Garch((0.0,) * 3, (0.0,) * 3, (1.0,) * 3))
    np.testing.assert_array_equal(prices(plan, 50), prices(replace(plan, law=rc.GBM()), 50))


@pytest.mark.statistical
@pytest.mark.parametrize("kind", ["normal", "t", "filtered"])
def test_the_variance_reverts_as_the_closed_form_says(kind):
    """40,000 paths: E[v_k] = V + (v_1 - V) p^(k - 1), each step and factor, four standard errors."""
    rows = past(2_000)
    laws = {
        "normal": rc.Garch(**NUMBERS),
        "t": rc.Garch(**NUMBERS, nu=9.0),
        "filtered": rc.FilteredHistory(rows, **NUMBERS),
    }
    plan = plan_of(laws[kind], correlation=rows_correlation(rows))
    sigma = one_step(plan)
    levels = np.log(prices(plan, N))
    steps = np.diff(levels, axis=2, prepend=0.0) / sigma[:, None]
    alpha, beta, long_run = (np.array(NUMBERS[name])[:, None] for name in ("alpha", "beta", "long_run"))
    expected = long_run + (1 - long_run) * (alpha + beta) ** np.arange(24)
    square = steps**2
    error = square.std(axis=0) / np.sqrt(N)
    # The drift of a step, half its variance, is below a hundredth of a deviation: its square is far below the error.
    assert (np.abs(square.mean(axis=0) - expected) < 4 * error).all()
    assert abs(expected[0, -1] - 1) > 20 * error[0, -1]  # a variance that stands still would be seen
    whole = garch.term_structure(
        garch.Fit(n=1, omega=0.3 * 0.05, alpha=0.05, beta=0.9), 1.0, [24]
    )  # the same numbers in units of today's variance
    assert plan.law.mean_variance(24)[0] == pytest.approx(whole[0], rel=1e-12)


@pytest.mark.statistical
def test_expected_prices_stay_where_they_start_and_calm_follows_calm():
    """Normal innovations are a martingale exactly; squares of neighbouring steps go together."""
    plan = plan_of(rc.Garch((0.3,) * 3, (0.6,) * 3, (1.0,) * 3), volatility=[3.0, 5.0, 8.0])
    x = prices(plan, N)
    for step in (0, 11, 23):
        assert (np.abs(x[:, :, step].mean(axis=0) - 1) < 4 * x[:, :, step].std(axis=0) / np.sqrt(N)).all()
    steps = np.diff(np.log(x), axis=2, prepend=0.0) ** 2
    together = np.corrcoef(np.log(steps[:, 0, 10]), np.log(steps[:, 0, 11]))[0, 1]
    assert together > 4 / np.sqrt(N)


@pytest.mark.statistical
def test_student_t_innovations_have_their_fourth_moment_and_come_to_all_at_once():
    """Kurtosis 3 (nu - 2) / (nu - 4) of the first step; the product of squares of two factors that do not correlate."""
    nu = 9.0
    plan = plan_of(rc.Garch(**NUMBERS, nu=nu), 2, correlation=np.eye(3))
    z = np.log(prices(plan, N)[:, :, 0]) / one_step(plan)
    wide = 3 * (nu - 2) / (nu - 4)
    error = (z**4).std(axis=0) / np.sqrt(N)
    assert (np.abs((z**4).mean(axis=0) - wide) < 4 * error).all()
    assert wide - 3 > 4 * error.max()
    product = z[:, 0] ** 2 * z[:, 1] ** 2
    assert abs(product.mean() - wide / 3) < 4 * product.std() / np.sqrt(N)


def test_antithetic_twins_have_the_same_variance():
    """A mirrored move has the same square, so log prices of twins add up to twice the drift, whatever it has become."""
    plan = plan_of(rc.Garch(**NUMBERS, nu=5.0), sampling="antithetic")
    log = np.log(prices(plan, 20))
    drift = np.diff(log[0::2] + log[1::2], axis=2, prepend=0.0) / 2
    variance = -2 * drift / one_step(plan)[:, None] ** 2
    np.testing.assert_allclose(variance[:, :, 0], 1.0, atol=1e-9)
    moved = (np.diff(log, axis=2, prepend=0.0)[0::2] - drift) / one_step(plan)[:, None]
    alpha, beta, long_run = (np.array(NUMBERS[name])[:, None] for name in ("alpha", "beta", "long_run"))
    ahead = long_run * (1 - alpha - beta) + alpha * moved**2 + beta * variance
    np.testing.assert_allclose(variance[:, :, 1:], ahead[:, :, :-1], atol=1e-8)


def test_a_monstrous_variance_is_held():
    """A wrong price in the residuals: finite prices, at most 20 log units away."""
    rows = past(200)
    rows[[5, 6, 7], [0, 1, 2]] = [50.0, -50.0, 50.0]
    law = rc.FilteredHistory(rows, (0.9,) * 3, (0.05,) * 3, (1.0,) * 3, mean_block=200.0)
    found = np.log(prices(plan_of(law, 300, volatility=[20.0] * 3, horizon=timedelta(hours=300)), 200))
    assert np.isfinite(found).all()
    assert np.abs(found).max() == pytest.approx(20)


@pytest.mark.statistical
def test_rare_losses_are_weighed_exactly():
    """Importance sampling shifts the normals alone, whatever the variance makes of them: both ways agree."""
    law = rc.Garch((0.1, 0.1), (0.85, 0.85), (1.0, 1.0))
    plan = replace(scenario(2, 6, volatility=2.0, horizon=timedelta(hours=6)), law=law)
    market = one_account(debt=13_800.0)
    plain = rc.simulate(market, plan, 60_000, seed=3)
    share = (plain.repaid_usd > 0).mean()
    tilt = rc.tails.find_tilt(market, plan, of="repaid", n_paths=500)
    found = rc.tails.sample(market, plan, tilt, 20_000, of="repaid").probability()
    assert 0 < share < 0.05
    assert abs(found.value - share) < 4.5 * np.hypot(found.se, np.sqrt(share * (1 - share) / 60_000))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(alpha=(0.5, 0.1, 0.1), beta=(0.5, 0.1, 0.1)), r"alpha \+ beta of factor 0 is 1; it must be below 1"),
        (dict(alpha=(0.1, 0.4, 0.1), beta=(0.1, 0.8, 0.1)), r"alpha \+ beta of factor 1 is 1.2"),
        (dict(alpha=(-0.1, 0.1, 0.1)), r"alpha: entry 0: is -0.1; must be in \[0, 1\]"),
        (dict(beta=(0.1, float("nan"), 0.1)), "beta: entry 1: is nan"),
        (dict(long_run=(1.0, 1.0, 1e5)), "long_run: entry 2: is 100000.0; must be the long-run variance over today's"),
        (dict(alpha=(0.1, 0.1)), "expected as many alpha as beta and long_run, found 2, 3 and 3"),
        (dict(hours=-1), "hours: expected hours of a period"),
    ],
)
def test_it_refuses(change, message):
    good = dict(alpha=(0.1,) * 3, beta=(0.1,) * 3, long_run=(1.0,) * 3)
    with pytest.raises(rc.InputError, match=message):
        rc.Garch(**(good | change))
    with pytest.raises(rc.InputError, match=message):
        rc.FilteredHistory(past(), **(good | change))


def test_degrees_and_steps_that_do_not_fit_are_refused():
    with pytest.raises(rc.InputError, match=r"Garch.nu: is 2.0; must be a finite number above 2, or None"):
        rc.Garch(**NUMBERS, nu=2.0)
    with pytest.raises(
        rc.InputError, match=r"Garch: its variance changes every 1 h and a step is 2 h; take as many steps"
    ):
        plan_of(rc.Garch(**NUMBERS), 12, horizon=timedelta(hours=24))
    with pytest.raises(rc.InputError, match=r"Garch.alpha: expected 2 numbers, one for each factor, found 3"):
        replace(scenario(2, 24), law=rc.Garch(**NUMBERS))
    with pytest.raises(rc.InputError, match=r"FilteredHistory.residuals: expected 3 columns"):
        plan_of(rc.FilteredHistory(past(500, 2), (0.1,) * 3, (0.1,) * 3, (1.0,) * 3))
