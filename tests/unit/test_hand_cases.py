"""Liquidations small enough for mental arithmetic: threshold 0.83 and bonus 5 % on ETH, USDC at 1 USD.

Every figure below is worked out in the comment beside it, by the rules of Aave v3.6 and v3.7 (`LiquidationLogic.sol`:
50 % of the total debt above HF 0.95 when both legs reach 2,000 USD, else all; 1,000 USD must stay on both sides or
nothing on one; what no collateral covers becomes deficit).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

import risk_core as rc

ETH, USDC, BTC, DAI = range(4)
NOW = 1_750_000_000


def book(
    collateral: Mapping[int, float],
    debt: Mapping[int, float],
    *,
    eth: float = 1_900.0,
    fee: float = 0.0,
    threshold: float = 0.83,
    emode: int = -1,
    paused: tuple[int, ...] = (),
    grace_until: int = 0,
    revision: int = 10,
) -> rc.Market:
    """One account with these tokens; `grace_until` is ETH's. E-mode 0 covers ETH: threshold 0.95, bonus 1 %."""
    return rc.Market(
        reserves=rc.Reserves(
            id=[0, 1, 2, 3],
            symbol=("ETH", "USDC", "BTC", "DAI"),
            asset=("0xe", "0xc", "0xb", "0xd"),
            decimals=[18, 6, 8, 18],
            ltv=[0.8, 0.75, 0.73, 0.75],
            liquidation_threshold=[threshold, 0.78, 0.78, 0.77],
            liquidation_bonus=[0.05, 0.045, 0.05, 0.05],
            protocol_fee=[fee] * 4,
            active=[True] * 4,
            paused=[j in paused for j in range(4)],
            grace_until=[grace_until, 0, 0, 0],
        ),
        emodes=rc.EModes(
            id=[1],
            label=("ETH correlated",),
            ltv=[0.93],
            liquidation_threshold=[0.95],
            liquidation_bonus=[0.01],
            collateral=[[True, False, False, False]],
            borrowable=[[True, False, False, False]],
            ltvzero=[[False] * 4],
            isolated=[False],
        ),
        accounts=np.array(["0xabc"]),
        emode=[emode],
        collateral=rc.Positions.from_entries([0] * len(collateral), list(collateral), list(collateral.values()), 1),
        debt=rc.Positions.from_entries([0] * len(debt), list(debt), list(debt.values()), 1),
        price=[eth, 1.0, 100_000.0, 1.0],
        snapshot=rc.Snapshot(market="hand", chain_id=1, block=1, block_time=NOW, revision=revision),
    )


@pytest.mark.parametrize("revision", [10, 11])
def test_half_of_the_debt_is_repayable_just_below_health_factor_1(revision):
    market = book({ETH: 10}, {USDC: 16_000}, revision=revision)

    call = rc.liquidate(market, 0, "ETH", "USDC")

    assert call.health_factor == pytest.approx(15_770 / 16_000)  # 10 x 1,900 x 0.83 = 15,770: 0.9856
    assert call.repaid == pytest.approx(8_000)
    assert call.seized == pytest.approx(4.42105, abs=1e-5)  # 8,000 x 1.05 / 1,900
    assert call.health_factor_after == pytest.approx(1.09975, abs=1e-5)  # 5.57895 x 1,900 x 0.83 / 8,000
    assert call.deficit.sum() == 0


def test_collateral_worth_less_than_debt_and_bonus_leaves_a_deficit():
    call = rc.liquidate(book({ETH: 10}, {USDC: 19_600}, eth=2_000), 0, "ETH", "USDC")

    assert call.seized == pytest.approx(10)
    assert call.repaid == pytest.approx(20_000 / 1.05)  # 19,047.62
    assert call.deficit[USDC] == pytest.approx(552.38, abs=0.005)
    assert call.debt.sum() == 0  # the pool burns what is left: bad debt never stays
    assert call.health_factor_after == np.inf


def test_a_fall_from_2000_to_1640_leaves_380_95_of_deficit():
    call = rc.liquidate(book({ETH: 10}, {USDC: 16_000}, eth=1_640), 0, "ETH", "USDC")

    assert call.deficit[USDC] == pytest.approx(380.95, abs=0.005)  # 16,000 - 16,400 / 1.05; not 16,000 - 16,400 x 0.83


def test_a_position_under_2000_is_closed_whole_although_above_0_95():
    call = rc.liquidate(book({ETH: 1}, {USDC: 1_600}), 0, "ETH", "USDC")

    assert call.health_factor == pytest.approx(0.985625)
    assert call.repaid == pytest.approx(1_600)
    assert call.seized * 1_900 == pytest.approx(1_680)
    assert call.collateral[ETH] * 1_900 == pytest.approx(220)  # nothing of the debt is left, so 220 USD may stay


def test_a_large_account_is_closed_whole_in_a_pair_with_one_small_leg():
    """The 2,000 USD rule looks at the pair, not at the account."""
    call = rc.liquidate(book({ETH: 100}, {USDC: 158_100, DAI: 1_900}), 0, "ETH", "DAI")

    assert call.health_factor == pytest.approx(0.985625)
    assert call.repaid == pytest.approx(1_900)


def test_the_close_factor_is_half_of_the_total_debt_not_of_the_reserves():
    market = book({ETH: 10}, {USDC: 10_000, DAI: 6_000})

    assert rc.liquidate(market, 0, "ETH", "USDC").repaid == pytest.approx(8_000)
    assert rc.liquidate(market, 0, "ETH", "DAI").repaid == pytest.approx(6_000)  # under half of the total: all of it


