"""Two sources of prices side by side: a seeded disagreement is caught and noted, Binance stays served."""

from __future__ import annotations

import time

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from data.errors import NoPrices
from data.prices.series import load_prices
from data.store.store import Store
from flows.errors import ConfigurationError, MalformedAnswer
from flows.prices.second_source import coins_of
from tests.flows.prices.binance_server import HOUR, BinanceServer, wave
from tests.flows.protocols.defillama_server import DefiLlamaServer
from tests.flows.running import ran

UNTIL = 1_767_571_200  # 2026-01-05
WORDS = (
    "--symbols",
    "ETHUSDT",
    "LINKUSDT",
    "--until",
    "2026-01-05",
    "--days",
    "3",
    "--sources",
    "binance",
    "defillama",
)


@pytest.fixture
def binance(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> BinanceServer:
    server = BinanceServer(httpserver, {"ETHUSDT": wave(2600), "LINKUSDT": wave(14, 2.0), "USDCUSDT": lambda at: 1.0})
    monkeypatch.setenv("BINANCE_URL", server.url)
    monkeypatch.setattr("flows.clients.http_retry.FIRST_PAUSE", 0.0)
    return server


@pytest.fixture
def llama(make_httpserver_too: HTTPServer, binance: BinanceServer, monkeypatch: pytest.MonkeyPatch) -> DefiLlamaServer:
    """DefiLlama that has the same prices 0.1 % higher."""
    server = DefiLlamaServer(make_httpserver_too)
    server.prices = {
        "coingecko:ethereum": lambda at: 1.001 * binance.prices["ETHUSDT"](at),
        "coingecko:chainlink": lambda at: 1.001 * binance.prices["LINKUSDT"](at),
    }
    monkeypatch.setenv("DEFILLAMA_URL", server.url)
    return server


@pytest.fixture
def make_httpserver_too():
    with HTTPServer(host="127.0.0.1", port=0) as server:
        yield server


def run(*words: str) -> str:
    return ran("market-prices", *WORDS, *words)


def rows(sql: str, *params: object) -> list[tuple]:
    with Store.open() as store:
        return store.rows(sql, params)


def validations() -> list[tuple]:
    return rows("SELECT source, batch_key, check_name, n_failed, n_rows, example FROM fact_validation")


def test_two_sources_lie_side_by_side_at_the_same_times_and_are_not_averaged(binance, llama):
    said = run()
    found = rows("SELECT source, count(*), min(ts), max(ts) FROM dim_prices WHERE symbol = 'ETHUSDT' GROUP BY source")
    assert found == [
        ("binance", 72, UNTIL - 71 * HOUR, UNTIL),
        ("defillama", 72, UNTIL - 71 * HOUR, UNTIL),
    ]
    assert validations() == []
    assert "144 prices of two sources agree within 2.0%" in said

    served = load_prices(["ETHUSDT"])
    assert served.attrs["source"] == "binance"
    assert served["ETHUSDT"].iloc[-1] == float(f"{wave(2600)(UNTIL):.8f}")
    assert load_prices(["ETHUSDT"], source="defillama")["ETHUSDT"].iloc[-1] == pytest.approx(1.001 * wave(2600)(UNTIL))


def test_a_seeded_disagreement_is_caught_named_and_noted_and_binance_stays_served(binance, llama):
    wrong = range(UNTIL - 10 * HOUR, UNTIL - 7 * HOUR)
    llama.prices["coingecko:chainlink"] = lambda at: wave(14, 2.0)(at) * (1.05 if at in wrong else 1.0)

    said = run()

    assert "SOURCES DISAGREE by more than 2.0%: LINKUSDT: 3 of 72 1h prices" in said
    assert "binance's are served" in said
    ((source, key, check, failed, compared, example),) = validations()
    assert (source, key, failed, compared) == ("binance, defillama", "LINKUSDT:1h", 3, 72)
    assert check == "sources agree within 2.000%"
    assert "2026-01-04" in example
    assert "(4.8% apart)" in example  # 1 / 1.05 is 4.8 % below
    assert load_prices(["LINKUSDT"])["LINKUSDT"][UNTIL - 9 * HOUR] == pytest.approx(wave(14, 2.0)(UNTIL - 9 * HOUR))
    assert rows("SELECT state FROM fact_run") == [("completed",)]


def test_a_second_source_tells_which_dollar_had_moved_before_it_is_compared(binance, llama):
    """USDT at 0.9 for all three days: what is stored in USD agrees with the other source, and needs no warning."""
    binance.prices = {
        "ETHUSDT": lambda at: wave(2600)(at) / 0.9,
        "LINKUSDT": lambda at: wave(14, 2.0)(at) / 0.9,
        "USDCUSDT": lambda at: 1 / 0.9,
    }
    llama.prices = {
        "coingecko:ethereum": wave(2600),
        "coingecko:chainlink": wave(14, 2.0),
        "coingecko:usd-coin": lambda at: 1.0003,
    }

    said = ran("market-prices", *WORDS[:3], "USDCUSDT", *WORDS[3:])

    assert "216 prices of two sources agree within 2.0%" in said
    assert "except for 216 prices at which USDT had moved" in said
    by = "SELECT DISTINCT usd_proxy, usd_decided_by FROM dim_prices WHERE source = 'binance'"
    assert rows(by) == [("USDC", "defillama USDC/USD")]
    assert validations() == []


def test_the_band_is_a_setting(binance, llama, monkeypatch):
    monkeypatch.setenv("PRICE_AGREEMENT_BAND", "0.0005")
    assert "SOURCES DISAGREE by more than 0.1%" in run()
    assert [row[3:5] for row in validations()] == [(72, 72), (72, 72)]

    monkeypatch.setenv("PRICE_AGREEMENT_BAND", "2 %")
    with pytest.raises(ConfigurationError, match=r"PRICE_AGREEMENT_BAND: expected a share such as 0.02, found '2 %'"):
        run()


def test_a_price_far_from_the_end_of_a_bar_stands_for_none(binance, llama):
    llama.offset = 1200  # 20 minutes after each full hour
    assert "0 prices of 2 series by DefiLlama" in run()
    assert rows("SELECT count(*) FROM raw_defillama_prices") == [(144,)]
    assert rows("SELECT count(*) FROM dim_prices WHERE source = 'defillama'") == [(0,)]


def test_what_binance_does_not_have_is_not_filled_in_from_elsewhere_but_said_to_be_there(binance, llama):
    run()
    with Store.open() as store, store.transaction() as connection:
        connection.execute("DELETE FROM dim_prices WHERE source = 'binance' AND symbol = 'LINKUSDT'")
    with pytest.raises(NoPrices, match=r"binance is served; other sources have 72 of LINKUSDT \(defillama\)"):
        load_prices(["ETHUSDT", "LINKUSDT"])
    assert len(load_prices(["LINKUSDT"], source="defillama")) == 72


def test_a_second_source_that_is_away_is_said_and_leaves_the_first_as_it_is(binance, llama):
    whole = llama.prices
    llama.prices = {}
    llama.replace = dict.fromkeys(["/chart/coingecko:ethereum,coingecko:chainlink"], Response("busy", 503))
    assert "DefiLlama not read (DefiLlama (http" in run()
    assert rows("SELECT DISTINCT source FROM dim_prices") == [("binance",)]

    llama.replace, llama.prices = {}, whole
    assert "agree within" in run()


def test_a_second_source_that_changed_its_shape_ends_the_run(binance, llama):
    llama.bodies["/chart/coingecko:ethereum,coingecko:chainlink"] = {"coins": {"coingecko:ethereum": {"symbol": "ETH"}}}
    with pytest.raises(MalformedAnswer, match=r"coins\['coingecko:ethereum'\]\.prices: expected this field"):
        run()


def test_running_twice_leaves_the_same_prices(binance, llama):
    run()
    before = rows("SELECT * FROM dim_prices"), rows("SELECT * FROM raw_defillama_prices")
    run()
    assert (rows("SELECT * FROM dim_prices"), rows("SELECT * FROM raw_defillama_prices")) == before


def test_newest_prices_of_two_sources_are_compared_at_their_own_times(binance, llama):
    now = int(time.time())
    llama.offset = now - 1_795_219_200 - 60  # a minute ago
    llama.prices["coingecko:ethereum"] = lambda at: 3000.0
    said = run("--latest")
    assert "ETHUSDT: 1 of 1 latest prices" in said


def test_a_coin_stands_for_a_series_only_where_it_is_that_asset(live):
    """Wrapped bitcoin and tokenised gold are prices of their own; ether and the tokens themselves are not."""
    from data.prices.assets import asset_map

    mapping = asset_map()
    address = dict(zip(mapping["symbol"], mapping["asset"], strict=True))
    coins = coins_of(["ETHUSDT", "BTCUSDT", "AAVEUSDT", "PAXGUSDT"], mapping, 1, {})
    assert coins == {"ETHUSDT": "coingecko:ethereum", "AAVEUSDT": f"ethereum:{address['AAVE']}"}
    assert coins_of(["AAVEUSDT"], mapping, 8453, {}) == {}
    assert coins_of(["BTCUSDT"], mapping, 1, {"BTCUSDT": "coingecko:some-coin"}) == {"BTCUSDT": "coingecko:some-coin"}


def test_a_series_without_a_coin_is_named(binance, llama):
    binance.prices["BTCUSDT"] = wave(100_000)
    assert "no coin for BTCUSDT (--coins)" in run("--symbols", "ETHUSDT", "BTCUSDT")
    with pytest.raises(SystemExit):
        ran("market-prices", "--coins", "BTCUSDT")
