"""A proposed change beside the market as it is: who falls by hand, paired differences, and their intervals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import risk_core as rc
from risk_core import measures
from risk_core.proposals import compare, paired
from tests.markets import market, one_account, random_market, reserves, scenario


def test_who_falls_and_whom_to_warn_by_hand():
    """10 ETH at 2,000 against 16,000, 15,000 and 8,000: at 0.79 instead of 0.83 they have 0.9875, 1.0533 and 1.975."""
    book = market(
        reserves(2), [2_000.0, 1.0], [{0: 10.0}] * 3, [{1: 16_000.0}, {1: 15_000.0}, {1: 8_000.0}]
    )  # fmt: skip
    threshold = float(book.reserves.liquidation_threshold[0])
    found = compare(book, {"T0.liquidation_threshold": threshold * 0.79 / 0.83, "T0.ltv": 0.5}, warn_below=1.06)
    scale = threshold / 0.83
    np.testing.assert_allclose(found.health_after, np.array([0.9875, 1.05333333, 1.975]) * scale, rtol=1e-6)
    assert found.n_lower == 3
    expected = [row for row in range(3) if found.health_after[row] < 1 <= found.health_before[row]]
    assert found.falls.tolist() == expected
    assert found.warn.tolist() == [row for row in range(3) if 1 <= found.health_after[row] < 1.06]
    assert found.measures == ()


def test_one_account_falls_at_once():
    found = compare(one_account(price=2_000.0), {"ETH.liquidation_threshold": 0.79, "ETH.ltv": 0.75})
    assert (found.falls.tolist(), found.warn.tolist()) == ([0], [])
    assert found.now.repaid_usd == 0
    assert found.then.repaid_usd == pytest.approx(8_000)
    back = compare(one_account(price=2_000.0), {"ETH.ltv": 0.5})
    assert (back.n_lower, len(back.falls), len(back.warn)) == (0, 0, 0)


def test_figures_are_those_of_two_runs_on_one_seed_and_no_change_has_no_difference():
    book, plan = random_market(3, "plain", 40), scenario(5, n_steps=6)
    book = replace(book, reserves=replace(book.reserves, ltv=np.zeros(5)))  # the pool keeps it below the threshold
    terms = book.reserves
    cut = {
        "T0.liquidation_threshold": 0.6 * float(terms.liquidation_threshold[0]),
    }
    seen = []
    found = compare(book, cut, plan, n_paths=400, seed=5, progress=lambda done, total: seen.append((done, total)))
    base, other = (rc.simulate(m, plan, n_paths=400, seed=5) for m in (book, rc.parameter_change(book, cut)))
    by = {(one.measure, one.level): one for one in found.measures}
    for level in (0.95, 0.99):
        for name, of in (("lar", measures.lar), ("var", measures.var), ("es", measures.expected_shortfall)):
            assert by[name, level].before == pytest.approx(of(base, level).value, rel=1e-9)
            assert by[name, level].after == pytest.approx(of(other, level).value, rel=1e-9)
    assert by["mean", 0].difference == pytest.approx(measures.mean(other).value - measures.mean(base).value)
    for one in found.measures:
        assert one.low <= one.difference + 1e-6
    assert seen[-1] == (800, 800)

    same = compare(book, {"T0.liquidation_bonus": float(terms.liquidation_bonus[0])}, plan, n_paths=100)
    assert all(one.low == one.high == one.difference == 0 for one in same.measures)


def test_the_interval_of_a_shift_is_the_shift_and_that_of_a_mean_is_the_closed_form():
    rng = np.random.default_rng(1)
    before = rng.exponential(1e6, 4_000)
    shifted = paired("lar", before, before + 5.0, 0.99)
    assert shifted.low == pytest.approx(5) == shifted.high
    noise = rng.normal(100.0, 50.0, 4_000)
    mean = paired("mean", before, before + noise, 0.0)
    half = 1.96 * noise.std() / np.sqrt(4_000)
    assert mean.high - mean.low == pytest.approx(2 * half, rel=0.1)
    assert mean.low < noise.mean() < mean.high
    # Two runs on paths of their own would tell the difference of the means only to about 44,000.
    assert half < 2 < 1.96 * before.std() * np.sqrt(2 / 4_000)


def test_a_paired_interval_covers_the_difference_about_as_often_as_it_says():
    """Quantiles of an exponential loss, and of 1.1 times it plus noise; 60 repetitions, the truth by a large sample."""
    rng = np.random.default_rng(2)

    def draw(n):
        loss = rng.exponential(1.0, n)
        return loss, 1.1 * loss + rng.uniform(0, 0.2, n)

    big = draw(2_000_000)
    truth = np.quantile(big[1], 0.95) - np.quantile(big[0], 0.95)
    held = sum(one.low <= truth <= one.high for one in (paired("var", *draw(2_000), 0.95, seed=k) for k in range(60)))
    assert held >= 51


def test_few_draws_are_said():
    quiet = np.zeros(1_000)
    quiet[:12] = 1.0
    assert paired("es", quiet, quiet, 0.95).few_draws
    loud = np.arange(1_000.0)
    assert not paired("es", loud, loud, 0.95).few_draws


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nix", [1.0], [1.0], 0.5), "measure: expected one of lar, var, es, mean"),
        (("lar", [1.0], [1.0, 2.0], 0.5), r"after: expected shape \(1\), found \(2,\)"),
        (("lar", [1.0, np.nan], [1.0, 2.0], 0.5), "before: entry 1 is nan; must be finite USD"),
        (("lar", [1.0], [1.0], 1.0), r"level: expected a number in \[0, 1\)"),
        (("lar", [], [], 0.5), "at least one path"),
    ],
)
def test_samples_that_are_not_of_the_same_paths_are_refused(arguments, words):
    with pytest.raises(rc.InputError, match=words):
        paired(*arguments)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"warn_below": 0.5}, "warn_below: expected a health factor from 1 to 100"),
        ({"scenario": 3}, "scenario"),
        ({"changes": {"NIX.ltv": 0.5}}, "NIX"),
    ],
)
def test_what_is_wrong_is_named(options, words):
    options = {"changes": {"ETH.ltv": 0.5}} | options
    with pytest.raises(rc.InputError, match=words):
        compare(one_account(price=2_000.0), **options)
