"""A changed parameter as a driver: in the exact answer, in the simulation, in words, and refused where it cannot be."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import risk_core as rc
from dashboard.market import governance
from dashboard.market.governance import fitted, under
from dashboard.market.loaded import LoadedMarket, ShownRun
from dashboard.market.state import WhatIf
from dashboard.pages.what_if import answers as shocks
from dashboard.pages.what_if import outlook, page, parameters, parts, simulation, wording
from dashboard.pages.what_if.world import world
from data.payloads import COLLATERAL, UndecodablePayload
from tests.dashboard.conftest import WEAK, MemorySource, words
from tests.data.test_payloads import call

CUT = (("WETH.liquidation_threshold", 0.76), ("WETH.ltv", 0.7))


@pytest.fixture
def source(loaded: LoadedMarket, run: ShownRun) -> MemorySource:
    return MemorySource(loaded, run)


def test_prices_and_parameters_count_together_by_hand(loaded: LoadedMarket) -> None:
    """weak: $10,000 of WETH against $7,000. At -8 % its health factor is 1.0514 at 0.8, and 0.9989 at 0.76."""
    alone = shocks.outcome(loaded, WhatIf(eth=-0.08))
    cut = shocks.outcome(loaded, WhatIf(terms=CUT))
    both = shocks.outcome(loaded, WhatIf(eth=-0.08, terms=CUT))

    assert (alone.accounts.scenario, cut.accounts.scenario, both.accounts.scenario) == (0, 0, 1)
    assert both.first[0].address == str(loaded.market.accounts[WEAK])
    assert both.first[0].health_factor == pytest.approx(0.92 * 10_000 * 0.76 / 7_000)
    assert both.accounts.baseline == 0
    assert alone.nearest is not None
    assert cut.nearest is not None
    assert alone.nearest.health_factor == pytest.approx(9_200 * 0.8 / 7_000)


@pytest.mark.parametrize("state", [WhatIf(terms=CUT), WhatIf(eth=-0.1, usdc=0.02, terms=CUT)])
def test_every_part_of_the_exact_answer_is_that_of_the_changed_market(loaded: LoadedMarket, state: WhatIf) -> None:
    """Witness: the same page of a market that was built with these parameters."""
    market = rc.parameter_change(loaded.market, dict(CUT))
    built = shocks.outcome(LoadedMarket.build(market, loaded.assets), replace(state, terms=()))
    found = shocks.outcome(loaded, state)

    assert found.repaid.scenario == built.repaid.scenario
    assert found.sold == built.sold or found.sold[0][1].scenario == built.sold[0][1].scenario
    assert np.array_equal(found.curve.scenario, built.curve.scenario)
    assert not np.array_equal(found.curve.scenario, found.curve.baseline)
    assert found.repaid.baseline == loaded.today.repaid_usd


def test_the_simulation_is_that_of_the_changed_market_on_the_same_paths(
    loaded: LoadedMarket, scenario: rc.Scenario
) -> None:
    state = WhatIf(eth=-0.05, terms=CUT)
    n = outlook.FIRST + 200
    found = outlook.run_of(loaded, scenario, state, n, seed=3)
    changed = rc.parameter_change(loaded.market, dict(CUT))
    shocked = replace(changed, price=changed.shocked(loaded.assets.moves(state.moves)))
    own = rc.simulate(shocked, replace(scenario, name="what-if"), n_paths=n, seed=3, threads=1)
    assert np.array_equal(found.path, own.path)

    # Common random numbers: a lower threshold repays no less on any path on which the other one had repaid nothing.
    plain = outlook.run_of(loaded, scenario, replace(state, terms=()), n, seed=3)
    assert (found.n_accounts_liquidated >= plain.n_accounts_liquidated).all()
    assert found.n_accounts_liquidated.sum() > plain.n_accounts_liquidated.sum()


def test_first_and_full_answer_agree_where_only_a_parameter_changes(source: MemorySource) -> None:
    data = {"set": dict(CUT)}
    first = simulation.first_answer(source, data, None, None)
    assert first["asked"] == data
    assert first["figure"]["layout"]["meta"] == "set=WETH.liquidation_threshold:0.76,WETH.ltv:0.7"
    shown, made = simulation.simulated(source, data, None)
    assert made is not None
    assert made["query"] == first["figure"]["layout"]["meta"]
    assert "Baseline" in words(shown)


def test_a_parameter_alone_is_not_the_baseline(loaded: LoadedMarket, scenario: rc.Scenario) -> None:
    rows = {row.label: row for row in outlook.simulate(loaded, scenario, WhatIf(terms=CUT), n_paths=500).rows}
    row = rows["Debt repaid, LaR 95 %"]
    own = rc.simulate(
        rc.parameter_change(loaded.market, dict(CUT)), scenario, n_paths=500, seed=outlook.SEED, threads=1
    )
    assert row.scenario.value == rc.measures.lar(own, 0.95).value > row.baseline.value
    assert row.change > 0


def test_two_scenarios_may_differ_by_their_parameters_alone(loaded: LoadedMarket, scenario: rc.Scenario) -> None:
    a = WhatIf(eth=-0.1)
    state = replace(a, terms=CUT).beside(a)
    found = shocks.outcome(loaded, state)
    assert found.accounts.baseline == shocks.outcome(loaded, a).accounts.scenario
    assert found.accounts.scenario == shocks.outcome(loaded, state.alone).accounts.scenario
    rows = outlook.simulate(loaded, scenario, state, n_paths=500).rows
    assert rows[0].baseline == outlook.simulate(loaded, scenario, a, n_paths=500).rows[0].scenario
    back = outlook.simulate(loaded, scenario, a.beside(replace(a, terms=CUT)), n_paths=500).rows
    assert [row.change for row in back] == [-row.change for row in rows]


def test_a_changed_market_is_built_once_however_often_a_handle_moves(
    loaded: LoadedMarket, scenario: rc.Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []
    monkeypatch.setattr(
        governance.rc, "parameter_change", lambda m, c: built.append(dict(c)) or _PARAMETER_CHANGE(m, c)
    )
    for fall in range(6):
        state, problems = fitted(loaded, WhatIf(eth=-fall / 100, terms=CUT))
        shocks.outcome(loaded, state)
        world(loaded, scenario, state)
        assert problems == ()
    assert built == [dict(CUT)]
    assert under(loaded, ()) is loaded


_PARAMETER_CHANGE = rc.parameter_change


@pytest.mark.parametrize(
    ("terms", "why"),
    [
        ((("NIX.ltv", 0.5),), "no reserve 'NIX'"),
        ((("emode:9.ltv", 0.5),), "no e-mode"),
        ((("WETH.ltv", 0.9),), "above the threshold"),
        ((("WETH.liquidation_threshold", 0.99),), "together above 1"),
        ((("0x" + "0" * 40 + ".ltv", 0.5), ("WETH.ltv", 0.5)), "same parameter"),
    ],
)
def test_what_the_market_refuses_is_said_and_changes_nothing(source: MemorySource, terms, why) -> None:
    loaded = source.loaded()
    state, problems = fitted(loaded, WhatIf(eth=-0.1, terms=terms).beside(WhatIf(terms=terms)))
    assert state == WhatIf(eth=-0.1)
    assert len(problems) == 2
    assert why in problems[0]
    assert problems[1].startswith("Held scenario: set=")
    assert all(text.endswith("No parameter is changed.") for text in problems)

    link = WhatIf(eth=-0.1, terms=terms).to_query()
    assert why in words(page.build(source, f"?{link}"))
    data = {"eth": -10, "set": dict(terms)}
    answered = page.answer_to(source, data, None, None)
    assert why in words(answered[-1])
    assert "eth=-10" in answered
    first = simulation.first_answer(source, data, None, None)
    assert (first["asked"], first["figure"]["layout"]["meta"]) == (data, "eth=-10")


def test_the_page_names_what_is_changed(source: MemorySource) -> None:
    loaded = source.loaded()
    state = WhatIf(eth=-0.08, terms=CUT)
    said = words(wording.verdict(shocks.outcome(loaded, state))[1])
    assert "if ETH falls 8\u202f% with WETH threshold 76\u202f% and WETH LTV 70\u202f%, by 1 account" in said
    calm = words(wording.verdict(shocks.outcome(loaded, WhatIf(terms=CUT)))[1])
    assert calm == "Nothing is liquidated at today's prices with WETH threshold 76\u202f% and WETH LTV 70\u202f%."
    assert wording.case_words(state) == "ETH −8\u202f%, WETH threshold 76\u202f% and WETH LTV 70\u202f%"
    assert wording.values_of(WhatIf(), "Governance") == "as on chain"
    texts, classes = wording.all_values(state)
    assert (texts[-1], classes[-1]) == ("WETH threshold 76\u202f%, 1 more", "sum chg")
    assert "3 drivers changed" in words(parts.chips(state))
    assert wording.terms_words((*CUT, ("USDC.ltv", 0.5))).endswith(", WETH LTV 70\u202f% and 1 more parameter")
    listed = words(parts.terms(loaded, state))
    assert "threshold 80\u202f% → 76\u202f%, LTV 75\u202f% → 70\u202f%" in listed
    opened = words(page.build(source, "?" + state.to_query()))
    assert "threshold 80\u202f% → 76\u202f%" in opened


def test_names_of_parameters_are_short_and_foreign_text_stays_text() -> None:
    assert wording.term_name("0x" + "ab" * 20) == "0xababab…"
    assert wording.term_name("emode:12") == "e-mode 12"
    assert "\u202e" not in wording.term_name("A\u202eB")


def test_the_card_adds_a_change_and_todays_value_takes_it_back(source: MemorySource) -> None:
    loaded = source.loaded()
    first = parameters.used(loaded, {}, "WETH", "liquidation_threshold", 70)
    assert first == {"WETH.liquidation_threshold": 0.7, "WETH.ltv": 0.7}
    both = parameters.used(loaded, first, "USDC", "liquidation_bonus", 6)
    assert both == first | {"USDC.liquidation_bonus": 0.06}
    assert parameters.used(loaded, {"USDC.ltv": 0.7}, "USDC", "ltv", 75) == {}
    # What is held decides what comes along: the loan to value is 60 % already.
    assert parameters.used(loaded, {"WETH.ltv": 0.6}, "WETH", "liquidation_threshold", 70)["WETH.ltv"] == 0.6
    # A change of another market does not stand in the way.
    assert parameters.used(loaded, {"NIX.ltv": 0.6}, "USDC", "ltv", 70) == {"USDC.ltv": 0.7}
    for name, field, percent in (("NIX", "ltv", 5), ("WETH", "nix", 5), ("WETH", "ltv", 95), ("WETH", "ltv", None)):
        with pytest.raises(rc.InputError):
            parameters.used(loaded, first, name, field, percent)


def test_a_pasted_payload_adds_its_changes(source: MemorySource) -> None:
    loaded = source.loaded()
    payload = call(COLLATERAL, loaded.market.reserves.asset[0], 7_000, 7_600, 10_500)
    changes, said = parameters.pasted(loaded, {"USDC.ltv": 0.7}, json.dumps([payload]))
    assert changes == {"USDC.ltv": 0.7, **dict(CUT)}
    assert said.startswith("1 call read, 2 changed parameters. Not checked: that 0xc0")
    for text in (None, "", "nonsense", json.dumps([payload | {"data": "0x00000000"}])):
        with pytest.raises(UndecodablePayload):
            parameters.pasted(loaded, {}, text)


def test_a_scenario_with_a_parameter_is_saved_and_found_again() -> None:
    state = WhatIf(eth=-0.1, terms=CUT)
    saved = {"Vote 12": state.to_store(), "Falls": WhatIf(eth=-0.1).to_store()}
    chips = parts.chips(state, saved)
    on = [words(chip) for chip in chips if "on" in (chip.className or "").split()]
    assert on == ["Vote 12×"]
