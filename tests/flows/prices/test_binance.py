"""The Binance source against a loopback server that answers as the documentation (and recorded bodies) say."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from flows.clients.http_retry import HttpRefused
from flows.errors import ConfigurationError, MalformedAnswer, SourceUnavailable
from flows.prices import binance_shapes as shapes
from flows.prices.binance import Binance, UnknownSymbol

HOUR = 3600
NOON = 1_763_640_000  # 2025-11-20 12:00 UTC
RECORDED = Path(__file__).parents[3] / ".." / "shared" / "data" / "recorded" / "binance"


def kline(open_time: int, close: str = "2600.50", step: int = HOUR) -> list:
    """A bar in the documented shape; `open_time` in seconds."""
    start = open_time * 1000
    return [
        start,
        "2600.00",
        "2700.00",
        "2500.00",
        close,
        "12.5",
        start + step * 1000 - 1,
        "32500.1",
        42,
        "6.2",
        "16250.0",
        "0",
    ]


def hours(first: int, n: int) -> list[list]:
    return [kline(first + HOUR * i) for i in range(n)]


class Clock:
    """Time that moves only when somebody sleeps; `slept` lists the pauses in seconds."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON + 1800)


@pytest.fixture
def binance(httpserver: HTTPServer, clock: Clock) -> Binance:
    return Binance(httpserver.url_for(""), clock=clock, sleep=clock.sleep)


def serve(httpserver: HTTPServer, bars: list[list]) -> None:
    """Answer as the documentation says: bars in [startTime, endTime], oldest first, at most `limit`."""

    def answer(request: Request) -> Response:
        low, high, limit = (int(request.args[name]) for name in ("startTime", "endTime", "limit"))
        page = [bar for bar in bars if low <= bar[0] <= high][: min(limit, 1000)]
        return Response(json.dumps(page), content_type="application/json;charset=UTF-8")

    httpserver.expect_request("/api/v3/klines").respond_with_handler(answer)


def test_a_finished_bar_is_kept_as_received_and_the_running_one_is_left_out(binance, httpserver):
    serve(httpserver, hours(NOON - 2 * HOUR, 3))  # opens 10:00, 11:00 and 12:00; it is 12:30

    bars = binance.klines("ETHUSDT", "1h", NOON - 2 * HOUR, NOON + HOUR)

    assert [bar.open_time for bar in bars] == [(NOON - 2 * HOUR) * 1000, (NOON - HOUR) * 1000]
    assert bars[0].close == "2600.50"
    assert bars[0].trades == 42


def test_ninety_days_of_hours_take_three_pages(binance, httpserver):
    first = NOON - 90 * 24 * HOUR
    serve(httpserver, hours(first, 2161))

    bars = binance.klines("ETHUSDT", "1h", first, NOON + HOUR)

    assert len(bars) == 2160
    assert len(httpserver.log) == 3


def test_a_young_listing_begins_later_than_asked(binance, httpserver):
    serve(httpserver, hours(NOON - 5 * HOUR, 5))
    assert len(binance.klines("NEWUSDT", "1h", NOON - 100 * HOUR, NOON)) == 5


def test_a_server_that_only_knows_the_newest_bars_is_not_asked_for_ever(binance, httpserver):
    httpserver.expect_request("/api/v3/klines").respond_with_json(hours(NOON - 9 * HOUR, 10))
    assert len(binance.klines("ETHUSDT", "1h", NOON - 100 * HOUR, NOON + HOUR)) == 9


def test_a_server_with_shorter_pages_is_asked_until_the_end(binance, httpserver):
    bars = hours(NOON - 9 * HOUR, 9)
    httpserver.expect_request("/api/v3/klines").respond_with_handler(
        lambda request: Response(json.dumps([bar for bar in bars if bar[0] >= int(request.args["startTime"])][:4]))
    )
    assert [bar.open_time for bar in binance.klines("ETHUSDT", "1h", NOON - 9 * HOUR, NOON)] == [bar[0] for bar in bars]


