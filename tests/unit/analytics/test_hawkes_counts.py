"""Clustering by counts: hand cases, the Poisson process exactly, the closed form of a Hawkes process, laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import risk_core as rc
from risk_core.analytics import hawkes as h
from risk_core.analytics.shares import wilson

LEVELS = [1, 2, 3]
ONE = h.Hawkes(mu=[0.5], alpha=[[1.0]], beta=[[2.0]])


def test_events_are_counted_in_whole_windows_from_the_end_back():
    times = [0.5, 1.0, 4.9, 6.0]
    assert h.counts_in_steps(times, end=6.0, step=1.0, n_steps=2).tolist() == [[1, 1], [0, 0], [1, 1]]
    # Half an hour too long: the windows begin at 0.5.
    assert h.counts_in_steps(times, end=6.5, step=1.0, n_steps=2).tolist() == [[2, 0], [0, 0], [1, 1]]
    assert h.counts_in_steps(times, end=6.0, step=1.0, n_steps=4).tolist() == [[0, 0, 1, 1]]
    with pytest.raises(rc.InputError, match="at least one window"):
        h.counts_in_steps([], end=1.0, step=1.0, n_steps=2)


def test_two_windows_by_hand():
    found = h.clustering([[2, 0], [0, 0]], at_least=2, levels=LEVELS)
    # Counts of windows 2, 0: mean 1, variance 1. Of steps 2, 0, 0, 0: mean 1/2, variance 3/4.
    assert found.mean[0] == 1.0
    assert found.dispersion_window[0] == 1.0
    assert found.dispersion_step[0] == 1.5
    assert found.in_bursts[0] == 1.0
    assert found.greatest.tolist() == [0.5, 0.5, 0.0]
    assert (found.greatest_low[0], found.greatest_high[0]) == wilson(1, 2)
    assert np.isnan(found.mean[1])  # two windows carry no interval
    assert h.clustering([[2, 0], [0, 0]], at_least=3, levels=LEVELS).in_bursts[0] == 0.0


def test_without_an_event_nothing_is_told_of_bursts():
    found = h.clustering(np.zeros((20, 3), np.int64), at_least=2, levels=LEVELS)
    assert found.mean == (0.0, 0.0, 0.0)
    assert np.isnan([found.dispersion_step[0], found.dispersion_window[0], found.in_bursts[0]]).all()
    assert found.greatest.tolist() == [0.0, 0.0, 0.0]
    assert np.isnan(h.gain_of_counts(ONE, np.zeros((20, 3), np.int64), step=1.0)).all()


def test_independent_events_are_the_poisson_process_exactly():
    counts = np.random.default_rng(5).poisson(1.5 / 6, (40_000, 6))
    found = h.clustering(counts, at_least=2, levels=LEVELS)
    exact = h.clustering_of_poisson(1.5, n_steps=6, at_least=2, levels=LEVELS)
    # P(fullest step >= 1) = 1 - e^-1.5; of the events in steps of 2 and more, 1 - e^-0.25.
    assert exact.greatest[0] == pytest.approx(1 - np.exp(-1.5))
    assert exact.in_bursts[0] == pytest.approx(1 - np.exp(-0.25))
    error = np.sqrt(exact.greatest * (1 - exact.greatest) / len(counts))
    assert (np.abs(found.greatest - exact.greatest) < 4 * error).all()
    for name in ("mean", "dispersion_step", "dispersion_window", "in_bursts"):
        value, low, high = getattr(found, name)
        assert abs(value - getattr(exact, name)[0]) < 4 * (high - low) / 3.92
    rare = h.clustering_of_poisson(1e-9, n_steps=24, at_least=2, levels=[2])
    assert rare.greatest[0] == pytest.approx(24 * (1e-9 / 24) ** 2 / 2, rel=1e-6)


def test_a_hawkes_process_has_the_dispersion_of_its_closed_form():
    path = h.simulate(ONE, 60_000.0, seed=3)
    counts = h.counts_in_steps(path.times, end=60_000.0, step=1.0, n_steps=24)
    found = h.clustering(counts, at_least=4, levels=LEVELS)
    for window, (value, low, high) in ((1.0, found.dispersion_step), (24.0, found.dispersion_window)):
        mean, variance = h.moments(0.5, 1.0, 2.0, window)
        assert abs(value - variance / mean) < 4 * (high - low) / 3.92
    # Followers 1/2, so counts of long windows have the dispersion 4.
    assert h.branching_of(4.0) == 0.5
    assert h.branching_of(1.0) == h.branching_of(0.2) == 0.0
    assert h.branching_of(found.dispersion_window[0]) == pytest.approx(0.5, abs=0.03)


def test_the_gain_of_one_window_is_that_of_its_events():
    # Two events in the first of four half hours: at 1/8 h and 3/8 h.
    events = h.EventTimes(times=[0.125, 0.375], kinds=[0, 0], end=2.0, n_kinds=1)
    level = h.Hawkes(mu=[0.5], alpha=ONE.alpha, beta=ONE.beta)  # one event an hour, half of them followers
    gain = (h.log_likelihood(level, events)[0] - h.poisson_log_likelihood(events)) / 2
    assert h.gain_of_counts(ONE, [[2, 0, 0, 0]], step=0.5)[0] == pytest.approx(gain)
    # How often the model itself says events come does not matter.
    often = h.Hawkes(mu=[9.0], alpha=ONE.alpha, beta=ONE.beta)
    assert h.gain_of_counts(often, [[2, 0, 0, 0]], step=0.5)[0] == pytest.approx(gain)


def test_excitement_gains_on_its_own_events_and_loses_on_independent_ones():
    path = h.simulate(ONE, 24_000.0, seed=4)
    own = h.counts_in_steps(path.times, end=24_000.0, step=1.0, n_steps=24)
    value, low, high = h.gain_of_counts(ONE, own, step=1.0)
    assert 0 < low < value < high
    alone = np.random.default_rng(6).poisson(own.mean(), own.shape)
    assert h.gain_of_counts(ONE, alone, step=1.0)[2] < 0
    flat = h.Hawkes(mu=[3.0], alpha=[[0.0]], beta=[[1.0]])
    assert h.gain_of_counts(flat, own, step=1.0)[0] == pytest.approx(0.0, abs=1e-12)
    explosive = h.Hawkes(mu=[1.0], alpha=[[3.0]], beta=[[1.0]])
    assert np.isnan(h.gain_of_counts(explosive, own, step=1.0)[0])


@given(arrays(np.int64, (12, 4), elements=st.integers(0, 9)), st.integers(1, 6), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_order_of_windows_does_not_matter_and_more_is_rarer(counts, at_least, random):
    found = h.clustering(counts, at_least=at_least, levels=[1, 2, 4, 8])
    order = list(range(len(counts)))
    random.shuffle(order)
    again = h.clustering(counts[order], at_least=at_least, levels=[1, 2, 4, 8])
    for name in ("mean", "dispersion_step", "dispersion_window", "in_bursts"):
        assert getattr(found, name)[0] == pytest.approx(getattr(again, name)[0], nan_ok=True)
    assert (np.diff(found.greatest) <= 0).all()
    assert ((found.greatest_low <= found.greatest) & (found.greatest <= found.greatest_high)).all()
    if found.n_events:
        assert 0 <= found.in_bursts[0] <= 1
        assert h.clustering(counts, at_least=at_least + 1, levels=[1]).in_bursts[0] <= found.in_bursts[0]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: h.clustering([[1, -1]], at_least=1, levels=[1]), "must not be negative"),
        (lambda: h.clustering([[0.5]], at_least=1, levels=[1]), "counts: expected integers"),
        (lambda: h.clustering(np.zeros((0, 3), np.int64), at_least=1, levels=[1]), "at least one window"),
        (lambda: h.clustering([[1]], at_least=1, levels=[2, 1]), "rise strictly"),
        (lambda: h.clustering([[1]], at_least=1, levels=[0]), "at least 1"),
        (lambda: h.clustering_of_poisson(0.0, n_steps=2, at_least=1, levels=[1]), "positive"),
        (lambda: h.branching_of(-1.0), "dispersion"),
        (lambda: h.gain_of_counts(h.Hawkes(mu=[1, 1], alpha=np.eye(2), beta=np.ones((2, 2))), [[1]], step=1.0), "one"),
        (lambda: h.counts_in_steps([2.0], end=1.0, step=1.0, n_steps=1), "must be in"),
    ],
)
def test_what_cannot_be_counted_is_refused(call, words):
    with pytest.raises(rc.InputError, match=words):
        call()


def test_a_stated_shape_of_the_day_is_kept_and_only_levels_are_fitted():
    true = h.Hawkes(mu=[[0.2, 1.0], [0.1, 0.5]], alpha=[[0.6, 0.2], [0.0, 0.5]], beta=np.full((2, 2), 1.5), period=24.0)
    path = h.simulate(true, 24.0 * 60, seed=2)
    found = h.fit(path, bins=2, period=24.0, shape=[1.0, 5.0], starts=1)
    np.testing.assert_allclose(found.model.mu[:, 1] / found.model.mu[:, 0], [5.0, 5.0])
    assert found.n_parameters == 2 + 4 + 1
    assert found.mu_low.shape == (2, 1)
    # The level is the mean over the day, and lies in its interval.
    np.testing.assert_allclose(found.model.mu.mean(axis=1), true.mu.mean(axis=1), rtol=0.3)
    assert (found.mu_low[:, 0] < found.model.mu.mean(axis=1)).all()
    free = h.fit(path, bins=2, period=24.0, starts=1)
    flat = h.fit(path, starts=1)
    assert flat.log_likelihood < found.log_likelihood <= free.log_likelihood + 1e-6
    with pytest.raises(rc.InputError, match="shape: entry 0"):
        h.fit(path, bins=2, period=24.0, shape=[0.0, 1.0])
    with pytest.raises(rc.InputError, match="expected shape"):
        h.fit(path, bins=3, period=24.0, shape=[1.0, 1.0])


def test_weibull_gaps_have_the_likelihood_of_their_definition():
    times, shape, scale = [1.0, 1.5, 4.0], 0.7, 2.0
    gaps = np.array([1.0, 0.5, 2.5])
    by_hand = np.log(shape / scale * (gaps / scale) ** (shape - 1)).sum() - ((gaps / scale) ** shape).sum()
    by_hand -= (1.0 / scale) ** shape  # no event in the last hour
    assert h.weibull_log_likelihood(times, 5.0, shape=shape, scale=scale) == pytest.approx(by_hand)
    assert h.weibull_log_likelihood([], 5.0, shape=1.0, scale=2.0) == pytest.approx(-2.5)
    events = h.EventTimes(times=times, kinds=[0, 0, 0], end=5.0, n_kinds=1)
    # Shape 1 is the Poisson process.
    assert h.weibull_log_likelihood(times, 5.0, shape=1.0, scale=5 / 3) == pytest.approx(
        h.poisson_log_likelihood(events)
    )
    found = h.weibull_renewal(np.cumsum(np.random.default_rng(2).weibull(0.6, 300)), 1e3)
    many = np.cumsum(np.random.default_rng(2).weibull(0.6, 300))
    assert h.weibull_log_likelihood(many, 1e3, shape=found[0], scale=found[1]) == pytest.approx(found[2])
