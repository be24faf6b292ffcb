"""Hawkes processes: likelihood against its definition, gradients, residuals, simulation against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import risk_core as rc
from risk_core.analytics import hawkes as h
from risk_core.analytics.shares import wilson

MODEL = h.Hawkes(mu=[0.3, 0.2], alpha=[[0.5, 0.2], [0.1, 0.4]], beta=[[1.2, 1.0], [0.9, 1.1]])


def slow_likelihood(model: h.Hawkes, events: h.EventTimes) -> float:
    """By the definition, O(n^2): sums over pairs of events."""
    bins = model.mu.shape[1]

    def base(i: int, t: float) -> float:
        return model.mu[i, int(t // (model.period / bins)) % bins if bins > 1 else 0]

    total = 0.0
    for t, k in zip(events.times, events.kinds, strict=True):
        rate = base(k, t)
        for s, j in zip(events.times, events.kinds, strict=True):
            if s < t:
                rate += (model.alpha[k, j] * np.exp(-model.beta[k, j] * (t - s))).sum()
        total += np.log(rate)
    for i in range(len(model.mu)):
        grid = np.linspace(0, events.end, 20_001)
        middle = (grid[:-1] + grid[1:]) / 2
        total -= sum(base(i, t) for t in middle) * events.end / 20_000 if bins > 1 else model.mu[i, 0] * events.end
        for s, j in zip(events.times, events.kinds, strict=True):
            total -= (model.alpha[i, j] / model.beta[i, j] * (1 - np.exp(-model.beta[i, j] * (events.end - s)))).sum()
    return total


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(0, 1)), min_size=1, max_size=15))
@settings(max_examples=40)
def test_the_recursion_equals_the_definition_ties_included(marked: list[tuple[float, int]]):
    marked = [*marked, max(marked)]  # at least one pair at the same time
    events = h.EventTimes(
        times=[t for t, _ in sorted(marked)], kinds=[k for _, k in sorted(marked)], end=10.0, n_kinds=2
    )
    assert h.log_likelihood(MODEL, events)[0] == pytest.approx(slow_likelihood(MODEL, events), rel=1e-10, abs=1e-10)


@given(
    st.lists(st.floats(0, 20), min_size=1, max_size=20),
    st.lists(st.floats(0.01, 3), min_size=1, max_size=3),
    st.floats(0, 2),
    st.floats(0.01, 900),
)
@settings(max_examples=60)
def test_one_kind_has_what_it_has_beside_a_kind_without_events(times, mu, alpha, beta):
    """A second kind that never comes and excites nobody adds its base alone; many kinds have a loop of their own."""
    times = sorted([*times, max(times)])
    alone = h.Hawkes(mu=[mu], alpha=[[alpha]], beta=[[beta]], period=4.0)
    beside = h.Hawkes(mu=[mu, [1.0] * len(mu)], alpha=[[alpha, 0], [0, 0]], beta=np.full((2, 2), beta), period=4.0)
    found, of_one = h.log_likelihood(alone, h.EventTimes(times=times, kinds=[0] * len(times), end=25.0, n_kinds=1))
    both, of_two = h.log_likelihood(beside, h.EventTimes(times=times, kinds=[0] * len(times), end=25.0, n_kinds=2))
    assert found == pytest.approx(both + 25.0, rel=1e-12, abs=1e-10)
    assert of_one.mu[0] == pytest.approx(of_two.mu[0], rel=1e-12, abs=1e-10)
    assert of_one.alpha.item() == pytest.approx(of_two.alpha[0, 0, 0], rel=1e-10, abs=1e-10)
    assert of_one.beta.item() == pytest.approx(of_two.beta[0, 0, 0], rel=1e-10, abs=1e-10)


def test_the_gradient_is_the_slope_in_every_parameter():
    rng = np.random.default_rng(7)
    model = h.Hawkes(
        mu=rng.uniform(0.1, 1, (2, 3)),
        alpha=rng.uniform(0.1, 0.5, (2, 2, 2)),
        beta=rng.uniform(0.5, 3, (2, 2, 2)),
        period=4.0,
    )
    times = np.sort(rng.uniform(0, 30, 40)).round(1)  # some at one time
    events = h.EventTimes(times=times, kinds=rng.integers(0, 2, 40), end=30.0, n_kinds=2)
    value, grad = h.log_likelihood(model, events)
    assert value == pytest.approx(slow_likelihood(model, events), rel=1e-3)
    for name in ("mu", "alpha", "beta"):
        found, array = getattr(grad, name), getattr(model, name)
        for place in np.ndindex(array.shape):
            up, down = array.copy(), array.copy()
            up[place] += 1e-6
            down[place] -= 1e-6
            parts = {n: getattr(model, n) for n in ("mu", "alpha", "beta")}
            slope = (
                h.log_likelihood(h.Hawkes(**parts | {name: up}, period=4.0), events)[0]
                - h.log_likelihood(h.Hawkes(**parts | {name: down}, period=4.0), events)[0]
            ) / 2e-6
            assert found[place] == pytest.approx(slope, rel=1e-6, abs=1e-6), (name, place)


def test_the_intensity_is_its_definition_and_does_not_see_the_event_of_its_moment():
    events = h.EventTimes(times=[1.0, 2.0, 2.0], kinds=[0, 1, 0], end=5.0, n_kinds=2)
    at = [0.5, 2.0, 2.5, 2.5]
    found = h.intensity(MODEL, events, at)
    for m, t in enumerate(at):
        for i in range(2):
            slow = MODEL.mu[i, 0] + sum(
                MODEL.alpha[i, j, 0] * np.exp(-MODEL.beta[i, j, 0] * (t - s))
                for s, j in zip(events.times, events.kinds, strict=True)
                if s < t
            )
            assert found[m, i] == pytest.approx(slow)


def test_a_cluster_is_rarer_than_its_events_and_surer_with_more_time():
    history = h.simulate(MODEL, 50.0, seed=2)
    asked = {"at_least": 4, "history": history, "paths": 2000}
    short = h.chance_of_cluster(MODEL, 10.0, within=0.5, **asked)
    wide = h.chance_of_cluster(MODEL, 10.0, within=10.0, **asked)
    assert short.value < wide.value == h.chance_of(MODEL, 10.0, **asked).value
    assert wide.low <= wide.value <= wide.high <= 1
    assert wilson(0, 100)[0] == 0.0
    assert wilson(0, 100)[1] == pytest.approx(0.037, abs=1e-3)


def test_mean_rates_and_radius_are_the_recomputed_ones():
    assert MODEL.spectral_radius == pytest.approx(0.5415624641680696)
    np.testing.assert_allclose(MODEL.mean_rates, [0.66164978, 0.42981187], atol=5e-9)


def test_a_long_path_has_the_mean_rates_and_its_residuals_are_exponential():
    path = h.simulate(MODEL, 40_000.0, seed=3)
    rates = np.bincount(path.kinds) / 40_000
    np.testing.assert_allclose(rates, MODEL.mean_rates, rtol=0.03)
    assert h.residual_test(MODEL, path)[1] > 0.01
    quiet = h.Hawkes(mu=MODEL.mu * 2, alpha=MODEL.alpha * 0.2, beta=MODEL.beta)
    assert h.residual_test(quiet, path)[1] < 0.01


def test_a_path_is_a_function_of_seed_and_number():
    one, again, other = (h.simulate(MODEL, 100.0, seed=5, path=p) for p in (1, 1, 2))
    np.testing.assert_array_equal(one.times, again.times)
    assert len(one) != len(other) or not np.array_equal(one.times, other.times)


def test_variance_of_counts_is_the_closed_form():
    model = h.Hawkes(mu=[0.5], alpha=[[1.0]], beta=[[2.0]])
    path = h.simulate(model, 100_000.0, seed=11)
    counts = np.histogram(path.times, bins=100_000, range=(0, 100_000))[0]
    mean, variance = h.moments(0.5, 1.0, 2.0, 1.0)
    assert (mean, variance) == (pytest.approx(1.0), pytest.approx(2.103638323514327))
    assert counts.mean() == pytest.approx(mean, rel=0.03)
    assert counts.var() == pytest.approx(variance, rel=0.06)


def test_expected_counts_are_what_simulation_gives_and_the_long_run_rate():
    history = h.simulate(MODEL, 50.0, seed=2)
    counts = [
        np.bincount(h.simulate(MODEL, 4.0, seed=9, path=p, history=history).kinds, minlength=2) for p in range(4000)
    ]
    error = np.std(counts, axis=0) / np.sqrt(len(counts))
    assert (np.abs(np.mean(counts, axis=0) - h.expected_counts(MODEL, 4.0, history=history)) < 4 * error).all()
    np.testing.assert_allclose(h.expected_counts(MODEL, 1e5) / 1e5, MODEL.mean_rates, rtol=1e-3)


def test_base_rates_by_part_of_the_period():
    model = h.Hawkes(mu=[[0.0, 4.0]], alpha=[[0.0]], beta=[[1.0]], period=2.0)
    path = h.simulate(model, 2000.0, seed=4)
    assert (path.times % 2 >= 1).all()
    assert len(path) == pytest.approx(4000, rel=0.06)
    assert h.expected_counts(model, 3.0)[0] == pytest.approx(4.0)
    assert h.log_likelihood(model, path)[0] == pytest.approx(len(path) * np.log(4) - 4000)
    assert h.residual_test(model, path)[1] > 0.01


def test_chance_of_one_event_is_the_closed_form_between_its_bounds():
    history = h.simulate(MODEL, 50.0, seed=2)
    found = h.chance_of(MODEL, 2.0, at_least=1, history=history, paths=4000)
    assert found.low <= found.lower_bound <= found.high  # the lower bound is exact for one event
    many = h.chance_of(MODEL, 2.0, at_least=5, history=history, paths=4000)
    assert many.lower_bound <= many.high
    assert many.low <= many.upper_bound
    both = h.chance_of(MODEL, 2.0, at_least=5, history=history, paths=4000, kinds=[0, 1])
    assert both.value == many.value


def test_a_fit_finds_the_parameters_and_beats_poisson_out_of_sample():
    true = h.Hawkes(mu=[0.3, 0.2], alpha=[[0.6, 0.2], [0.0, 0.5]], beta=np.full((2, 2), 1.5))
    path = h.simulate(true, 4000.0, seed=6)
    found = h.fit(path.until(3000.0))
    assert found.converged
    assert found.model.is_stationary
    np.testing.assert_allclose(found.model.branching, true.branching, atol=0.08)
    np.testing.assert_allclose(found.model.mu[:, 0], true.mu[:, 0], rtol=0.25)
    assert found.log_likelihood >= h.log_likelihood(true, path.until(3000.0))[0]
    rates = np.bincount(path.until(3000.0).kinds) / 3000
    poisson = h.Hawkes(mu=rates, alpha=np.zeros((2, 2)), beta=np.ones((2, 2)))
    assert h.out_of_sample(found.model, path, 3000.0) > h.out_of_sample(poisson, path, 3000.0)


def test_a_poisson_process_is_fitted_without_followers():
    times = np.sort(np.random.default_rng(1).uniform(0, 1000, 1000))
    events = h.EventTimes(times=times, kinds=np.zeros(1000, np.int64), end=1000.0, n_kinds=1)
    found = h.fit(events)
    assert found.model.branching[0, 0] < 0.1
    assert found.aic > 2 - 2 * h.poisson_log_likelihood(events) - 2


def test_a_renewal_process_of_bursts_has_a_shape_below_one():
    times = np.cumsum(np.random.default_rng(2).weibull(0.6, 3000) * 2)
    shape, scale, value = h.weibull_renewal(times, float(times[-1]) + 1)
    assert shape == pytest.approx(0.6, rel=0.05)
    assert scale == pytest.approx(2.0, rel=0.1)
    events = h.EventTimes(times=times, kinds=np.zeros(len(times), np.int64), end=float(times[-1]) + 1, n_kinds=1)
    assert value > h.poisson_log_likelihood(events)


def test_ties_are_spread_evenly_over_the_clock():
    np.testing.assert_allclose(h.spread_ties([12, 12, 24, 36, 36], 12.0), [3, 9, 18, 27, 33])


def test_events_of_blocks_are_spread_over_no_more_than_the_blocks_stand_for():
    """Blocks of 12 s; and one chain of 2 s, where 12 s would put an event before its predecessor."""
    slow = h.on_clock([112, 112, 136], [0, 0, 0], begin=100, end=160, n_kinds=1, clock=12, unit=60)
    np.testing.assert_allclose(slow.times * 60, [3, 9, 30])
    fast = h.on_clock([112, 112, 114], [0, 1, 0], begin=100, end=160, n_kinds=2, clock=12, unit=60)
    np.testing.assert_allclose(fast.times * 60, [10.5, 11.5, 13])
    assert fast.end == slow.end == 1.0


def test_independent_events_have_the_rates_and_the_likelihood_of_poisson():
    events = h.EventTimes(times=[1.0, 2.0, 5.0], kinds=[0, 0, 1], end=10.0, n_kinds=2)
    flat = h.poisson_process(events)
    np.testing.assert_allclose(flat.mu[:, 0], [0.2, 0.1])
    assert h.log_likelihood(flat, events)[0] == pytest.approx(h.poisson_log_likelihood(events))
    assert h.poisson_process(events.until(3.0)).mu[1, 0] == pytest.approx(0.5 / 3)


@pytest.mark.parametrize(
    ("times", "kinds", "words"),
    [([2.0, 1.0], [0, 0], "after 2.0 at entry 1"), ([-1.0], [0], "entry 0"), ([11.0], [0], "entry 0"),
     ([1.0], [2], "kinds"), ([float("nan")], [0], "entry 0"), (["1"], [0], "times"), ([1.0], [0.5], "kinds")],
)  # fmt: skip
def test_events_that_none_can_be_are_refused(times, kinds, words):
    with pytest.raises(rc.InputError, match=words):
        h.EventTimes(times=times, kinds=kinds, end=10.0, n_kinds=2)


def test_too_few_events_and_an_explosive_model_are_refused():
    with pytest.raises(rc.InputError, match="at least 10"):
        h.fit(h.EventTimes(times=[1.0, 2.0], kinds=[0, 0], end=3.0, n_kinds=1))
    explosive = h.Hawkes(mu=[1.0], alpha=[[3.0]], beta=[[1.0]])
    assert not explosive.is_stationary
    with pytest.raises(rc.InputError, match="no mean rate"):
        _ = explosive.mean_rates
    with pytest.raises(rc.InputError, match="explodes"):
        h.simulate(explosive, 50.0, seed=1, most=20_000)
