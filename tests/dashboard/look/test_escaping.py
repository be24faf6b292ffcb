"""Foreign text on pages and charts: no link, no hidden direction, no template; and every figure of the pages obeys."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import risk_core as rc
from dashboard import app
from dashboard.look.escaping import NAME_LENGTH, charted, marked, named
from dashboard.market.drivers import AssetMap
from dashboard.market.loaded import LoadedMarket, ShownRun
from dashboard.market.state import WhatIf
from dashboard.pages.overview import charts as overview
from dashboard.pages.what_if import answers as shocks
from dashboard.pages.what_if import charts as what_if
from dashboard.pages.what_if import page as what_if_page
from tests.dashboard.conftest import MemorySource, words

LINK = "<a href='http://evil.example'>WETH</a>"
HOSTILE = (LINK, "US\u202eDC", "\x1b[31mred", "\x9b31m", "%{customdata}", "&lt;b&gt;", "G" * 20_000)
OWN_TAGS = {"b", "/b", "br", "span", "/span", "extra", "/extra"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("WETH", "WETH"), ("USD₮0", "USD₮0"), ("日本 é", "日本 é"), ("a\u202eb", r"a\u202eb"),
        ("a\x1b[0m", r"a\x1b[0m"),
        ("a\x9bb", r"a\x9bb"), ("a\u200bb", r"a\u200bb"), ("a\u2066b", r"a\u2066b"), ("a\nb", r"a\x0ab"),
        ("a\ud800b", r"a\ud800b"), ("a\U000e0041b", r"a\U000e0041b"), ("118.6\u202f%", "118.6\u202f%"),
        ("4\u00a0h", "4\u00a0h"),
    ],
)  # fmt: skip
def test_what_cannot_be_seen_is_shown(text: str, shown: str) -> None:
    assert marked(text) == shown


@given(st.text())
def test_a_page_gets_only_what_can_be_seen(text: str) -> None:
    safe = marked(text)
    assert not [c for c in safe if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"}]
    assert not set(safe) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\ufeff")
    assert marked(safe) == safe
    safe.encode("utf-8")


@given(st.text(alphabet=st.sampled_from("<>&%{}/ab'\"= \u202e\x1b")))
def test_a_chart_gets_no_tag_entity_or_template(text: str) -> None:
    safe = charted(text)
    assert not re.search(r"[<>]|%\{|&(?!(amp|lt|gt);)", safe)


def test_a_name_is_short_on_every_surface() -> None:
    assert len(named("G" * 20_000)) == NAME_LENGTH
    assert len(charted("G" * 20_000)) == NAME_LENGTH


def texts(value: Any) -> Iterator[str]:
    """Every text in a figure."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from texts(part)


@pytest.fixture(params=HOSTILE, ids=range(len(HOSTILE)))
def hostile(request: pytest.FixtureRequest, market: rc.Market) -> tuple[str, LoadedMarket]:
    """The market with a hostile symbol in the place of WETH."""
    symbols = (request.param, *market.reserves.symbol[1:])
    market = replace(market, reserves=replace(market.reserves, symbol=symbols), notes=(f"{request.param} is new",))
    kinds = ("series", "ratio", "series", "fixed")
    return request.param, LoadedMarket.build(
        market, AssetMap.build(symbols, ("ETH", "ETH", "USDC", ""), kinds, [""] * 4)
    )


def test_no_figure_of_a_hostile_symbol_has_a_tag_that_is_not_ours(
    hostile: tuple[str, LoadedMarket], run: ShownRun
) -> None:
    symbol, loaded = hostile
    outcome = shocks.outcome(loaded, WhatIf(eth=-0.5))
    assert symbol in [name for name, _ in outcome.sold]
    figures = [
        what_if.sold(outcome.sold, "dark"),
        what_if.sweep(outcome.curve, "dark"),
        overview.seized_bars({symbol: 3.0, "USDC": 1.0}, "dark"),
        overview.lar_fan(run, "dark"),
    ]
    for text in texts(
        [
            {k: v for k, v in figure.items() if k == "data"}
            | {"layout": {k: v for k, v in figure["layout"].items() if k != "template"}}
            for figure in figures
        ]
    ):
        assert {tag.split()[0] for tag in re.findall(r"<([^<>]+)>", text)} <= OWN_TAGS, text
        assert marked(text) == text


def test_no_page_of_a_hostile_symbol_holds_an_unseen_mark(hostile: tuple[str, LoadedMarket], run: ShownRun) -> None:
    symbol, loaded = hostile
    run = replace(run, seized_by_reserve={symbol: 1.0}, scenario_id=f"a\u202eb{symbol}", code_version="1\x1b[2J")
    source = MemorySource(loaded, run)
    pages = [app.open_page(source, page.path, "?eth=-50") for page in app.PAGES]
    outcome = what_if_page.answer_to(source, {"eth": -50}, "dark", None)
    said = words(pages) + words([part for part in outcome if not isinstance(part, dict)])
    assert "Largest accounts at risk" in said
    assert not set(said) & set("\x1b\x9b\u202e")
    assert "G" * (NAME_LENGTH + 1) not in words(outcome[5])
