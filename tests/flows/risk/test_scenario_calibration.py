"""From prices to a scenario: the volatility that went in comes out, nothing is guessed, no hole becomes a jump."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from data.store.store import Store
from flows.prices.binance_shapes import Kline
from flows.prices.rows import to_frames
from flows.risk import options
from flows.risk.calibration import Calibration, fit, stressed
from flows.risk.calibration_inputs import DAY, FLOOR, HOUR, InsufficientHistory, LooksAhead, inputs_of
from flows.risk.factors import InconsistentMapping, factors_of
from risk_core import EModes, InputError, Market, Positions, Reserves, Snapshot
from risk_core.analytics.volatility import weekday_factor
from risk_core.laws.calibrated import CALIBRATED, DEFAULT

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
        reserves=reserves,
        emodes=EModes.none(),
        accounts=np.array([], dtype=str),
        emode=[],
        collateral=nobody,
        debt=nobody,
        price=[2600.0, 3100.0, 104_000.0, 1.0],
        snapshot=snapshot,
    )


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
    """As `data.prices.load_prices`: only times at which all series have a price."""
    return lambda series, first, last: prices.loc[first:last, list(dict.fromkeys(series))].dropna()


def calibration_of(market: Market, mapping: pd.DataFrame, prices: pd.DataFrame) -> Calibration:
    return fit(inputs_of(market, mapping, reader(prices)))


def test_ratio_reserves_follow_their_base_and_fixed_ones_follow_nothing(market, mapping):
    series, factor = factors_of(market, mapping)
    assert series == {"ETH": "ETHUSDT", "BTC": "BTCUSDT"}
    assert factor.tolist() == [0, 0, 1, -1]


def test_prices_off_the_hourly_grid_are_a_hole_and_not_the_end_of_all_others(market, mapping):
    prices = history(30)
    moved = prices.set_axis([at + 1_695 * (100 <= n < 142) for n, at in enumerate(prices.index)])
    first_off = prices.set_axis([at + 1_695 * (n < 42) for n, at in enumerate(prices.index)])

    for odd, left in ((moved, 720 - 43), (first_off, 720 - 42)):
        found = calibration_of(market, mapping, odd)
        assert found.row("Test")["n_returns"] == left
    assert calibration_of(market, mapping, prices).row("Test")["n_returns"] == 720


def test_two_factors_on_one_series_are_refused_and_reserves_of_one_factor_are_not(market, mapping):
    """One ratio for two pegs: they would always move alike."""
    shared = mapping.assign(series=["ETHUSDT", "ETHUSDT", "ETHUSDT", ""])
    with pytest.raises(
        InputError, match="the factors ETH and BTC both follow ETHUSDT, so they would always move alike"
    ):
        factors_of(market, shared)
    with pytest.raises(InconsistentMapping, match="or one factor to the reserves of both if they are the same asset"):
        inputs_of(market, shared, reader(history(20)))

    inputs = inputs_of(market, mapping, reader(history(20)))
    with pytest.raises(InputError, match="both follow"):
        fit(replace(inputs, series={"ETH": "ETHUSDT", "BTC": "ETHUSDT"}))


def pegs_of(market: Market, mapping: pd.DataFrame) -> pd.DataFrame:
    return mapping.assign(series=["USDCUSDT", "USDT/USD", "DAI/USD", ""], factor=["USDC", "USDT", "USD", ""])


def test_a_peg_without_prices_of_its_own_follows_its_stand_in_and_says_so(market, mapping):
    prices = history(20).set_axis(["USDCUSDT", "USDT/USD"], axis=1)
    own = prices.assign(**{"DAI/USD": 1.0})
    short = own.assign(**{"DAI/USD": own["DAI/USD"].where(own.index > BLOCK_TIME - 10 * DAY)})

    for stored, stood_in in ((own, False), (short, True), (prices.assign(**{"DAI/USD": np.nan}), True)):
        inputs = inputs_of(market, pegs_of(market, mapping), reader(stored))
        assert list(inputs.series) == ["USDC", "USDT"] + ["USD"] * (not stood_in)
        assert inputs.factor.tolist() == [0, 1, 0 if stood_in else 2, -1]
        assert any("too few prices of DAI/USD" in note for note in inputs.notes) == stood_in
        assert len(inputs.prices) == 20 * 24 + 1


def test_a_depeg_is_in_one_factor_alone(market, mapping):
    """The window of 2023-03-11 by hand: ether at 1,415.74 while USDCUSDT falls to 0.8726 and comes back.

    Divided by the ratio, ether would have risen by 14.6 % in that hour and fallen again; it stood still.
    """
    hours = 20 * 24 + 1
    ratio = np.ones(hours)
    ratio[-20:-10] = 0.8726
    opens = [BLOCK_TIME - HOUR * (hours - i) for i in range(hours)]
    klines = {
        symbol: [
            Kline(at * 1000, p, p, p, p, "1", (at + HOUR) * 1000 - 1, "1", 1, "1", "1", "0", "ab" * 32)
            for at, p in zip(opens, closes, strict=True)
        ]
        for symbol, closes in {
            "ETHUSDT": ["1415.74"] * hours,
            "USDCUSDT": [f"{value:.4f}" for value in ratio],
            "EURUSDT": ["1.05"] * hours,
        }.items()
    }
    rows = to_frames(klines, list(klines), "1h")["dim_prices"]
    prices = rows.pivot_table(index="ts", columns="symbol", values="price_usd")
    three = mapping.assign(series=["ETHUSDT", "EURUSDT", "USDCUSDT", ""], factor=["ETH", "EUR", "USDC", ""])

    found = calibration_of(market, three, prices)

    assert found.volatility[:2].tolist() == [FLOOR, FLOOR]
    assert found.volatility[2] > 1
    assert found.correlation[0, 2] == found.correlation[1, 2] == 0


@pytest.mark.statistical
def test_the_volatility_that_went_in_comes_out(market, mapping):
    found = calibration_of(market, mapping, history(90))

    # A decay of l an hour leaves (1 + l) / (1 - l) = 776 effective hours: s.e. = vol / sqrt(2 * 776).
    for volatility, configured in zip(found.volatility, (0.8, 0.4), strict=True):
        assert abs(volatility - configured) < 4 * configured / np.sqrt(2 * 776)
    assert abs(found.correlation[0, 1]) < 4 / np.sqrt(90 * 24)


def test_ten_days_weigh_46_percent(market, mapping):
    # Moves of 1 % an hour for 80 days, then none for 10: 0.94^10 = 0.539 of the variance is remembered.
    sign = np.tile([1, -1], 45 * 24)
    moves = np.where(np.arange(90 * 24) < 80 * 24, 0.01 * sign, 0.0)
    walk = np.exp(np.concatenate([[0.0], np.cumsum(moves)]))
    index = [BLOCK_TIME - HOUR * (90 * 24 - i) for i in range(90 * 24 + 1)]
    prices = pd.DataFrame({"ETHUSDT": 2600 * walk, "BTCUSDT": 104_000 * walk}, index=index)

    found = fitted(market, mapping, prices, "normal")

    remembered = (0.94**10 - 0.94**90) / (1 - 0.94**90)
    assert found.volatility[0] == pytest.approx(0.01 * np.sqrt(365 * 24 * remembered), rel=1e-9)


def test_a_pair_that_never_moved_gets_the_floor_not_zero(market, mapping):
    assert calibration_of(market, mapping, history(20, volatility=(0.8, 0.0))).volatility[1] == FLOOR


def test_prices_after_the_block_are_not_used_when_those_before_suffice(market, mapping):
    quiet, wild = history(30), history(30, end=BLOCK_TIME + 30 * DAY, volatility=(9.0, 9.0))
    both = pd.concat([quiet, wild.loc[wild.index > BLOCK_TIME]])

    inputs = inputs_of(market, mapping, reader(both), "normal")

    assert inputs.prices.index.max() == BLOCK_TIME
    assert (inputs.looks_ahead, inputs.notes) == (False, ())
    assert inputs.id == inputs_of(market, mapping, reader(quiet), "normal").id


def test_prices_after_the_block_do_not_choose_what_a_peg_follows(market, mapping):
    """All prices are older than the window; later ones of USDC alone would make DAI's look few."""
    old = history(30, end=BLOCK_TIME - 100 * DAY).set_axis(["USDCUSDT", "USDT/USD"], axis=1)
    old = old.assign(**{"DAI/USD": 1.0 + 0.001 * np.sin(np.arange(len(old)))})
    later = old.set_axis(old.index + 200 * DAY).assign(**{"DAI/USD": np.nan, "USDT/USD": np.nan})
    asked = (market, pegs_of(market, mapping))

    first = inputs_of(*asked, reader(old))

    assert list(first.series) == ["USDC", "USDT", "USD"]
    assert inputs_of(*asked, reader(pd.concat([old, later]))).id == first.id