def test_a_server_that_repeats_one_old_page_is_refused_and_not_asked_for_ever(binance, httpserver):
    httpserver.expect_request("/api/v3/klines").respond_with_json(hours(NOON - 50 * HOUR, 3))
    with pytest.raises(MalformedAnswer, match="out of order"):
        binance.klines("ETHUSDT", "1h", NOON - 50 * HOUR, NOON)


@pytest.mark.parametrize(
    ("bars", "message"),
    [
        (
            hours(NOON - 9 * HOUR, 3) + hours(NOON - 4 * HOUR, 2),
            r"gap of 2 bars between 2025-11-20 05:00 UTC and 2025-11-20 08:00",
        ),
        (hours(NOON - 9 * HOUR, 2) + hours(NOON - 8 * HOUR, 2), r"repeat the bar of 2025-11-20 04:00 UTC"),
        (
            hours(NOON - 5 * HOUR, 2) + hours(NOON - 9 * HOUR, 2),
            r"out of order: 2025-11-20 03:00 UTC follows 2025-11-20 08:00",
        ),
        ([kline(NOON - 5 * HOUR), kline(NOON - 4 * HOUR + 60)], r"3,660 s apart"),
    ],
    ids=["gap", "repeated", "out of order", "off the grid"],
)
def test_bars_that_do_not_follow_each_other_are_refused(binance, httpserver, bars, message):
    httpserver.expect_request("/api/v3/klines").respond_with_json(bars)
    with pytest.raises(MalformedAnswer, match=message):
        binance.klines("ETHUSDT", "1h", NOON - 10 * HOUR, NOON)


def test_a_known_halt_can_be_let_through(binance, httpserver):
    serve(httpserver, hours(NOON - 9 * HOUR, 3) + hours(NOON - 4 * HOUR, 4))
    assert len(binance.klines("ETHUSDT", "1h", NOON - 9 * HOUR, NOON, allow_gaps=True)) == 7


FEBRUARY = (1_518_048_000_000, 1_518_168_494_789, 1_518_319_694_789, 1_518_321_600_000)
"""Opening times as reported of BTCUSDT in February 2018 (binance-public-data, issue 77): the last bar before the halt,
the first after it, the last off the grid, and the first on it again."""


def february() -> list[list]:
    halt, back, last_off, again = FEBRUARY
    opens = [halt - HOUR * 1000, halt, *range(back, last_off + 1, HOUR * 1000), again, again + HOUR * 1000]
    ends = {halt: 1_518_049_694_788, last_off: 1_518_321_600_999}
    return [[at, *kline(NOON)[1:6], ends.get(at, at + HOUR * 1000 - 1), *kline(NOON)[7:]] for at in opens]


def test_bars_off_the_grid_say_their_cause_and_are_taken_as_they_are_where_that_is_allowed(binance, httpserver):
    bars = february()
    assert len(bars) == 47
    serve(httpserver, bars)
    first, end = FEBRUARY[0] // 1000 - HOUR, FEBRUARY[3] // 1000 + 2 * HOUR

    with pytest.raises(MalformedAnswer, match=r"120,495 s apart: the bar of 2018-02-09 09:28 UTC opens 1,694\.789 s"):
        binance.klines("BTCUSDT", "1h", first, end)
    taken = binance.klines("BTCUSDT", "1h", first, end, allow_gaps=True)

    assert [bar.open_time for bar in taken] == [bar[0] for bar in bars]


