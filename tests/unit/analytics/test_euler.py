"""Euler shares and Shapley values: by hand, against closed forms, and how often their intervals hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_core import InputError
from risk_core.analytics import euler
from risk_core.estimates import quantile, tail_mean


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60), st.sampled_from([0.3, 0.5, 0.9, 0.95, 0.99, 0.999]))
def test_the_weights_give_the_expected_shortfall(loss, level):
    """Also with ties at the boundary, and where less than one draw lies beyond the level."""
    weight = euler.tail_weights(loss, level)
    n = len(loss)
    assert weight.sum() == pytest.approx(n * (1 - level))
    assert weight @ np.array(loss) / (n * (1 - level)) == pytest.approx(tail_mean(np.array(loss, float), level).value)
    assert ((weight >= 0) & (weight <= 1)).all()


def test_draws_at_the_boundary_are_told_alike():
    assert euler.tail_weights([1.0, 5.0, 5.0, 5.0, 9.0], 0.6).tolist() == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3, 1])


def test_the_window_is_the_interval_with_both_ends():
    assert euler.window_weights([1.0, 2.0, 3.0, 4.0], 2.0, 3.0).tolist() == [0, 1, 1, 0]


def test_shares_by_hand():
    """Two draws of 10: (4, 6) and (2, 8). Shares 0.3 and 0.7; each is off by 1 of 20, so se = sqrt(2 / 1 * 2) / 20."""
    found = euler.quantile_shares([[4.0, 6.0], [2.0, 8.0]], [10.0, 10.0])
    assert found.share.tolist() == pytest.approx([0.3, 0.7])
    assert found.se.tolist() == pytest.approx([0.1, 0.1])
    assert found.low[0] == pytest.approx(0.3 - 0.196, abs=1e-4)


def test_the_error_of_a_shortfalls_share_by_hand():
    """Beyond 8, where parts are (4, 4), two of four draws: 10 = 6 + 4 and 20 = 16 + 4. The share of the first is 22/30.

    Each is off by part - 4 - share x (total - 8): 2 - 44/30 and 12 - 264/30; squares less the mean's, of 30.
    """
    found = euler.shortfall_shares([[6.0, 4.0], [16.0, 4.0]], [10.0, 20.0], [1.0, 1.0], 8.0, [4.0, 4.0], 4)
    off = np.array([2 - 44 / 30, 12 - 264 / 30])
    assert found.share.tolist() == pytest.approx([22 / 30, 8 / 30])
    assert found.se[0] == pytest.approx(np.sqrt((off**2).sum() - off.sum() ** 2 / 4) / 30)


def test_draws_of_one_cluster_count_as_one():
    """Twins tell nothing new: the share is the same, and its error that of the two clusters."""
    part, total = np.array([[4.0, 6.0], [2.0, 8.0]]), np.array([10.0, 10.0])
    alone = euler.quantile_shares(part, total)
    twins = euler.quantile_shares(part.repeat(2, axis=0), total.repeat(2), cluster=[0, 0, 1, 1])
    np.testing.assert_allclose([twins.share, twins.se], [alone.share, alone.se])


@pytest.mark.statistical
def test_independent_normals_share_by_their_variance():
    """Seed 3. L = X + Y, deviations 1 and 2: the share of X is 1/5 in VaR and in ES (Tasche 1999, section 5).

    400 samples of 10,000: the mean share within 4 standard errors, intervals cover 95 % within 4 errors and a bias of
    1.5 points that 40 draws in a window leave.
    """
    rng = np.random.default_rng(3)
    level, n, rounds = 0.99, 10_000, 400
    shares, hits = np.zeros((rounds, 2)), np.zeros(2)
    for i in range(rounds):
        part = rng.normal(size=(n, 2)) * [1.0, 2.0]
        loss = part.sum(axis=1)
        at = quantile(loss, level)
        near = euler.window_weights(loss, at.low, at.high) > 0
        weight = euler.tail_weights(loss, level)
        tail = weight > 0
        edge = part[near].mean(axis=0)
        found = (
            euler.quantile_shares(part[near], loss[near]),
            euler.shortfall_shares(part[tail], loss[tail], weight[tail], at.value, edge, n),
        )
        for k, share in enumerate(found):
            assert share.share.sum() == pytest.approx(1.0)
            shares[i, k] = share.share[0]
            hits[k] += share.low[0] <= 0.2 <= share.high[0]
    error = shares.std(axis=0) / np.sqrt(rounds)
    assert (np.abs(shares.mean(axis=0) - 0.2) < 4 * error).all()
    assert hits / rounds == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / rounds) + 0.015)


def test_shapley_of_games_with_known_values():
    """An additive game pays each its own; one left glove needs one of two right gloves: 2/3, 1/6, 1/6."""
    own = np.array([3.0, -1.0, 0.5])
    additive = [sum(own[g] for g in range(3) if (s >> g) & 1) for s in range(8)]
    assert euler.shapley(additive).tolist() == pytest.approx(own.tolist())
    gloves = [1.0 if (s & 1) and (s & 6) else 0.0 for s in range(8)]
    assert euler.shapley(gloves).tolist() == pytest.approx([2 / 3, 1 / 6, 1 / 6])


@given(st.integers(0, 4), st.integers(0, 10**6))
def test_shapley_values_add_up_and_do_not_depend_on_the_order(drivers, seed):
    rng = np.random.default_rng(seed)
    worth = rng.normal(size=(1 << drivers, 3))
    found = euler.shapley(worth)
    assert found.shape == (drivers, 3)
    np.testing.assert_allclose(found.sum(axis=0), worth[-1] - worth[0], atol=1e-12)
    order = rng.permutation(drivers)
    sets = [sum(((s >> k) & 1) << int(g) for k, g in enumerate(order)) for s in range(1 << drivers)]
    np.testing.assert_allclose(euler.shapley(worth[sets]), found[order], atol=1e-12)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: euler.tail_weights([], 0.99), "loss: expected at least one draw"),
        (lambda: euler.tail_weights([1.0], 1.0), "level: expected a number between 0 and 1"),
        (lambda: euler.tail_weights([np.nan], 0.99), "loss: entry 0"),
        (lambda: euler.window_weights([1.0], 2.0, 1.0), "high: expected a finite number, at least `low`"),
        (lambda: euler.quantile_shares([[0.0]], [0.0]), "total: expected a draw with a loss"),
        (lambda: euler.quantile_shares([[1.0]], [1.0, 2.0]), "total: expected shape"),
        (lambda: euler.shortfall_shares([[1.0]], [1.0], [0.0], 1.0, [1.0], 9), "total: expected a draw with a loss"),
        (lambda: euler.shapley(np.zeros(3)), "worth: expected 2\\^G rows"),
        (lambda: euler.shapley([np.inf, 1.0]), "worth: entry 0"),
    ],
)
def test_what_cannot_be_shared_is_refused(call, says):
    with pytest.raises(InputError, match=says):
        call()
