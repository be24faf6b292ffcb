"""Laws of prices and ways of sampling: what they refuse, and that every layout of paths gives the same bits."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from numba import njit
from scipy import special, stats

import risk_core as rc
from risk_core.kernels import draw as kernels
from risk_core.kernels import randomness
from risk_core.price_models import sobol_directions
from tests.markets import one_account, prices, random_market, scenario
from tests.property.drawn import same

LAWS = (rc.GBM(), rc.StudentT(3.5), rc.Jumps(intensity=200.0, mean=-0.1, deviation=0.08))
SAMPLINGS = ("plain", "antithetic", "quasi")


@pytest.mark.parametrize(
    ("law", "arguments", "message"),
    [
        (rc.StudentT, (2,), "StudentT.nu: is 2; must be a finite number above 2"),
        (rc.StudentT, (-3.0,), "StudentT.nu: is -3.0"),
        (rc.StudentT, (float("nan"),), "StudentT.nu: is nan"),
        (rc.StudentT, (float("inf"),), "StudentT.nu: is inf"),
        (rc.StudentT, ("4",), "StudentT.nu: is '4'"),
        (rc.StudentT, (True,), "StudentT.nu: is True"),
        (rc.Jumps, (-1, 0, 0.1), "Jumps.intensity: is -1; must be finite and not negative"),
        (rc.Jumps, (float("inf"), 0, 0.1), "Jumps.intensity: is inf"),
        (rc.Jumps, (1, float("nan"), 0.1), "Jumps.mean: is nan; must be a log move"),
        (rc.Jumps, (1, 0, -0.1), "Jumps.deviation: is -0.1; must be a log move in"),
        (rc.Jumps, (1, 0, 0.1, (1.0, float("nan"))), "Jumps.beta: entry 1: is nan"),
        (rc.Jumps, (1, 0, 0.1, 3), "Jumps.beta: is 3; must be one number for each factor"),
    ],
)
def test_a_law_refuses(law, arguments, message):
    with pytest.raises(rc.InputError, match=message):
        law(*arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(law="gbm"), "Scenario.law: expected one of GBM, StudentT, Jumps, OrnsteinUhlenbeck, found 'gbm'"),
        (dict(law=rc.StudentT), "Scenario.law: expected one of"),
        (dict(law=rc.Jumps(1, 0, 0.1, beta=[1])), "Jumps.beta: expected 5 numbers, one for each factor, found 1"),
        (dict(law=rc.Jumps(1e6, 0, 0.1)), "makes 114 jumps in a step, at most 30"),
        (dict(sampling="sobol"), "Scenario.sampling: expected one of plain, antithetic, quasi, found 'sobol'"),
        (dict(sampling=None), "Scenario.sampling: expected one of"),
    ],
)
def test_a_scenario_refuses(change, message):
    with pytest.raises(rc.InputError, match=message):
        replace(scenario(5), **change)


def test_quasi_random_points_run_out_with_a_message():
    plan = replace(scenario(2), sampling="quasi")
    with pytest.raises(rc.InputError, match="quasi sampling has 67108864 paths"):
        rc.simulate(one_account(), plan, paths=(67_108_860, 67_108_870))


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_shards_threads_and_longer_runs_have_the_same_bits(law, sampling):
    market, plan = random_market(3), replace(scenario(5), law=law, sampling=sampling)
    whole = rc.simulate(market, plan, 301, seed=5, threads=1)
    assert whole.repaid_usd.std() > 0
    parts = [rc.simulate(market, plan, seed=5, paths=cut, threads=4) for cut in ((0, 7), (7, 130), (130, 301))]
    same(whole, parts[0] + parts[1] + parts[2])
    longer = rc.simulate(market, plan, 602, seed=5)
    np.testing.assert_array_equal(longer.path[:301], whole.path)


def _shard(law: rc.GBM, sampling: str, start: int, stop: int) -> rc.Result:
    plan = replace(scenario(5), law=law, sampling=sampling)
    return rc.simulate(random_market(3), plan, seed=5, paths=(start, stop), threads=1)


@pytest.mark.slow
def test_three_processes_have_the_bits_of_one():
    """Fresh processes, nothing shared but the arguments."""
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        for law, sampling in zip(LAWS, ("quasi", "antithetic", "plain"), strict=True):
            parts = [pool.submit(_shard, law, sampling, a, a + 100).result() for a in (0, 100, 200)]
            same(_shard(law, sampling, 0, 300), parts[0] + parts[1] + parts[2])


@pytest.mark.slow
def test_dask_has_the_bits_of_one_run():
    dask = pytest.importorskip("dask", reason="dask is not installed: pip install -r requirements-dev.txt")
    tasks = [dask.delayed(_shard)(LAWS[1], "plain", a, a + 100) for a in (0, 100, 200)]
    first, second, third = dask.compute(*tasks, scheduler="processes", num_workers=3)
    same(_shard(LAWS[1], "plain", 0, 300), first + second + third)


def test_an_infinite_nu_and_no_jumps_are_the_plain_law():
    """The law of large nu tends to the normal one draw by draw; jumps that never come leave every bit alone."""
    plan = scenario(3)
    np.testing.assert_array_equal(prices(replace(plan, law=rc.Jumps(0.0, -0.1, 0.1)), 50), prices(plan, 50))
    np.testing.assert_allclose(prices(replace(plan, law=rc.StudentT(1e9)), 50), prices(plan, 50), rtol=1e-4)


def test_antithetic_twins_mirror_each_other():
    """Log prices of twins add up to twice the drift."""
    plan = replace(scenario(3), sampling="antithetic")
    log = np.log(prices(plan, 20))
    drift, _, _ = plan.of_one_step()
    np.testing.assert_allclose(
        log[0::2] + log[1::2], 2 * drift[None, :, None] * np.arange(1, 25) + np.zeros((10, 3, 24)), atol=1e-12
    )


def test_a_factor_without_beta_does_not_jump():
    plan = replace(scenario(3), law=rc.Jumps(2_000.0, -0.1, 0.0, beta=(1.0, 0.0, 0.5)))
    plain = prices(replace(plan, law=rc.GBM()), 30)
    drift = -2_000.0 * (plan.step / rc.price_models.YEAR) * np.expm1(-0.1 * np.array([1.0, 0.0, 0.5]))
    moved = np.log(prices(plan, 30) / plain) - drift[:, None] * np.arange(1, 25)
    np.testing.assert_allclose(moved[:, 1], 0, atol=1e-12)
    np.testing.assert_allclose(moved[:, 2], moved[:, 0] / 2, atol=1e-12)
    count = moved[:, 0] / -0.1
    np.testing.assert_allclose(count, np.round(count), atol=1e-9)
    assert count.max() >= 3


def test_a_monstrous_move_is_held():
    """The highest volatility for a year: without a limit exp would wrap around."""
    plan = replace(scenario(2), volatility=[20.0, 0.5], horizon=timedelta(days=365), law=rc.StudentT(2.1))
    log = np.log(prices(plan, 200)[:, 0])
    assert np.isfinite(log).all()
    assert np.abs(log).max() == pytest.approx(20)


def test_jumps_come_more_often_with_fixed_uniforms_never_vanish():
    """Common random numbers: a higher intensity keeps every jump of the lower one."""
    out = np.empty((2, 5_000))
    for row, rate in enumerate((0.01, 0.02)):
        randomness.poisson_moves(np.uint64(3), 0, rate, -1.0, 0.0, 5_000, out[row])
    assert (out[1] <= out[0]).all()
    assert out[0].min() < 0


@njit
def _quantiles(p, out):
    for i in range(len(p)):
        out[i] = randomness.inverse_normal(p[i])


def test_inverse_normal_is_the_quantile_function():
    p = np.concatenate([np.linspace(1e-4, 1 - 1e-4, 20_001), 10.0 ** -np.arange(4, 17), [2.0**-54]])
    found = np.empty_like(p)
    _quantiles(p, found)
    np.testing.assert_allclose(found, special.ndtri(p), rtol=4e-15, atol=1e-15)


@pytest.mark.statistical
@pytest.mark.parametrize("nu", [2.05, 3.0, 4.7, 30.0, 1e5])
def test_chi_square_has_its_distribution(nu):
    """50,000 paths, seed 1: Kolmogorov-Smirnov at 4 standard errors' worth (p above 6e-5)."""
    draws = np.array([randomness.chi_square(np.uint64(1), path, nu) for path in range(50_000)])
    assert stats.kstest(draws, stats.chi2(nu).cdf).pvalue > 6e-5


def test_direction_numbers_are_those_of_the_sequence():
    """The first 1,024 points of a 9-dimensional sequence, by the kernel's rule and by scipy."""
    directions = sobol_directions(9)
    expected = stats.qmc.Sobol(9, scramble=False, bits=32).random(1024)
    for point in (0, 1, 2, 3, 500, 1023):
        gray = point ^ (point >> 1)
        bits = np.zeros(9, dtype=np.uint64)
        for j in range(kernels.QUASI_BITS):
            if gray >> j & 1:
                bits ^= directions[:, j]
        np.testing.assert_array_equal(bits / 2.0**32, expected[point])


def test_quasi_random_copies_are_stratified():
    """1,024 points of one copy put exactly one end price into each of 1,024 equally likely intervals."""
    plan = replace(scenario(3, 6), sampling="quasi")
    n = 1024
    log = np.log(prices(plan, kernels.REPLICATES * n)[kernels.REPLICATES - 1 :: kernels.REPLICATES, 0, -1])
    sigma = plan.volatility[0] * np.sqrt(plan.horizon / rc.price_models.YEAR)
    u = special.ndtr((log + sigma**2 / 2) / sigma)
    assert np.unique(np.floor(u * n)).size == n
