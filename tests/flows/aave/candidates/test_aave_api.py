"""Aave's API as a second opinion: it agrees with the chain, and where it does not the run says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

import graphql
import pytest

from flows.aave.candidates import api as aave_api
from flows.aave.candidates.agreement import RoutesDisagree
from flows.aave.candidates.api import AaveApi
from flows.clients.graphql import SchemaDrift
from flows.errors import MalformedAnswer, SourceRefused
from tests.conftest import REPOSITORY
from tests.flows.aave.candidates.api_server import SDL, LoopbackApi
from tests.flows.aave.candidates.conftest import fast, nothing_is_stored, stored
from tests.flows.aave.candidates.server import Gateway, serving
from tests.flows.aave.fake_node import CHAIN_ID, truth


@pytest.fixture
def api_gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    served = Gateway({"graphql": LoopbackApi(truth())})  # type: ignore[dict-item]
    with serving(served) as url:
        monkeypatch.setenv("AAVE_API_URL", url.replace("{SUBGRAPH_ID}", "graphql"))
        yield served


@pytest.fixture
def api(api_gateway: Gateway) -> LoopbackApi:
    return api_gateway.subgraphs["graphql"]  # type: ignore[return-value]


POOL = truth()["meta"]["addresses"]["pool"].lower()
BORROWERS = [
    u["address"].lower() for u, row in zip(truth()["users"], truth()["accounts"]["base"], strict=True) if int(row[1])
]


def test_parameters_come_as_basis_points(api: LoopbackApi):
    with AaveApi.from_environment() as client:
        market = client.market(CHAIN_ID, POOL)

    recorded = {r["underlyingAsset"].lower(): r for r in truth()["reserves"]}
    assert {r.asset: (r.ltv, r.liquidation_threshold, r.decimals) for r in market.reserves} == {
        asset: (int(r["baseLTVasCollateral"]), int(r["reserveLiquidationThreshold"]), int(r["decimals"]))
        for asset, r in recorded.items()
    }
    assert {e.id: e.liquidation_threshold for e in market.emodes} == {
        e["id"]: int(e["liquidationThreshold"]) for e in truth()["emodes"]
    }


def test_health_factors_of_many_accounts_travel_in_few_queries(api_gateway: Gateway, api: LoopbackApi):
    api.alter = lambda account, factor: None if account == BORROWERS[0] else 1.25
    with AaveApi.from_environment() as client:
        found = client.health_factors(CHAIN_ID, POOL, BORROWERS[:45])

    assert found == dict.fromkeys(BORROWERS[:45], Decimal("1.250000")) | {BORROWERS[0]: None}
    assert len(api_gateway.requests) == 3


def test_an_unknown_market_is_refused(api: LoopbackApi):
    with AaveApi.from_environment() as client, pytest.raises(SourceRefused, match="no market at the pool"):
        client.market(CHAIN_ID, "0x" + "5" * 40)


def test_a_new_state_of_borrowing_is_not_guessed_at(api_gateway: Gateway, api: LoopbackApi):
    def new_state(request: dict, answer: dict) -> dict:
        answer["data"]["market"]["reserves"][0]["borrowInfo"] = {
            "reserveFactor": {"value": "0.1"},
            "borrowingState": "PAUSED_BY_COUNCIL",
        }
        return answer

    api_gateway.alter = new_state

    with (
        AaveApi.from_environment() as client,
        pytest.raises(MalformedAnswer, match="PAUSED_BY_COUNCIL"),
    ):
        client.market(CHAIN_ID, POOL)


@pytest.mark.parametrize("value", [None, "NaN", "-0.1", "eighty", {}, True])
def test_a_share_that_is_no_number(api_gateway: Gateway, api: LoopbackApi, value: object):
    def spoiled(request: dict, answer: dict) -> dict:
        answer["data"]["market"]["reserves"][1]["supplyInfo"]["maxLTV"]["value"] = value
        return answer

    api_gateway.alter = spoiled

    with (
        AaveApi.from_environment() as client,
        pytest.raises(MalformedAnswer, match="maxLTV: value: expected"),
    ):
        client.market(CHAIN_ID, POOL)


def test_a_field_that_is_gone_is_named(api: LoopbackApi):
    api.schema = graphql.build_schema(SDL.replace("maxLTV", "maxLtv"))

    with AaveApi.from_environment() as client, pytest.raises(SchemaDrift, match="maxLTV"):
        client.market(CHAIN_ID, POOL)


def test_our_queries_are_valid_against_the_published_schema():
    path = REPOSITORY.parent / "shared" / "facts" / "aave_v3_api_schema.graphql"
    if not path.is_file():
        pytest.skip("no published schema beside the repository (../shared/facts/aave_v3_api_schema.graphql)")
    schema = graphql.build_schema(path.read_text(encoding="utf-8"))
    states = f"query S($r0: UserMarketStateRequest!) {{ r0: {aave_api.STATE.format(request='$r0')} }}"

    for query in (aave_api.MARKET, states):
        assert graphql.validate(schema, graphql.parse(query)) == []
        assert graphql.validate(graphql.build_schema(SDL), graphql.parse(query)) == []
    assert tuple(schema.type_map["ReserveBorrowingState"].values) == aave_api.BORROWING  # type: ignore[attr-defined]


@pytest.mark.usefixtures("gateway")
def test_the_api_agrees_with_the_chain(api: LoopbackApi):
    fast("--spot-check", "20")

    assert stored("SELECT count(*) FROM fact_validation WHERE source = 'aave_api'") == [(0,)]
    assert stored("SELECT count(*) FROM fact_snapshot") == [(1,)]


@pytest.mark.usefixtures("gateway")
@pytest.mark.parametrize(
    "alter",
    [lambda account, factor: factor and factor * 1.05, lambda account, factor: None],
    ids=["5 % off", "no debt"],
)
def test_health_factors_that_are_far_off_refuse_the_snapshot(api: LoopbackApi, alter: Callable):
    api.alter = alter

    with pytest.raises(RoutesDisagree, match="health_factor_raw"):
        fast("--spot-check", "20")

    assert nothing_is_stored()
    assert stored("SELECT column_name, n_failed, n_rows FROM fact_validation WHERE source = 'aave_api'") == [
        ("health_factor_raw", 20, 20)
    ]


@pytest.mark.usefixtures("gateway", "api")
def test_a_threshold_that_differs_is_kept_and_does_not_refuse(api_gateway: Gateway):
    def lower(request: dict, answer: dict) -> dict:
        if (market := answer["data"].get("market")) is not None:
            market["reserves"][0]["supplyInfo"]["liquidationThreshold"]["value"] = "0.0123"
        return answer

    api_gateway.alter = lower

    fast("--spot-check", "3")

    noted = stored("SELECT column_name, n_failed, example FROM fact_validation WHERE source = 'aave_api'")
    assert [row[:2] for row in noted] == [("liquidation_threshold_bps", 1)]
    assert "123, on chain" in noted[0][2]