def test_prices_later_than_the_block_are_refused_unless_asked_for_and_then_said_so(market, mapping):
    later = reader(history(30, end=BLOCK_TIME + 300 * DAY))
    with pytest.raises(LooksAhead, match=r"0\.0 days .* market-prices --days 665` .*--allow-look-ahead"):
        inputs_of(market, mapping, later)
    inputs = inputs_of(market, mapping, later, look_ahead=True)
    assert inputs.looks_ahead is True
    assert "later than the block (2025-11-20)" in inputs.notes[0]


def test_prices_that_arrive_later_do_not_change_the_calibration_of_an_old_snapshot(market, mapping):
    prices = history(120, end=BLOCK_TIME + 300 * DAY)
    first = inputs_of(market, mapping, reader(prices.iloc[: 90 * 24]), look_ahead=True)
    assert inputs_of(market, mapping, reader(prices), look_ahead=True).id == first.id


def test_old_prices_are_used_and_said_to_be_old(market, mapping):
    inputs = inputs_of(market, mapping, reader(history(30, end=BLOCK_TIME - 10 * DAY)))
    assert inputs.looks_ahead is False
    assert "prices end on 2025-11-10, before the block" in inputs.notes[0]


def test_a_short_history_names_the_series_and_the_command(market, mapping):
    prices = history(30)
    prices.loc[prices.index < BLOCK_TIME - 5 * DAY, "BTCUSDT"] = np.nan
    with pytest.raises(
        InsufficientHistory, match=r"^5\.0 days .* \(the shortest is BTCUSDT\), at least 14 .* market-prices"
    ):
        inputs_of(market, mapping, reader(prices))


