"""Rows of the past: they come back joint, in blocks of the stated mean length, with their moments; what is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from scipy import stats

import risk_core as rc
from risk_core.laws.bootstrap import LEAST_ROWS, rows_correlation, standard, summed, uncorrelated
from risk_core.price_models import YEAR
from tests.markets import one_account, prices, random_market, scenario
from tests.reference.path_laws import rows_taken

N = 40_000


def past(n: int = 500, n_factors: int = 3, seed: int = 0) -> np.ndarray:
    """Joint returns: heavy tails, skew, a common part, clusters of large moves."""
    rng = np.random.default_rng(seed)
    common, own = rng.standard_t(4, (n, 1)), rng.standard_t(5, (n, n_factors))
    loud = 1.0 + (np.arange(n) // 40 % 3 == 0)
    moves = (0.7 * common + own + 0.2 * np.minimum(common, 0) ** 2) * loud[:, None]
    return 0.004 * moves * np.arange(1, n_factors + 1)


def seen(n_steps: int = 24, rows: np.ndarray | None = None, block: float = 6.0, **changes) -> rc.Scenario:
    """A day of hourly steps under the bootstrap of the rows, with their correlation."""
    rows = past() if rows is None else rows
    given = dict(
        law=rc.Bootstrap(rows, block), correlation=rows_correlation(rows), horizon=timedelta(hours=n_steps),
        volatility=[0.8, 0.5, 1.1][: rows.shape[1]],
    )  # fmt: skip
    return replace(scenario(rows.shape[1], n_steps), **(given | changes))


def moves(plan: rc.Scenario, n: int = N, seed: int = 7) -> np.ndarray:
    """(n, F, T) moves of each step in deviations of one, without the drift."""
    sigma = plan.volatility * np.sqrt(plan.step / YEAR)
    levels = np.log(prices(plan, n, seed))
    steps = np.diff(levels, axis=2, prepend=0.0)
    return (steps + sigma[:, None] ** 2 / 2) / sigma[:, None]


@pytest.mark.parametrize("law", ["bootstrap", "filtered"])
@pytest.mark.parametrize("block", [1.0, 6.0, 500.0])
def test_every_move_is_a_past_joint_row_as_the_plain_twin_takes_it(law, block):
    """Exactly the rows that the twin names, all factors of a step from the same one."""
    rows = past()
    plan = seen(rows=rows, block=block)
    if law == "filtered":
        plan = replace(plan, law=rc.FilteredHistory(rows, (0.0,) * 3, (0.0,) * 3, (1.0,) * 3, mean_block=block))
    found, x = moves(plan, 40, seed=2**63 + 5), standard(rows)
    for path in range(40):
        taken = rows_taken(2**63 + 5, path, 24, len(rows), 1 / block)
        np.testing.assert_allclose(found[path].T, x[taken], atol=1e-9)


def test_a_step_of_several_periods_adds_up_consecutive_rows():
    """Rows by hand: four-hour steps take sums of four rows, the first following the last."""
    rows = past(120)
    plan = seen(6, rows, horizon=timedelta(hours=24), correlation=rows_correlation(summed(rows, 4)))
    four = np.array([sum(rows[(j + k) % 120] for k in range(4)) for j in range(120)])
    np.testing.assert_allclose(summed(rows, 4), four, atol=1e-15)
    found = moves(plan, 30)
    for path in range(30):
        taken = rows_taken(7, path, 6, 120, 4 / 6, stride=4)
        np.testing.assert_allclose(found[path].T, standard(four)[taken], atol=1e-9)


def test_uncorrelated_rows_give_the_standardised_ones_back():
    x = past()
    w = uncorrelated(x)
    np.testing.assert_allclose(w.T @ w / len(w), np.eye(3), atol=1e-12)
    np.testing.assert_allclose(w @ np.linalg.cholesky(rows_correlation(x)).T, standard(x), atol=1e-12)


@pytest.mark.statistical
@pytest.mark.parametrize("block", [1.0, 12.0])
def test_moments_and_joint_moments_are_those_of_the_rows(block):
    """40,000 paths, two steps: mean, variance, skewness, kurtosis and products of two factors, four standard errors."""
    x = standard(past())
    found = moves(seen(2, block=block))
    for step in (0, 1):
        z = found[:, :, step]
        for power in (1, 2, 3, 4):
            error = (x**power).std(axis=0) / np.sqrt(N)
            assert (np.abs((z**power).mean(axis=0) - (x**power).mean(axis=0)) < 4 * error).all(), power
        for i, j in ((0, 1), (0, 2), (1, 2)):
            product = x[:, i] * x[:, j]
            assert abs((z[:, i] * z[:, j]).mean() - product.mean()) < 4 * product.std() / np.sqrt(N)
    assert stats.kurtosis(x).min() > 3  # heavier than normal, or the fourth moment would show nothing
    assert np.corrcoef(x.T)[0, 1] > 0.2


@pytest.mark.statistical
def test_the_simulated_deviation_is_the_configured_one_and_so_is_another_correlation():
    """Trap: a volatility squared. Each factor, and a correlation that is not that of the rows."""
    asked = np.array([[1, -0.5, 0.2], [-0.5, 1, 0.1], [0.2, 0.1, 1]])
    plan = seen(1, correlation=asked)
    log = np.log(prices(plan, N)[:, :, 0])
    sigma = plan.volatility * np.sqrt(plan.step / YEAR)
    z = (log + sigma**2 / 2) / sigma
    for i in range(3):
        for j in range(i + 1):
            product = z[:, i] * z[:, j]
            assert abs(product.mean() - asked[i, j]) < 4 * product.std() / np.sqrt(N)


@pytest.mark.statistical
@pytest.mark.parametrize("block", [1.0, 3.0, 24.0])
def test_blocks_have_the_stated_mean_length(block):
    """Rows 0 .. T-1 are told apart by their values: a step continues a block with chance 1 - 1/block + 1/(T block)."""
    rows = np.linspace(-0.01, 0.01, 199)[:, None] * np.array([1.0])
    plan = seen(48, rows, block, volatility=[0.8])
    z = moves(plan, 3_000)[:, 0]
    taken = np.rint((z / standard(rows)[-1, 0] + 1) / 2 * 198).astype(int)
    np.testing.assert_allclose(z, standard(rows)[taken, 0], atol=1e-9)
    goes_on = taken[:, 1:] == (taken[:, :-1] + 1) % 199
    expected = 1 - 1 / block + 1 / (199 * block)
    assert abs(goes_on.mean() - expected) < 4 * np.sqrt(expected * (1 - expected) / goes_on.size)
    counts = np.bincount(taken[:, 0], minlength=199)
    assert stats.chisquare(counts).pvalue > 6e-5  # a block begins at any row alike


@pytest.mark.statistical
def test_the_variance_of_a_day_has_the_closed_form_of_the_stationary_bootstrap():
    """n + 2 sum (n - k) (1 - q)^k rho_k, with rho the circular autocorrelation (Politis and Romano, 1994)."""
    rows = past(200, 1)
    rows = rows + 0.6 * np.roll(rows, 1, axis=0)  # so that neighbours go together
    n, q = 24, 1 / 8
    x = standard(rows)[:, 0]
    rho = np.array([(x * np.roll(x, -k)).mean() for k in range(n)])
    k = np.arange(1, n)
    expected = n + 2 * ((n - k) * (1 - q) ** k * rho[1:]).sum()
    z = moves(seen(n, rows, 8.0, volatility=[0.8]))[:, 0].sum(axis=1)
    assert abs((z**2).mean() - expected) < 4 * (z**2).std() / np.sqrt(N)
    assert expected > 1.2 * n


@pytest.mark.parametrize("sampling", ["plain", "antithetic", "quasi"])
@pytest.mark.parametrize("law", ["bootstrap", "filtered", "garch", "garch-t"])
def test_pruned_brute_sharded_and_threaded_runs_have_the_same_bits(law, sampling):
    market, rows = random_market(3), past(300, 5)
    numbers = dict(alpha=(0.1,) * 5, beta=(0.8,) * 5, long_run=(1.5,) * 5)
    laws = {
        "bootstrap": rc.Bootstrap(rows, 12.0),
        "filtered": rc.FilteredHistory(rows, **numbers),
        "garch": rc.Garch(**numbers),
        "garch-t": rc.Garch(**numbers, nu=4.0),
    }
    plan = replace(scenario(5, volatility=2.0), law=laws[law], sampling=sampling)
    whole = rc.simulate(market, plan, 201, seed=5, threads=1)
    assert whole.repaid_usd.std() > 0
    parts = [rc.simulate(market, plan, seed=5, paths=cut, threads=4) for cut in ((0, 7), (7, 130), (130, 201))]
    others = [
        parts[0] + parts[1] + parts[2],
        *(rc.simulate(market, plan, 201, seed=5, brute_force=brute, threads=2) for brute in (True, "simd")),
    ]
    for other in others:
        for name in ("path", "by_step", "fan", "hits"):
            np.testing.assert_array_equal(getattr(whole, name), getattr(other, name), err_msg=name)


def test_filtered_history_without_memory_is_the_bootstrap_bit_for_bit():
    rows = past()
    plan = seen(rows=rows)
    flat = rc.FilteredHistory(rows, (0.0,) * 3, (0.0,) * 3, (1.0,) * 3, mean_block=6.0)
    np.testing.assert_array_equal(prices(replace(plan, law=flat), 200), prices(plan, 200))


def test_two_laws_are_equal_when_their_numbers_are():
    rows = past()
    one, other = rc.Bootstrap(rows, 6), rc.Bootstrap(rows.copy(), 6.0)
    assert one == other
    assert hash(one) == hash(other)
    rows[7, 1] = np.nextafter(rows[7, 1], 1)
    assert one != rc.Bootstrap(rows, 6)
    assert one != rc.FilteredHistory(past(), (0.0,) * 3, (0.0,) * 3, (1.0,) * 3, mean_block=6.0)
    with pytest.raises(ValueError, match="read-only"):
        one.returns[0, 0] = 1.0


def changed(at, value) -> np.ndarray:
    rows = past()
    rows[at] = value
    return rows


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rc.Bootstrap(past(LEAST_ROWS - 1)), r"Bootstrap.returns: expected at least 60 rows .* \(59, 3\)"),
        (lambda: rc.Bootstrap(np.zeros((100, 0))), "a column for each factor, found shape"),
        (lambda: rc.Bootstrap(past()[:, 0]), r"Bootstrap.returns: expected shape \(any, any\), found \(500,\)"),
        (lambda: rc.Bootstrap(changed((7, 1), np.nan)), "entry 7, 1 is nan; must be finite; leave out a period"),
        (lambda: rc.Bootstrap(changed((7, 1), 7.0)), r"entry 7, 1 is 7.0; a log return must be in \[-5, 5\]; 1 % is"),
        (lambda: rc.Bootstrap(24 * past()), "are these returns in per cent"),
        (lambda: rc.Bootstrap(changed(np.s_[:, 2], 0.0)), "column 2 never moves in 500 rows; give it a proxy"),
        (lambda: rc.Bootstrap(past()[:, [0, 1, 0]]), "one column is made of the others"),
        (lambda: rc.Bootstrap([["a"] * 3] * 80), "expected numbers, found entry 0, 0 is 'a'"),
        (lambda: rc.Bootstrap(past(), 0.5), r"mean_block: expected a number of periods in \[1, 500\], found 0.5"),
        (lambda: rc.Bootstrap(past(), 501), "Bootstrap.mean_block"),
        (lambda: rc.Bootstrap(past(), 24, hours=0), "Bootstrap.hours: expected hours of a period"),
        (lambda: seen(law=rc.Bootstrap(past(500, 2))), "expected 3 columns, one for each factor, found 2"),
        (lambda: seen(7, horizon=timedelta(hours=24)), "rows are of 1 h and a step is 3.429 h; take a number of steps"),
        (lambda: seen(48, horizon=timedelta(hours=24)), "a step is 0.5 h"),
        (lambda: seen(1, horizon=timedelta(hours=500)), "fewer than 500"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(rc.InputError, match=message):
        make()


def test_importance_sampling_refuses_a_law_without_normals():
    """Its weights would be noise: the shifted normals have no part in the prices."""
    with pytest.raises(rc.InputError, match="Bootstrap draws rows of a history, and importance sampling shifts normal"):
        rc.tails.probability_of_deficit(one_account(), seen(rows=past(500, 2)), n_paths=50)
