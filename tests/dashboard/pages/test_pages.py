"""Pages and callbacks as functions: what a reader finds on them, without a browser."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest
from dash import no_update

import risk_core as rc
from dashboard import app
from dashboard.api import summary
from dashboard.look import shell as layout
from dashboard.look.components import error_text
from dashboard.market.lane import Abandoned, Lane
from dashboard.market.loaded import LoadedMarket, ShownFigure, ShownRun
from dashboard.market.page_data import Status
from dashboard.market.state import WhatIf
from dashboard.pages.about import page as about
from dashboard.pages.overview import page as overview
from dashboard.pages.what_if import answers as shocks
from dashboard.pages.what_if import compared, outlook, parts, simulation
from dashboard.pages.what_if import page as what_if
from tests.dashboard.conftest import MemorySource, words


def test_the_overview_shows_the_figures_of_the_stored_run(source: MemorySource) -> None:
    text = words(overview.build(source, ""))

    for figure in ("$118.6M", "±\u00a04.1M", "$2.31M", "±\u00a00.38M", "$124.9M", "6.2\u202f%", "$47k", "$24k"):
        assert figure in text, figure
    assert "10,000 paths · seed 7 · block 21,400,000" in text


def test_the_overview_without_a_run_says_what_to_do(loaded: LoadedMarket) -> None:
    text = words(overview.build(MemorySource(loaded), ""))

    assert "No run yet" in text
    assert "python -m flows risk-scenarios" in text
    assert "$24k" in text  # what is exact stays


@pytest.mark.parametrize("page", [overview, what_if])
def test_an_empty_warehouse_names_the_command(page: SimpleNamespace, empty_source: MemorySource) -> None:
    text = words(page.build(empty_source, ""))
    assert "No snapshot yet" in text
    assert "python -m data.sample" in text


def test_few_draws_are_said_instead_of_an_error(loaded: LoadedMarket, run: ShownRun) -> None:
    few = ShownFigure(5e4, 0, 1e5, 3e4, 12, True)
    text = words(
        overview.build(MemorySource(loaded, replace(run, estimates={**run.estimates, ("es_deficit", 0.99): few})), "")
    )

    assert "few draws" in text
    assert "12 paths carry it, 30 are needed" in text
    assert error_text(few) == "few draws"


def test_a_figure_without_an_interval_says_why(loaded: LoadedMarket, run: ShownRun) -> None:
    reason = "40 of 4,000 paths lie beyond the level, 100 are needed for an interval"
    bare = ShownFigure(5e4, n_positive=40, no_interval=reason)
    page = overview.build(
        MemorySource(loaded, replace(run, estimates={**run.estimates, ("es_deficit", 0.99): bare})), ""
    )
    assert f"No 95\u202f% interval: {reason}" in words(page)
    assert error_text(bare) == "no interval"
    assert parts._value(bare, "USD").title == f"No 95\u202f% interval: {reason}"


def test_the_engine_s_reason_reaches_the_page() -> None:
    estimate = ShownFigure.of(rc.measures.tail_mean(range(1_000), 0.99))
    assert (estimate.low, estimate.high, estimate.se) == (None, None, None)
    assert estimate.no_interval.startswith("10 of 1,000 paths lie beyond the level")


def test_a_skewed_interval_is_a_range() -> None:
    assert error_text(ShownFigure(180e6, 171e6, 214e6, 10e6, 100)) == "$171.0M to $214.0M"


def test_warnings_of_the_market_are_on_the_page(loaded: LoadedMarket, run: ShownRun) -> None:
    noted = replace(loaded, market=replace(loaded.market, notes=("2 accounts below HF 1, confirmed by the chain",)))
    assert "2 accounts below HF 1, confirmed" in words(overview.build(MemorySource(noted, run), ""))


def test_the_badge_says_sample_or_market_block_and_age(source: MemorySource, live_source: MemorySource) -> None:
    sample, style = layout.badge(source.status())
    live, live_style = layout.badge(live_source.status())

    assert "Sample" in words(sample)
    assert "sample" in style
    assert words(live) == "AaveV3Ethereum· block 21,400,000 · 22 Aug 2026, 00:00 UTC· 60\u00a0min ago"
    assert "sample" not in live_style
    assert words(layout.badge(Status())[0]) == "No data"


def test_an_old_live_snapshot_is_called_stale_with_its_age_and_a_sample_never(live_source: MemorySource) -> None:
    def shown(synthetic: bool, age: float) -> tuple[str, str]:
        live_source.status = lambda: Status("M", 7, 0, 10, "same", synthetic, age)
        _, style, _, said = app.show_status(live_source, "same")
        return style, words(said)

    assert shown(False, 3_600.0) == ("badge-s", "")
    style, said = shown(False, 3 * 3_600.0)
    assert style == "badge-s old"
    assert "The positions are 3\u00a0h old, the limit is 1" in said
    assert "python -m flows daily" in said
    assert shown(True, 365 * 86_400.0) == ("badge-s sample", "")


def test_a_run_without_a_stored_distribution_says_how_to_get_one(loaded: LoadedMarket, run: ShownRun) -> None:
    page = words(overview.build(MemorySource(loaded, replace(run, histogram={})), ""))
    assert "python -m flows risk-scenarios --force" in page
    assert "$140.0M on average beyond 99" in words(overview.build(MemorySource(loaded, run), ""))


def test_the_navigation_holds_only_pages_that_exist_and_marks_the_open_one() -> None:
    links = layout.nav_links(app.PAGES, "/what-if", grouped=False)
    assert [link.href for link in links] == [page.path for page in app.PAGES]
    assert [link.href for link in links if link.className == "on"] == ["/what-if"]


def test_an_unknown_address_is_said(source: MemorySource) -> None:
    content, title, *_ = app.open_page(source, "/nowhere", "")
    assert title == "Not found"
    assert "Nothing is at /nowhere" in words(content)


def test_a_page_is_opened_with_its_question_and_its_snapshot(source: MemorySource, loaded: LoadedMarket) -> None:
    _, title, question, *_, snapshot = app.open_page(source, "/", "")
    assert (title, question, snapshot) == ("Overview", "How risky is it now?", loaded.market.snapshot.hash)


def test_a_newer_snapshot_is_offered_never_swapped(source: MemorySource, loaded: LoadedMarket) -> None:
    *_, quiet = app.show_status(source, loaded.market.snapshot.hash)
    *_, offered = app.show_status(source, "another hash")

    assert quiet is None
    assert "A new snapshot arrived" in words(offered)


def test_a_what_if_answers_with_cards_charts_accounts_and_its_link(source: MemorySource, loaded: LoadedMarket) -> None:
    cards, pinned, chips, sweep, sold, table, count, captions, query, *_ = what_if.answer_to(
        source, {"eth": -20}, "light", None
    )
    expected = rc.what_if(loaded.market, {"WETH": -0.2, "wstETH": -0.2})

    assert f"${expected.repaid_usd / 1e3:.0f}k" in words(cards)
    assert "▲ 1 of 3" in words(cards)
    assert "baseline $0" in words(pinned)
    assert [c.className for c in chips if "on" in c.className.split()] == ["chip on"]
    assert "0.91" in words(table)
    assert count == "1 account"
    assert "no such day in 101 days of sample prices" in captions
    assert query == "eth=-20"
    assert sweep["layout"]["template"]
    assert sold["data"]


def test_without_a_move_the_closest_account_is_shown(source: MemorySource) -> None:
    table, count = parts.accounts(shocks.outcome(source.loaded(), WhatIf()))
    assert "No account falls below HF 1. The closest, 0x00…00a0, has HF 1.067" in words(table)
    assert count == ""


def test_the_page_opens_with_the_state_of_its_link_and_says_what_it_refused(source: MemorySource) -> None:
    page = what_if.build(source, "?eth=-18&btc=abc")
    assert "btc=abc in the link is not a number. Used 0 %." in words(page)
    assert "Fixed price at their oracle, moved by no driver: GHO." in words(page)


def test_the_simulated_table_shows_difference_and_error(source: MemorySource) -> None:
    table, done_for = simulation.simulated(source, {"eth": -10}, None)

    text = words(table)
    assert "Debt repaid, LaR 99" in text
    assert "+$" in text
    assert done_for is not None
    assert done_for["query"] == "eth=-10"
    assert "10,000 paths · seed 7" in done_for["note"]


def test_no_simulation_without_a_calibrated_scenario(loaded: LoadedMarket) -> None:
    table, done_for = simulation.simulated(MemorySource(loaded), {}, None)
    assert "python -m flows risk-scenarios" in words(table)
    assert done_for is None


def test_a_difference_inside_its_error_has_no_colour() -> None:
    same = ShownFigure(1e6, 0.9e6, 1.1e6, 5e4, 100)
    row = compared.Comparison("Debt", "USD", same, same, change=2e4, error=5e4)
    _, _, _, difference, error = parts._comparison(row)

    assert words(difference) == "≈ 0"
    assert "worse" not in difference.className
    assert words(error) == "±\u00a050k"


def test_a_difference_of_two_figures_without_intervals_has_no_error() -> None:
    bare = ShownFigure(1e6, n_positive=40, no_interval="40 of 4,000 paths lie beyond the level")
    known = ShownFigure(1e6, 0.9e6, 1.1e6, 5e4, 100)
    row = compared.Comparison("Debt", "USD", bare, bare, change=2e4, error=5e4)
    assert words(parts._comparison(row)[-1]) != "±\u00a050k"
    assert words(parts._comparison(replace(row, scenario=known))[-1]) == "±\u00a050k"


def test_about_states_the_rule_behind_calm() -> None:
    assert "Calm: 0\u202f% to 1\u202f%" in words(about.build(MemorySource(None), ""))


def test_the_summary_holds_the_same_figures_unrounded(source: MemorySource) -> None:
    out = summary(source)
    figures = {(m["measure"], m["level"]): m for m in out["run"]["measures"]}

    assert figures["lar_repaid", 0.99]["value"] == 118.6e6
    assert figures["lar_repaid", 0.99]["low"] == 114.5e6
    assert out["position"]["n_with_debt"] == 3
    assert out["snapshot"]["block"] == 21_400_000


def test_a_simulation_is_waited_for_without_holding_a_thread(source: MemorySource) -> None:
    """The callback returns at once, says where the question stands, and brings the table once it is there."""
    asked = (source, Lane(), "me", {"eth": -10}, None, None)
    begun, let_go = threading.Event(), threading.Event()

    def blocker(progress: Callable[[int, int], object]) -> None:
        begun.set()
        let_go.wait(60)

    asked[1].ask("another reader", "blocker", blocker)
    assert begun.wait(20)
    table, done_for, said, bar, clock_is_off, drawn = simulation.waited_for(*asked)
    assert table is done_for is drawn is no_update
    assert (said, bar, clock_is_off) == ("Waiting: 1 simulation before this one", "prog on", False)
    let_go.set()
    while not clock_is_off:
        table, done_for, said, bar, clock_is_off, drawn = simulation.waited_for(*asked)

    direct, _ = simulation.simulated(source, {"eth": -10}, None)
    assert words(table) == words(direct)
    assert (done_for["query"], said, bar) == ("eth=-10", "", "prog")
    assert (drawn["asked"], drawn["paths"], drawn["of"]) == ({"eth": -10}, 10_000, 10_000)


def test_a_simulation_that_fails_is_words_and_the_next_one_is_answered(
    source: MemorySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane = Lane()

    def ask(eth: int) -> tuple:
        while not (said := simulation.waited_for(source, lane, "me", {"eth": eth}, None, None))[-2]:
            pass
        return said

    with monkeypatch.context() as broken:
        broken.setattr(outlook, "paired_errors", lambda *_: 1 / 0)
        assert "ZeroDivisionError" in words(ask(-10)[0])
    assert "LaR 99" in words(ask(-11)[0])


def test_a_stop_asked_for_by_the_progress_ends_the_run(source: MemorySource, scenario: rc.Scenario) -> None:
    def stop(done: int, total: int) -> None:
        raise Abandoned

    fresh = LoadedMarket.build(source.loaded().market, source.loaded().assets)
    with pytest.raises(Abandoned):
        outlook.simulate(fresh, scenario, WhatIf(eth=-0.1), progress=stop)


def test_the_overview_tells_the_other_pages_and_what_is_missing_by_its_command(source: MemorySource) -> None:
    said = words(overview.build(source, ""))
    assert "USDC +" in said or "USDC −" in said
    assert "Liquidations are not fitted yet" in said
    assert "python -m flows liquidation-clusters" in said
    assert "lost on 1,000,000 USD of ETH" in said