@pytest.mark.parametrize("page", [1, 2, 3, 44, 45])
def test_no_bar_off_the_grid_is_lost_between_two_pages(binance, httpserver, page):
    bars = february()
    httpserver.expect_request("/api/v3/klines").respond_with_handler(
        lambda request: Response(json.dumps([bar for bar in bars if bar[0] >= int(request.args["startTime"])][:page]))
    )
    found = binance.klines("BTCUSDT", "1h", FEBRUARY[0] // 1000, FEBRUARY[3] // 1000 + HOUR, allow_gaps=True)
    assert [bar.open_time for bar in found] == [bar[0] for bar in bars[1:-1]]


@pytest.mark.parametrize("allow_gaps", [False, True])
def test_order_is_never_given_up(binance, httpserver, allow_gaps):
    bars = february()
    httpserver.expect_request("/api/v3/klines").respond_with_json([*bars[:5], bars[3]])
    with pytest.raises(MalformedAnswer, match="out of order"):
        binance.klines("BTCUSDT", "1h", FEBRUARY[0] // 1000, FEBRUARY[3] // 1000, allow_gaps=allow_gaps)


def altered(position: int, value: object) -> list:
    bar = kline(NOON - HOUR)
    bar[position] = value
    return bar


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"serverTime": 1}, "klines of ETHUSDT are not a list"),
        ([[1, "2", "3"]], "kline 0 of ETHUSDT is not an array of 12 elements"),
        ([altered(4, 2600.5)], "close that is not a string"),
        ([altered(0, (NOON - HOUR) * 1_000_000)], "not a whole second in UTC milliseconds"),
        ([altered(0, (NOON - HOUR) * 1000 + 1)], "not a whole second"),
        ([altered(8, "42")], "trades that is not an integer"),
    ],
)
def test_an_answer_of_another_shape_stops_loudly(binance, httpserver, body, message):
    httpserver.expect_request("/api/v3/klines").respond_with_json(body)
    with pytest.raises(MalformedAnswer, match=message):
        binance.klines("ETHUSDT", "1h", NOON - 10 * HOUR, NOON)


def test_an_html_page_is_named_as_such(binance, httpserver):
    httpserver.expect_request("/api/v3/klines").respond_with_data(
        "<html><body>Sign in</body></html>", content_type="text/html"
    )
    with pytest.raises(
        MalformedAnswer, match=r"text/html that is not JSON, beginning '<html><body>Sign in.*check BINANCE_URL"
    ):
        binance.klines("ETHUSDT", "1h", NOON - HOUR, NOON)
    assert len(httpserver.log) == 5


def test_an_unknown_symbol_is_named(binance, httpserver):
    httpserver.expect_request("/api/v3/klines").respond_with_json({"code": -1121, "msg": "Invalid symbol."}, status=400)
    with pytest.raises(UnknownSymbol, match=r"does not know FOOUSDT .error -1121"):
        binance.klines("FOOUSDT", "1h", NOON - HOUR, NOON)


def test_any_other_refusal_is_not_repeated(binance, httpserver):
    httpserver.expect_request("/api/v3/klines").respond_with_json(
        {"code": -1100, "msg": "Illegal characters"}, status=400
    )
    with pytest.raises(HttpRefused, match=r"HTTP 400.*Illegal characters"):
        binance.klines("ETHUSDT", "1h", NOON - HOUR, NOON)
    assert len(httpserver.log) == 1


@pytest.mark.parametrize("status", [429, 418])
def test_retry_after_is_waited_for_and_the_answer_then_used(binance, httpserver, clock, status):
    httpserver.expect_ordered_request("/api/v3/klines").respond_with_data(
        "{}", status=status, headers={"Retry-After": "7"}
    )
    httpserver.expect_ordered_request("/api/v3/klines").respond_with_json(hours(NOON - HOUR, 1))

    assert len(binance.klines("ETHUSDT", "1h", NOON - HOUR, NOON)) == 1
    assert clock.slept == [7.0]


def test_a_ban_longer_than_our_patience_ends_at_once_and_says_when_to_return(binance, httpserver, clock):
    httpserver.expect_request("/api/v3/klines").respond_with_data("{}", status=418, headers={"Retry-After": "86400"})
    with pytest.raises(
        SourceUnavailable,
        match=r"HTTP 418 .*banned.* asks to wait 86,400 s; a run waits at most 180 s.*run again after",
    ):
        binance.klines("ETHUSDT", "1h", NOON - HOUR, NOON)
    assert clock.slept == []


