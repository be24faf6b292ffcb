"""What if a parameter changes: the card's answer by hand, its words, its JSON, and what it refuses."""

from __future__ import annotations

import pytest

import risk_core as rc
from dashboard import app
from dashboard.market.governance import value_of
from dashboard.market.warehouse import Warehouse
from dashboard.pages.what_if import page, parameters
from dashboard.pages.what_if.parameters import answer, asked, names_of
from tests.dashboard.conftest import MemorySource, words


def test_a_lower_threshold_takes_the_loan_to_value_along_and_says_who_falls(source: MemorySource):
    """weak: 10,000 of WETH against 7,000; at 0.69 its health factor is 0.9857, and the close factor lets half go."""
    said = words(answer(source, "WETH", "liquidation_threshold", 69, None))
    assert "From 80.00\u202f% to 69.00\u202f%, the loan to value with it" in said
    assert "1 account with $7k of debt becomes liquidatable at once" in said
    assert "1.14 → 0.98" in said
    assert "--set WETH.liquidation_threshold=0.69 WETH.ltv=0.69" in said
    after = rc.parameter_change(source.loaded().market, {"WETH.liquidation_threshold": 0.69, "WETH.ltv": 0.69})
    assert rc.what_if(after, {}).n_accounts == 1


def test_who_comes_close_is_to_be_warned_and_nobody_falls_where_it_is_raised(source: MemorySource):
    said = words(answer(source, "WETH", "liquidation_threshold", 73, None))
    assert said.startswith("To warn")
    assert "nobody becomes liquidatable" in said
    raised = words(answer(source, "WETH", "liquidation_threshold", 85, None))
    assert raised.startswith("Nobody falls")
    assert "The health factor of 0 accounts" in raised
    assert words(answer(source, "WETH", "ltv", 50, None)).startswith("Nobody falls")


@pytest.mark.parametrize(
    ("name", "field", "percent", "why"),
    [
        ("NIX", "ltv", 50, "NIX"),
        ("emode:9", "ltv", 50, "no e-mode"),
        ("WETH", "nix", 50, "with a field of"),
        ("WETH", "ltv", None, "expected a number of per cent"),
        ("WETH", "ltv", 101, "expected a number of per cent"),
        ("WETH", "ltv", 79.9, ""),
        ("WETH", "liquidation_threshold", 99, "together above 1"),
        ("WETH", "ltv", 90, "above the threshold"),
    ],
)
def test_what_cannot_be_is_words(source: MemorySource, name, field, percent, why):
    said = words(answer(source, name, field, percent, None))
    assert (why in said and "No such change" in said) if why else "No such change" not in said


def test_reserves_come_by_collateral_and_e_modes_last(sample_warehouse):
    loaded = Warehouse(sample_warehouse).loaded()
    names = list(names_of(loaded))
    assert {"WETH", "wstETH", "WBTC"} <= set(names[:8])
    assert "GHO" not in names  # no collateral
    assert names[-1].startswith("emode:")
    assert value_of(loaded.market, "WETH", "liquidation_threshold") == pytest.approx(0.83)
    assert asked(loaded.market, "WETH", "liquidation_threshold", 82) == {"WETH.liquidation_threshold": 0.82}
    first = names_of(loaded).values()
    assert any(text.startswith("E-mode 1, ") for text in first)


def test_it_opens_with_a_cut_that_can_be_made(sample_warehouse):
    source = Warehouse(sample_warehouse)
    said = words(page.build(source, ""))
    assert "What if a parameter changes?" in said
    loaded = source.loaded()
    first = next(iter(names_of(loaded)))
    today = value_of(loaded.market, first, "liquidation_threshold")
    assert "No such change" not in words(answer(source, first, "liquidation_threshold", 100 * (today - 0.03), None))


def test_json(source: MemorySource):
    client = app.create_app(source).server.test_client()
    said = client.get("/api/v1/what-if/parameters?set=WETH.liquidation_threshold:0.69,WETH.ltv:0.5").get_json()
    assert said["liquidatable_accounts"] == {"before": 0, "after": 1}
    [falls] = said["falls"]
    assert falls["health_after"] == pytest.approx(0.69 / 0.7)
    for query in ("", "set=WETH.ltv", "set=WETH.ltv:x", "set=NIX.ltv:0.5"):
        assert client.get(f"/api/v1/what-if/parameters?{query}").status_code == 400
    assert parameters.EXAMPLE in client.get("/api/v1/what-if/parameters").get_json()["detail"]
