"""What the pages say, on a market that can be checked by hand (see `market` in conftest)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

import risk_core as rc
from dashboard.market import holdings
from dashboard.market.drivers import BY_KEY
from dashboard.market.loaded import LoadedMarket, ShownFigure, ShownRun
from dashboard.market.loading import daily_moves
from dashboard.market.state import WhatIf
from dashboard.pages.overview import answers as today
from dashboard.pages.overview.cards import passport
from dashboard.pages.what_if import answers as shocks
from dashboard.pages.what_if import compared, outlook
from tests.dashboard.conftest import LOOP, SAFE, SUPPLIER, WEAK


def test_only_staked_eth_against_eth_is_a_loop(loaded: LoadedMarket) -> None:
    assert holdings.same_asset_loops(loaded).tolist() == [True, False, False, False]


@pytest.mark.parametrize(("weth", "is_loop"), [(0.94, False), (0.96, True)])
def test_a_loop_holds_95_percent_of_one_kind(loaded: LoadedMarket, weth: float, is_loop: bool) -> None:
    """$10,000 of collateral, part WETH and the rest USDC, against WETH."""
    market = replace(
        loaded.market,
        collateral=rc.Positions.from_entries([WEAK, WEAK], [0, 2], [10 * weth, 10_000 * (1 - weth)], 4),
        debt=rc.Positions.from_entries([WEAK], [0], [5], 4),
    )
    assert holdings.same_asset_loops(LoadedMarket.build(market, loaded.assets))[WEAK] == is_loop


def test_how_far_crypto_must_fall_until_each_account_is_liquidatable(loaded: LoadedMarket) -> None:
    fall = holdings.fall_to_liquidation(loaded)

    assert fall[WEAK] == pytest.approx(1 - 7_000 / 8_000)  # collateral x threshold 8,000 falls to 7,000
    assert fall[SAFE] == pytest.approx(0.5)
    assert np.isinf(fall[LOOP])  # both sides fall together
    assert np.isinf(fall[SUPPLIER])


def test_at_that_fall_the_health_factor_is_one(loaded: LoadedMarket) -> None:
    fall = holdings.fall_to_liquidation(loaded)
    for row in (SAFE, WEAK):
        move = -float(fall[row])
        price = loaded.market.shocked(loaded.assets.moves(dict.fromkeys(holdings.CRYPTO, move)))
        assert rc.health_factor(loaded.market, price)[row] == pytest.approx(1.0)


def test_the_position_adds_up(loaded: LoadedMarket) -> None:
    at = today.position(loaded)

    assert at.collateral_usd == pytest.approx(12_000 + 20_000 + 5_000 + 10_000)
    assert at.borrowed_usd == pytest.approx(9_000 + 8_000 + 7_000)
    assert (at.n_accounts, at.n_with_debt, at.n_below_one) == (4, 3, 0)
    assert (at.n_watch, at.watch_debt_usd, at.watch_exposed_usd) == (1, pytest.approx(9_000), 0)
    assert at.buckets.exposed.sum() + at.buckets.loops.sum() == pytest.approx(at.borrowed_usd)
    assert at.buckets.loops[at.buckets.labels.index("1.06")] == pytest.approx(9_000)
    assert at.buckets.exposed[at.buckets.labels.index("2.0")] == pytest.approx(
        8_000
    )  # exactly 2 belongs to the bar "2.0"
    assert len(at.buckets.labels) == len(at.buckets.exposed)


def test_the_largest_accounts_at_risk_come_first(loaded: LoadedMarket) -> None:
    rows = today.position(loaded).largest

    assert [r.address for r in rows] == [loaded.market.accounts[SAFE], loaded.market.accounts[WEAK]]
    assert rows[1].collateral == "WETH"


def test_the_verdict_says_how_much_how_bad_and_in_what(loaded: LoadedMarket, run: ShownRun) -> None:
    say = today.verdict(run, today.position(loaded))

    assert "One day in a hundred, $118.6M of debt or more would be liquidated." in say.text
    assert "Aave loses $2.31M on average." in say.text
    assert "On average over all paths, 75\u202f% of the collateral sold is WETH." in say.text


def test_the_verdict_says_the_figure_of_bad_days_where_there_is_one_and_the_passport_the_law(
    loaded: LoadedMarket, run: ShownRun
) -> None:
    assert "With " not in today.verdict(run, today.position(loaded)).text
    assert "law not noted" in passport(run)
    told = replace(run, stressed_usd=250e6, stressed_words="every asset on its worst day", law="moves of some law")
    assert "With every asset on its worst day: $250.0M." in today.verdict(told, today.position(loaded)).text
    assert "baseline-24h · moves of some law · 10,000 paths" in passport(told)


def test_the_verdict_names_few_draws_and_the_absence_of_a_deficit(loaded: LoadedMarket, run: ShownRun) -> None:
    at = today.position(loaded)
    few = replace(run, estimates={**run.estimates, ("es_deficit", 0.99): ShownFigure(5e4, 0, 1e5, 3e4, 12, True)})
    none = replace(run, estimates={**run.estimates, ("es_deficit", 0.99): ShownFigure(0, 0, 0, 0, 0, True)})

    assert "only 12 paths carry" in today.verdict(few, at).text
    assert "None of the 10,000 simulated days left Aave with a deficit." in today.verdict(none, at).text


@pytest.mark.parametrize(
    ("lar", "word"), [(0.9e6, "Calm"), (1e6, "Watch"), (5e6, "Tense"), (20e6, "Critical"), (0, "Calm")]
)
def test_severity_is_a_share_of_debt(lar: float, word: str) -> None:
    assert today.severity_of(lar, 100e6)[1] == word


def test_a_market_without_debt_is_calm() -> None:
    assert today.severity_of(0.0, 0.0) == ("ok", "Calm")


def test_eth_20_percent_lower_liquidates_the_weak_account_alone(loaded: LoadedMarket) -> None:
    outcome = shocks.outcome(loaded, WhatIf(eth=-0.20))
    expected = rc.what_if(loaded.market, {"WETH": -0.20, "wstETH": -0.20})

    assert outcome.accounts == shocks.Pair(0, 1)
    assert outcome.repaid.baseline == 0
    assert 0 < outcome.repaid.scenario == pytest.approx(expected.repaid_usd)
    assert outcome.seized.scenario == pytest.approx(expected.seized_usd)
    (row,) = outcome.first
    assert row.address == loaded.market.accounts[WEAK]
    assert row.health_factor == pytest.approx(8_000 * 0.8 / 7_000)
    assert row.debt_usd == pytest.approx(7_000)
    assert sum(pair.scenario for _, pair in outcome.sold) == pytest.approx(outcome.seized.scenario, abs=0.01)
    assert outcome.curve.handle == (0.20, pytest.approx(outcome.repaid.scenario))
    assert outcome.curve.scenario[10] == pytest.approx(outcome.repaid.scenario)  # the curve passes through its handle


def test_without_a_move_nothing_changes_and_the_closest_account_is_named(loaded: LoadedMarket) -> None:
    outcome = shocks.outcome(loaded, WhatIf())

    assert outcome.repaid.change == outcome.seized.change == outcome.deficit.change == outcome.accounts.change == 0
    assert outcome.first == ()
    assert outcome.nearest is not None
    assert outcome.nearest.address == loaded.market.accounts[LOOP]
    np.testing.assert_array_equal(outcome.curve.baseline, outcome.curve.scenario)


def test_a_lower_staked_ratio_reaches_only_the_loop(loaded: LoadedMarket) -> None:
    outcome = shocks.outcome(loaded, WhatIf(lst=-0.10))

    assert [r.address for r in outcome.first] == [loaded.market.accounts[LOOP]]
    assert outcome.first[0].collateral == "wstETH"


def test_volatility_alone_moves_nothing_exact(loaded: LoadedMarket) -> None:
    assert shocks.outcome(loaded, WhatIf(vol=3.0)).accounts.scenario == 0


def test_lines_beyond_the_seventh_are_added_up() -> None:
    class Names:
        class market:
            class reserves:
                symbol = tuple("ABCDEFGHIJ")

    then = np.arange(10, 0, -1.0)
    lines = shocks._sold(Names, np.zeros(10), then)  # type: ignore[arg-type]

    assert [name for name, _ in lines] == ["A", "B", "C", "D", "E", "F", "4 others"]
    assert sum(pair.scenario for _, pair in lines) == then.sum()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-0.06, "1 in 5 days of prices"),  # 21 of 101 moves are at -6 % or below
        (0.098, "1 in 50 days of prices"),
        (-0.5, "no such day in 101 days of prices"),
        (0.0, ""),
    ],
)
def test_rarity_is_counted_from_history(value: float, text: str) -> None:
    assert shocks.rarity(BY_KEY["eth"], value, np.linspace(-0.10, 0.10, 101)) == text


def test_rarity_is_not_said_from_a_short_history_or_for_volatility() -> None:
    assert shocks.rarity(BY_KEY["eth"], -0.1, np.linspace(-0.1, 0.1, 60)) == ""
    assert shocks.rarity(BY_KEY["eth"], -0.1, None) == ""
    assert shocks.rarity(BY_KEY["vol"], 2.0, np.linspace(-0.1, 0.1, 200)) == ""


def test_daily_moves_run_from_midnight_to_midnight() -> None:
    day = 86_400
    ts = np.array([0, 3_600, day, 2 * day, 4 * day])
    moves = daily_moves(ts, np.array([100.0, 50.0, 110.0, 99.0, 500.0]))

    assert moves.tolist() == pytest.approx([-0.10, 0.10])  # the day with a missing end is left out


def test_the_same_state_twice_is_no_difference(loaded: LoadedMarket, scenario: rc.Scenario) -> None:
    result = outlook.simulate(loaded, scenario, WhatIf(), n_paths=500)

    assert all(row.change == 0 and not row.clear for row in result.rows)
    assert result.horizon_hours == 24


def test_a_fall_makes_the_next_day_worse_and_the_rows_are_the_engines_own(
    loaded: LoadedMarket, scenario: rc.Scenario
) -> None:
    state = WhatIf(eth=-0.10, vol=1.5)
    result = outlook.simulate(loaded, scenario, state, n_paths=2_000, seed=3)
    base = rc.simulate(loaded.market, scenario, n_paths=2_000, seed=3)
    shocked = replace(loaded.market, price=loaded.market.shocked({"WETH": -0.10, "wstETH": -0.10}))
    then = rc.simulate(shocked, replace(scenario, volatility=scenario.volatility * 1.5), n_paths=2_000, seed=3)

    lar = result.rows[0]
    assert lar.label.startswith("Debt repaid, LaR 95")
    assert lar.baseline.value == rc.measures.lar(base, 0.95).value
    assert lar.scenario.value == rc.measures.lar(then, 0.95).value
    assert lar.change > 0
    assert lar.clear
    assert result.query == "eth=-10&vol=1.5"


def test_plain_statistics_are_those_of_the_engine(loaded: LoadedMarket, scenario: rc.Scenario) -> None:
    """The bootstrap resamples plain numbers; its statistics must be the engine's."""
    result = rc.simulate(loaded.market, scenario, n_paths=1_000, seed=5)
    for measure in compared.MEASURES:
        assert measure.statistic(getattr(result, measure.column)) == pytest.approx(measure.estimate(result).value)


