"""Oracle models by hand: a cap above, a ratio with a cap, a link, a fixed price; and what contradicts itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

import risk_core as rc
from tests.markets import market, one_account, reserves

ETH, USDC, WSTETH, USDT, USDE, GHO = range(6)
PRICE = [2_000.0, 1.0, 2_400.0, 1.0, 1.0, 1.0]


def six(**models) -> rc.Market:
    """10 wstETH against 16,000 USDC, with the models of mainnet: stables capped at 1.04, USDe priced by USDT."""
    said = dict(
        price_cap=[np.inf, 1.04, np.inf, 1.04, np.inf, np.inf],
        ratio_of=[-1, -1, ETH, -1, -1, -1],
        ratio_cap=[np.inf, np.inf, 1.25, np.inf, np.inf, np.inf],
        linked_to=[-1, -1, -1, -1, USDT, -1],
        fixed_price=[False] * 5 + [True],
    )
    book = reserves(6, symbol=["WETH", "USDC", "wstETH", "USDT", "USDe", "GHO"], **(said | models))
    return market(book, PRICE, [{WSTETH: 10.0}], [{USDC: 16_000.0}])


def test_a_stablecoin_answers_at_its_cap():
    """The case of the field: +12 % of USDC is 1.04 at the oracle, not 1.12; a fall passes through."""
    book = six()
    answer = rc.what_if(book, {"USDC": 0.12})
    assert answer.price[USDC] == 1.04
    assert answer.health_factor == pytest.approx([24_000 * 0.83 / (16_000 * 1.04)])
    assert rc.what_if(book, {"USDC": -0.12}).price[USDC] == pytest.approx(0.88)
    assert rc.what_if(book, {"USDC": 0.04}).price[USDC] == pytest.approx(1.04)


@pytest.mark.parametrize(
    ("shock", "expected"),
    [
        ({"WETH": 0.1, "wstETH": 0.1}, [2_200, 1, 2_640, 1, 1, 1]),  # the ratio stays 1.2
        ({"wstETH": 0.1}, [2_000, 1, 2_500, 1, 1, 1]),  # a ratio of 1.32 counts as 1.25
        ({"wstETH": -0.1}, [2_000, 1, 2_160, 1, 1, 1]),
        ({"WETH": -0.2}, [1_600, 1, 1_920, 1, 1, 1]),  # wstETH has no feed of its own: its ratio of 1.2 stays
        ({"WETH": -0.2, "wstETH": 0.0}, [1_600, 1, 2_000, 1, 1, 1]),  # named itself it stays: a ratio of 1.5, capped
        ([-0.2, 0, 0, 0, 0, 0], [1_600, 1, 2_000, 1, 1, 1]),  # an array names every reserve
        ({"USDe": -0.35}, PRICE),  # a depeg on a market that the oracle does not read
        ({"USDT": -0.1}, [2_000, 1, 2_400, 0.9, 0.9, 1]),
        ({"USDT": 0.1}, [2_000, 1, 2_400, 1.04, 1.04, 1]),
        ({"GHO": -0.1}, PRICE),
    ],
)
def test_what_oracles_say(shock, expected):
    assert six().shocked(shock) == pytest.approx(expected)


def test_a_ratio_bears_the_cap_of_its_base():
    """sUSDe is a ratio to USDT: with USDT at 1.10 it counts 1.04 of it, whatever its own market pays."""
    book = six(ratio_of=[-1, -1, USDT, -1, -1, -1], ratio_cap=[np.inf] * 6)
    assert book.shocked({"USDT": 0.10, "wstETH": 0.10})[WSTETH] == pytest.approx(2_400 * 1.04)


def test_a_base_that_rises_beyond_its_cap_takes_its_ratios_with_it_and_makes_none_fall():
    book = six(ratio_of=[-1, -1, USDT, -1, WSTETH, -1], ratio_cap=[np.inf] * 6, linked_to=[-1] * 6)
    risen = book.shocked({"USDT": 0.5})
    assert risen[WSTETH] == pytest.approx(2_400 * 1.04)
    assert (risen >= book.price - 1e-12).all()


def test_a_market_without_models_is_untouched():
    book = one_account()
    assert not book.reserves.oracle.any
    feeds = book.price * 1.5
    assert book.oracle_prices(feeds) is feeds
    assert rc.simulate(book, rc.PricePaths.one_step(book, feeds)).oracle is None


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ({"price_cap": [1.04, np.nan]}, r"Reserves\.price_cap: entry 1 \(USDC\) is nan; must be positive; inf"),
        ({"price_cap": [0.0, 1.04]}, r"Reserves\.price_cap: entry 0 \(ETH\) is 0\.0"),
        ({"price_cap": [1.04]}, r"Reserves\.price_cap: expected shape \(2\)"),
        ({"price_cap": ["1.04", "1.04"]}, r"Reserves\.price_cap: expected numbers"),
        ({"ratio_cap": [1.2, np.inf]}, r"Reserves\.ratio_cap: entry 0 \(ETH\) is 1\.2; a ratio has a base"),
        ({"ratio_of": [-1, 1]}, r"Reserves\.ratio_of: entry 1 \(USDC\) is 1; must be the index of another"),
        ({"linked_to": [2, -1]}, r"Reserves\.linked_to: entry 0 \(ETH\) is 2"),
        ({"linked_to": [-2, -1]}, r"Reserves\.linked_to: entry 0 \(ETH\) is -2"),
        ({"linked_to": [1, 0]}, r"ETH -> USDC -> ETH depend on each other in a circle"),
        ({"linked_to": [1, -1], "ratio_of": [-1, 0]}, r"depend on each other in a circle"),
        ({"linked_to": [1, -1], "fixed_price": [True, False]}, r"entry 0 \(ETH\) has more than one of"),
        ({"fixed_price": [False, True], "price_cap": [np.inf, 1.04]}, r"a fixed price has no cap"),
        ({"linked_to": [-1, 0], "price_cap": [np.inf, 1.04]}, r"a linked price has the cap of the one it follows"),
        ({"fixed_price": [0, 2]}, r"Reserves\.fixed_price: expected true or false"),
    ],
)
def test_models_that_contradict_themselves_are_refused(models, message):
    with pytest.raises(rc.InputError, match=message):
        replace(one_account().reserves, **models)


def test_a_price_above_its_cap_is_refused():
    book = one_account()
    with pytest.raises(rc.InputError, match=r"Market\.price: entry 0 \(ETH\) is 1900\.0, above the cap .* is 1800\.0"):
        replace(book, reserves=replace(book.reserves, price_cap=[1_800.0, np.inf]))
    with pytest.raises(rc.InputError, match=r"is 1900\.0, 1900 times the price of USDC; .* lets through 1800"):
        replace(book, reserves=replace(book.reserves, ratio_of=[1, -1], ratio_cap=[1_800.0, np.inf]))


def test_a_cascade_caps_what_the_feed_says_after_sales():
    """ETH's feed doubles, its oracle is capped at +10 %; a fall of the feed by half of that moves no oracle price."""
    paths = [[1_900 * 2.0, 1.0]]
    book = one_account(debt=19_000.0)
    capped = replace(book, reserves=replace(book.reserves, price_cap=[2_090.0, np.inf]))
    impact = rc.Impact.exponential([20_000.0, np.inf], half_life=None)
    both = [rc.simulate(capped, rc.PricePaths.one_step(capped, paths), impact=how) for how in (None, impact)]
    assert both[0].repaid_usd[0] > 0
    np.testing.assert_allclose(both[1].repaid_usd, both[0].repaid_usd)


