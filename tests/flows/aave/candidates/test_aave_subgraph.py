"""The official Aave subgraphs: what is read of them, and what is refused.

Book and reader were written from the same field lists; the lists are held against the published ones elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flows.aave.candidates import subgraph as aave_subgraph
from flows.aave.candidates import subgraph_rows as graph_rows
from flows.aave.candidates.subgraph import KnownSubgraph
from flows.clients.block_reader import Block
from flows.clients.graphql import SchemaDrift
from flows.clients.graphql import Subgraph as Client
from flows.errors import ConfigurationError, MalformedAnswer
from tests.flows.aave.candidates.book import generated, put_holding, v2_market
from tests.flows.aave.candidates.server import Gateway, Subgraph

PROVIDER = "0x" + "7" * 40
V3 = KnownSubgraph("AaveV3Test", "S", 3, "USD")
V2 = KnownSubgraph("AaveV2Ethereum", "T", 2, "ETH")
N = 1_500
RAY = 10**27


@pytest.fixture(scope="module")
def book_of_1500() -> Subgraph:
    return generated(N, PROVIDER)


@pytest.fixture
def gateway(gateway_of: Callable[[dict[str, Subgraph]], Gateway]) -> Gateway:
    return gateway_of({"S": generated(3, PROVIDER), "T": v2_market(PROVIDER, 1_700_000_000)})


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Client]:
    with Client.from_environment("S") as made:
        yield made


def test_shards_together_are_every_holding_once(gateway: Gateway, book_of_1500: Subgraph):
    gateway.subgraphs["S"] = book_of_1500
    found: dict[str, Any] = {}
    for shard, positions in aave_subgraph.fetch_positions(lambda: Client.from_environment("S"), V3, PROVIDER, 1_000):
        assert {p.account[2] for p in positions.values()} <= {shard}
        found |= positions

    rows = book_of_1500.book.at("UserReserve", 1_000)
    assert {key: (p.scaled_supply, p.scaled_debt) for key, p in found.items()} == {
        key: (row["scaledATokenBalance"], row["scaledVariableDebt"]) for key, row in rows.items()
    }
    assert len({p.account for p in found.values()}) == N


def hold(subgraph: Subgraph, account: str, supply: int, debt: int, provider: str = PROVIDER) -> None:
    """A further account with one holding in the first reserve there is."""
    asset = next(iter(subgraph.book.at("Reserve", 0).values()))["underlyingAsset"]
    subgraph.book.put("User", {"id": account, "borrowedReservesCount": 0})
    put_holding(subgraph.book, account, asset, provider, supply, debt, True)


def test_an_account_that_only_owes_is_found_and_one_with_nothing_left_is_not(gateway: Gateway, client: Client):
    hold(gateway.subgraphs["S"], "0x" + "e" * 40, 0, 5)
    hold(gateway.subgraphs["S"], "0x" + "f" * 40, 0, 0)

    accounts = {p.account for p in aave_subgraph.fetch_shard(client, V3, PROVIDER, 1_000, "0x").values()}

    assert "0x" + "e" * 40 in accounts
    assert "0x" + "f" * 40 not in accounts


def test_holdings_of_another_pool_in_the_same_subgraph_are_left_out(gateway: Gateway, client: Client):
    hold(gateway.subgraphs["S"], "0x" + "e" * 40, 9, 9, provider="0x" + "8" * 40)

    found = aave_subgraph.fetch_shard(client, V3, PROVIDER, 1_000, "0x")

    assert "0x" + "e" * 40 not in {p.account for p in found.values()}


def test_v2_keeps_its_stable_debt_and_its_prices_in_ether(gateway: Gateway):
    with Client.from_environment("T") as client:
        reserves = aave_subgraph.fetch_reserves(client, V2, PROVIDER, 50)
        positions = aave_subgraph.fetch_shard(client, V2, PROVIDER, 50, "0x")
        emodes = aave_subgraph.fetch_emodes(client, V2, 50)
    block = Block(50, "0x" + "0" * 64, 1_700_000_000)
    market = graph_rows.market_frames(V2, block, reserves, emodes)["stg_graph_market_data"].iloc[0]

    assert sorted((p.account[2], p.scaled_debt, p.stable_debt, p.emode) for p in positions.values()) == [
        ("b", 10**18, 3 * 10**18, 0),
        ("c", 0, 10**18, 0),
    ]
    assert (market["price_raw"], market["price_base"], market["price_usd"]) == (str(5 * 10**14), "ETH", None)
    assert emodes == []


def test_a_v3_price_is_dollars_with_eight_decimals_whatever_its_field_is_called(client: Client):
    reserves = aave_subgraph.fetch_reserves(client, V3, PROVIDER, 1_000)
    block = Block(1_000, "0x" + "0" * 64, 1_700_000_000)

    market = graph_rows.market_frames(V3, block, reserves, [])["stg_graph_market_data"]

    assert set(market["price_usd"]) == {1.0}


def test_a_v3_oracle_in_another_unit_is_refused(gateway: Gateway, client: Client):
    gateway.subgraphs["S"].book.put(
        "PriceOracle", {"id": "1", "usdPriceEth": 0, "baseCurrency": "0x", "baseCurrencyUnit": 10**18}
    )

    with pytest.raises(MalformedAnswer, match="expected prices in US dollars with 8 decimals"):
        aave_subgraph.fetch_reserves(client, V3, PROVIDER, 1_000)


def spoil(gateway: Gateway, entity: str, change: Callable[[dict], object]) -> None:
    def spoiled(request: dict, answer: dict) -> dict:
        for row in (answer.get("data") or {}).get(entity) or []:
            change(row)
        return answer

    gateway.alter = spoiled


@pytest.mark.parametrize(
    ("field", "value"),
    [("scaledATokenBalance", None), ("scaledATokenBalance", "-1"), ("scaledATokenBalance", "1.5"),
     ("scaledATokenBalance", "1e18"), ("scaledATokenBalance", str(2**256)), ("scaledATokenBalance", True),
     ("scaledATokenBalance", "٣"), ("scaledVariableDebt", {}), ("usageAsCollateralEnabledOnUser", "true"),
     ("usageAsCollateralEnabledOnUser", None), ("lastUpdateTimestamp", None), ("user", None), ("reserve", None),
     ("reserve", {"underlyingAsset": "0xNOTHEX"})],
)  # fmt: skip
def test_a_cell_that_is_not_what_the_schema_says_is_named(gateway: Gateway, client: Client, field: str, value: object):
    spoil(gateway, "userReserves", lambda row: row.__setitem__(field, value))

    with pytest.raises(
        MalformedAnswer, match=rf"userReserve 0x\w+ of subgraph S .*: (underlyingAsset|{field}): expected"
    ):
        aave_subgraph.fetch_shard(client, V3, PROVIDER, 1_000, "0x")


def test_the_largest_balance_there_can_be_is_read(gateway: Gateway, client: Client):
    spoil(gateway, "userReserves", lambda row: row.__setitem__("scaledATokenBalance", str(2**256 - 1)))

    found = aave_subgraph.fetch_shard(client, V3, PROVIDER, 1_000, "0x")

    assert {p.scaled_supply for p in found.values()} == {2**256 - 1}


def test_a_renamed_field_stops_the_read_and_is_named(gateway: Gateway, client: Client):
    subgraph = gateway.subgraphs["S"]
    fields = dict(subgraph.entities["UserReserve"])
    fields["scaledSupply"] = fields.pop("scaledATokenBalance")
    subgraph.entities = {**subgraph.entities, "UserReserve": fields}
    subgraph.rebuild()

    with pytest.raises(SchemaDrift, match="scaledATokenBalance"):
        aave_subgraph.fetch_shard(client, V3, PROVIDER, 1_000, "0x")


def test_indexers_that_disagree_between_two_pages_are_noticed(gateway: Gateway, client: Client):
    def other_indexer(request: dict, answer: dict) -> dict:
        if "scaledVariableDebt_gt" in request["query"]:
            for row in answer["data"]["userReserves"]:
                row["scaledATokenBalance"] = str(int(row["scaledATokenBalance"]) + 1)
        return answer

    hold(gateway.subgraphs["S"], "0x" + "e" * 40, 5, 5)
    gateway.alter = other_indexer

    with pytest.raises(MalformedAnswer, match="its indexers disagree"):
        aave_subgraph.fetch_shard(client, V3, PROVIDER, 1_000, "0x")


def test_rows_whose_ids_are_of_other_accounts_are_refused(gateway: Gateway, client: Client):
    spoil(gateway, "userReserves", lambda row: row["user"].__setitem__("id", "0x" + "9" * 40))

    with pytest.raises(MalformedAnswer, match="rows and ids do not belong together"):
        aave_subgraph.fetch_shard(client, V3, PROVIDER, 1_000, "0x")


def test_the_official_subgraphs_are_those_of_the_published_list(shared_data: Any):
    import json

    published = json.loads((shared_data.parent / "facts" / "subgraphs.json").read_text())["aave_official"]
    assert {s.id for s in aave_subgraph.SUBGRAPHS} <= set(published.values())
    assert aave_subgraph.known("AaveV3Ethereum").id == published["ethereum-v3"]
    assert aave_subgraph.known("AaveV2Ethereum").id == published["ethereum-v2"]
    left_out = set(published) - {n for n, i in published.items() if i in {s.id for s in aave_subgraph.SUBGRAPHS}}
    assert left_out == {"ethereum-v3-gho", "fantom-v3", "harmony-v3"}  # a token's own, and two abandoned markets


def test_a_market_without_a_subgraph_names_near_ones(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ConfigurationError, match="AaveV3Ethereum"):
        aave_subgraph.known("AaveV3Ethereumm")
    monkeypatch.setenv("AAVE_SUBGRAPH_ID", "mine")
    assert aave_subgraph.known("anything") == KnownSubgraph("anything", "mine", 3, "USD")
    assert aave_subgraph.known("AaveV2Ethereum") == KnownSubgraph("AaveV2Ethereum", "mine", 2, "ETH")


def test_v2_debt_grows_by_the_binomial_and_v3_debt_by_the_exponential_series():
    """5 % for a year: the published value of the series is 1.05127083…; v2 rounds the powers of a second's rate."""
    year = 31_536_000
    r = 5 * 10**25 // year
    square, cube = round(r * r / RAY), round(r**3 / RAY**2)
    by_hand = RAY + r * year + year * (year - 1) * square // 2 + year * (year - 1) * (year - 2) * cube // 6

    assert graph_rows.binomial_growth(5 * 10**25, year) == by_hand
    assert abs(by_hand / RAY - 1.05127083) < 1e-6
    assert graph_rows.binomial_growth(5 * 10**25, 0) == RAY
    assert graph_rows.binomial_growth(0, year) == RAY
    assert graph_rows.binomial_growth(5 * 10**25, 1) == RAY + r


def test_balances_are_rounded_as_their_protocol_version_rounds_them():
    """Scaled 3 at index 1.5 is 4.5: v3 rounds a supply down and a debt up, v2 both half up."""
    half = 15 * 10**26
    v3, v2 = graph_rows.Indices(3, half, half), graph_rows.Indices(2, half, half)

    assert (v3.supply(3), v3.owed(3)) == (4, 5)
    assert (v2.supply(3), v2.owed(3)) == (5, 5)
    assert (v2.supply(1), v3.supply(1)) == (2, 1)
