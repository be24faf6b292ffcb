"""Drivers and the scenario: what moves which oracle price, and how a scenario travels in a link."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import risk_core as rc
from dashboard.market.drivers import DRIVERS, FIXED, AssetMap, driver_of
from dashboard.market.loaded import repaid_as_eth_falls
from dashboard.market.state import PRESETS, WhatIf, opened, preset_of
from dashboard.market.terms import FIELDS, MOST


@pytest.mark.parametrize(
    ("factor", "kind", "driver"),
    [
        ("ETH", "series", "eth"),
        ("ETH", "ratio", "eth"),
        ("BTC", "proxy", "btc"),
        ("USDC", "series", "usdc"),
        ("USDT", "proxy", "usdt"),
        ("USD", "proxy", "stable"),
        ("EUR", "series", "stable"),
        ("LINK", "series", "other"),
        ("", "fixed", FIXED),
    ],
)
def test_each_factor_has_one_driver(factor: str, kind: str, driver: str) -> None:
    assert driver_of(factor, kind) == driver


def test_a_staked_token_moves_by_its_base_and_its_ratio_and_a_fixed_oracle_by_nothing(assets: AssetMap) -> None:
    move = assets.moves(WhatIf(eth=-0.20, lst=-0.05, usdc=-0.10).moves)

    assert dict(zip(assets.symbol, move, strict=True)) == pytest.approx(
        {"WETH": -0.20, "wstETH": 0.8 * 0.95 - 1, "USDC": -0.10, "GHO": 0.0}
    )
    assert assets.fixed == ("GHO",)


def test_the_cap_of_an_oracle_is_the_markets_own(market: rc.Market, assets: AssetMap) -> None:
    """+12 % of USDC is a move of its feed; what the protocol sees of it stops at the cap."""
    moves = assets.moves(WhatIf(usdc=0.12).moves)
    capped = replace(market, reserves=replace(market.reserves, price_cap=[np.inf, np.inf, 1.04, np.inf]))

    assert market.shocked(moves)[2] == pytest.approx(1.12)
    assert rc.what_if(capped, moves).price[2] == 1.04
    assert (
        repaid_as_eth_falls(capped, assets, WhatIf(usdc=0.12)).sum()
        < repaid_as_eth_falls(market, assets, WhatIf(usdc=0.12)).sum()
    )


def test_a_driver_has_a_history_only_where_its_own_series_is_stored(assets: AssetMap) -> None:
    assert assets.own_series("eth") == "ETHUSDT"
    assert assets.own_series("btc") == ""


TERMS = st.dictionaries(
    st.builds(
        lambda name, field: f"{name}.{field}",
        st.sampled_from(["WETH", "USDC.e", "PT-sUSDE-25SEP2025", "emode:1", "USD₮0", "0x" + "ab" * 20]),
        st.sampled_from(list(FIELDS)),
    ),
    st.integers(0, 1_000_000).map(lambda n: n / 1e6),
    max_size=5,
)
PLACES = st.fixed_dictionaries({d.key: st.integers(0, round((d.high - d.low) / d.step)) for d in DRIVERS})


@given(PLACES, st.none() | PLACES, TERMS, TERMS)
def test_a_scenario_survives_its_link(
    steps: dict[str, int], others: dict[str, int] | None, terms: dict[str, float], more: dict[str, float]
) -> None:
    """Law: whatever the sliders and the changed parameters can hold, the link gives back, also of two scenarios."""

    def of(places: dict[str, int]) -> dict[str, float]:
        return {d.key: round(d.low + d.step * places[d.key], 6) for d in DRIVERS}

    store = of(steps)
    state = WhatIf.from_store(store | {"set": terms} | ({"held": of(others) | {"set": more}} if others else {}))

    back, problems = opened("?" + (state.to_query() or "eth=0"))

    def drivers(one: WhatIf) -> dict[str, float]:
        return {key: value for key, value in one.to_store().items() if key != "set"}

    assert drivers(back) == pytest.approx(store)
    assert drivers(back.base) == pytest.approx(of(others) if others else WhatIf().to_store())
    assert dict(back.terms) == terms
    assert dict(back.base.terms) == (more if others else {})
    assert problems == ()


def test_a_bad_value_of_the_held_scenario_is_said() -> None:
    state, problems = WhatIf.from_query("?eth=-10&held=btc:-5,eth:abc,usdc")
    assert state.held == WhatIf(btc=-0.05)
    assert [text.split(" in the link")[0] for text in problems] == ["Held scenario: eth=abc", "Held scenario: usdc="]
    assert WhatIf.from_store({"held": "nonsense"}).held is None


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("set=WETH.ltv", "set=WETH.ltv: in the link is no fraction"),
        ("set=WETH.ltv:x", "set=WETH.ltv:x in the link is no fraction"),
        ("set=WETH.ltv:nan", "is no fraction"),
        ("set=WETH.ltv:80", "set=WETH.ltv:80 in the link is no fraction from 0 to 1"),
        ("set=WETH.ltv:-0.1", "is no fraction"),
        ("set=WETH.fee:0.1", "names no parameter"),
        ("set=0.5", "names no parameter"),
        ("set=" + ",".join(f"A{n}.ltv:0.5" for n in range(MOST + 1)), f"changes {MOST + 1} parameters"),
    ],
)
def test_a_parameter_that_cannot_be_read_changes_none(link: str, said: str) -> None:
    """One bad value leaves the good ones out, too: half of a change could be one that the pool refuses."""
    good = "" if "changes" in said else ",USDC.ltv:0.5"
    state, problems = opened(f"?{link}{good}")
    assert state == WhatIf()
    [text] = problems
    assert said in text
    assert text.endswith("No parameter is changed.")
    held, more = opened(f"?eth=-10&held={link.removeprefix('set=')}")
    assert held.terms == () == held.base.terms
    assert not more or more[0].startswith("Held scenario: ")


def test_a_changed_parameter_is_a_scenario_of_its_own() -> None:
    state = WhatIf.from_store({"set": {"WETH.ltv": 0.7}})
    assert not state.is_today
    assert state.differs
    assert state.changed == ()
    assert preset_of(state) == ""
    assert WhatIf(eth=-0.1).beside(state).base == state
    assert state.beside(state).differs is False
    assert state.to_query() == "set=WETH.ltv:0.7"
    assert WhatIf(eth=-0.1).beside(state).to_query() == "eth=-10&held=WETH.ltv:0.7"


def test_the_baseline_has_an_empty_link() -> None:
    assert WhatIf().to_query() == ""
    assert WhatIf().changed == ()


def test_a_bad_value_in_a_link_is_said_and_the_default_stays() -> None:
    state, problems = WhatIf.from_query("?eth=abc&btc=-500&vol=1.5&theme=light")

    assert state == WhatIf(vol=1.5)
    assert "eth=abc in the link is not a number. Used 0 %." in problems
    assert any(text.startswith("btc=-500") and "outside -60 to 20 %" in text for text in problems)
    assert len(problems) == 2


@pytest.mark.parametrize(
    "data", [None, {}, {"eth": None}, {"eth": "nan"}, {"unknown": 3}, {"set": 3}, {"set": {"WETH.ltv": "x"}}]
)
def test_a_store_without_usable_values_is_the_baseline(data: dict | None) -> None:
    assert WhatIf.from_store(data) == WhatIf()


def test_presets_are_found_again() -> None:
    assert [preset_of(p.state) for p in PRESETS] == [p.key for p in PRESETS]
    assert preset_of(WhatIf(eth=-0.11)) == ""


def test_presets_lie_within_the_sliders() -> None:
    for preset in PRESETS:
        assert WhatIf.from_query(preset.state.to_query()) == (preset.state, ())
