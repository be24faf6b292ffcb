"""Illegal markets cannot be built, and the message names the field, the entry and the rule."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import risk_core as rc
from tests.markets import market, one_account, reserves

POSITIONS = dict(indptr=[0, 2, 3], reserve=[0, 1, 0], amount=[1.0, 2.0, 3.0])


def test_arrays_are_read_only_copies():
    price = np.array([1_900.0, 1.0])
    book = replace(one_account(), price=price)
    price[0] = 0.0
    assert book.price[0] == 1_900.0
    with pytest.raises(ValueError, match="read-only"):
        book.price[0] = 1.0
    with pytest.raises(FrozenInstanceError):
        book.price = price


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(indptr=[1, 2, 3]), "Positions.indptr: must start at 0"),
        (dict(indptr=[0, 2, 4]), "end at 3"),
        (dict(indptr=[0, 3, 2, 3]), "Positions.indptr: .* found 2 after 3 at entry 2"),
        (dict(reserve=[1, 0, 0]), "Positions.reserve: entry 1 is 0; must rise strictly"),
        (dict(reserve=[1, 1, 0]), "no duplicates"),
        (dict(amount=[1.0, np.nan, 3.0]), "Positions.amount: entry 1 is nan"),
        (dict(amount=[1.0, -2.0, 3.0]), "entry 1 is -2.0"),
        (dict(amount=[1.0, 2.0]), r"expected shape \(3\)"),
    ],
)
def test_positions_refuse(change, message):
    with pytest.raises(rc.InputError, match=message):
        rc.Positions(**(POSITIONS | change))


def test_positions_may_be_empty_or_have_empty_accounts():
    assert len(rc.Positions(indptr=[0], reserve=[], amount=[])) == 0
    assert len(rc.Positions(indptr=[0, 0, 1, 1], reserve=[3], amount=[1.0])) == 3


def test_entries_in_any_order_make_the_same_positions():
    one = rc.Positions.from_entries([0, 0, 1], [0, 1, 0], [1.0, 2.0, 3.0], 2)
    other = rc.Positions.from_entries([1, 0, 0, 1], [0, 1, 0, 5], [3.0, 2.0, 1.0, 0.0], 2)
    for name in ("indptr", "reserve", "amount"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    with pytest.raises(rc.InputError, match="no duplicates"):
        rc.Positions.from_entries([0, 0], [1, 1], [1.0, 2.0], 1)
    with pytest.raises(rc.InputError, match=r"Positions: account: entry 0 is 2; must be in \[0, 1\)"):
        rc.Positions.from_entries([2], [1], [1.0], 1)


@pytest.mark.parametrize(
    ("price", "message"),
    [
        ([np.nan, 1.0], r"Market.price: entry 0 \(ETH\) is nan; prices must be positive"),
        ([0.0, 1.0], r"entry 0 \(ETH\) is 0.0"),
        ([1.0, -1.0], r"entry 1 \(USDC\) is -1.0"),
        ([1.0, np.inf], r"entry 1 \(USDC\) is inf"),
        ([1.0], r"expected shape \(2\)"),
    ],
)
def test_a_market_refuses_prices(price, message):
    with pytest.raises(rc.InputError, match=message):
        replace(one_account(), price=price)


def test_a_market_refuses_a_reserve_or_an_emode_out_of_range():
    good = one_account()
    with pytest.raises(rc.InputError, match=r"Market.debt.reserve: entry 0 is 2; must be in \[0, 2\)"):
        replace(good, debt=rc.Positions(indptr=[0, 1], reserve=[2], amount=[1.0]))
    with pytest.raises(rc.InputError, match=r"Market.emode: entry 0 is 0"):
        replace(good, emode=[0])
    with pytest.raises(rc.InputError, match=r"Market.debt: has 2 accounts"):
        replace(good, debt=rc.Positions(indptr=[0, 0, 0], reserve=[], amount=[]))


def test_an_unknown_revision_is_refused_never_guessed():
    market = one_account(revision=12)
    assert rc.health_factor(market)[0] == pytest.approx(15_770 / 16_000)
    for refused in (
        lambda: rc.liquidate(market, 0, "ETH", "USDC"),
        lambda: rc.what_if(market, {"ETH": -0.1}),
        lambda: rc.sweep(market, {"ETH": -1.0}),
        lambda: rc.simulate(market, rc.PricePaths.one_step(market, market.price)),
    ):
        with pytest.raises(rc.UnknownRevision, match="POOL_REVISION 12 has no implemented rules; known: 10"):
            refused()


def test_terms_of_an_emode_may_differ_by_reserve():
    shape = dict(id=[1], label=["e"], ltv=[0.0], ltvzero=[[0, 0]], isolated=[0], collateral=[[1, 1]])
    terms = dict(liquidation_threshold=[[0.7, 0.6]], liquidation_bonus=[[0.05, 0.05]], borrowable=[[1, 1]])
    emodes = rc.EModes(**(shape | terms))
    market = replace(one_account(), emodes=emodes, emode=[0])

    assert rc.health_factor(market)[0] == pytest.approx(19_000 * 0.7 / 16_000)
    assert emodes.liquidation_bonus.tolist() == [0.05]  # equal terms have one form
    with pytest.raises(rc.InputError, match=r"EModes.liquidation_threshold: entry 0, 1 is 6.0; must be a fraction"):
        rc.EModes(**(shape | terms | dict(liquidation_threshold=[[0.7, 6.0]])))
    three = rc.EModes(**(shape | terms | dict(liquidation_threshold=[[0.7, 0.6, 0.5]])))
    with pytest.raises(rc.InputError, match=r"EModes\.liquidation_threshold: has 3 reserves, the market has 2"):
        replace(market, emodes=three)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (dict(liquidation_threshold=[0.83, 83.0]), "must be a fraction"),
        (dict(liquidation_bonus=[1.05, 0.0]), "liquidation_bonus: entry 0"),
        (dict(liquidation_bonus=[-0.5, 0.0]), "-1 for none configured"),
        (dict(id=[3, 3]), "Reserves.id: entry 1 is 3, as entry 0 is"),
        (dict(id=[3, -3]), r"Reserves.id: entry 1 .* is -3; must not be negative"),
        (dict(decimals=[18, 99]), "decimals: entry 1"),
        (dict(asset=["0x1"]), "expected 2 addresses"),
    ],
)
def test_reserves_refuse(column, message):
    with pytest.raises(rc.InputError, match=message):
        reserves(2, **column)


def test_a_market_without_reserves_is_not_one():
    with pytest.raises(rc.InputError, match="at least one reserve"):
        reserves(0)


def test_reserves_and_accounts_are_found_by_name():
    book = one_account()
    assert book.reserves.index("USDC") == 1
    assert book.reserves.index(book.reserves.asset[1].upper().replace("X", "x")) == 1
    with pytest.raises(rc.InputError, match="no reserve 'WETH' in this market; known: ETH, USDC"):
        book.reserves.index("WETH")
    assert book.index(book.accounts[0].upper()) == 0
    with pytest.raises(rc.InputError, match="not in this snapshot"):
        book.index("0x00")


def test_a_symbol_that_is_not_unique_must_be_named_by_address():
    book = reserves(2, symbol=["PT", "PT"])
    with pytest.raises(rc.InputError, match="not unique"):
        book.index("PT")


def test_a_shock_names_reserves_or_lists_all():
    book = one_account()
    assert book.shocked({"ETH": -0.2}).tolist() == [1_520.0, 1.0]
    assert book.shocked([-0.2, 0.0]).tolist() == [1_520.0, 1.0]
    with pytest.raises(rc.InputError, match=r"shock: entry 0 \(ETH\) is -1.0"):
        book.shocked({"ETH": -1.0})
    with pytest.raises(rc.InputError, match="expected 2 moves"):
        book.shocked([0.1])


def test_a_market_without_accounts_is_legal_and_quiet():
    empty = market(reserves(2), [1.0, 1.0], [], [])
    assert rc.health_factor(empty).tolist() == []
    assert rc.what_if(empty, {"T0": -0.5}).repaid_usd == 0.0


@given(st.lists(st.text("abzAZ019x\u00e9\u0130 ", max_size=4), min_size=1, max_size=5), st.booleans())
@example(["0xa", "0xb"], True)
@example(["0xa", "0xA"], False)
@example(["0xb", "0xa"], False)
@example(["\u0130"], True)  # in lower case two characters
def test_addresses_as_an_array_are_what_they_are_as_a_list(texts: list[str], in_order: bool):
    listed = sorted(texts) if in_order else texts

    def read(accounts):
        book = rc.Positions(indptr=[0] * (len(listed) + 1), reserve=[], amount=[])
        changed = dict(accounts=accounts, emode=[-1] * len(listed), collateral=book, debt=book)
        try:
            return replace(one_account(), **changed).accounts.tolist()
        except rc.InputError as error:
            return str(error)

    found = read(np.array(listed))
    assert found == read(listed)
    assert isinstance(found, str) or found == [text.lower() for text in listed]
