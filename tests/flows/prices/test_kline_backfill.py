"""Years of bars in pages: nothing twice, nothing lost when killed, and the limits of the other side respected.

The loopback Binance and the client were written from the same documentation; its recorded bodies are read in
test_binance.py.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer
from werkzeug import Response

from data.store.store import Store
from flows.errors import ConfigurationError, MalformedAnswer, SourceUnavailable
from flows.prices import backfill as kline_backfill
from flows.prices.backfill import joined, missing
from tests.flows.prices.binance_server import HOUR, BinanceServer
from tests.flows.running import ran

JANUARY = 1_767_225_600  # 2026-01-01
DAY = 86_400
WINDOW = ("--from", "2026-01-01", "--until", "2026-04-01")
BARS = 90 * 24


@pytest.fixture
def binance(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> BinanceServer:
    server = BinanceServer(httpserver)
    monkeypatch.setenv("BINANCE_URL", server.url)
    monkeypatch.setattr("flows.clients.http_retry.FIRST_PAUSE", 0.0)
    return server


def run(*words: str) -> str:
    return ran("market-prices", "--symbols", "ETHUSDT", "BTCUSDT", *words)


def rows(sql: str, *params: object) -> list[tuple]:
    with Store.open() as store:
        return store.rows(sql, params)


def bars(db: Path | None = None) -> list[tuple]:
    """Everything a bar holds but when it arrived."""
    with Store.open(db) as store:
        raw = store.rows(
            "SELECT symbol, interval, open_time, open, high, low, close, volume, close_time, trades "
            "FROM raw_binance_klines ORDER BY symbol, interval, open_time"
        )
        return raw + store.rows(
            "SELECT symbol, interval, ts, price_usd, price_usdt, usd_proxy FROM dim_prices "
            "ORDER BY symbol, interval, ts"
        )


def staged() -> list[tuple]:
    return rows(
        "SELECT symbol, interval, ts, source, price_usd, price_usdt, usd_proxy FROM stg_prices ORDER BY 1, 2, 3"
    )


ranges = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=6)


@given(ranges, st.tuples(st.integers(0, 40), st.integers(0, 40)))
def test_what_is_covered_and_what_is_missing_part_a_window_without_overlap(drawn, window):
    """Against the obvious twin: sets of seconds."""
    covered: list = []
    for each in drawn:
        covered = joined(covered, each)
    inside = {second for first, end in drawn for second in range(first, end)}

    assert {second for first, end in covered for second in range(first, end)} == inside
    assert all(a[1] < b[0] for a, b in pairwise(covered))
    left = missing(covered, *window)
    assert sorted(second for first, end in left for second in range(first, end)) == sorted(set(range(*window)) - inside)


def test_months_take_as_many_pages_as_they_must_and_a_second_run_takes_none(binance):
    run(*WINDOW)
    assert binance.requests == 3 * 3  # 2,160 bars are three pages, for two series and the peg
    assert rows("SELECT symbol, count(*) FROM raw_binance_klines GROUP BY symbol") == [
        ("BTCUSDT", BARS),
        ("ETHUSDT", BARS),
        ("USDCUSDT", BARS),
    ]

    assert "0 bars read, 0 new or changed" in run(*WINDOW)
    assert binance.requests == 3 * 3


def test_what_sql_makes_of_the_raw_candles_is_what_is_served(binance):
    """Two ways to the same prices: the flow's own arithmetic, and data/marts/stg_prices.sql over what was stored."""
    binance.prices["USDCUSDT"] = lambda at: 1.0 + 0.004 * ((at // DAY) % 2)
    run("--from", "2026-01-01", "--until", "2026-01-12", "--interval", "1h", "4h")
    quotes = [{"symbol": "USDCUSDT", "interval": "1h", "ts": JANUARY + 3600 * hour, "source": "defillama",
               "price_usd": price, "usd_proxy": "", "is_synthetic": 0}
              for hour in range(240) for price in [1.0 if hour % 3 else 1.004]]  # fmt: skip
    with Store.open() as store:
        store.write_batch("defillama", "quotes", {"dim_prices": pd.DataFrame(quotes)})
    run("--from", "2025-12-25", "--until", "2026-01-20")
    served = rows(
        "SELECT symbol, interval, ts, source, price_usd, price_usdt, usd_proxy FROM dim_prices "
        "WHERE source = 'binance' ORDER BY 1, 2, 3"
    )
    assert served == staged()
    assert {row[6] for row in served} == {"USDT", "USDC"}


def test_bars_off_the_grid_are_stored_at_their_own_ends_and_a_run_goes_on_among_them(binance):
    """A halt as in February 2018: back at half past, and on the grid again two days later."""

    def moved(symbol, page):
        off = [[bar[0] + 1_694_789, *bar[1:6], bar[6] + 1_694_789, *bar[7:]] for bar in page]
        halt = range(JANUARY + DAY, JANUARY + 2 * DAY)
        during = range(JANUARY + 2 * DAY, JANUARY + 3 * DAY)
        return [
            new if old[0] // 1000 in during else old
            for old, new in zip(page, off, strict=True)
            if old[0] // 1000 not in halt
        ]

    binance.alter = moved
    window = ("--from", "2026-01-01", "--until", "2026-01-05")
    with pytest.raises(MalformedAnswer, match=r"opens 1,694.789 s after a full bar .* --allow-gaps to take such bars"):
        run(*window)
    assert rows("SELECT count(*) FROM raw_binance_klines") == [(0,)]

    run("--from", "2026-01-01", "--until", "2026-01-03T12:00", "--allow-gaps")
    run("--from", "2026-01-01", "--until", "2026-01-04", "--allow-gaps")
    run(*window, "--allow-gaps")

    found = [row[0] - JANUARY for row in rows("SELECT ts FROM dim_prices WHERE symbol = 'ETHUSDT' ORDER BY ts")]
    whole = [HOUR * (1 + hour) for hour in range(24)]
    assert found == [*whole, *(2 * DAY + at + 1_695 for at in whole), *(3 * DAY + at for at in whole)]
    assert rows("SELECT symbol, ts, price_usd FROM dim_prices ORDER BY 1, 2") == rows(
        "SELECT symbol, ts, price_usd FROM stg_prices ORDER BY 1, 2"
    )
    asked = binance.requests
    assert "0 bars read" in run(*window, "--allow-gaps")
    assert binance.requests == asked


def test_candles_are_kept_as_received(binance):
    run("--from", "2026-01-01", "--until", "2026-01-02")
    assert rows(
        "SELECT DISTINCT volume, trades, quote_volume, taker_buy_base, taker_buy_quote FROM raw_binance_klines"
    ) == [("12.50000000", 42, "32500.1", "6.2", "16250.0")]


def test_rounds_go_on_through_an_absence_until_a_signal_and_each_is_a_run(binance, monkeypatch):
    """The real loop and the real flow: the second round meets a 503 storm, a later one is answered."""
    answered = []

    def instead(request):
        answered.append(time.time())
        if len(answered) == 13:
            os.kill(os.getpid(), signal.SIGTERM)
        return Response("busy", 503) if 4 <= len(answered) <= 8 else None

    binance.answer_instead = instead
    line = run("--days", "1", "--every", "1", "--again")
    assert dict(rows("SELECT state, count(*) FROM fact_run GROUP BY state")) == {"completed": 3, "failed": 1}
    assert line == "3 rounds, 1 while the source was away; stopped by SIGTERM"
    assert len(staged()) == 3 * 24


def test_a_wider_window_asks_only_for_what_lies_around_the_stored_one(binance):
    run("--from", "2026-02-01", "--until", "2026-03-01")
    binance.asked.clear()
    run(*WINDOW)

    assert [at for symbol, _, at in binance.asked if symbol == "ETHUSDT"] == [JANUARY, JANUARY + 59 * DAY]
    assert rows("SELECT count(*), min(ts), max(ts) FROM dim_prices WHERE symbol = 'ETHUSDT'") == [
        (BARS, JANUARY + HOUR, JANUARY + 90 * DAY)
    ]


def test_several_intervals_are_kept_apart(binance):
    run("--from", "2026-01-01", "--until", "2026-01-03", "--interval", "1d", "1h", "1m")
    assert rows("SELECT interval, count(*) FROM dim_prices WHERE symbol = 'ETHUSDT' GROUP BY interval") == [
        ("1d", 2),
        ("1h", 48),
        ("1m", 2880),
    ]


def test_bars_read_again_when_asked_for_replace_nothing_that_is_the_same(binance):
    run(*WINDOW)
    assert "6,480 bars read, 0 new or changed" in run(*WINDOW, "--again")
    assert binance.requests == 2 * 9


def test_a_hole_where_a_page_meets_stored_bars_is_found(binance):
    run("--from", "2026-01-01", "--until", "2026-01-10")
    first = (JANUARY + 9 * DAY) * 1000
    binance.alter = lambda symbol, page: [bar for bar in page if bar[0] != first]
    with pytest.raises(MalformedAnswer, match=r"gap of 1 bars between 2026-01-09 23:00 UTC and 2026-01-10 01:00"):
        run("--from", "2026-01-01", "--until", "2026-01-12")

    last = (JANUARY - HOUR) * 1000
    binance.alter = lambda symbol, page: [bar for bar in page if bar[0] != last]
    with pytest.raises(
        MalformedAnswer, match=r"gap between 2025-12-31 22:00 UTC and 2026-01-01 00:00 UTC, where they meet"
    ):
        run("--from", "2025-12-30", "--until", "2026-01-10")


def test_a_hole_that_was_let_pass_once_is_not_taken_for_whole_by_a_run_that_lets_none_pass(binance):
    hole = (JANUARY + 50 * HOUR) * 1000
    binance.alter = lambda symbol, page: [bar for bar in page if bar[0] != hole]
    run("--from", "2026-01-01", "--until", "2026-01-12", "--allow-gaps")
    asked = binance.requests
    run("--from", "2026-01-01", "--until", "2026-01-12", "--allow-gaps")
    assert binance.requests == asked

    with pytest.raises(MalformedAnswer, match="gap of 1 bars"):
        run("--from", "2026-01-01", "--until", "2026-01-12")


def test_the_peg_may_have_holes_that_nobody_asked_about(binance):
    hole = range((JANUARY + 50 * HOUR) * 1000, (JANUARY + 60 * HOUR) * 1000)
    binance.prices["USDCUSDT"] = lambda at: 1.02
    binance.alter = lambda symbol, page: [bar for bar in page if symbol != "USDCUSDT" or bar[0] not in hole]
    run("--from", "2026-01-01", "--until", "2026-01-12")
    said = "SELECT usd_decided_by, count(*) FROM dim_prices WHERE symbol = 'ETHUSDT' GROUP BY usd_decided_by"
    assert rows(said) == [(None, 10), ("not decided", 11 * 24 - 10)]


def test_a_listing_in_the_middle_of_the_window_is_not_asked_for_twice(binance):
    listed = (JANUARY + 30 * DAY) * 1000
    binance.alter = lambda symbol, page: [bar for bar in page if symbol != "BTCUSDT" or bar[0] >= listed]
    binance.answer_instead = lambda request: None
    run("--from", "2026-02-05", "--until", "2026-04-01")
    run(*WINDOW)  # the page of January is empty for it, and its first bars follow
    assert rows("SELECT min(open_time) FROM raw_binance_klines WHERE symbol = 'ETHUSDT'") == [(JANUARY,)]
    asked = binance.requests
    run(*WINDOW)
    assert binance.requests == asked


def test_batches_that_are_done_stay_and_the_next_run_goes_on_from_there(binance, monkeypatch, capsys):
    monkeypatch.setattr(kline_backfill, "BATCH", 1000)
    healthy = binance.answer_instead
    binance.answer_instead = lambda request: Response("busy", 503) if binance.requests > 5 else None
    with pytest.raises(SourceUnavailable, match="503"):
        run(*WINDOW)
    done = rows("SELECT symbol, count(*) FROM raw_binance_klines GROUP BY symbol")
    assert done == [("ETHUSDT", 2000), ("USDCUSDT", BARS)]
    assert rows("SELECT state FROM fact_run") == [("failed",)]
    assert "4,160 bars of this run are stored; the next run continues after them" in capsys.readouterr().out

    binance.answer_instead = healthy
    binance.asked.clear()
    run(*WINDOW)
    assert binance.asked[0] == ("ETHUSDT", "1h", JANUARY + 2000 * HOUR)
    assert rows("SELECT count(*) FROM dim_prices") == [(3 * BARS,)]


CHILD = """
import sys
from flows.prices import backfill as kline_backfill
from tests.flows.running import ran
kline_backfill.BATCH = 2000
ran("market-prices", *sys.argv[1:])
"""


@pytest.mark.slow
def test_a_backfill_that_is_killed_goes_on_and_ends_as_if_it_had_never_been(
    binance, own_warehouse, tmp_path, monkeypatch
):
    """kill -9 from outside at two points of a backfill of 11,520 minutes, against one that nobody disturbed."""
    words = ["--symbols", "ETHUSDT", "--interval", "1m", "--from", "2026-01-01", "--until", "2026-01-09"]
    undisturbed = tmp_path / "undisturbed.sqlite"
    monkeypatch.setenv("RISK_DB", str(undisturbed))
    ran("market-prices", *words)
    pages = binance.requests
    binance.requests = 0
    binance.answer_instead = lambda request: time.sleep(0.01)

    environment = os.environ | {"RISK_DB": str(own_warehouse)}
    kills = 0
    for at in (5, 12):
        child = subprocess.Popen([sys.executable, "-c", CHILD, *words], env=environment)
        while binance.requests < at and child.poll() is None:
            time.sleep(0.005)
        if child.poll() is None:
            child.send_signal(signal.SIGKILL)
            kills += 1
        child.wait()
    subprocess.run([sys.executable, "-c", CHILD, *words], env=environment, check=True)

    assert kills == 2
    assert bars(own_warehouse) == bars(undisturbed)
    # What each kill costs: the batch that was not written (two pages) and the answer that was under way.
    assert binance.requests <= pages + kills * 3


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda page: page[:500] + page[499:], "repeat the bar"),
        (lambda page: page[:500] + page[400:], "out of order"),
        (lambda page: page[:400] + page[401:], "gap of 1 bars"),
        (lambda page: [bar[:11] for bar in page], "not an array of 12 elements"),
        (lambda page: [[str(bar[0]), *bar[1:]] for bar in page], "open_time that is not an integer"),
        (lambda page: [[*bar[:7], float(bar[7]), *bar[8:]] for bar in page], "quote_volume that is not a string"),
    ],
    ids=["doubled", "out of order", "hole", "shorter", "time as text", "volume as number"],
)
def test_a_spoilt_second_page_is_refused_by_what_is_wrong_and_written_nowhere(binance, spoil, message):
    second = (JANUARY + 1000 * HOUR) * 1000
    binance.alter = lambda symbol, page: spoil(page) if symbol == "BTCUSDT" and page[0][0] == second else page
    with pytest.raises(MalformedAnswer, match=message):
        run(*WINDOW)
    assert rows("SELECT (SELECT count(*) FROM raw_binance_klines), (SELECT count(*) FROM ingest_checkpoint)") == [
        (0, 0)
    ]


def test_the_same_page_again_is_refused(binance):
    first: dict[str, list] = {}
    binance.alter = lambda symbol, page: first.setdefault(symbol, page)
    with pytest.raises(MalformedAnswer, match="out of order"):
        run(*WINDOW)


def test_a_window_without_a_bar_is_refused(binance):
    with pytest.raises(ConfigurationError, match=r"no 1h bar lies between 2026-04-01 00:00 UTC and 2026-01-01"):
        run("--from", "2026-04-01", "--until", "2026-01-01")
    with pytest.raises(SystemExit):
        ran("market-prices", "--from", "2026-01-01", "--days", "3")