def test_the_whole_debt_is_repayable_at_exactly_0_95():
    market = book({ETH: 10}, {USDC: 10_000}, threshold=0.5)  # 10 x 1,900 x 0.5 / 10,000

    assert rc.liquidate(market, 0, "ETH", "USDC").repaid == pytest.approx(10_000)


def test_half_of_the_debt_is_refused_where_it_would_leave_less_than_1000():
    market = book({ETH: 2.4 / 1.9 * 1.2}, {USDC: 2_100, DAI: 300})  # 2,880 x 0.83 / 2,400 = 0.996; half is 1,200

    assert rc.liquidate(market, 0, "ETH", "USDC").error == "MustNotLeaveDust"  # would leave 900
    smaller = rc.liquidate(market, 0, "ETH", "USDC", cover=1_099)
    assert smaller.error is None
    assert smaller.debt[USDC] == pytest.approx(1_001)


def test_the_fee_comes_out_of_the_bonus():
    call = rc.liquidate(book({ETH: 10}, {USDC: 16_000}, fee=0.1), 0, "ETH", "USDC")

    assert call.fee * 1_900 == pytest.approx(40)  # a tenth of the bonus of 400, not of the 8,400 seized
    assert (call.seized + call.fee) * 1_900 == pytest.approx(8_400)


def test_a_cover_above_the_maximum_is_cut_to_it():
    market = book({ETH: 10}, {USDC: 16_000})

    assert rc.liquidate(market, 0, "ETH", "USDC", cover=9_999_999).repaid == pytest.approx(8_000)
    assert rc.liquidate(market, 0, "ETH", "USDC", cover=1_000).repaid == pytest.approx(1_000)


def test_the_last_collateral_turns_every_debt_into_deficit():
    call = rc.liquidate(book({ETH: 1}, {USDC: 1_900, DAI: 500}), 0, "ETH", "USDC")

    assert call.repaid == pytest.approx(1_900 / 1.05)
    assert call.deficit[USDC] == pytest.approx(1_900 - 1_900 / 1.05)
    assert call.deficit[DAI] == pytest.approx(500)


def test_other_collateral_keeps_the_debt_alive():
    call = rc.liquidate(book({ETH: 1, BTC: 0.001}, {USDC: 1_900, DAI: 500}), 0, "ETH", "USDC")

    assert call.deficit.sum() == 0
    assert call.debt[USDC] == pytest.approx(1_900 - 1_900 / 1.05)
    assert call.collateral[BTC] == pytest.approx(0.001)


def test_the_same_asset_may_be_collateral_and_debt():
    call = rc.liquidate(book({ETH: 10}, {ETH: 9}), 0, "ETH", "ETH")  # 8.3 / 9 = 0.922: the whole debt

    assert call.repaid == pytest.approx(9)
    assert call.seized == pytest.approx(9.45)


def test_an_emode_has_its_own_threshold_and_bonus():
    healthy = book({ETH: 10}, {USDC: 16_000}, emode=0)
    fallen = book({ETH: 10}, {USDC: 18_500}, emode=0)

    assert rc.health_factor(healthy)[0] == pytest.approx(19_000 * 0.95 / 16_000)
    assert rc.liquidate(fallen, 0, "ETH", "USDC").seized * 1_900 == pytest.approx(9_250 * 1.01)


@pytest.mark.parametrize(
    ("error", "market", "pair"),
    [
        ("ReservePaused", book({ETH: 10}, {USDC: 1_000}, paused=(USDC,)), ("ETH", "USDC")),  # pause before health
        ("LiquidationGraceSentinelCheckFailed", book({ETH: 10}, {USDC: 16_000}, grace_until=NOW), ("ETH", "USDC")),
        ("HealthFactorNotBelowThreshold", book({ETH: 10}, {USDC: 15_770}), ("BTC", "USDC")),  # exactly 1
        ("CollateralCannotBeLiquidated", book({ETH: 10}, {USDC: 16_000}), ("BTC", "DAI")),
        ("SpecifiedCurrencyNotBorrowedByUser", book({ETH: 10}, {USDC: 16_000}), ("ETH", "DAI")),
    ],
)
def test_the_first_rule_broken_names_the_error(error, market, pair):
    call = rc.liquidate(market, 0, *pair)

    assert call.error == error
    assert (call.repaid, call.seized, call.fee) == (0, 0, 0)
    assert call.collateral[ETH] == 10  # nothing moved


def test_liquidations_are_open_one_second_after_the_grace_period():
    assert rc.liquidate(book({ETH: 10}, {USDC: 16_000}, grace_until=NOW - 1), 0, "ETH", "USDC").error is None


def test_the_liquidation_price_is_where_the_health_factor_is_1():
    prices = rc.liquidation_prices(book({ETH: 10}, {USDC: 16_000}, eth=2_000), 0)

    assert prices[ETH] == pytest.approx(16_000 / 8.3)  # 1,927.71
    assert np.isnan(prices[BTC])


@pytest.mark.parametrize("owed", [449575632527302083 / 1e18, 0.014082196617331903])
def test_the_whole_of_a_small_debt_is_clear_whatever_the_price(owed):
    """debt x price / price is not always the debt again: the whole debt must be taken as it stands.

    Recorded: repaying all of 0.4496 ETH at 3,127.45 USD leaves no dust of debt (truth file `truth_small`).
    """
    for price in np.linspace(1_000, 4_000, 101):
        market = book({BTC: owed * price * 1.07 / 100_000, USDC: 0.01}, {ETH: owed}, eth=price)
        call = rc.liquidate(market, 0, "BTC", "ETH")
        assert call.error is None
        assert call.debt[ETH] == 0
