"""Arguments of the analytics and of the laws: wrong type, shape, sign, NaN and size are an `InputError`, no guess."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import risk_core as rc
from risk_core.analytics import (
    backtests,
    concentration,
    dependence,
    garch,
    hawkes,
    impermanent_loss,
    rolling,
    volatility,
    wallets,
)
from risk_core.analytics.shares import wilson
from risk_core.laws.calibrated import calibrated
from risk_core.laws.jumps import Jumps
from risk_core.laws.ornstein_uhlenbeck import OrnsteinUhlenbeck
from risk_core.laws.student_t import StudentT

NAN = float("nan")
HUGE = 10**400
EVENTS = hawkes.EventTimes(times=np.linspace(1, 99, 50), kinds=np.zeros(50, int), end=100.0, n_kinds=1)
MODEL = hawkes.Hawkes(mu=[0.1], alpha=[[0.2]], beta=[[1.0]])
RETURNS, HOURS = np.full((48, 1), 0.01), np.arange(1, 49) * 3600
CASES = {
    "a model that is none": lambda: hawkes.log_likelihood(None, EVENTS),
    "events that are none": lambda: hawkes.fit([1.0, 2.0]),
    "no events of Poisson": lambda: hawkes.poisson_log_likelihood(None),
    "no part of a period": lambda: hawkes.poisson_log_likelihood(EVENTS, bins=0),
    "a history that is text": lambda: hawkes.expected_counts(MODEL, 1.0, history="text"),
    "a model without history": lambda: hawkes.simulate(None, 1.0, seed=1),
    "a seed below 0": lambda: hawkes.chance_of_cluster(MODEL, 24.0, within=1.0, at_least=3, seed=-1),
    "a seed that is a fraction": lambda: hawkes.chance_of(MODEL, 24.0, at_least=3, seed=1.5),
    "no room for events": lambda: hawkes.simulate(MODEL, 1.0, seed=1, most=-1),
    "a kind that is none": lambda: hawkes.chance_of(MODEL, 1.0, at_least=1, kinds=[5]),
    "shared_decay of text": lambda: hawkes.fit(EVENTS, shared_decay="no"),
    "a split after the events": lambda: hawkes.out_of_sample(MODEL, EVENTS, 200.0),
    "no kind of events": lambda: hawkes.Hawkes(mu=[], alpha=np.ones((0, 0)), beta=np.ones((0, 0))),
    "decays of another shape": lambda: hawkes.Hawkes(mu=[0.1, 0.2], alpha=np.ones((2, 2)), beta=np.ones((3, 3))),
    "one decay for four pairs": lambda: hawkes.Hawkes(mu=[0.1, 0.2], alpha=np.ones((2, 2)), beta=np.ones((1, 2))),
    "times of text": lambda: hawkes.weibull_renewal("abc", 1.0),
    "NaN among ties": lambda: hawkes.spread_ties([NAN, 1.0], 12.0),
    "a share of none": lambda: wilson(5, 0),
    "more than all": lambda: wilson(5, 3),
    "a rate below 0": lambda: hawkes.moments(-1.0, 0.1, 1.0, 1.0),
    "a rate of NaN": lambda: hawkes.moments(NAN, 0.1, 1.0, 1.0),
    "NaN among returns": lambda: rolling.term_structure([NAN] * 9, [1], 8760),
    "NaN in a path": lambda: rolling.ewma_path([NAN] * 9, 3, 0.94),
    "a window of 0": lambda: rolling.ewma_path([0.1] * 9, 0, 0.94),
    "a decay of NaN": lambda: rolling.ewma_path([0.1] * 9, 3, NAN),
    "counts of None": lambda: backtests.independence_of(None, 1, 1, 1),
    "counts of NaN": lambda: backtests.independence_of(1, NAN, 1, 1),
    "no transitions": lambda: backtests.independence_of(0, 0, 0, 0),
    "a daily decay above 1": lambda: dependence.hourly_decay(1.5),
    "degrees beyond a float": lambda: StudentT(HUGE),
    "jumps beyond a float": lambda: Jumps(intensity=HUGE, mean=0.0, deviation=0.1),
    "a beta beyond a float": lambda: Jumps(intensity=1.0, mean=0.0, deviation=0.1, beta=[HUGE]),
    "speeds in bytes": lambda: OrnsteinUhlenbeck(b"12"),
    "speeds without an order": lambda: OrnsteinUhlenbeck({3.0, 5.0}),
    "speeds in a mapping": lambda: OrnsteinUhlenbeck({1.0: 2.0}),
    "a memory that is a list": lambda: volatility.variance_path(RETURNS, HOURS, [1, 2]),
    "weights of NaN": lambda: volatility.variance_path(
        RETURNS, HOURS, volatility.TWO_SPEED._replace(weights=(NAN, 1.0))
    ),
    "weights of text": lambda: volatility.standardised(RETURNS, HOURS, volatility.TWO_SPEED._replace(weights="ab")),
    "weights in percent": lambda: volatility.variance_path(
        RETURNS, HOURS, volatility.TWO_SPEED._replace(weights=(60.0, 40.0))
    ),
    "a half-life of 0": lambda: volatility.variance_path(
        RETURNS, HOURS, volatility.TWO_SPEED._replace(half_lives=(0.0, 1.0))
    ),
    "states that are none": lambda: wallets.features(2, None, None, None, 100),
    "a law that is a list": lambda: calibrated([]),
}


WORDS = {
    "a fee below 0": (
        lambda: impermanent_loss.value_path([1.0, 1.0], 0.5, 2.0, 100.0, [0.0, -0.1]),
        "fee_income: entry 1 is -0.1; must be a fraction that is not negative",
    ),
    "times that are equal": (
        lambda: hawkes.weibull_renewal([1.0] * 12, 20.0),
        "times: expected numbers that rise strictly, found 1.0 after 1.0 at entry 1",
    ),
    "a first gap of nothing": (
        lambda: hawkes.weibull_renewal(np.arange(12.0), 20.0),
        "times: entry 0 is 0.0; the first must be after 0",
    ),
    "events at one time": (
        lambda: hawkes.fit(hawkes.EventTimes(times=[1.0] * 12, kinds=[0] * 12, end=2.0, n_kinds=1)),
        "events: expected at least 10 at more than one time, found 12 at 1",
    ),
    "an event before the begin": (
        lambda: hawkes.on_clock([99, 112], [0, 0], begin=100, end=160, n_kinds=1, clock=12, unit=60),
        "seconds: entry 0 is 99.0; must be in (100, 160], from begin to end",
    ),
    "an event after the end": (
        lambda: hawkes.on_clock([112, 161], [0, 0], begin=100, end=160, n_kinds=1, clock=12, unit=60),
        "seconds: entry 1 is 161.0; must be in (100, 160], from begin to end",
    ),
    "times to look at that fall": (
        lambda: hawkes.intensity(MODEL, EVENTS, [2.0, 1.0]),
        "at: expected numbers that do not fall, found 1.0 after 2.0 at entry 1",
    ),
    "a kind beyond the last": (
        lambda: hawkes.EventTimes(times=[1.0, 2.0], kinds=[0, 2], end=9.0, n_kinds=2),
        "EventTimes.kinds: entry 1 is 2; must be in [0, 2)",
    ),
    "an endless decay": (
        lambda: hawkes.Hawkes(mu=[0.1], alpha=[[0.2]], beta=[[float("inf")]]),
        "Hawkes.beta: entry 0, 0, 0 is inf; must be finite and positive",
    ),
    "a horizon of all returns": (
        lambda: rolling.term_structure([0.1] * 9, [1, 9], 8760),
        "horizons: entry 1 is 9; must be at least 1 and below the 9 returns",
    ),
    "a variance below 0": (
        lambda: volatility.annual_volatility([0.1, -0.1]),
        "variance_of_an_hour: entry 1 is -0.1; must be finite and not negative",
    ),
}


@pytest.mark.parametrize("kind", WORDS)
def test_a_refusal_names_the_entry_and_the_rule(kind):
    call, words = WORDS[kind]
    with pytest.raises(rc.InputError) as refused:
        call()
    assert str(refused.value) == words


@pytest.mark.parametrize("level", [1e-12, 1 - 1e-12])
def test_every_level_between_0_and_1_is_one(level):
    assert np.isfinite(rolling.value_at_risk([0.01, -0.02], window=2, level=level, method="ewma")[0][1])
    assert backtests.kupiec(1, 10, level).statistic >= 0
    assert np.isnan(garch.value_at_risk([0.01, -0.02], [], level=level)[0]).all()  # no fit is in force


@pytest.mark.parametrize("kind", CASES)
def test_what_is_wrong_is_an_input_error(kind):
    with pytest.raises(rc.InputError) as refused:
        CASES[kind]()
    assert len(str(refused.value)) < 400


def test_amounts_near_the_largest_float_are_shared_as_small_ones_are():
    amounts = np.array([1e308, 1e308])
    assert concentration.hhi(amounts) == 0.5
    assert concentration.gini(amounts) == 0.0
    assert concentration.top_share(amounts, 1) == 0.5


def test_a_float32_is_a_number_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert backtests.kupiec(5, 10, np.float32(0.5)).statistic == 0
        assert impermanent_loss.concentrated([1.0], np.float32(1.0), 0.5, 2.0).tolist() == [0.0]
