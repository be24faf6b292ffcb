"""Health-factor bands: the engine's own liquidations, a closed form of first passage, and laws for any pair."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

import risk_core as rc
from risk_core.bands import CHANCES, health_bands, highest_ratios
from tests import markets

ETH, BTC, USD, GHO = range(4)
WEEK = timedelta(days=7)


def book(**columns) -> rc.Market:
    """ETH, BTC, a stablecoin and a dollar by construction, and nobody in it."""
    return markets.market(markets.reserves(4, symbol=["ETH", "BTC", "USD", "GHO"], **columns), [2e3, 6e4, 1, 1], [], [])


def week(**changes) -> rc.Scenario:
    given = dict(
        name="week", horizon=WEEK, n_steps=168, factors=("ETH", "BTC", "USD"), volatility=[0.8, 0.5, 0.01],
        correlation=[[1, 0.8, 0], [0.8, 1, 0], [0, 0, 1]], factor=[0, 1, 2, -1], law=rc.StudentT(5.0),
    )  # fmt: skip
    return rc.Scenario(**given | changes)


@pytest.mark.parametrize("sampling", ["plain", "antithetic"])
def test_the_engine_liquidates_one_pair_accounts_as_often_as_the_band_says(sampling):
    """Witness: `simulate` on accounts of one pair at and around each band, on the same paths."""
    scenario, capped = week(sampling=sampling), dict(price_cap=[np.inf, np.inf, 1.001, np.inf])
    pairs = [(ETH, USD), (USD, ETH), (BTC, ETH), (ETH, GHO), (USD, GHO)]
    n = 2_000
    bands = health_bands(book(**capped), scenario, *zip(*pairs, strict=True), n_paths=n, seed=5)
    highest, _, _ = highest_ratios(book(**capped), scenario, *zip(*pairs, strict=True), n, 5)
    collateral, debt, health, chance = [], [], [], []
    price = book().price
    for (c, d), band, draws in zip(pairs, bands, highest.T, strict=True):
        for estimate, p in zip(band.at, CHANCES, strict=True):
            for h in (estimate.value, 1.02 * estimate.value):
                collateral.append({c: 1_000 * h / 0.83 / price[c]})
                debt.append({d: 1_000 / price[d]})
                health.append(h * (1 + 1e-9))
                chance.append((draws > h * (1 + 1e-9)).mean())
            assert (draws > estimate.value).mean() <= p < (draws >= estimate.value).mean() + 1e-12
    full = markets.market(book(**capped).reserves, price, collateral, debt)
    # A hair above: whether an account is liquidated at exactly its threshold is a matter of the last bit.
    tokens = full.collateral.amount * (np.array(health) / rc.health_factor(full))
    full = replace(full, collateral=replace(full.collateral, amount=tokens))
    hits = rc.simulate(full, scenario, n, 5).account_hits / n
    assert hits.tolist() == chance


def first_passage(fall: float, volatility: float, years: float) -> float:
    """P(a price of 1 with log drift -sigma^2/2 is once below exp(-fall)); Harrison (1985), section 1.8."""
    drift, spread = -0.5 * volatility**2 * years, volatility * years**0.5
    again = np.exp(fall) * norm.cdf((-fall + drift) / spread)  # exp(-2 m b / s^2) with m = -s^2 / 2
    return norm.cdf((-fall - drift) / spread) + again


@pytest.mark.statistical
@pytest.mark.parametrize("volatility", [0.4, 1.0])
def test_one_asset_against_a_dollar_is_the_first_passage_of_a_brownian_motion(volatility):
    """Looked at every hour, not always: the barrier stands 0.5826 sigma sqrt(dt) further away (Broadie, Glasserman and
    Kou, Mathematical Finance 7, 1997). Within four standard errors of the chance."""
    n, years = 40_000, WEEK / timedelta(days=365)
    scenario = week(law=rc.GBM(), volatility=[volatility, 0.5, 0.01])
    [band] = health_bands(book(), scenario, [ETH], [GHO], n_paths=n, seed=3)
    for estimate, chance in zip(band.at, CHANCES, strict=True):
        away = np.log(estimate.value) + 0.5826 * volatility * (years / 168) ** 0.5
        closed = first_passage(away, volatility, years)
        assert abs(closed - chance) < 4 * (chance * (1 - chance) / n) ** 0.5
        assert estimate.low <= estimate.value <= estimate.high


@pytest.mark.property
@settings(max_examples=20, deadline=None)
@given(st.floats(0.05, 2.0), st.floats(1.01, 3.0), st.integers(0, 2**32))
def test_a_band_rises_with_the_volatility_and_with_a_smaller_chance(volatility, times, seed):
    calm, wild = (
        health_bands(book(), week(law=rc.GBM(), volatility=[v, 0.5, 0.01]), [ETH], [GHO], n_paths=300, seed=seed)[0]
        for v in (volatility, volatility * times)
    )
    assert all(a.value <= b.value for a, b in zip(calm.at, wild.at, strict=True))
    for band in (calm, wild):
        values = [estimate.value for estimate in band.at]
        assert values == sorted(values)
        assert values[0] >= 1


def test_stable_against_stable_is_near_one_and_one_price_has_no_band():
    one_factor = week(factor=[0, 0, 2, -1])  # BTC's reserve follows ETH here
    stable, same, followed = health_bands(book(), one_factor, [USD, ETH, ETH], [GHO, ETH, BTC], n_paths=4_000)
    assert all(1 <= estimate.value < 1.01 for estimate in stable.at)
    assert same.at == followed.at == ()
    assert "one price" in same.reason


def test_a_barred_pair_has_no_band_and_a_grace_period_shortens_the_time():
    paused = book(paused=[0, 1, 0, 0])
    [barred] = health_bands(paused, week(), [BTC], [GHO], n_paths=400)
    assert barred.at == ()
    assert "barred" in barred.reason
    later = book(grace_until=[1_750_000_000 + 6 * 86_400, 0, 0, 0])
    free, short = (health_bands(m, week(), [ETH], [GHO], n_paths=4_000)[0].at[2].value for m in (book(), later))
    assert 1 < short < free


def test_too_few_paths_are_flagged_and_have_no_interval():
    [band] = health_bands(book(), week(), [ETH], [GHO], n_paths=1_000)
    assert [estimate.few_draws for estimate in band.at] == [False, False, True]
    assert "10 of 1,000 paths" in band.at[2].no_interval
    assert band.at[2].high == float("inf")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(chances=[0.0]), "chances"),
        (dict(chances=[5]), "between 0 and 1"),
        (dict(collateral=[4]), "a reserve from 0 to 3"),
        (dict(debt=[0, 1]), "one for each collateral"),
        (dict(collateral=["ETH"]), "integers"),
        (dict(n_paths=0), "n_paths"),
        (dict(seed=-1), "seed"),
        (dict(scenario=None), "Scenario"),
        (dict(scenario=week(factor=[0, 1])), "Scenario.factor"),
        (dict(market=None), "Market"),
    ],
)
def test_what_makes_no_sense_is_refused(change, message):
    given = dict(market=book(), scenario=week(), collateral=[0], debt=[3], n_paths=100)
    with pytest.raises(rc.InputError, match=message):
        health_bands(**given | change)


def test_main_reserve_is_the_largest_by_value():
    full = markets.market(
        book().reserves, [2e3, 6e4, 1, 1], [{0: 10, 1: 1}, {2: 5}, {}], [{2: 1, 3: 2}, {}, {1: 1}]
    )  # fmt: skip
    assert rc.accounts.main_reserve(full, full.collateral).tolist() == [BTC, USD, -1]
    assert rc.accounts.main_reserve(full, full.debt).tolist() == [GHO, -1, BTC]