def test_results_of_different_oracles_do_not_add_up():
    plain = six()
    other = six(price_cap=[np.inf, 1.05, np.inf, 1.04, np.inf, np.inf])
    plan = rc.Scenario(
        name="s",
        horizon=timedelta(hours=8),
        n_steps=8,
        factors=("ETH",),
        volatility=[0.8],
        correlation=[[1.0]],
        factor=[0, -1, 0, -1, -1, -1],
    )
    first, second = rc.simulate(plain, plan, paths=(0, 4)), rc.simulate(other, plan, paths=(4, 8))
    with pytest.raises(rc.InputError, match=r"different oracles cannot be added: oracle\.price_cap differs"):
        first + second
    assert (first + rc.simulate(plain, plan, paths=(4, 8))).n_paths == 8


def test_liquidation_prices_are_prices_that_the_oracle_can_say():
    """10 wstETH at 2,400 with threshold 0.83 against 16,000 USDC: USDC would have to be 1.245, above its cap."""
    book = six()
    prices = rc.liquidation_prices(book, 0)
    assert prices[WSTETH] == pytest.approx(16_000 / 8.3)
    assert np.isnan(prices[USDC])
    near = rc.liquidation_prices(market(book.reserves, PRICE, [{WSTETH: 8.2}], [{USDC: 16_000.0}]), 0)
    assert near[USDC] == pytest.approx(8.2 * 2_400 * 0.83 / 16_000)


def test_what_is_linked_is_liquidated_together():
    """6,000 USDT and 4,000 USDe back 7,000 GHO: both at 0.8434. GHO is fixed, so that no price of it does."""
    book = market(six().reserves, PRICE, [{USDT: 6_000.0, USDE: 4_000.0}], [{GHO: 7_000.0}])
    prices = rc.liquidation_prices(book, 0)
    assert prices[[USDT, USDE]] == pytest.approx(7_000 / 8_300)
    assert np.isnan(prices[GHO])
    assert rc.health_factor(book, book.shocked({"USDT": 7_000 / 8_300 - 1})) == pytest.approx(1.0)


def test_a_sweep_looks_again_where_a_cap_bends_the_curve():
    """Stripped of collateral at rises of 0 and of 0.9, not between: a debt stops at its cap, then the collateral."""
    book = reserves(3, price_cap=[1.5, 1.16, np.inf], protocol_fee=np.zeros(3))
    account = market(book, [1.0, 1.0, 1.0], [{0: 105_000.0}], [{1: 100_000.0, 2: 10_000.0}])
    direction = [1.0, 2.0, 4.0]
    curve = rc.sweep(account, direction)
    answers = [rc.what_if(account, s * np.array(direction)) for s in curve.shock]
    deficits = np.array([answer.deficit_usd for answer in answers])
    assert (deficits[[0, 90]] > 0).all()
    assert (deficits[49:55] == 0).all()
    np.testing.assert_allclose(curve.deficit_usd, deficits, atol=1e-3)
    np.testing.assert_allclose(curve.repaid_usd, [answer.repaid_usd for answer in answers], rtol=1e-9)