def test_no_prices_at_all_is_a_short_history(market, mapping):
    with pytest.raises(InsufficientHistory, match=r"^0\.0 days"):
        inputs_of(market, mapping, lambda series, first, last: pd.DataFrame(columns=list(series)))


def test_a_hole_is_not_one_large_hourly_move(market, mapping):
    prices = history(30, volatility=(0.8, 0.8))
    # A trend of 1 % an hour over a day without prices would look like a move of 24 %.
    prices.loc[prices.index > BLOCK_TIME - 2 * DAY] *= np.exp(0.24)
    hole = (prices.index > BLOCK_TIME - 3 * DAY) & (prices.index <= BLOCK_TIME - 2 * DAY)

    found = calibration_of(market, mapping, prices.loc[~hole])

    assert found.volatility[0] < 1.0
    assert found.row("Test")["n_returns"] == 30 * 24 - 25


def test_another_price_is_another_calibration(market, mapping):
    prices = history(30)
    before = inputs_of(market, mapping, reader(prices)).id
    prices.iloc[100, 1] = np.nextafter(prices.iloc[100, 1], np.inf)
    assert inputs_of(market, mapping, reader(prices)).id != before


def test_a_stored_calibration_comes_back_bit_for_bit(market, mapping, own_warehouse):
    found = calibration_of(market, mapping, history(30))
    with Store.open() as store:
        store.write_batch("calibration", "Test", {"fact_calibration": pd.DataFrame([found.row("Test")])})
        row = store.read("SELECT * FROM fact_calibration").iloc[0].to_dict()

    again = Calibration.from_row(found.inputs, row)

    assert row["calibration_id"] == found.inputs.id
    assert again.volatility.tobytes() == found.volatility.tobytes()
    assert again.correlation.tobytes() == found.correlation.tobytes()


def test_one_factor_with_two_series_is_refused(market, mapping):
    mapping.loc[1, "series"] = "WBETHUSDT"
    with pytest.raises(
        InconsistentMapping, match="factor ETH follows ETHUSDT for one reserve and WBETHUSDT for wstETH"
    ):
        factors_of(market, mapping)


def test_a_reserve_that_the_mapping_lacks_is_refused_by_name(market, mapping):
    with pytest.raises(InconsistentMapping, match="reserve WBTC"):
        factors_of(market, mapping.drop(index=2))


def test_a_market_of_fixed_prices_has_a_scenario_without_factors(market, mapping):
    mapping[["series", "factor"]] = ""
    mapping["kind"] = "fixed"
    scenario = calibration_of(market, mapping, history(1)).scenario("fixed", timedelta(hours=24), 24, BLOCK_TIME)
    assert scenario.factors == ()
    assert scenario.factor.tolist() == [-1] * 4


def fitted(market: Market, mapping: pd.DataFrame, prices: pd.DataFrame, law: str) -> Calibration:
    return fit(inputs_of(market, mapping, reader(prices), law))


def test_a_year_of_an_old_volatility_is_remembered_by_the_slow_speed_alone(market, mapping):
    """80 % a year until 20 days ago, 20 % since: one speed has nearly forgotten, two speeds have not."""
    prices = history(400, volatility=(0.8, 0.8))
    logs = np.log(prices.to_numpy())
    moves = np.diff(logs, axis=0)
    moves[-20 * 24 :] /= 4
    prices = pd.DataFrame(
        np.exp(np.vstack([logs[:1], logs[:1] + np.cumsum(moves, axis=0)])), prices.index, prices.columns
    )
    one, two = (fitted(market, mapping, prices, law).volatility for law in ("normal", "two-speed-t5"))
    left = 0.94**20
    assert one == pytest.approx(np.full(2, np.sqrt(0.64 * left + 0.04 * (1 - left))), rel=0.1)
    old = (0.5 ** (20 / 90) - 0.5 ** (365 / 90)) / (1 - 0.5 ** (365 / 90))
    assert two == pytest.approx(np.full(2, np.sqrt(0.6 * 0.04 + 0.4 * (0.64 * old + 0.04 * (1 - old)))), rel=0.1)