def test_endless_429_exhausts_patience_even_when_told_to_wait_zero_seconds(binance, httpserver, clock):
    httpserver.expect_request("/api/v3/klines").respond_with_data("{}", status=429, headers={"Retry-After": "0"})
    with pytest.raises(SourceUnavailable, match="HTTP 429"):
        binance.klines("ETHUSDT", "1h", NOON - HOUR, NOON)
    assert sum(clock.slept) == 180


def test_a_storm_of_5xx_is_retried_with_growing_pauses_then_given_up(binance, httpserver, clock):
    httpserver.expect_request("/api/v3/klines").respond_with_data("busy", status=503)
    with pytest.raises(SourceUnavailable, match="HTTP 503 to /api/v3/klines; tried 5 times"):
        binance.klines("ETHUSDT", "1h", NOON - HOUR, NOON)
    assert [0.5 <= pause / 2**i <= 1.0 for i, pause in enumerate(clock.slept)] == [True] * 4


def test_one_5xx_is_survived(binance, httpserver):
    httpserver.expect_ordered_request("/api/v3/klines").respond_with_data("busy", status=502)
    httpserver.expect_ordered_request("/api/v3/klines").respond_with_json(hours(NOON - HOUR, 1))
    assert len(binance.klines("ETHUSDT", "1h", NOON - HOUR, NOON)) == 1


def test_nobody_listening_is_said_so_without_the_key_in_the_url(clock):
    source = Binance("http://127.0.0.1:9/secret-key", clock=clock, sleep=clock.sleep)
    with pytest.raises(SourceUnavailable, match=r"127\.0\.0\.1:9\) cannot be reached") as failure:
        source.klines("ETHUSDT", "1h", NOON - HOUR, NOON)
    assert "secret" not in str(failure.value)


def test_an_answer_that_never_comes_is_given_up_after_five_timeouts(httpserver, clock):
    def hang(request: Request) -> Response:
        time.sleep(0.3)
        return Response("[]")

    httpserver.expect_request("/api/v3/klines").respond_with_handler(hang)
    source = Binance(httpserver.url_for(""), clock=clock, sleep=clock.sleep, timeout=0.05)
    with pytest.raises(SourceUnavailable, match=r"cannot be reached .timed out.; tried 5 times"):
        source.klines("ETHUSDT", "1h", NOON - HOUR, NOON)
    # The server answers one by one: requests that were given up would be counted in the next test.
    for _ in range(100):
        if len(httpserver.log) >= 5:
            break
        time.sleep(0.05)


@pytest.mark.parametrize("body", ["[[17676", '[[1767225600000,"2600.0"', "", "null,", "<html>"])
def test_a_body_that_is_cut_short_or_no_json_is_refused_after_five_tries(binance, httpserver, clock, body):
    httpserver.expect_request("/api/v3/klines").respond_with_data(body, content_type="application/json")
    with pytest.raises(MalformedAnswer, match="not JSON"):
        binance.klines("ETHUSDT", "1h", NOON - HOUR, NOON)
    assert len(httpserver.log) == 5
    assert len(clock.slept) == 4


def test_a_connection_that_breaks_in_the_middle_of_a_body_is_tried_again(clock):
    """A socket that promises 5,000 bytes and closes after 20, then answers whole."""
    whole = json.dumps(hours(NOON - HOUR, 1)).encode()
    server = socket.create_server(("127.0.0.1", 0))

    def serve_twice() -> None:
        for body, length in ((whole[:20], 5000), (whole, len(whole))):
            connection, _ = server.accept()
            connection.recv(65536)
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            connection.sendall(head.encode() + body)
            connection.close()

    thread = threading.Thread(target=serve_twice, daemon=True)
    thread.start()
    source = Binance(f"http://127.0.0.1:{server.getsockname()[1]}", clock=clock, sleep=clock.sleep)
    assert len(source.klines("ETHUSDT", "1h", NOON - HOUR, NOON)) == 1
    assert len(clock.slept) == 1
    thread.join()
    server.close()


