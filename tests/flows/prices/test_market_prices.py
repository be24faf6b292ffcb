"""`market-prices` from a loopback Binance into a warehouse: whole batches, exact times, one message for each fault."""

from __future__ import annotations

import json
import re
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer
from werkzeug import Response

from data import marts
from data.errors import BatchRefused
from data.prices.dollar import Decision
from data.store.store import Store
from flows.errors import MalformedAnswer, SourceUnavailable
from flows.prices.binance import Kline, UnknownSymbol
from flows.prices.rows import to_frames
from tests.data.feeds import dim_feed, rounds
from tests.flows.prices.binance_server import HOUR, BinanceServer, wave
from tests.flows.running import ran


@pytest.fixture
def binance(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> BinanceServer:
    server = BinanceServer(httpserver)
    monkeypatch.setenv("BINANCE_URL", server.url)
    # Pauses between repetitions are tested with the source; here they would only be waited for.
    monkeypatch.setattr("flows.clients.http_retry.FIRST_PAUSE", 0.0)
    return server


def run(*words: str) -> str:
    return ran("market-prices", "--days", "3", "--symbols", "ETHUSDT", "BTCUSDT", *words)


def count(table: str) -> int:
    with Store.open() as store:
        return store.rows(f"SELECT count(*) FROM {table}")[0][0]


def test_three_days_of_two_series_land_once_however_often_it_runs(binance):
    run()
    again = run()

    # Two series and USDCUSDT, which says what a USDT is worth.
    assert count("raw_binance_klines") == 3 * 72
    assert count("dim_prices") == 3 * 72
    assert "0 new or changed" in again


def test_the_price_of_a_bar_holds_at_its_end_and_is_stored_as_it_came(binance):
    run()
    hour = int(time.time()) // HOUR * HOUR

    with Store.open() as store:
        last = store.rows("SELECT max(ts) FROM dim_prices")[0][0]
        text = store.rows(
            "SELECT close, typeof(close) FROM raw_binance_klines WHERE symbol='ETHUSDT' AND close_time=?", [last]
        )[0]
        price = store.rows(
            "SELECT price_usd, price_usdt, usd_proxy FROM dim_prices WHERE symbol='ETHUSDT' AND ts=?", [last]
        )[0]

    assert last in (hour, hour - HOUR)  # the full hour may have struck in between
    assert text == (f"{wave(2600.0)(last):.8f}", "text")
    assert price == (float(text[0]), float(text[0]), "USDT")


def bar(close: str, at: int = 0) -> Kline:
    return Kline(at * 1000, close, close, close, close, "1", (at + HOUR) * 1000 - 1, "1", 1, "1", "1", "0", "ab" * 32)


def decided(ratio: float, proxy: str, by: str = "chainlink USDT/USD") -> dict[int, Decision]:
    return {HOUR: Decision(ratio, proxy, by)}


def test_a_usdt_at_98_cents_is_no_rally_of_ether_where_a_quote_says_so():
    klines = {"ETHUSDT": [bar("2000.0")], "USDCUSDT": [bar("1.02")]}

    frames = to_frames(klines, ["ETHUSDT", "USDCUSDT"], "1h", (), decided(1.02, "USDC"))

    price = frames["dim_prices"].set_index("symbol")
    assert price.loc["ETHUSDT", "price_usd"] == pytest.approx(2000 / 1.02)
    assert price.loc["ETHUSDT", "price_usdt"] == 2000.0
    assert set(price["usd_proxy"]) == {"USDC"}
    assert set(price["usd_decided_by"]) == {"chainlink USDT/USD"}
    assert price.loc["USDCUSDT", "price_usd"] == 1.0


@pytest.mark.parametrize(
    "decisions",
    [None, decided(0.8726, "USDT"), decided(0.9, "USDC")],
    ids=["no quote", "USDC fell", "a quote for another ratio"],
)
def test_a_fall_of_usdc_is_booked_once(decisions):
    """2023-03-11 08:00 UTC: the same 12.7 % must not be a fall of USDC and a rise of ether."""
    klines = {"ETHUSDT": [bar("1415.74")], "USDCUSDT": [bar("0.8726")], "EURUSDT": [bar("1.05")]}

    frames = to_frames(klines, ["ETHUSDT", "USDCUSDT", "EURUSDT"], "1h", (), decisions)

    price = frames["dim_prices"].set_index("symbol")
    assert price["price_usd"].to_dict() == {"ETHUSDT": 1415.74, "USDCUSDT": 0.8726, "EURUSDT": 1.05}
    said = "chainlink USDT/USD" if decisions and decisions[HOUR].ratio == 0.8726 else "not decided"
    assert set(price["usd_decided_by"]) == {said}


@given(
    st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=5),
    st.floats(0.4, 2.5),
    st.sampled_from(["USDT", "USDC", None]),
)
def test_cross_rates_of_the_table_are_those_that_were_traded(closes, ratio, proxy):
    names = [f"A{number}USDT" for number in range(len(closes))]
    klines = {name: [bar(repr(close))] for name, close in zip(names, closes, strict=True)}
    klines["USDCUSDT"] = [bar(repr(ratio))]

    frames = to_frames(klines, list(klines), "1h", (), decided(ratio, proxy) if proxy else None)

    price = frames["dim_prices"].set_index("symbol")["price_usd"]
    traded = dict(zip(names, closes, strict=True)) | {"USDCUSDT": ratio}
    for first in klines:
        for second in klines:
            assert price[first] / price[second] == pytest.approx(traded[first] / traded[second], rel=1e-14)