def test_pairing_makes_the_error_of_a_difference_small(loaded: LoadedMarket) -> None:
    """Two runs that differ by a constant differ by it exactly: the shared sampling error cancels."""

    class Fixed:
        n_paths = 400
        cluster = None
        repaid_usd = np.random.default_rng(0).exponential(1e6, 400)
        seized_usd = deficit_usd = repaid_usd

    class Shifted(Fixed):
        repaid_usd = seized_usd = deficit_usd = Fixed.repaid_usd + 5e5

    errors = compared.paired_errors(Fixed, Shifted)  # type: ignore[arg-type]
    assert max(errors) < 1e-3


def test_horizon_is_the_scenarios(loaded: LoadedMarket, scenario: rc.Scenario) -> None:
    week = replace(scenario, horizon=timedelta(days=7))
    assert outlook.simulate(loaded, week, WhatIf(), n_paths=50).horizon_hours == 168


def test_a_driver_says_when_this_market_has_nothing_for_it(loaded: LoadedMarket) -> None:
    notes = shocks.driver_notes(loaded)
    reserves = replace(loaded.market.reserves, price_cap=[np.inf, np.inf, 1.04, np.inf])
    capped = LoadedMarket.build(replace(loaded.market, reserves=reserves), loaded.assets, {})
    assert shocks.driver_notes(capped)["usdc"] == notes["usdc"] + "; oracles give at most $1.04"
    assert {k: v for k, v in shocks.driver_notes(capped).items() if k != "usdc"} == {
        k: v for k, v in notes.items() if k != "usdc"
    }
    assert notes["btc"] == "No reserve of this market follows it."
    assert "ratio" in notes["eth"]
