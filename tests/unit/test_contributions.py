"""Shares of the tail: closed forms of one and of two borrowers, few draws, and what is refused."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

import risk_core as rc
from risk_core.contributions import OTHERS, STAYED
from risk_core.parts import Replay
from tests.markets import market, one_account, random_market, reserves, scenario

DAY = timedelta(days=1)
contributions_module = sys.modules["risk_core.contributions"]  # the function has its name in the package


def crypto(market, names=("ETH", "USDC"), volatility=(0.9, 0.0), factor=None):
    """A scenario in which each reserve has a factor of its own."""
    n = len(names)
    return rc.Scenario(
        name="test", horizon=DAY, n_steps=6, factors=names, volatility=volatility, correlation=np.eye(n),
        factor=np.arange(market.n_reserves) if factor is None else factor,
    )  # fmt: skip


def two_borrowers(of_b: float = 10.0):
    """A holds ETH, B holds BTC, both owe USDC; both would be liquidated by a fall of 5 %."""
    book = reserves(3, symbol=["ETH", "BTC", "USDC"])
    owed = 0.83 * 0.95 * 10.0 * 2_000.0
    return market(book, [2_000.0, 2_000.0, 1.0], [{0: 10.0}, {1: of_b}], [{2: owed}, {2: owed * of_b / 10.0}])


@pytest.mark.parametrize("measure", ["quantile", "shortfall"])
def test_one_borrower_of_one_asset_makes_all_of_the_tail(measure):
    book = one_account(debt=15_500.0)
    found = rc.contributions(book, rc.simulate(book, crypto(book), 4_000), 0.95, measure=measure)
    assert found.estimate.value > 0
    assert found.by_reserve.share.tolist() == pytest.approx([0.0, 1.0])  # USDC is repaid
    assert found.sold.share.tolist() == pytest.approx([1.0, 0.0])  # ETH is sold
    assert found.accounts.tolist() == [0]
    assert found.by_account.share.tolist() == pytest.approx([1.0, 0.0])
    assert dict(zip(found.drivers, found.by_driver.share.tolist(), strict=True)) == pytest.approx(
        {"ETH": 1.0, "USDC": 0.0, STAYED: 0.0}
    )
    for shares in (found.by_reserve, found.sold, found.by_account, found.by_driver):
        assert shares.se.tolist() == pytest.approx([0.0] * len(shares.se), abs=1e-9)


@pytest.mark.statistical
def test_two_independent_borrowers_alike_have_half_each():
    """Seed 5: half of it within 4 standard errors, by account and by driver, which here is the same thing."""
    book = two_borrowers()
    plan = crypto(book, ("ETH", "BTC", "USDC"), (0.9, 0.9, 0.0))
    found = rc.contributions(book, rc.simulate(book, plan, 20_000, seed=5), 0.9, measure="shortfall")
    a, eth = found.accounts.tolist().index(0), found.drivers.index("ETH")
    for shares, at in ((found.by_account, a), (found.by_driver, eth)):
        assert 0 < shares.se[at] < 0.05
        assert abs(shares.share[at] - 0.5) < 4 * shares.se[at]
    assert found.by_driver.share[eth] == pytest.approx(found.by_account.share[a])  # A falls by ETH alone


def test_what_is_liquidatable_at_the_start_is_no_drivers():
    """Below 1 before anything moves: the first call comes from where prices stay."""
    book = one_account(debt=15_900.0)  # health factor 0.99 at 1,900
    calm = crypto(book, volatility=(0.01, 0.0))
    found = rc.contributions(book, rc.simulate(book, calm, 1_000), 0.9, measure="shortfall")
    assert found.drivers[-1] == STAYED
    assert found.by_driver.share[-1] == pytest.approx(1.0, abs=0.05)
    assert found.first_liquidation.tolist() == pytest.approx([1.0] + [0.0] * 6)


def test_a_loss_that_two_moves_make_together_is_shared_by_them():
    """ETH against BTC debt: neither move alone brings it down, both together do: a half each (unanimity game)."""
    book = reserves(2, symbol=["ETH", "BTC"])
    lever = market(book, [1.0, 1.0], [{0: 10_000.0}], [{1: 8_300.0 / 1.1}])
    price = np.ones((40, 2, 2))
    price[:, :, 1] = [0.95, 1.06]
    paths = rc.PricePaths(name="both", price=price, step=DAY)
    found = rc.contributions(lever, rc.simulate(lever, paths), 0.2, measure="shortfall")
    assert dict(zip(found.drivers, found.by_driver.share.tolist(), strict=True)) == pytest.approx(
        {"ETH": 0.5, "BTC": 0.5, STAYED: 0.0}
    )


def test_factors_beyond_the_named_ones_are_one_driver():
    book = two_borrowers(of_b=1.0)
    plan = crypto(book, ("ETH", "BTC", "USDC"), (0.9, 0.9, 0.01))
    found = rc.contributions(book, rc.simulate(book, plan, 4_000), 0.9, drivers=1)
    assert found.drivers == ("ETH", OTHERS, STAYED)
    assert found.by_driver.share.sum() == pytest.approx(1.0)


def test_fewer_than_thirty_paths_carry_no_shares():
    """At 99.9 % a run of 10,000 has 10 paths in the tail: said, and nothing is shown."""
    book = one_account(debt=15_500.0)
    result = rc.simulate(book, crypto(book), 10_000)
    found = rc.contributions(book, result, 0.999, measure="shortfall")
    assert (found.n_draws, found.by_reserve, found.drivers, found.by_step) == (10, None, (), None)
    assert found.no_shares == "10 paths with a loss lie beyond the level, 30 are needed"
    safe = one_account(debt=100.0)
    found = rc.contributions(safe, rc.simulate(safe, crypto(safe), 100), 0.9)
    assert found.no_shares == "no path within the 95 % interval of the quantile has a loss"


@pytest.mark.parametrize("measure", ["quantile", "shortfall"])
def test_of_very_many_paths_some_are_followed(measure, monkeypatch):
    """A hundred, evenly spaced by loss: the shares still add up, and are those of all within 4 standard errors."""
    book = two_borrowers()
    plan = crypto(book, ("ETH", "BTC", "USDC"), (0.9, 0.9, 0.0))
    result = rc.simulate(book, plan, 6_000, seed=5)
    every = rc.contributions(book, result, 0.9, measure=measure)
    monkeypatch.setattr(contributions_module, "FOLLOWED", 100)
    some = rc.contributions(book, result, 0.9, measure=measure)
    assert some.n_draws <= 100 < every.n_draws
    for few, all_ in ((some.by_account, every.by_account), (some.by_driver, every.by_driver)):
        assert few.share.sum() == pytest.approx(1.0)
        assert few.se.max() > all_.se.max()
    a, b = (one.by_account.share[one.accounts.tolist().index(0)] for one in (some, every))
    assert abs(a - b) < 4 * some.by_account.se.max()
    assert some.by_step[:, :, 0].sum() == pytest.approx(every.by_step[:, :, 0].sum(), rel=0.05)


def test_a_range_of_a_longer_run_has_its_own_paths():
    """Paths 300 to 500 are followed by their own numbers, not by those from 0."""
    book = random_market(4)
    result = rc.simulate(book, scenario(book.n_reserves, 6), paths=(300, 500), seed=9)
    parts = Replay(book, result).parts(np.arange(200))
    np.testing.assert_array_equal(parts.by_reserve.sum(axis=1), result.path[:, :4])


def test_what_cannot_be_told_apart_is_refused():
    book = one_account(debt=15_500.0)
    result = rc.simulate(book, crypto(book), 200)
    with pytest.raises(rc.InputError, match="measure: expected one of quantile, shortfall"):
        rc.contributions(book, result, measure="var")
    with pytest.raises(rc.InputError, match="of: expected one of"):
        rc.contributions(book, result, of="debt")
    with pytest.raises(rc.InputError, match="drivers: expected"):
        rc.contributions(book, result, drivers=11)
    other = replace(book, snapshot=replace(book.snapshot, block=2, hash="other"))
    with pytest.raises(rc.InputError, match="market: expected test at block 1"):
        rc.contributions(other, result)
    richer = one_account(debt=15_600.0)  # the same identity, other balances
    with pytest.raises(rc.InputError, match="the same paths bring other amounts"):
        rc.contributions(richer, result, 0.5, measure="shortfall")
    impact = rc.simulate(book, crypto(book), 100, impact=rc.Impact.exponential([1e6, 1e6]))
    with pytest.raises(rc.InputError, match="result: expected one without an impact"):
        rc.contributions(book, impact)
    with pytest.raises(rc.InputError, match="path: entry 0"):
        Replay(book, result).parts([200])