def last(symbol: str) -> tuple:
    """Newest row of the window: price_usd, price_usdt, usd_proxy, usd_decided_by."""
    with Store.open() as store:
        return store.rows(
            "SELECT price_usd, price_usdt, usd_proxy, usd_decided_by FROM dim_prices WHERE symbol = ? AND "
            "source = 'binance' ORDER BY ts DESC LIMIT 1",
            [symbol],
        )[0]


def quoted(pair: str, price: float, at: int, feed: str = "0x" + "c" * 40) -> None:
    """One Chainlink round, as `oracle-prices` leaves it."""
    with Store.open() as store:
        named = dim_feed(heartbeat_s=82_800, feed=feed).assign(pair=pair)
        answers = rounds([(1, round(price * 10**8), at)], feed)
        store.write_batch("chainlink", pair, {"raw_chainlink_rounds": answers, "dim_feed": named})
        marts.refresh(store, ["stg_chainlink_prices"])


PAST = ("--until", "2026-01-05")
END = 1767571200


def test_without_a_quote_nothing_is_corrected_and_both_readings_are_noted(binance):
    binance.prices |= {"ETHUSDT": lambda at: 1415.74, "USDCUSDT": lambda at: 0.8726}

    said = run(*PAST)

    assert last("ETHUSDT") == (1415.74, 1415.74, "USDT", "not decided")
    assert last("USDCUSDT") == (0.8726, 0.8726, "USDT", "not decided")
    assert "NOT DECIDED which of USDC and USDT had moved at 72 times" in said
    with Store.open() as store:
        noted = store.rows("SELECT check_name, n_failed, n_rows, example FROM fact_validation")
    assert [row[1:3] for row in noted] == [(72, 72)]
    assert "USDC is 0.8726 USD and USDT 1, or USDC is 1 USD and USDT 1.146" in noted[0][3]


@pytest.mark.parametrize(
    ("pair", "price", "ether", "usdc", "proxy"),
    [
        ("USDC/USD", 0.88, 1415.74, 0.8726, "USDT"),
        ("USDC/USD", 0.9998, 1415.74 / 0.8726, 1.0, "USDC"),
        ("USDT/USD", 1.002, 1415.74, 0.8726, "USDT"),
        ("USDT/USD", 1.14, 1415.74 / 0.8726, 1.0, "USDC"),
    ],
)
def test_a_quote_that_arrives_later_decides_what_is_stored(binance, pair, price, ether, usdc, proxy):
    binance.prices |= {"ETHUSDT": lambda at: 1415.74, "USDCUSDT": lambda at: 0.8726}
    run(*PAST)
    quoted(pair, price, END - 1800)

    run(*PAST)

    assert last("ETHUSDT") == (ether, 1415.74, proxy, f"chainlink {pair}")
    assert last("USDCUSDT") == (usdc, 0.8726, proxy, f"chainlink {pair}")
    with Store.open() as store:
        columns = "symbol, interval, ts, source, price_usd, price_usdt, usd_proxy, usd_decided_by"
        staged, direct = (store.rows(f"SELECT {columns} FROM {t} ORDER BY 1, 3") for t in ("stg_prices", "dim_prices"))
        marts.refresh(store, ["stg_prices"], full=True)
        assert staged == direct == store.rows(f"SELECT {columns} FROM stg_prices ORDER BY 1, 3")
    assert "0 new or changed" in run(*PAST, "--again")


