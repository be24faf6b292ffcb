"""An oracle that is wrong: by hand, and against the plain what-if where it is right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import risk_core as rc
from risk_core.accounts import totals
from risk_core.errors import InputError
from risk_core.oracle_gap import ATTACKER, borrowing_power, oracle_gap, unbacked
from risk_core.shocks import aftermath
from tests.markets import KINDS, market, one_account, random_market, reserves


def test_a_price_that_is_too_low_costs_the_borrower_bonus_and_mispricing():
    """10 ETH worth 2,000 each, seen at 1,900, against 16,000 USDC: 8,000 repaid, 4.42105 ETH taken, worth 8,842.11."""
    gap = oracle_gap(one_account(price=2_000.0, fee=0.1), {}, errors={"ETH": -0.05})
    assert gap.first.n_accounts == 1
    assert gap.repaid_usd == pytest.approx(8_000)
    assert gap.fee_usd == pytest.approx(40 / 0.95)
    assert gap.seized_usd == pytest.approx((8_400 - 40) / 0.95)
    assert gap.borrower_loss_usd == pytest.approx(842.105, abs=1e-3)
    assert gap.bonus_usd == pytest.approx(400)
    assert gap.mispricing_usd == pytest.approx(442.105, abs=1e-3)
    assert gap.liquidator_gain_usd == pytest.approx(8_360 / 0.95 - 8_000)
    assert gap.honest.n_accounts == gap.then.n_accounts == 0
    assert gap.deficit_usd == 0


def test_a_feed_that_is_stuck_leaves_bad_debt():
    """ETH falls from 2,000 to 1,500 and its feed stays: nobody is liquidated, 16,000 stand against 15,000."""
    gap = oracle_gap(one_account(price=2_000.0), {"ETH": -0.25}, stuck=["ETH"])
    assert gap.first.n_accounts == 0
    assert gap.bad_debt_usd == pytest.approx(1_000)
    # once the feed moves: 15,000 of collateral pay 15,000 / 1.05, the rest is a deficit, as with an exact oracle
    assert gap.then.deficit_usd == pytest.approx(16_000 - 15_000 / 1.05, abs=0.005)
    assert gap.extra_deficit_usd == pytest.approx(0, abs=1e-6)
    # at the stale price a loan to value of 75 % of 20,000 allows 15,000, less than is owed
    assert gap.could_borrow_usd == 0


def test_what_can_still_be_borrowed_at_a_stale_price_is_counted():
    """14,000 against 10 ETH: 1,000 more at the stale 2,000; at the true 1,450 it leaves 500 of bad debt."""
    gap = oracle_gap(one_account(debt=14_000.0, price=2_000.0), {"ETH": -0.275}, stuck=["ETH"])
    assert gap.could_borrow_usd == pytest.approx(1_000)
    assert gap.bad_debt_usd == 0
    assert gap.could_leave_usd == pytest.approx(500)


def staked(**more) -> rc.Market:
    """One account with 10 of a staked token at 1.2 ETH against 20,000 USD; ETH is at 2,000."""
    book = reserves(3, symbol=["ETH", "stETH", "USD"], ratio_of=[-1, 0, -1], **more)
    return market(book, [2_000.0, 2_400.0, 1.0], [{1: 10.0}], [{2: 18_000.0}])


def test_a_ratio_stays_with_its_base_and_falls_alone():
    base_stuck = oracle_gap(staked(), {"ETH": -0.2}, stuck=["ETH"])
    assert base_stuck.oracle_price == pytest.approx([2_000, 2_400, 1])
    assert base_stuck.market_price == pytest.approx([1_600, 1_920, 1])
    own_stuck = oracle_gap(staked(), {"ETH": -0.2, "stETH": -0.5}, stuck=["stETH"])
    assert own_stuck.oracle_price == pytest.approx([1_600, 1_920, 1])
    assert own_stuck.market_price == pytest.approx([1_600, 1_200, 1])
    error = oracle_gap(staked(), {}, errors={"ETH": -0.1})
    assert error.oracle_price == pytest.approx([1_800, 2_160, 1])


def test_a_linked_price_follows_the_error_and_has_no_feed_to_be_stuck():
    book = reserves(2, symbol=["USDT", "USDe"], linked_to=[-1, 0])
    pair = market(book, [1.0, 1.0], [{1: 1_000.0}], [{0: 100.0}])
    assert oracle_gap(pair, {"USDe": -0.35}, errors={"USDT": -0.02}).oracle_price == pytest.approx([0.98, 0.98])
    with pytest.raises(InputError, match="USDe has no feed of its own, its oracle follows USDT"):
        oracle_gap(pair, {"USDe": -0.35}, stuck=["USDe"])


@pytest.mark.property
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(KINDS))
def test_an_oracle_without_error_is_the_plain_what_if(seed, kind):
    book = random_market(seed, kind)
    moves = np.random.default_rng(seed).uniform(-0.6, 0.4, book.n_reserves)
    gap, plain = oracle_gap(book, moves), rc.what_if(book, moves)
    np.testing.assert_array_equal(gap.first.liquidatable, plain.liquidatable)
    assert gap.repaid_usd == pytest.approx(plain.repaid_usd, abs=0.01)
    assert gap.mispricing_usd == pytest.approx(0, abs=0.05)
    assert gap.deficit_usd == pytest.approx(plain.deficit_usd, rel=1e-9, abs=0.05)
    # all that can be liquidated was: what is below 1 afterwards has no pair that the pool accepts
    assert gap.then.repaid_usd == pytest.approx(0, abs=0.05)


@pytest.mark.property
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(KINDS))
def test_what_liquidations_take_is_what_is_missing_afterwards(seed, kind):
    book = random_market(seed, kind)
    moves = np.random.default_rng(seed).uniform(-0.6, 0.4, book.n_reserves)
    answer, left = aftermath(book, moves)
    held, owed = totals(book, answer.price)
    held_after, owed_after = totals(left)
    np.testing.assert_array_equal(left.price, answer.price)
    assert (owed - owed_after).sum() == pytest.approx(answer.repaid_usd + answer.deficit_usd, rel=1e-9, abs=0.05)
    # with a deficit the dust of a collateral below one base unit goes, too
    assert (held - held_after).sum() == pytest.approx(answer.seized_usd + answer.fee_usd, rel=1e-9, abs=0.05)
    others = np.setdiff1d(np.arange(book.n_accounts), answer.liquidatable)
    np.testing.assert_array_equal(owed_after[others], owed[others])
    np.testing.assert_array_equal(held_after[others], held[others])


def test_borrowing_power_is_that_of_the_e_mode():
    """1,000 of T0: 93 % inside the category; 0 where the category says ltvzero; T1 outside it counts 75 %, or 0."""

    def modes(*, zero: bool, isolated: bool) -> rc.EModes:
        return rc.EModes(
            id=[7], label=["one"], ltv=[0.93], liquidation_threshold=[0.95], liquidation_bonus=[0.01],
            collateral=[[True, False]], borrowable=[[True, True]], ltvzero=[[zero, False]], isolated=[isolated],
        )  # fmt: skip

    def power(*, zero: bool = False, isolated: bool = False) -> float:
        one = market(
            reserves(2), [1.0, 1.0], [{0: 1_000.0, 1: 100.0}], [{1: 10.0}], emodes=modes(zero=zero, isolated=isolated),
            emode=[0],
        )  # fmt: skip
        return float(borrowing_power(one)[0])

    assert power() == pytest.approx(930 + 75)
    assert power(zero=True) == pytest.approx(75)
    assert power(isolated=True) == pytest.approx(930)
    assert float(borrowing_power(one_account(price=2_000.0))[0]) == pytest.approx(15_000)


def test_unbacked_collateral_takes_what_its_loan_to_value_allows():
    """100 ETH at 2,000 that nothing backs borrow 150,000 USDC; marked down by half, 100,000 less the bonus is there."""
    found = unbacked(one_account(price=2_000.0, debt=1.0), "ETH", 100.0, "USDC", 0.5)
    assert found.borrowed_usd == pytest.approx(150_000)
    assert not found.limited
    assert found.market.accounts[found.row] == ATTACKER
    assert found.attacker_deficit_usd == pytest.approx(150_000 - 100_000 / 1.05, abs=0.005)
    assert found.others_deficit_usd == pytest.approx(0, abs=1e-6)
    drained = unbacked(one_account(price=2_000.0, debt=1.0), "ETH", 100.0, "USDC", 0.5, available_usd=60_000.0)
    assert drained.limited
    assert drained.borrowed_usd == 60_000
    blind = unbacked(one_account(price=2_000.0, debt=1.0), "ETH", 100.0, "USDC", 0.5, oracle_sees=False)
    assert blind.gap.first.n_accounts == 0
    assert blind.gap.bad_debt_usd == pytest.approx(50_000)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: oracle_gap(m, {"ETH": -1.0}), "above -1"),
        (lambda m: oracle_gap(m, {}, errors={"ETH": -1.0}), "above -1"),
        (lambda m: oracle_gap(m, {}, errors={"DOGE": -0.1}), "no reserve 'DOGE'"),
        (lambda m: oracle_gap(m, {}, stuck="ETH"), "a sequence of symbols"),
        (lambda m: oracle_gap(m, [0.0]), "expected 2 moves"),
        (lambda m: unbacked(m, "ETH", -1.0, "USDC", 0.5), "number of tokens"),
        (lambda m: unbacked(m, "ETH", 1.0, "USDC", 1.0), "a share in"),
        (lambda m: unbacked(m, "ETH", 1.0, "ETH", 0.5), "another reserve"),
        (
            lambda m: unbacked(replace(m, reserves=replace(m.reserves, ltv=[0.0, 0.75])), "ETH", 1.0, "USDC", 0.5),
            "no loan to value",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(call, words):
    with pytest.raises(InputError, match=words):
        call(one_account())
