"""A change of parameters: who falls, by hand; what is refused; the change of a measure under common random numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import risk_core as rc
from tests.markets import market, one_account, random_market, reserves, scenario


def test_a_lower_threshold_makes_an_account_liquidatable():
    """10 ETH at 2,000 against 16,000: 1.0375 at 0.83, 0.9875 at 0.79, where half is repaid."""
    before = one_account(price=2_000.0)
    after = rc.parameter_change(before, {"ETH.liquidation_threshold": 0.79, "ETH.ltv": 0.75})
    assert rc.health_factor(before) == pytest.approx([1.0375])
    assert rc.health_factor(after) == pytest.approx([0.9875])
    assert rc.what_if(before, {}).n_accounts == 0
    assert rc.what_if(after, {}).repaid_usd == pytest.approx(8_000)
    assert after.snapshot.hash == ""
    assert after.notes == ("Parameters changed: ETH.liquidation_threshold = 0.79, ETH.ltv = 0.75",)


def test_a_bonus_changes_what_is_seized():
    before = one_account(price=1_900.0)
    after = rc.parameter_change(before, {"ETH.liquidation_bonus": 0.10})
    assert rc.what_if(before, {}).seized_usd == pytest.approx(8_000 * 1.05)
    assert rc.what_if(after, {}).seized_usd == pytest.approx(8_000 * 1.10)


def test_the_pool_rounds_before_it_compares_with_one():
    """0.9434 times 1.06 is 1.000004, which the pool rounds to 1; 0.9435 times 1.06 is 1.00011, which it refuses."""
    before = one_account(price=2_000.0)
    after = rc.parameter_change(before, {"ETH.liquidation_threshold": 0.9434, "ETH.liquidation_bonus": 0.06})
    assert rc.health_factor(after) == pytest.approx([20_000 * 0.9434 / 16_000])
    with pytest.raises(rc.InputError, match="together above 1"):
        rc.parameter_change(before, {"ETH.liquidation_threshold": 0.9435, "ETH.liquidation_bonus": 0.06})


def test_an_e_mode_has_terms_of_its_own():
    """$1,000 of T0 against $900 of T1 at 0.95 inside the category: T0's own threshold does not reach it."""
    book = reserves(2)
    one = rc.EModes(
        id=[7], label=["pair"], ltv=[0.93], liquidation_threshold=[0.95], liquidation_bonus=[0.01],
        collateral=[[True, True]], borrowable=[[True, True]], ltvzero=[[False, False]], isolated=[False],
    )  # fmt: skip
    inside = market(book, [1.0, 1.0], [{0: 1_000.0}], [{1: 900.0}], emodes=one, emode=[0])
    own = rc.parameter_change(inside, {"T0.liquidation_threshold": 0.80, "T0.ltv": 0.75})
    assert rc.health_factor(own) == pytest.approx([0.95 / 0.9])
    category = rc.parameter_change(inside, {"emode:7.liquidation_threshold": 0.89, "emode:7.ltv": 0.88})
    assert rc.health_factor(category) == pytest.approx([0.89 / 0.9])


def test_what_does_not_change_gives_the_same_bits_and_a_cut_never_makes_one_safer():
    book, plan = random_market(3, "plain", 40), scenario(5, n_steps=6)
    book = replace(book, reserves=replace(book.reserves, ltv=np.zeros(5)))  # the pool keeps it below the threshold
    base = rc.simulate(book, plan, n_paths=200)
    terms = book.reserves
    same = rc.parameter_change(book, {"T0.liquidation_bonus": float(terms.liquidation_bonus[0])})
    np.testing.assert_array_equal(rc.simulate(same, plan, n_paths=200).path, base.path)
    cut = rc.parameter_change(book, {"T0.liquidation_threshold": 0.6 * float(terms.liquidation_threshold[0])})
    assert rc.what_if(cut, {}).n_accounts > rc.what_if(book, {}).n_accounts
    assert (rc.health_factor(cut) <= rc.health_factor(book)).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "expected a mapping"),
        ({"ETH.threshold": 0.8}, "expected NAME.FIELD"),
        ({"DOGE.ltv": 0.5}, "no reserve 'DOGE'"),
        ({"emode:3.ltv": 0.5}, "no e-mode 'emode:3'"),
        ({"ETH.ltv": 80}, "a fraction in"),
        ({"ETH.ltv": float("nan")}, "a fraction in"),
        ({"ETH.ltv": 0.84}, "above the threshold"),
        ({"ETH.liquidation_threshold": 0.97}, "together above 1"),
        ({"ETH.ltv": 0.7, f"0x{1:040x}.ltv": 0.6}, "the same parameter"),
    ],
)
def test_what_the_pool_would_refuse_is_refused(changes, words):
    with pytest.raises(rc.InputError, match=words):
        rc.parameter_change(one_account(), changes)
