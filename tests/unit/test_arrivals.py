"""Calls by step: of one account by hand, against the totals of the run, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

import risk_core as rc
from risk_core.arrivals import calls_by_step
from tests.markets import KINDS, one_account, random_market, scenario


def test_one_account_falls_where_its_path_first_crosses_its_price():
    book = one_account(debt=15_500.0)
    down = rc.Scenario(
        name="down", horizon=timedelta(hours=6), n_steps=6, factors=("ETH", "USDC"), volatility=(0.9, 0.0),
        correlation=np.eye(2), factor=np.arange(book.n_reserves),
    )  # fmt: skip
    found = calls_by_step(book, down, 400, seed=3)
    run = rc.simulate(book, down, 400, seed=3)
    np.testing.assert_array_equal(found.sum(axis=1), run.n_liquidations)
    # The share of paths that have had a call by each step is that of the run's own fan.
    begun = (np.cumsum(found, axis=1) > 0).mean(axis=0)
    np.testing.assert_allclose(begun, np.cumsum(run.first_liquidation)[:-1])
    assert 0 < begun[-1] < 1


@pytest.mark.parametrize("kind", KINDS)
def test_steps_of_any_book_add_up_to_its_paths(kind):
    book = random_market(11, kind)
    asked = scenario(book.n_reserves, 6, seed=11)
    found = calls_by_step(book, asked, 30, seed=5, threads=1)
    run = rc.simulate(book, asked, 30, seed=5)
    assert found.shape == (30, asked.n_steps)
    assert (found >= 0).all()
    np.testing.assert_array_equal(found.sum(axis=1), run.n_liquidations)
    # A step with an amount on some path has a call on some path.
    moved = run.repaid_by_step.sum(axis=1) > 0
    assert (found.sum(axis=0)[moved] > 0).all()


def test_what_is_not_drawn_step_by_step_is_refused():
    book = random_market(1)
    asked = scenario(book.n_reserves)
    with pytest.raises(rc.InputError, match="sampling 'plain', found 'quasi'"):
        calls_by_step(book, replace(asked, sampling="quasi"), 10)
    with pytest.raises(rc.InputError, match="at most 400 steps, found 401"):
        calls_by_step(book, replace(asked, sampling="plain", n_steps=401), 10)
    with pytest.raises(rc.InputError, match="scenario"):
        calls_by_step(book, None, 10)