def test_quotes_that_contradict_each_other_or_are_old_decide_nothing(binance):
    binance.prices |= {"USDCUSDT": lambda at: 0.8726}
    run(*PAST)
    quoted("USDC/USD", 0.88, END - 1800)
    quoted("USDT/USD", 1.14, END - 1800, "0x" + "d" * 40)
    run(*PAST)
    assert last("ETHUSDT")[3] == "not decided"

    with Store.open() as store, store.transaction() as connection:
        connection.execute("DELETE FROM stg_chainlink_prices WHERE feed = ?", ["0x" + "d" * 40])
        connection.execute("UPDATE stg_chainlink_prices SET updated_at = updated_at - 200000")
    run(*PAST)
    assert last("ETHUSDT")[3] == "not decided"


def test_a_second_pair_of_the_exchange_decides(binance):
    binance.prices |= {"USDCUSDT": lambda at: 0.8726, "FDUSDUSDT": lambda at: 1.001}
    run(*PAST, "--symbols", "ETHUSDT", "FDUSDUSDT")
    assert last("ETHUSDT")[2:] == ("USDT", "binance FDUSDUSDT")


def test_a_candle_of_the_peg_that_is_corrected_takes_the_decision_back(binance):
    binance.prices |= {"USDCUSDT": lambda at: 0.8726}
    run(*PAST)
    quoted("USDC/USD", 0.9998, END - 1800)
    run(*PAST)
    assert last("ETHUSDT")[2] == "USDC"

    binance.prices |= {"USDCUSDT": lambda at: 1.0001}
    run(*PAST, "--again", "--symbols", "USDCUSDT")

    price, traded, *said = last("ETHUSDT")
    assert (price, *said) == (traded, "USDT", None)


@pytest.mark.parametrize(
    "peg", [["1.0019"], ["0.9985"], ["37.5"], []], ids=["above", "below", "no dollar pair", "absent"]
)
def test_within_0_2_percent_or_without_a_dollar_pair_nothing_is_corrected(peg):
    price = to_frames({"ETHUSDT": [bar("2000.0")], "USDCUSDT": [bar(x) for x in peg]}, ["ETHUSDT"], "1h")["dim_prices"]
    assert (price["price_usd"][0], price["usd_proxy"][0]) == (2000.0, "USDT")


def test_without_the_peg_pair_on_the_exchange_prices_still_arrive(binance):
    del binance.prices["USDCUSDT"]
    assert "1 USDT = 1 USD" in run()


def test_an_unknown_symbol_is_named_and_nothing_is_written(binance):
    del binance.prices["BTCUSDT"]
    with pytest.raises(UnknownSymbol, match="BTCUSDT"):
        run()
    assert count("raw_binance_klines") == 0


def refuse_bitcoin(status: int, body: str = "busy", **headers: str):
    def instead(request):
        return Response(body, status, headers) if request.args["symbol"] == "BTCUSDT" else None

    return instead


def drop(number: int):
    return lambda symbol, page: [*page[:number], *page[number + 1 :]] if symbol == "BTCUSDT" else page


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ({"answer_instead": refuse_bitcoin(503)}, SourceUnavailable, "HTTP 503"),
        ({"answer_instead": refuse_bitcoin(429, **{"Retry-After": "9999"})}, SourceUnavailable, "asks to wait 9,999 s"),
        ({"answer_instead": refuse_bitcoin(418, **{"Retry-After": "9999"})}, SourceUnavailable, "banned"),
        ({"answer_instead": refuse_bitcoin(200, "<html>maintenance</html>")}, MalformedAnswer, "not JSON"),
        ({"alter": drop(10)}, MalformedAnswer, "klines of BTCUSDT have a gap of 1 bars between"),
        (
            {"alter": lambda s, page: page[::-1] if s == "BTCUSDT" else page},
            MalformedAnswer,
            "BTCUSDT are out of order",
        ),
        ({"alter": lambda s, page: [] if s == "BTCUSDT" else page}, MalformedAnswer, "no finished bar of BTCUSDT"),
    ],
    ids=["5xx storm", "429", "418", "html", "gap", "out of order", "empty"],
)
def test_each_fault_is_one_message_nothing_half_written_and_a_rerun_completes(binance, fault, error, message):
    healthy = vars(binance).copy()
    vars(binance).update(fault)
    with pytest.raises(error, match=message):
        run()
    assert count("raw_binance_klines") == count("dim_prices") == 0
    with Store.open() as store:
        assert store.rows("SELECT flow, state FROM fact_run") == [("market-prices", "failed")]

    vars(binance).update(healthy)
    run()
    assert count("dim_prices") == 3 * 72


def test_a_price_of_zero_refuses_the_batch_and_is_kept_in_quarantine_with_its_reason(binance):
    def zero(symbol, page):
        return [[*page[0][:4], "0.00000000", *page[0][5:]], *page[1:]] if symbol == "BTCUSDT" else page

    binance.alter = zero
    with pytest.raises(BatchRefused, match="raw_binance_klines: 1 of 216 rows are bad"):
        run()

    assert count("raw_binance_klines") == count("dim_prices") == 0
    with Store.open() as store:
        reason = store.rows("SELECT reason FROM quarantine WHERE table_name = 'raw_binance_klines'")
    assert len(reason) == 1
    assert "close" in reason[0][0]


