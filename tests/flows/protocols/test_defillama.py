"""The DefiLlama source: recorded bodies where there are some, a loopback server from the documentation for the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from flows.errors import ConfigurationError, MalformedAnswer, SourceRefused, SourceUnavailable
from flows.protocols.defillama import DefiLlama
from flows.protocols.defillama_shapes import CoinPrice
from tests.flows.protocols.defillama_server import DefiLlamaServer

RECORDED = Path(__file__).parents[3] / ".." / "shared" / "data" / "recorded" / "defillama"
recorded = pytest.mark.skipif(not RECORDED.is_dir(), reason="recorded DefiLlama bodies are not beside this checkout")


@pytest.fixture
def llama(httpserver: HTTPServer) -> DefiLlamaServer:
    return DefiLlamaServer(httpserver)


@pytest.fixture
def source(llama: DefiLlamaServer) -> DefiLlama:
    return DefiLlama(llama.url, sleep=lambda seconds: None)


def bodies(name: str) -> dict[str, str]:
    """Path of each recorded request to its body, as text."""
    found, uri = {}, ""
    for line in (RECORDED / name).read_text(encoding="utf-8").splitlines():
        if line.strip().startswith("uri: "):
            uri = line.split("uri: ", 1)[1]
        elif line.strip().startswith("string: '") and "llama.fi" in uri:
            path = "/prices/" + uri.split("/prices/", 1)[1]
            found[path] = line.split("string: ", 1)[1].strip("'")
    return found


@recorded
@pytest.mark.parametrize(
    ("name", "coins", "expected"),
    [
        (
            "test_query_multiple_current_prices[False].yaml",
            ["coingecko:arbitrum", "coingecko:dai", "coingecko:chainlink"],
            CoinPrice("coingecko:chainlink", 1_741_276_615, "LINK", 17.22, 0.99, 18),
        ),
        (
            "test_query_multiple_current_prices_handles_exceptions_and_chunking.yaml",
            ["coingecko:usd-coin", "coingecko:tether"],
            CoinPrice("coingecko:tether", 1_753_079_343, "USDT", 1.0, 0.99, 6),
        ),
        (
            "test_query_solana_token_price_using_address.yaml",
            ["solana:DtR4D9FtVoTX2569gaL837ZgrB6wNjj6tkmnX9Rdk9B2"],
            CoinPrice(
                "solana:DtR4D9FtVoTX2569gaL837ZgrB6wNjj6tkmnX9Rdk9B2",
                1_760_612_341, "aura", 0.0827225214838227, 0.99, 6,
            ),
        ),
        ("test_defillama_with_api_key.yaml", ["coingecko:ethereum"],
         CoinPrice("coingecko:ethereum", 1_728_559_494, "ETH", 2399.0, 0.99, None)),
    ],
)  # fmt: skip
def test_recorded_current_prices_are_read_as_they_are(httpserver, name, coins, expected):
    """The request our client makes is the recorded one, so its answer is the recorded answer."""
    httpserver.expect_request("/prices/current/" + ",".join(coins)).respond_with_data(
        bodies(name)["/prices/current/" + ",".join(coins)], content_type="text/plain; charset=utf-8"
    )
    answers = DefiLlama(httpserver.url_for("")).current_prices(coins)
    assert expected in answers[0].rows
    assert len(answers[0].rows) == len(coins)


@recorded
def test_the_recorded_historical_price_has_its_own_time_and_no_confidence(httpserver):
    path = "/prices/historical/1597024800/coingecko:dai"
    httpserver.expect_request(path).respond_with_data(bodies("test_defillama_with_api_key.yaml")[path])
    (answer,) = DefiLlama(httpserver.url_for("")).historical_prices(["coingecko:dai"], 1_597_024_800)
    assert answer.rows == [CoinPrice("coingecko:dai", 1_597_024_925, "dai", 1.0182482830027697, None, 18)]


def test_a_coin_that_is_not_priced_is_absent_and_many_coins_take_several_answers(llama, source):
    coins = [f"ethereum:0x{number:040x}" for number in range(120)]
    llama.prices = {coin: lambda at: 2.0 for coin in coins[:119]}
    answers = source.current_prices(coins)
    assert [len(answer.rows) for answer in answers] == [50, 50, 19]


def test_a_chart_is_asked_for_in_parts_that_join(llama, source):
    llama.prices = {"coingecko:ethereum": lambda at: float(at)}
    rows = [row for answer in source.chart(["coingecko:ethereum"], 3600, 3600, 1200) for row in answer.rows]
    assert [row.price_usd for row in rows] == [3600.0 * (1 + number) for number in range(1200)]
    assert [path.split("?")[1] for path in llama.asked] == [
        "start=3600&span=500&period=1h",
        "start=1803600&span=500&period=1h",
        "start=3603600&span=200&period=1h",
    ]


def test_history_lists_and_pools_are_read(source):
    points = source.protocol("aave").rows
    assert {point.series for point in points} >= {"Ethereum", "Base", "borrowed", "Ethereum-borrowed", "(all)"}
    assert source.protocols().rows[0].change_1d == -0.4
    assert source.protocols().rows[1].tvl_usd is None
    assert [row.tvl_usd for row in source.chain_tvl().rows] == [5e10, 5.1e10]  # a number sent as text counts
    assert [(row.symbol, row.circulating) for row in source.stablecoins().rows] == [("USDT", 1.5e11), ("FRS", None)]
    assert source.pools().rows[0].project == "aave-v3"


def test_one_chain_is_named_in_the_path(llama, source):
    llama.bodies["/v2/historicalChainTvl/OP Mainnet"] = [{"date": 1, "tvl": 2}]
    assert source.chain_tvl("OP Mainnet").rows[0].chain == "OP Mainnet"


def changed(body: dict, *path: object, to: object = None, rename: str = "") -> dict:
    """A deep copy with one value changed, or one field renamed."""
    body = json.loads(json.dumps(body))
    at = body
    for step in path[:-1]:
        at = at[step]
    if rename:
        at[rename] = at.pop(path[-1])
    else:
        at[path[-1]] = to
    return body


DRIFT = [
    ("/protocol/aave", "protocol", ("chainTvls",), {"rename": "chain_tvls"},
     r"/protocol/aave\.chainTvls: expected this field, found it absent; there are: id, name, symbol"),
    ("/protocol/aave", "protocol", ("chainTvls", "Base", "tvl", 3, "totalLiquidityUSD"), {"rename": "usd"},
     r"chainTvls\['Base'\]\.tvl\[3\]\.totalLiquidityUSD: expected this field, found it absent; there are: date, usd"),
    ("/protocol/aave", "protocol", ("chainTvls", "Base", "tvl", 3, "date"), {"to": 1_795_219_200_000},
     r"tvl\[3\]\.date: expected a time in UTC seconds, found 1795219200000"),
    ("/protocol/aave", "protocol", ("chainTvls", "Base", "tvl", 3, "totalLiquidityUSD"), {"to": None},
     r"totalLiquidityUSD: expected a number, found None"),
    ("/protocol/aave", "protocol", ("chainTvls",), {"to": []}, r"chainTvls: expected an object, found \[\]"),
    ("/protocols", "protocols", (0, "tvl"), {"to": "n/a"}, r"/protocols\[0\]\.tvl: expected a number, found 'n/a'"),
    ("/protocols", "protocols", (1, "name"), {"to": 7}, r"/protocols\[1\]\.name: expected a text, found 7"),
    ("/stablecoins", "stablecoins", ("peggedAssets", 0, "circulating", "peggedUSD"), {"to": {"usd": 1}},
     r"peggedAssets\[0\]\.circulating\.peggedUSD: expected a number, found \{'usd': 1\}"),
    ("/pools", "pools", ("data", 0, "tvlUsd"), {"to": True}, r"data\[0\]\.tvlUsd: expected a number, found True"),
    ("/pools", "pools", ("data",), {"rename": "pools"}, r"/pools\.data: expected this field"),
    ("/v2/historicalChainTvl", "chain_tvl", (0, "date"), {"rename": "ts"}, r"Tvl\[0\]\.date: expected this field"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "call", "where", "how", "message"), DRIFT)
def test_a_renamed_field_or_another_type_stops_with_field_expectation_find_and_place(
    llama, source, path, call, where, how, message
):
    llama.bodies[path] = changed(llama.bodies[path], *where, **how)
    with pytest.raises(MalformedAnswer, match=message):
        getattr(source, call)(*(["aave"] if call == "protocol" else []))


def test_an_unknown_protocol_is_named_and_not_asked_for_again(llama, source):
    with pytest.raises(SourceRefused, match="does not know the protocol 'aave-v9'"):
        source.protocol("aave-v9")
    assert llama.asked == ["/protocol/aave-v9"]


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_storm_ends_in_a_refusal_that_names_the_setting(llama, source, status):
    llama.replace["/protocols"] = Response("busy", status)
    with pytest.raises(SourceUnavailable, match=rf"HTTP {status} to /protocols; tried 5 times.*DEFILLAMA_URL"):
        source.protocols()
    assert len(llama.asked) == 5


def test_429_is_waited_for(httpserver):
    slept: list[float] = []
    httpserver.expect_ordered_request("/protocols").respond_with_data("", 429, headers={"Retry-After": "3"})
    httpserver.expect_ordered_request("/protocols").respond_with_json([])
    assert DefiLlama(httpserver.url_for(""), sleep=slept.append).protocols().rows == []
    assert slept == [3.0]


@pytest.mark.parametrize("body", ["<html>busy</html>", '{"chainTvls": {"Ethereum": {"tvl": [{"date": 17952', ""])
def test_a_body_that_is_cut_short_or_no_json_is_refused(llama, source, body):
    llama.replace["/protocol/aave"] = Response(body, content_type="application/json")
    with pytest.raises(MalformedAnswer, match="not JSON"):
        source.protocol("aave")


def test_nobody_listening_is_said_so_without_what_the_address_hides():
    source = DefiLlama("http://user:planted-secret@127.0.0.1:9/planted-key", sleep=lambda seconds: None)
    with pytest.raises(SourceUnavailable, match="cannot be reached") as failure:
        source.pools()
    assert "planted" not in str(failure.value)


def test_the_public_address_is_four_hosts_and_any_other_is_one():
    public, other = DefiLlama("https://api.llama.fi/"), DefiLlama("http://127.0.0.1:9")
    assert [host.base_url for host in (public._coins, public._stablecoins, public._yields)] == [
        "https://coins.llama.fi",
        "https://stablecoins.llama.fi",
        "https://yields.llama.fi",
    ]
    assert other._coins is other._yields is other._api
    with pytest.raises(ConfigurationError, match="DEFILLAMA_URL"):
        DefiLlama("api.llama.fi")
