"""How borrowers respond: closed forms by hand, a brute-force maximum, and how often the intervals hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_core import InputError
from risk_core.analytics import responses
from risk_core.analytics.responses import LIQUIDATED, NOT_SEEN, RECOVERED, RESPONDED, NoFit, Spells

EVER = 1e9
"""Seconds in which whoever responds at all has responded."""


def spells(seconds, outcome, account=None, after=None) -> Spells:
    outcome = np.asarray(outcome)
    known = np.where(outcome == RESPONDED, 1.3, np.nan) if after is None else after
    return Spells(
        account=np.arange(len(outcome)) if account is None else account, seconds=seconds, outcome=outcome, after=known
    )


def drawn(n: int, share: float, delay: float, seen: float, seed: int) -> Spells:
    """Spells of n accounts by the model; each is watched for an exponential time with mean `seen`."""
    random = np.random.Generator(np.random.PCG64(seed))
    acts = np.where(random.random(n) < share, random.exponential(delay, n), np.inf)
    ends = random.exponential(seen, n)
    outcome = np.where(acts < ends, RESPONDED, random.choice([LIQUIDATED, RECOVERED, NOT_SEEN], n))
    after = np.where(acts < ends, 1.1 + random.exponential(0.3, n), np.nan)
    return spells(np.minimum(acts, ends), outcome, after=after)


def likelihood(found: Spells, share, rate):
    """The formula at the head of the module, spell by spell, of one spell an account; share and rate broadcast."""
    total = 0.0
    for time, outcome in zip(found.seconds.tolist(), found.outcome.tolist(), strict=True):
        left = share * np.exp(-rate * time)
        total = total + np.log(left * rate if outcome == RESPONDED else 1 - share + left)
    return total


def test_where_the_silent_had_for_ever_the_share_is_a_count_and_the_delay_a_mean():
    """16 of 40 respond: share 0.4, its error sqrt(0.4 x 0.6 / 40); delays 100, 200 ... 1600 have the mean 850."""
    times = 100.0 * np.arange(1, 17)
    found = responses.fit(spells([*times, *[EVER] * 24], [RESPONDED] * 16 + [LIQUIDATED] * 24))
    assert found.share.value == pytest.approx(0.4)
    assert found.share.se == pytest.approx(np.sqrt(0.4 * 0.6 / 40))
    assert found.delay.value == pytest.approx(850)
    assert found.delay.se == pytest.approx(850 / 4)
    assert found.share.low < 0.4 < found.share.high < 1
    assert not found.everybody
    assert (found.n_spells, found.n_accounts, found.n_responses) == (40, 40, 16)
    assert found.log_likelihood == pytest.approx(16 * np.log(0.4) + 24 * np.log(0.6) - 16 * np.log(850) - 16)


def test_where_everybody_responds_the_share_is_one_and_its_lower_bound_has_a_closed_form():
    """log L falls by 30 log(1/p): by 1.9207 at p = exp(-1.9207 / 30)."""
    found = responses.fit(spells([600.0] * 30, [RESPONDED] * 30))
    assert (found.share.value, found.share.high, found.everybody) == (1.0, 1.0, True)
    assert np.isnan(found.share.se)
    assert found.share.low == pytest.approx(np.exp(-responses.HALF_DROP / 30))
    assert (found.delay.value, found.delay.se) == pytest.approx((600, 600 / np.sqrt(30)))


@pytest.mark.parametrize("seed", range(4))
def test_the_maximum_its_errors_and_its_intervals_are_those_of_the_formula(seed):
    found = drawn(60, 0.6, 3_600.0, 9_000.0, seed)
    fit = responses.fit(found)
    p, rate = fit.share.value, 1 / fit.delay.value
    assert fit.log_likelihood == pytest.approx(likelihood(found, p, rate))
    shares, rates = np.linspace(0.02, 1, 99), np.geomspace(rate / 20, 20 * rate, 201)
    every = likelihood(found, shares[:, None], rates)
    assert every.max() <= fit.log_likelihood + 1e-9
    within = every >= fit.log_likelihood - 1.9207
    kept = shares[within.any(axis=1)]
    assert abs(kept.min() - fit.share.low) < 0.011
    assert abs(kept.max() - fit.share.high) < 0.011
    assert rates[within.any(axis=0)].max() == pytest.approx(1 / fit.delay.low, rel=0.04)
    assert rates[within.any(axis=0)].min() == pytest.approx(1 / fit.delay.high, rel=0.04)

    def curve(a: int, b: int) -> float:
        return likelihood(found, p + a * 1e-4, rate * (1 + b * 1e-4))

    pp = (curve(1, 0) - 2 * curve(0, 0) + curve(-1, 0)) / 1e-8
    rr = (curve(0, 1) - 2 * curve(0, 0) + curve(0, -1)) / 1e-8
    pr = (curve(1, 1) - curve(1, -1) - curve(-1, 1) + curve(-1, -1)) / 4e-8
    variance = np.linalg.inv(-np.array([[pp, pr], [pr, rr]]))
    assert fit.share.se == pytest.approx(np.sqrt(variance[0, 0]), rel=1e-3)
    assert fit.delay.se == pytest.approx(np.sqrt(variance[1, 1]) / rate, rel=1e-3)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 0.9))
def test_a_spell_in_two_parts_of_one_account_says_the_same(seed, part):
    whole = drawn(50, 0.7, 3_600.0, 9_000.0, seed)
    last = spells((1 - part) * whole.seconds, whole.outcome, whole.account, whole.after)
    first = spells(part * whole.seconds, np.full(50, RECOVERED), whole.account)
    both = Spells(**{name: np.append(getattr(first, name), getattr(last, name)) for name in Spells.__slots__})
    one, two = responses.fit(whole), responses.fit(both)
    assert (two.share.value, two.delay.value) == pytest.approx((one.share.value, one.delay.value), rel=1e-5)
    assert (two.n_spells, two.n_accounts) == (100, 50)


def test_where_nobody_was_watched_for_long_it_is_said_that_everybody_may_respond():
    fit = responses.fit(drawn(400, 0.6, 36_000.0, 1_800.0, 3))
    assert fit.everybody
    assert fit.share.low < 0.6


def test_the_median_has_the_interval_of_its_order_statistics():
    """Of ten values from the 2nd to the 9th: a coin shows one head or less in ten with a chance of 1.07 %."""
    found = responses.median([1.2, 1.1, 1.5, 1.3, 1.4, 1.6, 1.7, 1.8, 1.9, 2.0])
    assert (found.value, found.low, found.high) == pytest.approx((1.55, 1.2, 1.9))
    assert found.se == pytest.approx(0.7 / (2 * 1.959964))
    closed = responses.median([1.2] * 6 + [np.inf] * 5)
    assert (closed.value, closed.low, closed.high, closed.se) == (1.2, 1.2, np.inf, np.inf)
    assert responses.median([1.2] * 5 + [np.inf] * 6).value == np.inf


def test_the_quartiles_stand_beside_the_median():
    after = [*np.linspace(1.1, 1.5, 41), *[np.nan] * 10]
    fit = responses.fit(spells([600.0] * 51, [RESPONDED] * 41 + [LIQUIDATED] * 10, after=after))
    assert fit.target.value == pytest.approx(1.3)
    assert fit.quartiles == pytest.approx((1.2, 1.4))


@pytest.mark.statistical
def test_intervals_hold_the_truth_as_often_as_they_say():
    """200 markets of 120 accounts: 95 % of intervals, less four standard errors, is 0.888."""
    share, delay, target, n = 0.65, 3_600.0, 1.1 + 0.3 * np.log(2), 200
    held, means = np.zeros(3), np.zeros(2)
    for seed in range(n):
        fit = responses.fit(drawn(120, share, delay, 10_800.0, 1_000 + seed))
        truth = ((fit.share, share), (fit.delay, delay), (fit.target, target))
        held += [one.low <= true <= one.high for one, true in truth]
        means += np.array([fit.share.value, fit.delay.value]) / n
    assert (held / n >= 0.888).all(), held / n
    assert means == pytest.approx((share, delay), rel=0.05)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (spells([60.0] * 29, [RESPONDED] * 29), "29 accounts with 29 responses are too few, 30 accounts and 10"),
        (spells([60.0] * 60, [RESPONDED] * 9 + [RECOVERED] * 51), "60 accounts with 9 responses are too few"),
        (spells([60.0] * 60, [RECOVERED] * 60), "60 accounts with 0 responses"),
        (spells([], np.zeros(0, dtype=np.int64)), "0 accounts with 0 responses"),
        (spells([0.0] * 30 + [60.0] * 9, [RESPONDED] * 30 + [RECOVERED] * 9), "likelihood of the delay has no maximum"),
    ],
)
def test_what_says_nothing_is_refused(given, message):
    with pytest.raises(NoFit, match=message):
        responses.fit(given)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(seconds=[-1.0, 2.0]), r"Spells.seconds: entry 0 is -1\.0; must be finite and 0 or more"),
        (dict(seconds=[np.nan, 2.0]), "Spells.seconds: entry 0 is nan"),
        (dict(seconds=[1.0]), r"Spells.seconds: expected shape \(2\), found \(1,\)"),
        (dict(outcome=[0, 5]), "Spells.outcome: entry 1 is 5; must be a place in the 5 of OUTCOMES"),
        (dict(after=[np.nan, np.nan]), "Spells.after: entry 0 is nan; must be a health factor where"),
        (dict(after=[1.2, 1.2]), "Spells.after: entry 1 is 1.2; .* NaN elsewhere"),
        (dict(account=["a", "b"]), "Spells.account: expected integers"),
    ],
)
def test_spells_that_are_none_are_refused(change, message):
    good = dict(account=[1, 2], seconds=[1.0, 2.0], outcome=[RESPONDED, RECOVERED], after=[1.2, np.nan])
    assert Spells(**good).counts() == {
        "responded": 1, "liquidated": 0, "liquidatable": 0, "recovered": 1, "not seen": 0
    }  # fmt: skip
    with pytest.raises(InputError, match=message):
        Spells(**(good | change))