def test_a_pair_that_no_longer_trades_is_refused_by_name(binance):
    binance.alter = lambda symbol, page: [
        row for row in page if symbol == "ETHUSDT" or row[0] < (time.time() - 86_400) * 1000
    ]
    with pytest.raises(MalformedAnswer, match=r"bars of BTCUSDT .* too early: halted or delisted"):
        run()


def test_a_halt_passes_when_allowed(binance):
    binance.alter = drop(10)
    run("--allow-gaps")
    assert count("dim_prices") == 3 * 72 - 1


def test_a_past_window_is_read_as_asked(binance):
    run("--until", "2026-01-05")
    with Store.open() as store:
        assert store.rows("SELECT min(ts), max(ts) FROM dim_prices") == [(1767312000 + HOUR, 1767571200)]


def test_latest_prices_are_stored_apart_from_the_bars(binance):
    run("--latest")
    with Store.open() as store:
        rows = store.rows("SELECT symbol, usd_proxy FROM dim_prices WHERE interval = 'latest' ORDER BY symbol")
        raw = store.rows("SELECT symbol, price, typeof(price) FROM raw_binance_ticker WHERE symbol = 'BTCUSDT'")
    assert rows == [("BTCUSDT", "USDT"), ("ETHUSDT", "USDT"), ("USDCUSDT", "USDT")]
    assert [(symbol, kind) for symbol, _, kind in raw] == [("BTCUSDT", "text")]


def test_the_last_price_is_not_a_rally_either_when_usdt_is_at_98_cents(binance):
    binance.prices["USDCUSDT"] = lambda at: 1.02
    quoted("USDT/USD", 0.98, int(time.time()) - 60)
    run("--latest")
    with Store.open() as store:
        rows = store.rows(
            "SELECT price_usdt / price_usd, usd_proxy FROM dim_prices WHERE interval='latest' AND symbol='ETHUSDT'"
        )
    assert rows == [(pytest.approx(1.02), "USDC")]


def test_what_the_exchange_says_of_a_pair_is_kept_once_for_each_state_and_a_halted_one_is_named(binance):
    run("--exchange-info")
    run("--exchange-info")
    assert count("raw_binance_exchange_info") == 2

    binance.status["BTCUSDT"] = "BREAK"
    assert "not trading now: BTCUSDT is BREAK" in run("--exchange-info")
    with Store.open() as store:
        rows = dict(store.rows("SELECT status, document FROM raw_binance_exchange_info WHERE symbol = 'BTCUSDT'"))
    assert json.loads(rows["BREAK"])["baseAsset"] == "BTC"


@pytest.fixture
def clocks_differ(binance, monkeypatch):
    """Sets by how many seconds Binance's clock is behind ours, `Date` headers included."""

    def differ(seconds: float) -> None:
        binance.clock_behind = seconds
        monkeypatch.setattr(
            BaseHTTPRequestHandler,
            "date_time_string",
            lambda handler, timestamp=None: formatdate(time.time() - seconds, usegmt=True),
        )

    return differ


def test_a_clock_of_ours_that_is_ahead_does_not_make_a_running_bar_a_finished_one(binance, clocks_differ):
    """Binance sends the running bar too; its `Date` header says that the bar is not over."""
    clocks_differ(5.5 * HOUR)  # the same as ours being that much ahead
    said = run()

    with Store.open() as store:
        last = store.rows("SELECT max(ts) FROM dim_prices")[0][0]
    now = time.time() - 5.5 * HOUR
    assert now - HOUR - 60 < last <= now
    assert re.search(r"clock is \+19,[78]\d\d s off Binance's", said)


def test_a_clock_of_ours_that_is_behind_only_leaves_the_newest_bars_for_later(binance, clocks_differ):
    clocks_differ(-5.5 * HOUR)
    said = run()
    with Store.open() as store:
        last = store.rows("SELECT max(ts) FROM dim_prices")[0][0]
    assert time.time() - HOUR - 60 < last <= time.time()
    assert re.search(r"clock is -19,[78]\d\d s off Binance's", said)


@pytest.mark.parametrize("words", [["--days", "0"], ["--days", "-1"], ["--until", "soon"], ["--symbols", "ETH/USDT"]])
def test_a_senseless_parameter_is_a_usage_error(words):
    with pytest.raises(SystemExit) as exit_:
        ran("market-prices", *words)
    assert exit_.value.code == 2
