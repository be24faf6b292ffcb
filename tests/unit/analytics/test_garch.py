"""GARCH(1, 1): a plain loop, parameters that are recovered, closed forms, and failures that stay failures."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from risk_core import InputError
from risk_core.analytics import garch, rolling

TRUE = garch.Fit(n=1, omega=2e-5, alpha=0.1, beta=0.85)


def simulated(n: int, seed: int, of: garch.Fit = TRUE) -> np.ndarray:
    z, out, v = np.random.default_rng(seed).standard_normal(n), np.empty(n), of.long_run
    for t in range(n):
        out[t] = np.sqrt(v) * z[t]
        v = of.omega + of.alpha * out[t] ** 2 + of.beta * v
    return out


def by_loop(returns, of, start):
    v, out = start, []
    for r in returns:
        v = of.omega + of.alpha * r * r + of.beta * v
        out.append(v)
    return np.array(out)


def test_the_variance_is_that_of_a_plain_loop_and_of_two_steps_by_hand():
    """0.0001 after a return of 0.02: 2e-5 + 0.1 * 4e-4 + 0.85 * 1e-4 = 1.45e-4; then 2e-5 + 0.85 * 1.45e-4."""
    np.testing.assert_allclose(garch.variance_path([0.02, 0.0], TRUE, 1e-4), [1.45e-4, 1.4325e-4], rtol=1e-12)
    r = simulated(500, 1)
    np.testing.assert_allclose(garch.variance_path(r, TRUE, 3e-4), by_loop(r, TRUE, 3e-4), rtol=1e-12)


def test_the_term_structure_is_the_mean_of_forecasts_made_one_by_one():
    v, ahead = 9e-4, []
    for _ in range(90):
        ahead.append(v)
        v = TRUE.omega + TRUE.persistence * v
    expected = [np.mean(ahead[:h]) for h in (1, 7, 30, 90)]
    np.testing.assert_allclose(garch.term_structure(TRUE, 9e-4, [1, 7, 30, 90]), expected, rtol=1e-12)
    assert garch.term_structure(TRUE, TRUE.long_run, [50]) == pytest.approx(TRUE.long_run)


@pytest.mark.statistical
@pytest.mark.parametrize("seed", [3, 4, 5])
def test_a_simulated_process_is_found_again_within_four_standard_errors(seed):
    pytest.importorskip("arch")
    found = garch.fit(simulated(4_000, seed))
    assert not found.refused
    for name in ("omega", "alpha", "beta"):
        assert abs(getattr(found, name) - getattr(TRUE, name)) < 4 * getattr(found, f"{name}_se")
    assert found.n == 4_000


def test_the_fit_is_the_likeliest_of_its_neighbours_by_a_likelihood_of_its_own():
    pytest.importorskip("arch")
    from arch import arch_model

    r = simulated(1_500, 9)
    found = garch.fit(r)
    start = arch_model(100 * r, mean="Zero").volatility.backcast(100 * r) / 1e4  # as the package begins

    def log_likelihood(of):
        v = np.concatenate(
            [[of.omega + of.persistence * start], by_loop(r, of, of.omega + of.persistence * start)[:-1]]
        )
        return norm.logpdf(r, scale=np.sqrt(v)).sum()

    best = log_likelihood(found)
    assert best == pytest.approx(found.log_likelihood, abs=1e-6)
    for name in ("omega", "alpha", "beta"):
        for factor in (0.97, 1.03):
            numbers = {key: getattr(found, key) for key in ("omega", "alpha", "beta")} | {}
            numbers[name] *= factor
            if numbers["alpha"] + numbers["beta"] < 1:
                assert log_likelihood(garch.Fit(n=1, **numbers)) < best


def test_forecasts_use_no_future_and_each_its_own_fit():
    r, calm = simulated(200, 2), garch.Fit(n=1, omega=1e-6, alpha=0.01, beta=0.5)
    fits = [garch.Refit(at=59, fit=TRUE), garch.Refit(at=120, fit=calm)]
    for filtered in (False, True):
        var, shortfall = garch.value_at_risk(r, fits, filtered=filtered)
        assert np.isnan(var[:59]).all()
        assert np.isfinite(var[59:]).all()
        assert (shortfall[59:] >= var[59:]).all()
        for t in (59, 119, 120, 180):
            again, _ = garch.value_at_risk(
                r[: t + 1], [f for f in fits if f.at <= t], filtered=filtered
            )  # fmt: skip
            assert again[t] == pytest.approx(var[t], rel=1e-12)
    # By hand at one day: the normal law's 95 %, and the second largest of thirty standardised losses.
    v = by_loop(r[:101], TRUE, (r[:60] ** 2).mean())
    plain, _ = garch.value_at_risk(r, fits)
    assert plain[100] == pytest.approx(1e6 * 1.6448536269514722 * v[100] ** 0.5)
    standard = np.sort(-r[71:101] / np.sqrt(v[70:100]))
    tails, mean = garch.value_at_risk(r, fits, filtered=True)
    assert tails[100] == pytest.approx(1e6 * v[100] ** 0.5 * standard[28])
    assert mean[100] == pytest.approx(1e6 * v[100] ** 0.5 * standard[28:].mean())


def test_without_memory_it_is_the_plain_historical_rule():
    """alpha = beta = 0: every volatility is the same, so filtering changes nothing."""
    r, flat = simulated(120, 6), garch.Fit(n=1, omega=1e-4, alpha=0.0, beta=0.0)
    found = garch.value_at_risk(r, [garch.Refit(at=59, fit=flat)], filtered=True)
    plain = rolling.value_at_risk(r)
    # The first volatility is the start's, not the fit's: its return is out of the window from the 60th on.
    for ours, theirs in zip(found, plain, strict=True):
        np.testing.assert_allclose(ours[59:], theirs[59:], rtol=1e-12)


def test_a_failed_fit_gives_nothing_until_the_next_one():
    r = simulated(150, 8)
    failed = garch.Fit(n=80, refused="the optimiser did not converge (flag 8)")
    fits = [garch.Refit(at=59, fit=TRUE), garch.Refit(at=79, fit=failed), garch.Refit(at=99, fit=TRUE)]
    for filtered in (False, True):
        var, _ = garch.value_at_risk(r, fits, filtered=filtered)
        assert np.isnan(var[79:99]).all()
        assert np.isfinite(var[59:79]).all()
        assert np.isfinite(var[99:]).all()
    assert np.isnan(garch.value_at_risk(r, [])[0]).all()
    with pytest.raises(InputError, match="did not converge"):
        garch.variance_path(r, failed, 1e-4)


def test_what_cannot_be_fitted_says_why(monkeypatch):
    assert "too few" in garch.fit(simulated(59, 1)).refused
    assert "never move" in garch.fit(np.zeros(100)).refused
    arch = pytest.importorskip("arch")

    class Failed:
        params, std_err, convergence_flag, loglikelihood = [0.1, 0.1, 0.8], [1, 1, 1], 4, 0.0

    class Model:
        def fit(self, **_):
            return Failed

    monkeypatch.setattr(arch, "arch_model", lambda *_, **__: Model())
    assert "did not converge (flag 4)" in garch.fit(simulated(100, 1)).refused
    Failed.convergence_flag, Failed.params = 0, [0.1, 0.2, 0.8]
    assert "alpha + beta is 1.000000" in garch.fit(simulated(100, 1)).refused
    Failed.params = [0.1, 0.0, 0.8]
    assert "no effect of past returns" in garch.fit(simulated(100, 1)).refused


def test_the_unit_of_the_returns_does_not_matter():
    """A stablecoin moves by hundredths of a per cent: the same process, a thousand times smaller."""
    pytest.importorskip("arch")
    r = simulated(1_000, 12)
    large, small = garch.fit(r), garch.fit(r / 1_000)
    assert small.omega == pytest.approx(large.omega / 1e6, rel=1e-6)
    assert (small.alpha, small.beta) == (pytest.approx(large.alpha), pytest.approx(large.beta))


def test_the_schedule():
    assert garch.schedule(121, 20).tolist() == [59, 79, 99, 119]
    assert garch.schedule(59).tolist() == []


def test_correlation_by_horizon_of_a_series_that_follows_the_other_by_one_period():
    """x leads y by one: sums over h share h - 1 of their h terms, so the correlation is (h - 1) / h."""
    x = np.random.default_rng(1).standard_normal(200_000)
    found = rolling.correlation_term_structure(x[1:], x[:-1], [1, 2, 4, 10])
    np.testing.assert_allclose(found, [0, 0.5, 0.75, 0.9], atol=0.02)
    assert rolling.correlation_term_structure(x, -2 * x, [1, 30]).tolist() == pytest.approx([-1, -1])
    assert np.isnan(rolling.correlation_term_structure(x, 0 * x, [1])).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: garch.Fit(n=1, omega=1e-5, alpha=0.5, beta=0.5), "below 1"),
        (lambda: garch.Fit(n=1), "Fit.omega"),
        (lambda: garch.Fit(n=1, omega=1e-5, alpha=-0.1, beta=0.5), "Fit.alpha"),
        (lambda: garch.fit([0.1, np.nan]), "returns"),
        (lambda: garch.fit(["a"]), "returns"),
        (lambda: garch.fit([-1.5]), "at least -1"),
        (lambda: garch.variance_path([0.1], TRUE, -1.0), "start"),
        (lambda: garch.variance_path([0.1], None, 1.0), "Fit"),
        (lambda: garch.term_structure(TRUE, 1e-4, [0]), "horizons"),
        (lambda: garch.value_at_risk([0.1] * 70, [garch.Refit(at=70, fit=TRUE)]), "Refit.at"),
        (lambda: garch.value_at_risk([0.1] * 70, [garch.Refit(at=60, fit=TRUE)] * 2), "later"),
        (lambda: garch.value_at_risk([0.1] * 70, [], level=0.99, filtered=True), "none beyond"),
        (lambda: garch.value_at_risk([0.1] * 70, [], position=0), "position"),
        (lambda: garch.schedule(10, 0), "every"),
        (lambda: rolling.correlation_term_structure([0.1, 0.2], [0.1], [1]), "second"),
        (lambda: rolling.correlation_term_structure([0.1, 0.2], [0.1, 0.3], [2]), "horizons"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