def test_near_the_weight_limit_we_wait_for_the_next_minute(binance, httpserver, clock):
    clock.now = NOON + 1845  # 15 s to the next minute
    httpserver.expect_request("/api/v3/klines").respond_with_json(
        hours(NOON - HOUR, 1), headers={"X-MBX-USED-WEIGHT-1M": "4800"}
    )
    binance.klines("ETHUSDT", "1h", NOON - HOUR, NOON)
    assert clock.slept == [15]


def test_far_from_the_weight_limit_nobody_waits(binance, httpserver, clock):
    httpserver.expect_request("/api/v3/klines").respond_with_json(
        hours(NOON - HOUR, 1), headers={"X-MBX-USED-WEIGHT-1M": "4799"}
    )
    binance.klines("ETHUSDT", "1h", NOON - HOUR, NOON)
    assert clock.slept == []


def test_the_weight_limit_is_the_one_that_exchange_info_states_and_the_older_header_counts_too(
    binance, httpserver, clock
):
    """1,200 a minute, as recorded in 2021; four fifths of it are 960."""
    limits = [
        {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 9},
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 1200},
    ]
    httpserver.expect_request("/api/v3/exchangeInfo").respond_with_json({"rateLimits": limits, "symbols": []})
    httpserver.expect_request("/api/v3/klines").respond_with_json(
        hours(NOON - HOUR, 1), headers={"X-MBX-USED-WEIGHT": "960"}
    )
    binance.klines("ETHUSDT", "1h", NOON - HOUR, NOON)
    assert clock.slept == []

    binance.exchange_info(["ETHUSDT"])
    binance.klines("ETHUSDT", "1h", NOON - HOUR, NOON)
    assert clock.slept == [1800 % 60 or 60]


def test_pauses_for_the_weight_limit_do_not_use_up_the_patience_of_a_long_backfill(binance, httpserver, clock):
    first = NOON - 20_000 * HOUR
    bars = hours(first, 20_000)

    def answer(request: Request) -> Response:
        page = [bar for bar in bars if bar[0] >= int(request.args["startTime"])][:1000]
        return Response(json.dumps(page), headers={"X-MBX-USED-WEIGHT-1M": "5999"})

    httpserver.expect_request("/api/v3/klines").respond_with_handler(answer)
    assert len(binance.klines("ETHUSDT", "1h", first, NOON)) == 20_000
    assert len(clock.slept) == 20
    assert max(clock.slept) <= 60


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], r"exchangeInfo: expected an object, found \[\]"),
        ({"rateLimits": []}, r"exchangeInfo\.symbols: expected list, found only rateLimits"),
        ({"rateLimits": [], "symbols": {}}, r"exchangeInfo\.symbols: expected list, found \{\}"),
        (
            {"rateLimits": [], "symbols": [{"symbol": "ETHUSDT", "state": "TRADING"}]},
            r"symbols\[0\]\.status: expected str, found only symbol, state",
        ),
        (
            {"rateLimits": [{"rateLimitType": 1}], "symbols": []},
            r"rateLimits\[0\]\.rateLimitType: expected str, found 1",
        ),
    ],
)
def test_an_exchange_info_of_another_shape_names_field_expectation_and_find(binance, httpserver, body, message):
    httpserver.expect_request("/api/v3/exchangeInfo").respond_with_json(body)
    with pytest.raises(MalformedAnswer, match=message):
        binance.exchange_info(["ETHUSDT"])


def test_a_running_bar_is_known_by_the_clock_of_the_answer_when_ours_is_ahead(httpserver, clock, monkeypatch):
    """Ours says 12:30; the answer was made at 11:30, so the bar of 11:00 is not over."""
    monkeypatch.setattr(
        "http.server.BaseHTTPRequestHandler.date_time_string",
        lambda self, timestamp=None: "Thu, 20 Nov 2025 11:30:00 GMT",
    )
    source = Binance(httpserver.url_for(""), clock=clock, sleep=clock.sleep)
    serve(httpserver, hours(NOON - 2 * HOUR, 2))

    bars = source.klines("ETHUSDT", "1h", NOON - 2 * HOUR, NOON + HOUR)

    assert [bar.open_time for bar in bars] == [(NOON - 2 * HOUR) * 1000]
    assert source.clock_ahead == pytest.approx(3600, abs=2)


