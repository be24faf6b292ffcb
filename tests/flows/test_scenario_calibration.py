"""From prices to a scenario: the volatility that went in comes out, nothing is guessed, no hole becomes a jump."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from flows.scenario_calibration import (
    DAY,
    FLOOR,
    HOUR,
    InconsistentMapping,
    InsufficientHistory,
    calibrate_scenario,
    factors_of,
)
from risk_core import EModes, Market, Positions, Reserves, Snapshot

BLOCK_TIME = 1_763_640_000
SYMBOLS = ("WETH", "wstETH", "WBTC", "GHO")


def one(n: int, value: float) -> list[float]:
    return [value] * n


@pytest.fixture(scope="module")
def market() -> Market:
    n = len(SYMBOLS)
    nobody = Positions.from_entries([], [], [], 0)
    reserves = Reserves(
        id=range(n), symbol=SYMBOLS, asset=[f"0x{i:040x}" for i in range(n)], decimals=[18] * n, ltv=one(n, 0.7),
        liquidation_threshold=one(n, 0.8), liquidation_bonus=one(n, 0.05), protocol_fee=one(n, 0.1), active=[True] * n,
        paused=[False] * n, grace_until=[0] * n,
    )  # fmt: skip
    snapshot = Snapshot(market="Test", chain_id=1, block=1, block_time=BLOCK_TIME, revision=10)
    return Market(
        reserves=reserves, emodes=EModes.none(), accounts=np.array([], dtype=str), emode=[], collateral=nobody,
        debt=nobody, price=[2600.0, 3100.0, 104_000.0, 1.0], snapshot=snapshot,
    )  # fmt: skip


@pytest.fixture
def mapping(market: Market) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "asset": market.reserves.asset,
            "symbol": SYMBOLS,
            "series": ["ETHUSDT", "ETHUSDT", "BTCUSDT", ""],
            "kind": ["series", "ratio", "series", "fixed"],
            "factor": ["ETH", "ETH", "BTC", ""],
        }
    )


def history(days: int, end: int = BLOCK_TIME, volatility: tuple[float, float] = (0.8, 0.4)) -> pd.DataFrame:
    """Two independent random walks of known annual volatility, hourly up to `end`."""
    n = days * 24 + 1
    moves = np.random.default_rng(5).standard_normal((n, 2)) * np.array(volatility) / np.sqrt(365 * 24)
    prices = np.exp(np.cumsum(moves, axis=0)) * [2600.0, 104_000.0]
    return pd.DataFrame(prices, index=[end - HOUR * (n - 1 - i) for i in range(n)], columns=["ETHUSDT", "BTCUSDT"])


def reader(prices: pd.DataFrame):
    return lambda series, first, last: prices.loc[(prices.index >= first) & (prices.index <= last), list(series)]


def test_ratio_reserves_follow_their_base_and_fixed_ones_follow_nothing(market, mapping):
    series, factor = factors_of(market, mapping)
    assert series == {"ETH": "ETHUSDT", "BTC": "BTCUSDT"}
    assert factor.tolist() == [0, 0, 1, -1]


@pytest.mark.statistical
def test_the_volatility_that_went_in_comes_out(market, mapping):
    scenario = calibrate_scenario(market, mapping, reader(history(90))).scenario

    # The decay of 0.94 a day leaves about 24 (1 + l) / (1 - l) = 776 effective hours: s.e. = vol / sqrt(2 * 776).
    for found, configured in zip(scenario.volatility, (0.8, 0.4), strict=True):
        assert abs(found - configured) < 4 * configured / np.sqrt(2 * 776)
    assert abs(scenario.correlation[0, 1]) < 4 / np.sqrt(90 * 24)


def test_a_pair_that_never_moved_gets_the_floor_not_zero(market, mapping):
    scenario = calibrate_scenario(market, mapping, reader(history(20, volatility=(0.8, 0.0)))).scenario
    assert scenario.volatility[1] == FLOOR


def test_prices_after_the_block_are_not_used_when_those_before_suffice(market, mapping):
    quiet, wild = history(30), history(30, end=BLOCK_TIME + 30 * DAY, volatility=(9.0, 9.0))
    both = pd.concat([quiet, wild.loc[wild.index > BLOCK_TIME]])

    calibration = calibrate_scenario(market, mapping, reader(both))

    assert calibration.record["last"] == BLOCK_TIME
    assert calibration.record["looks_ahead"] is False
    assert (
        calibration.scenario.volatility.tolist()
        == calibrate_scenario(market, mapping, reader(quiet)).scenario.volatility.tolist()
    )
    assert calibration.notes == ()


def test_prices_later_than_the_block_are_used_when_there_are_no_others_and_said_so(market, mapping):
    calibration = calibrate_scenario(market, mapping, reader(history(30, end=BLOCK_TIME + 300 * DAY)))
    assert calibration.record["looks_ahead"] is True
    assert "later than the block (2025-11-20)" in calibration.notes[0]


def test_old_prices_are_used_and_said_to_be_old(market, mapping):
    calibration = calibrate_scenario(market, mapping, reader(history(30, end=BLOCK_TIME - 10 * DAY)))
    assert calibration.record["looks_ahead"] is False
    assert "prices end on 2025-11-10, before the block" in calibration.notes[0]


def test_a_short_history_names_the_series_and_the_command(market, mapping):
    prices = history(30)
    prices.loc[prices.index < BLOCK_TIME - 5 * DAY, "BTCUSDT"] = np.nan
    with pytest.raises(
        InsufficientHistory, match=r"BTCUSDT has 5\.0 days of hourly prices, at least 14 .* market-prices"
    ):
        calibrate_scenario(market, mapping, reader(prices))


def test_no_prices_at_all_is_a_short_history(market, mapping):
    with pytest.raises(InsufficientHistory, match=r"has 0\.0 days"):
        calibrate_scenario(market, mapping, lambda series, first, last: pd.DataFrame(columns=list(series)))


def test_a_hole_is_not_one_large_hourly_move(market, mapping):
    prices = history(30, volatility=(0.8, 0.8))
    # A trend of 1 % an hour over a day without prices would look like a move of 24 %.
    prices.loc[prices.index > BLOCK_TIME - 2 * DAY] *= np.exp(0.24)
    hole = (prices.index > BLOCK_TIME - 3 * DAY) & (prices.index <= BLOCK_TIME - 2 * DAY)

    calibration = calibrate_scenario(market, mapping, reader(prices.loc[~hole]))

    assert calibration.scenario.volatility[0] < 1.0
    assert calibration.record["n_returns"] == 30 * 24 - 25


def test_one_factor_with_two_series_is_refused(market, mapping):
    mapping.loc[1, "series"] = "WBETHUSDT"
    with pytest.raises(
        InconsistentMapping, match="factor ETH follows ETHUSDT for one reserve and WBETHUSDT for wstETH"
    ):
        factors_of(market, mapping)


def test_a_market_of_fixed_prices_has_a_scenario_without_factors(market, mapping):
    mapping[["series", "factor"]] = ""
    mapping["kind"] = "fixed"
    scenario = calibrate_scenario(market, mapping, reader(history(1))).scenario
    assert scenario.factors == ()
    assert scenario.factor.tolist() == [-1] * 4
