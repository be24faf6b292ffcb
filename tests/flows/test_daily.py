"""`daily`: which stages run on what there is, and a whole day on a live snapshot with a loopback Binance."""

from __future__ import annotations

import pytest
from pytest_httpserver import HTTPServer

from data import results
from data.errors import NoSnapshot, WarehouseMissing
from data.store.store import Store
from flows import daily
from flows.errors import SourceUnavailable
from tests.flows.conftest import LIVE
from tests.flows.prices.binance_server import DEFAULT, BinanceServer, wave
from tests.flows.protocols.defillama_server import aave
from tests.flows.running import ran

PAIRS = (
    "LINKUSDT", "AAVEUSDT", "CRVUSDT", "SNXUSDT", "UNIUSDT", "LDOUSDT", "ENSUSDT", "1INCHUSDT", "EURUSDT", "PAXGUSDT",
)  # fmt: skip


@pytest.fixture
def binance(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> BinanceServer:
    others = {pair: wave(10.0 + number, phase=2.0 + number) for number, pair in enumerate(PAIRS)}
    server = BinanceServer(httpserver, DEFAULT | others)
    monkeypatch.setenv("BINANCE_URL", server.url)
    monkeypatch.setattr("flows.clients.http_retry.FIRST_PAUSE", 0.0)
    monkeypatch.setattr("flows.prices.market_prices.DAYS", 60)  # a year of twelve series takes most of a day's time
    return server


def run() -> str:
    return ran("daily", "--paths", "128")


def rows(sql: str) -> list[tuple]:
    with Store.open() as store:
        return store.rows(sql)


def plan() -> list[tuple[str, bool]]:
    return [(stage.flow, not stage.skipped) for stage in daily.stages(128, 7)]


def test_with_a_node_the_market_is_read_first_and_all_stages_are_about_it(own_warehouse, monkeypatch):
    monkeypatch.setenv("ETH_RPC_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AAVE_MARKET", "AaveV3Base")

    stages = daily.stages(128, 7)

    assert plan() == [
        ("aave-market", True),
        ("market-prices", True),
        ("risk-scenarios", True),
        ("forecast-ledger", True),
        ("health-factor-bands", True),
        ("volatility-fits", True),
        ("oracle-prices", True),
        ("protocol-snapshot", False),
        ("brief", True),
    ]
    assert [stage.parameters.get("market") for stage in stages[1:5]] == ["AaveV3Base"] * 4


def test_without_a_node_the_stored_snapshot_is_used_and_said_so(live):
    assert plan()[:3] == [("aave-market", False), ("market-prices", True), ("risk-scenarios", True)]
    assert f"the stored snapshot of {LIVE} at block 23000000 is used" in daily.stages(128, 7)[0].skipped


def test_live_prices_never_mix_into_the_sample(sample, monkeypatch):
    monkeypatch.setenv("DEFILLAMA_URL", "http://127.0.0.1:1")
    assert plan() == [
        ("aave-market", False),
        ("market-prices", False),
        ("risk-scenarios", True),
        ("forecast-ledger", True),
        ("health-factor-bands", True),
        ("volatility-fits", True),
        ("oracle-prices", False),
        ("protocol-snapshot", False),
        ("brief", True),
    ]


def test_protocols_are_read_last_and_only_where_their_source_is_named(live, monkeypatch):
    assert "DEFILLAMA_URL is not set" in daily.stages(128, 7)[-2].skipped
    monkeypatch.setenv("DEFILLAMA_URL", "http://127.0.0.1:1")
    assert plan()[-2] == ("protocol-snapshot", True)


def test_without_a_node_or_a_snapshot_there_is_no_day(own_warehouse):
    with pytest.raises(WarehouseMissing, match="there is no warehouse yet"):
        run()
    Store.open().close()
    with pytest.raises(NoSnapshot, match=r"python -m data\.sample"):
        run()


def test_a_day_of_a_live_snapshot_twice_gives_the_same_figures(live, binance, capsys):
    run()
    first = rows("SELECT * FROM fact_risk_scenarios ORDER BY measure, level")
    run()

    assert len(first) > 0
    assert rows("SELECT * FROM fact_risk_scenarios ORDER BY measure, level") == first
    assert results.latest().is_synthetic is False
    assert rows("SELECT count(*) FROM dim_prices WHERE is_synthetic") == [(0,)]
    assert rows("SELECT DISTINCT market, origin FROM dim_asset") == [(LIVE, "rule")]
    said = capsys.readouterr().out
    assert "aave-market: skipped" in said
    assert f"{LIVE}, block 23,000,000" in said
    assert "SAMPLE" not in said


def test_a_day_with_protocols_ends_with_them_and_without_them_keeps_its_risk(live, binance, httpserver, monkeypatch):
    monkeypatch.setenv("DEFILLAMA_URL", httpserver.url_for("/llama"))
    with pytest.raises(SourceUnavailable, match="DefiLlama"):
        run()
    assert rows("SELECT count(*) > 0 FROM fact_risk_scenarios") == [(1,)]

    httpserver.expect_request("/llama/protocol/aave").respond_with_json(aave())
    run()
    assert rows("SELECT count(*) FROM fact_protocol_snapshot") == [(30,)]


def test_a_day_of_the_sample_needs_no_network(sample, capsys):
    run()
    assert results.latest().is_synthetic is True
    assert "SAMPLE" in capsys.readouterr().out


def test_a_day_stops_at_the_first_refusal_and_the_next_one_completes(live, binance):
    known = binance.prices.pop("CRVUSDT")
    with pytest.raises(Exception, match="CRVUSDT"):
        run()
    assert rows("SELECT (SELECT count(*) FROM dim_prices), (SELECT count(*) FROM fact_risk_scenarios)") == [(0, 0)]

    binance.prices["CRVUSDT"] = known
    run()
    assert rows("SELECT count(*) > 0 FROM fact_risk_scenarios") == [(1,)]


def test_a_node_that_is_away_ends_the_day_before_anything_else(own_warehouse, binance, monkeypatch):
    monkeypatch.setenv("ETH_RPC_URL", "http://127.0.0.1:1")
    with pytest.raises(SourceUnavailable):
        run()
    assert binance.requests == 0


def test_a_parameter_that_a_flow_does_not_have_is_a_mistake_of_ours():
    with pytest.raises(TypeError, match=r"risk-scenarios has no parameter speed; known: market, block, every"):
        daily.execute("risk-scenarios", {"speed": 1})