def test_latest_prices_come_as_received(binance, httpserver):
    httpserver.expect_request(
        "/api/v3/ticker/price", query_string={"symbols": '["ETHUSDT","BTCUSDT"]'}
    ).respond_with_json([{"symbol": "BTCUSDT", "price": "101000.10"}, {"symbol": "ETHUSDT", "price": "3866.44000000"}])
    assert binance.tickers(["ETHUSDT", "BTCUSDT"]).prices == {"BTCUSDT": "101000.10", "ETHUSDT": "3866.44000000"}


def test_a_missing_latest_price_is_refused_by_name(binance, httpserver):
    httpserver.expect_request("/api/v3/ticker/price").respond_with_json([{"symbol": "ETHUSDT", "price": "0.00"}])
    with pytest.raises(MalformedAnswer, match=r"ticker/price of ETHUSDT is '0\.00'"):
        binance.tickers(["ETHUSDT"])


def test_a_url_without_scheme_and_an_unknown_interval_are_refused(binance):
    with pytest.raises(ConfigurationError, match="BINANCE_URL: expected an address"):
        Binance("data-api.binance.vision")
    with pytest.raises(ConfigurationError, match="BINANCE_URL: expected an address without a query") as refused:
        Binance("https://binance.example/?key=hidden-word").klines("ETHUSDT", "1h", NOON - HOUR, NOON)
    assert "hidden-word" not in str(refused.value)
    with pytest.raises(ConfigurationError, match=r"interval: expected one of .* found '1y'"):
        binance.klines("ETHUSDT", "1y", NOON - HOUR, NOON)


def body(name: str) -> str:
    line = next(
        x for x in (RECORDED / name).read_text().splitlines() if x.lstrip().startswith("string: '") and len(x) > 20
    )
    return line.split("string: ", 1)[1].strip("'")


recorded = pytest.mark.skipif(not RECORDED.is_dir(), reason="recorded Binance bodies are not beside this checkout")


@recorded
def test_the_recorded_exchange_info_states_its_symbols_and_its_limit():
    text = body("spot_exchange_info.yml")
    whole = json.loads(text)
    infos = {info.symbol: info for info in shapes.symbols_of("Binance", whole, "ab" * 32)}

    assert (infos["ETHUSDT"].base_asset, infos["ETHUSDT"].quote_asset, infos["ETHUSDT"].status) == (
        "ETH",
        "USDT",
        "TRADING",
    )
    assert shapes.weight_limit("Binance", whole) == 1200
    assert len(infos) == len(whole["symbols"]) > 1000


@recorded
def test_the_recorded_date_header_is_the_servers_time_cut_to_seconds():
    """What lets us use it as Binance's clock: the header of /time beside its body."""
    header = next(
        line.split("date: ", 1)[1]
        for line in (RECORDED / "spot_time.yml").read_text().splitlines()
        if " date: " in line
    )
    milliseconds = int(re.search(r'"serverTime":(\d+)', (RECORDED / "spot_time.yml").read_text())[1])
    assert parsedate_to_datetime(header).timestamp() == milliseconds // 1000


@recorded
def test_recorded_bodies_have_the_shape_we_read(httpserver):

    httpserver.expect_request("/api/v3/klines").respond_with_data(body("spot_klines_ethusdt_1d_limit_1.yml"))
    httpserver.expect_request("/api/v3/ticker/price").respond_with_data(
        "[" + body("spot_ticker_price_ethusdt.yml") + "]"
    )
    source = Binance(httpserver.url_for(""))

    assert source.klines("ETHUSDT", "1d", 1639612800, 1639785600)[0].close == "3820.87000000"
    assert source.tickers(["ETHUSDT"]).prices == {"ETHUSDT": "3866.44000000"}
