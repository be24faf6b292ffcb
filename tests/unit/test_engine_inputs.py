"""What `simulate` and its scenarios refuse, before any kernel runs; and how a run is stopped."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

import risk_core as rc
from tests.markets import one_account, random_market, scenario

SCENARIO = dict(
    name="s",
    horizon=timedelta(days=1),
    n_steps=4,
    factors=["ETH", "USDC"],
    volatility=[0.6, 0.01],
    correlation=np.eye(2),
    factor=[0, 1],
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(volatility=[np.nan, 0.1]), r"Scenario.volatility: entry 0 \(ETH\) is nan"),
        (dict(volatility=[-0.1, 0.1]), r"entry 0 \(ETH\) is -0.1"),
        (dict(volatility=[np.inf, 0.1]), "inf"),
        (dict(volatility=[0.1]), r"expected shape \(2\)"),
        (dict(correlation=[[1, 0.5], [0.4, 1]]), r"correlation: entry 0, 1 \(USDC\) is 0.5; must be symmetric"),
        (dict(correlation=[[1, 1.5], [1.5, 1]]), r"must be in \[-1, 1\]"),
        (dict(correlation=[[0.9, 0], [0, 1]]), r"correlation: entry 0, 0 \(ETH\) is 0.9; the diagonal must be 1"),
        (dict(factor=[0, 2]), "Scenario.factor: entry 1 is 2"),
        (dict(n_steps=0), "Scenario.n_steps: expected at least 1"),
        (dict(horizon=timedelta(0)), "expected a positive time"),
        (dict(shock=[-1.0, 0.0]), r"Scenario.shock: entry 0 \(ETH\) is -1.0"),
    ],
)
def test_a_scenario_refuses(change, message):
    with pytest.raises(rc.InputError, match=message):
        rc.Scenario(**(SCENARIO | change))


def test_a_correlation_matrix_that_is_not_positive_semi_definite_is_refused():
    bad = np.array([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]])
    with pytest.raises(rc.InputError, match=r"positive semi-definite, found the eigenvalue -0.8"):
        rc.Scenario(**(SCENARIO | dict(factors=list("abc"), volatility=[1, 1, 1], correlation=bad, factor=[0, 1])))


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (dict(n_paths=0), "n_paths: expected a positive integer, at most 2.40, found 0"),
        (dict(n_paths=1.5), "n_paths"),
        (dict(n_paths=True), "n_paths"),
        (dict(seed="7"), "seed: expected an integer"),
        (dict(seed=-1), "seed: expected an integer"),
        (dict(seed=1.0), "seed: expected an integer"),
        (dict(threads=0), "threads: expected at least 1"),
        (dict(paths=(5, 5)), "paths: expected 0 <= start < stop"),
        (dict(policy="greedy"), "policy: expected one of largest_legs, most_profitable"),
    ],
)
def test_simulate_refuses(argument, message):
    with pytest.raises(rc.InputError, match=message):
        rc.simulate(one_account(), rc.Scenario(**SCENARIO), **argument)


def test_a_scenario_of_another_market_is_refused():
    with pytest.raises(rc.InputError, match=r"Scenario.factor: expected 5 entries"):
        rc.simulate(random_market(1), rc.Scenario(**SCENARIO))


def test_given_paths_must_be_positive_and_complete():
    price = np.full((13, 2, 4), 5.0)
    price[12, 1, 3] = 0.0
    with pytest.raises(rc.InputError, match=r"price: entry 12, 1, 3 is 0.0; prices must be positive"):
        rc.PricePaths(name="p", price=price, step=timedelta(hours=1))
    with pytest.raises(rc.InputError, match="at least one path and one step"):
        rc.PricePaths(name="p", price=np.ones((2, 2, 1)), step=timedelta(hours=1))
    with pytest.raises(rc.InputError, match="expected 5 reserves, found 2"):
        rc.simulate(random_market(1), rc.PricePaths(name="p", price=np.ones((2, 2, 2)), step=timedelta(hours=1)))


def test_debt_without_collateral_is_legal_and_never_liquidated():
    from tests.markets import market, reserves

    book = market(reserves(2), [1.0, 1.0], [{}], [{1: 5_000.0}])
    result = rc.simulate(book, rc.Scenario(**SCENARIO), 8)
    assert result.path.sum() == 0
    assert rc.what_if(book, {"T0": -0.5}).n_accounts == 0


def test_progress_is_told_and_an_exception_in_it_stops_the_run():
    told: list[tuple[int, int]] = []
    rc.simulate(one_account(), scenario(2), 1_000, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (1_000, 1_000)
    assert [done for done, _ in told] == sorted(done for done, _ in told)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rc.simulate(random_market(2), scenario(5), 10_000_000, progress=stop, threads=2)


def test_barred_reserves_wait():
    """ETH is in its grace period for 5.5 hours: nothing before the end of step 6, and the same call then."""
    from dataclasses import replace

    base = one_account()
    grace = base.snapshot.block_time + int(5.5 * 3600)
    barred = replace(base, reserves=replace(base.reserves, grace_until=[grace, 0]))
    paths = rc.PricePaths(name="flat", price=np.tile(base.price[:, None], (1, 1, 9)), step=timedelta(hours=1))
    by_step = rc.simulate(barred, paths).repaid_by_step.sum(axis=1)
    assert by_step[:5].sum() == 0
    assert by_step[5] == pytest.approx(8_000)
    paused = replace(base, reserves=replace(base.reserves, paused=[True, False]))
    assert rc.simulate(paused, paths).repaid_usd.sum() == 0
    assert rc.what_if(paused, {}).repaid_usd == 0
    assert rc.what_if(paused, {}).n_accounts == 1