def test_the_weekend_ahead_is_quiet_and_the_stored_volatility_is_not_of_a_weekday(market, mapping):
    saturday = BLOCK_TIME // DAY * DAY + (2 * DAY)  # the block is of Thursday, 20 November 2025
    found = fitted(market, mapping, history(200), "two-speed-t5")
    day = timedelta(days=1)
    quiet, busy = (found.scenario("s", day, 24, at).volatility for at in (saturday, saturday - DAY))
    assert quiet == pytest.approx(found.volatility * np.sqrt(0.65))
    assert busy == pytest.approx(found.volatility * np.sqrt(1.11))
    flat = fitted(market, mapping, history(200), "t5")
    assert flat.scenario("s", day, 24, saturday).volatility.tolist() == flat.volatility.tolist()


def test_every_law_is_a_calibration_of_its_own_with_its_law_in_the_scenario(market, mapping):
    scenarios = {}
    for name in CALIBRATED:
        found = fitted(market, mapping, history(100), name)
        scenarios[found.inputs.id] = found.scenario("s", timedelta(days=1), 24, BLOCK_TIME)
        assert json.loads(found.row("Test")["method"])["law"]["name"] == name
    assert [type(s.law).__name__ for s in scenarios.values()] == [
        "GBM",
        "StudentT",
        "StudentT",
        "GBM",
        "StudentT",
        "Jumps",
    ]


def test_volatility_rests_on_a_year_of_each_series_own_prices_and_correlation_on_what_they_share(market, mapping):
    """A series that came late shortens no other's memory."""
    prices = history(400)
    late = prices.assign(BTCUSDT=prices["BTCUSDT"].where(prices.index > BLOCK_TIME - 100 * DAY))
    inputs = inputs_of(market, mapping, lambda s, a, b: late.loc[a:b, list(dict.fromkeys(s))].dropna(), "two-speed-t5")
    assert {name: len(own) for name, own in inputs.history.items()} == {"ETHUSDT": 365 * 24 + 1, "BTCUSDT": 100 * 24}
    assert len(inputs.prices) == 90 * 24 + 1
    assert fit(inputs).volatility[0] == fitted(market, mapping, prices, "two-speed-t5").volatility[0]
    (note,) = (note for note in inputs.notes if "slow part" in note)
    assert "BTCUSDT has 100" in note
    other = late.copy()
    other.iloc[100 * 24 : 100 * 24 + 1, 0] *= 1.01
    assert inputs_of(market, mapping, reader(other), "two-speed-t5").id != inputs.id


def test_the_options_know_every_law_and_the_default():
    assert get_args(options.LawName) == tuple(CALIBRATED)
    assert options.DEFAULT == DEFAULT


def test_stress_is_the_worst_day_of_the_year_and_never_below_the_day_itself(market, mapping):
    """Moves of 1 % an hour, but 4 % through one whole Wednesday: the mean of squares then holds half of that day."""
    n = 300 * 24
    index = [BLOCK_TIME // DAY * DAY - HOUR * (n - i) for i in range(n + 1)]
    size = np.full(n, 0.01)
    wednesday = n - (7 * 10 + 1) * 24  # BLOCK_TIME's day is a Thursday
    size[wednesday : wednesday + 24] = 0.04
    walk = np.exp(np.concatenate([[0.0], np.cumsum(size * np.tile([1, -1], n // 2))]))
    calm = np.exp(np.concatenate([[0.0], np.cumsum(0.01 * np.tile([1, -1], n // 2))]))
    found = fitted(market, mapping, pd.DataFrame({"ETHUSDT": walk, "BTCUSDT": calm}, index=index), "two-speed-t5")

    worse = stressed(found)

    s = weekday_factor(np.array(index[1:]))[wednesday]
    assert s == 1.11
    expected = np.sqrt(8760 * 0.5 * (0.0016 + 0.0001) / 1.11)
    assert worse.volatility[0] == pytest.approx(expected, rel=0.02)
    assert (worse.volatility >= found.volatility).all()
    assert worse.volatility[0] > 2 * worse.volatility[1]
    assert worse.correlation is found.correlation


def test_a_glitch_of_one_price_is_no_end_of_the_stressed_run(market, mapping):
    prices = history(200)
    prices.iloc[-100 * 24, 0] *= 50
    found = fitted(market, mapping, prices, "two-speed-t5")
    worse = stressed(found).scenario("s", timedelta(days=1), 24, BLOCK_TIME)
    assert worse.volatility[0] == pytest.approx(20.0)
