"""Health factors by hand, and the laws they obey."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import risk_core as rc
from risk_core.accounts import liquidation_price_of, totals
from tests.markets import KINDS, market, one_account, random_market, reserves, with_oracles


def test_ten_ether_at_1900_against_16000():
    assert rc.health_factor(one_account()) == pytest.approx([10 * 1_900 * 0.83 / 16_000])


def test_no_debt_is_infinite_and_debt_without_collateral_is_zero():
    book = market(reserves(2), [1.0, 1.0], [{0: 5.0}, {}, {}], [{}, {1: 5.0}, {}])
    assert rc.health_factor(book).tolist() == [np.inf, 0.0, np.inf]


def test_each_collateral_counts_with_its_own_threshold():
    """1,000 at 0.9 and 9,000 at 0.5 against 5,000: 1.08. The average threshold in whole basis points would hide it."""
    book = market(
        reserves(3, liquidation_threshold=[0.9, 0.5, 0.0]), [1.0, 1.0, 1.0], [{0: 1_000.0, 1: 9_000.0}], [{2: 5_000.0}]
    )
    assert rc.health_factor(book) == pytest.approx([1.08])


def emode_market(emode: int) -> rc.Market:
    emodes = rc.EModes(
        id=[1], label=["ETH"], ltv=[0.93], liquidation_threshold=[0.95], liquidation_bonus=[0.01],
        collateral=[[True, False, False]], borrowable=[[True] * 3], ltvzero=[[False] * 3], isolated=[False],
    )  # fmt: skip
    return market(
        reserves(3, liquidation_threshold=[0.8, 0.7, 0.0]),
        [1.0, 1.0, 1.0],
        [{0: 10.0, 1: 10.0}],
        [{2: 10.0}],
        emodes=emodes,
        emode=[emode],
    )


def test_an_emode_changes_the_threshold_of_its_own_collateral_only():
    assert rc.health_factor(emode_market(0)) == pytest.approx([(10 * 0.95 + 10 * 0.7) / 10])
    assert rc.health_factor(emode_market(-1)) == pytest.approx([(10 * 0.8 + 10 * 0.7) / 10])


def test_other_prices_are_checked():
    book = one_account()
    assert rc.health_factor(book, [3_800.0, 1.0]) == pytest.approx(2 * rc.health_factor(book))
    with pytest.raises(rc.InputError, match=r"prices: entry 0 \(ETH\) is nan"):
        rc.health_factor(book, [np.nan, 1.0])
    with pytest.raises(rc.InputError, match="expected 2 prices"):
        rc.health_factor(book, [1.0])


def test_liquidation_prices_by_hand():
    """10 ETH, threshold 0.83, 16,000 USDC: ETH at 1,927.71 or USDC at 0.98563 brings the health factor to 1."""
    prices = rc.liquidation_prices(one_account(), 0)
    assert prices == pytest.approx([16_000 / 8.3, 1_900 * 8.3 / 16_000])


@given(seed=st.integers(0, 10**6), kind=st.sampled_from(KINDS))
def test_at_its_liquidation_price_an_account_has_health_factor_one(seed, kind):
    book = random_market(seed, kind, 8)
    for account in range(book.n_accounts):
        for reserve, price in enumerate(rc.liquidation_prices(book, account)):
            if np.isfinite(price):
                at = book.price.copy()
                at[reserve] = price
                assert rc.health_factor(book, at)[account] == pytest.approx(1.0, rel=1e-6)


@pytest.mark.property
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(KINDS), fall=st.floats(0.01, 0.99))
def test_a_fall_of_a_price_never_helps_holders_nor_hurts_debtors(seed, kind, fall):
    book = random_market(seed, kind, 30)
    before = rc.health_factor(book)
    for reserve in range(book.n_reserves):
        at = book.price.copy()
        at[reserve] *= 1 - fall
        after = rc.health_factor(book, at)
        for account in range(book.n_accounts):
            holds = reserve in book.collateral.reserve[slice(*book.collateral.indptr[account : account + 2])]
            owes = reserve in book.debt.reserve[slice(*book.debt.indptr[account : account + 2])]
            if not owes:
                assert after[account] <= before[account] * (1 + 1e-12)
            if not holds:
                assert after[account] >= before[account] * (1 - 1e-12)


@pytest.mark.property
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(KINDS))
def test_health_factors_equal_the_sum_written_out(seed, kind):
    book = random_market(seed, kind, 30)
    found = rc.health_factor(book)
    collateral, debt = totals(book)
    for account in range(book.n_accounts):
        margin = owed = 0.0
        for i in range(*book.collateral.indptr[account : account + 2]):
            reserve, mode = book.collateral.reserve[i], book.emode[account]
            inside = mode >= 0 and book.emodes.collateral[mode, reserve]
            threshold = (
                book.emodes.liquidation_threshold[mode] if inside else book.reserves.liquidation_threshold[reserve]
            )
            margin += book.collateral.amount[i] * threshold * book.price[reserve]
        for i in range(*book.debt.indptr[account : account + 2]):
            owed += book.debt.amount[i] * book.price[book.debt.reserve[i]]
        assert found[account] == (pytest.approx(margin / owed) if owed else np.inf)
        assert debt[account] == pytest.approx(owed)
        assert collateral[account] >= margin * (1 - 1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("models", [False, True])
def test_prices_of_many_accounts_at_once_are_those_of_each(kind, models):
    book = random_market(3, kind)
    book = with_oracles(book, 3) if models else book
    rows = np.repeat(np.arange(book.n_accounts), book.n_reserves)
    which = np.tile(np.arange(book.n_reserves), book.n_accounts)
    found = liquidation_price_of(book, rows, which).reshape(book.n_accounts, book.n_reserves)
    for account, each in enumerate(found):
        # Where the others only just add up to nothing, which side of 0 they fall on is a matter of rounding.
        one = rc.liquidation_prices(book, account)
        same = np.isclose(each, one, rtol=1e-9, equal_nan=True)
        assert (same | (np.nan_to_num(np.fmax(each, one)) < 1e-9 * book.price)).all(), (account, each, one)


def test_an_account_without_a_main_reserve_has_no_price():
    assert np.isnan(liquidation_price_of(one_account(), [0], [-1])).all()
    assert len(liquidation_price_of(one_account(), np.zeros(0, np.int64), np.zeros(0, np.int64))) == 0
    for rows, which, words in (([1], [0], "accounts"), ([0], [9], "reserve"), ([0], [0, 1], "reserve")):
        with pytest.raises(rc.InputError, match=words):
            liquidation_price_of(one_account(), rows, which)
