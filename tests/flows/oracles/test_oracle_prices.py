"""The flow `oracle-prices` against a node on loopback that was written from the same sheet as the flow's client.

What real contracts answer is in tests/node/test_oracle_prices.py; here is what they would only do on a bad day.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from eth_abi import encode

from data.store.store import Store
from flows.clients.block_reader import Block
from flows.errors import (
    ConfigurationError,
    CrossCheckFailed,
    FlowError,
    MalformedAnswer,
    SourceRefused,
    SourceUnavailable,
)
from flows.oracles import chainlink
from flows.oracles import checks as oracle_checks
from flows.oracles import known_feeds as chainlink_book
from flows.oracles import rounds as round_backfill
from tests.flows.aave.fake_node import call_data, serving
from tests.flows.oracles.feed_node import ROUND, FeedNode, FeedOfNode
from tests.flows.running import ran

ETH = "0x5f4ec3df9cbd43714fe2740f5e3616155c5b8419"
USDC = "0x8fffffd4afb6115b954bd326cbe7b4ba576818f6"
USDT = "0x3e7d1eab13ad0104d2750b8863b489d65364e32d"
NOW = 1_700_000_000
Run = Callable[..., str]


@pytest.fixture
def node() -> FeedNode:
    """Mainnet's chain id, one feed of the book with two phases: rounds 1 to 30, and 1 to 27."""
    made = FeedNode(time=NOW)
    feed = made.feeds[ETH] = FeedOfNode()
    feed.push(1, *range(1000, 1030), start=NOW - 100_000)
    feed.push(2, *range(2000, 2027), start=NOW - 1_700)
    return made


@pytest.fixture
def run(node: FeedNode, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """`python -m flows oracle-prices --no-market …`, without pauses between tries."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with serving(node) as url:
        monkeypatch.setenv("ETH_RPC_URL", url)
        yield lambda *words: ran("oracle-prices", "--no-market", *words)


def rows(sql: str) -> list[tuple]:
    with Store.open(readonly=True) as store:
        return store.rows(sql)


def stored() -> list[tuple]:
    """Everything that was read, without when and by whom."""
    return rows(
        "SELECT feed, phase_id, round_id, answer, started_at, updated_at, answered_in_round, decimals, payload_sha256 "
        "FROM raw_chainlink_rounds ORDER BY 1, 2, 3"
    )


def test_a_round_id_is_the_phase_above_64_bits():
    """The vector of the interface's documentation."""
    assert chainlink.proxy_round_id(5, 12345) == 92233720368547770425
    assert chainlink.split_round_id(92233720368547770425) == (5, 12345)


def test_facts_of_a_feed_carry_their_status(run: Run):
    run("--feeds", "ETH/USD")

    assert rows("SELECT pair, heartbeat_s, heartbeat_status, deviation_pct, deviation_status FROM dim_feed") == [
        ("ETH/USD", 3600, "reported", 0.5, "reported")
    ]
    book = chainlink_book.feeds(1)
    assert {feed.heartbeat_s for feed in book.values()} == {None, 3600, 82_800, 86_400}  # never one for all
    for feed in book.values():
        assert (feed.heartbeat_s is None) == (feed.heartbeat_status == "unknown"), feed.pair
        assert (feed.deviation_pct is None) == (feed.deviation_status == "unknown"), feed.pair
        assert bool(feed.heartbeat_source) == (feed.heartbeat_status == "reported"), feed.pair
    assert (book[USDC].heartbeat_s, book[USDT].deviation_status) == (82_800, "unverified")


def test_facts_that_the_user_gives_win_and_say_so(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    svr = "0x5424384B256154046E9667dDFaaa5e550145215e"  # the feed Aave prices ETH by; nobody published its heartbeat
    assert chainlink_book.feeds(1)[svr.lower()].heartbeat_status == "unknown"
    file = tmp_path / "feeds.csv"
    file.write_text(
        "chain_id,feed,pair,heartbeat_s,heartbeat_source,deviation_pct\n"
        f"1,{ETH},,120,our node's history,\n1,{svr},,3600,,0.5\n8453,{ETH},other chain,5,,\n"
    )
    monkeypatch.setenv("CHAINLINK_FEEDS", str(file))

    run("--feeds", "ETH/USD")

    facts = "pair, heartbeat_s, heartbeat_status, heartbeat_source, deviation_pct, deviation_status"
    assert rows(f"SELECT {facts} FROM dim_feed") == [
        ("ETH/USD", 120, "configured", "our node's history", 0.5, "reported")
    ]
    assert rows("SELECT staleness, age_s FROM mart_feed_staleness") == [("stale", 140)]
    known = chainlink_book.feeds(1)[svr.lower()]
    assert (known.pair, known.heartbeat_s, known.deviation_status) == ("AAVE_SVR_ETH/USD", 3600, "configured")


@pytest.mark.parametrize(
    "text",
    [
        "feed\n0x12",
        "chain_id,feed\n1,0x12",
        f"chain_id,feed,heartbeat_s\n1,{ETH},0",
        "chain_id,feed,heartbeat_s\nx,y,z",
        f"chain_id,feed,deviation_pct\n1,{ETH},nan",
    ],
)
def test_a_file_of_facts_that_cannot_be_read_is_refused_by_line(tmp_path: Path, monkeypatch, text: str):
    (tmp_path / "feeds.csv").write_text(text)
    monkeypatch.setenv("CHAINLINK_FEEDS", str(tmp_path / "feeds.csv"))
    with pytest.raises(ConfigurationError, match="CHAINLINK_FEEDS: line 2 of"):
        chainlink_book.feeds(1)
    monkeypatch.setenv("CHAINLINK_FEEDS", str(tmp_path / "missing.csv"))
    with pytest.raises(ConfigurationError, match="CHAINLINK_FEEDS: cannot read"):
        chainlink_book.feeds(1)


def test_a_stale_feed_is_called_stale(run: Run, node: FeedNode):
    """The newest of 27 rounds a minute apart was set 140 s before the block."""
    run("--feeds", ETH)
    node.time, node.tip = NOW + 4000, 1100  # no further round
    run("--feeds", ETH)

    assert rows("SELECT staleness, age_s FROM mart_feed_staleness ORDER BY block") == [("fresh", 140), ("stale", 4140)]


@pytest.mark.parametrize("zeros", [False, True], ids=["reverts", "zeros"])
def test_missing_rounds_are_holes_in_either_form(run: Run, node: FeedNode, zeros: bool):
    node.feeds[ETH].zeros_for_missing = zeros
    del node.feeds[ETH].rounds[2, 5], node.feeds[ETH].rounds[1, 1]

    run("--feeds", ETH, "--rounds", "all")

    assert len(stored()) == 55
    assert rows("SELECT phase_id, first_covered, last_covered, n_missing FROM dim_feed_phase") == [
        (1, 1, 30, 1),
        (2, 1, 27, 1),
    ]
    run("--feeds", ETH, "--rounds", "all")
    assert rows("SELECT check_name, n_failed FROM fact_validation") == [("round numbers have no holes", 2)]  # told once


def test_wherever_a_run_is_cut_off_the_next_one_ends_with_the_same_rows(
    run: Run, node: FeedNode, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(round_backfill, "BATCH", 7)
    del node.feeds[ETH].rounds[2, 11]
    node.feeds[ETH].rounds[1, 20] = (0, NOW - 9000, 0, 0)  # never finished
    run("--feeds", ETH, "--rounds", "all")
    undisturbed = stored(), rows("SELECT * FROM dim_feed_phase").__len__()
    gaps = rows("SELECT phase_id, round_id, gap_s, move_pct, trigger FROM fact_feed_update ORDER BY 1, 2")
    cut = 0

    monkeypatch.setenv("RISK_DB", str(tmp_path / "disturbed.sqlite"))
    for patience in range(1, 200, 6):
        node.busy_after = patience
        try:
            run("--feeds", ETH, "--rounds", "all", "--attempts", "1")
        except SourceUnavailable:
            cut += 1
        else:
            break
        covered = rows("SELECT phase_id, first_covered, last_covered FROM dim_feed_phase WHERE first_covered > 0")
        for phase, first, last in covered:  # what is there is unbroken
            numbers = [r[2] for r in stored() if r[1] == phase]
            expected = [n for n in range(first, last + 1) if (phase, n) not in {(2, 11), (1, 20)}]
            assert numbers == expected

    assert cut >= 3
    assert (stored(), rows("SELECT * FROM dim_feed_phase").__len__()) == undisturbed
    assert rows("SELECT phase_id, round_id, gap_s, move_pct, trigger FROM fact_feed_update ORDER BY 1, 2") == gaps


def test_a_round_that_the_chain_replaced_is_read_again(run: Run, node: FeedNode):
    run("--feeds", ETH)
    answer, started, updated, answered = node.feeds[ETH].rounds[2, 27]
    node.feeds[ETH].rounds[2, 27] = (answer + 1, started + 12, updated + 12, answered)

    said = run("--feeds", ETH)

    assert "1 new or changed" in said
    assert rows("SELECT price FROM stg_chainlink_prices WHERE round_id = 27 AND phase_id = 2") == [
        ((answer + 1) / 1e8,)
    ]


def test_another_round_than_the_one_asked_for_ends_the_run(run: Run, node: FeedNode):
    asked = call_data("getRoundData(uint80)", 2 << 64 | 26)
    node.instead[asked] = encode(ROUND, [2 << 64 | 25, 1, NOW, NOW, 2 << 64 | 25])

    with pytest.raises(MalformedAnswer, match=r"expected round 2/26, found 2/25"):
        run("--feeds", ETH)


def test_a_block_that_is_replaced_while_it_is_read_is_not_stored(run: Run, node: FeedNode):
    node.replaced_by = lambda data: data == call_data("latestRoundData()")

    with pytest.raises(CrossCheckFailed, match="block 1000 was replaced while it was read"):
        run("--feeds", ETH)

    assert rows("SELECT count(*) FROM raw_chainlink_feeds") == [(0,)]
    assert rows("SELECT state FROM fact_run") == [("failed",)]


def test_an_older_aggregator_that_does_not_tell_its_newest_round_is_noted(run: Run, node: FeedNode):
    node.instead[call_data("latestRound()")] = b""

    run("--feeds", ETH, "--rounds", "all")

    assert rows("SELECT phase_id, last_round, last_covered FROM dim_feed_phase ORDER BY 1") == [(1, 0, 0), (2, 27, 27)]
    assert {row[1] for row in stored()} == {2}


def test_a_feed_asked_for_by_name_must_answer_and_one_of_the_list_need_not(run: Run, node: FeedNode):
    with pytest.raises(SourceRefused, match=f"{USDC} is no feed at block 1000"):
        run("--feeds", USDC)
    said = run()

    asked = [feed for feed in chainlink_book.feeds(1).values() if feed.heartbeat_s is not None]
    assert f"1 feeds on chain 1 at block 1,000; 57 rounds read, 57 new or changed; {len(asked) - 1} feeds" in said


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        (["--feeds", "ETH/UDS"], ConfigurationError, "Did you mean ETH/USD"),
        (["--feeds", "0x1234"], ConfigurationError, "a feed's address or a pair"),
    ],
)
def test_a_feed_that_is_not_known_is_refused_with_near_names(run: Run, words, error: type[FlowError], said: str):
    with pytest.raises(error, match=said):
        run(*words)


def test_a_market_that_does_not_count_in_dollars_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ConfigurationError, match="AaveV2Ethereum is an Aave v2 market"):
        ran("oracle-prices", "--market", "AaveV2Ethereum")


def binance(price: float, at: int) -> pd.DataFrame:
    return pd.DataFrame([{
        "symbol": "USDCUSDT", "interval": "1h", "ts": at, "source": "binance", "price_usd": price, "price_usdt": price,
        "usd_proxy": "USDT", "is_synthetic": 0,
    }])  # fmt: skip


@pytest.mark.parametrize(
    ("usdc", "usdt", "pair", "disagree"),
    [
        (0.99990000, 1.00010000, 0.99980, False),
        (1.00000000, 1.00000000, 1.00499, False),  # within what two thresholds of 0.25 % allow
        (1.00000000, 1.00000000, 0.88000, True),  # 2023-03-11: the market had left the feed
        (0.88000000, 1.00000000, 0.88000, False),  # the feed followed: a depeg is no disagreement
    ],
)
def test_two_sources_of_a_peg_are_compared_and_never_averaged(
    run: Run, node: FeedNode, usdc: float, usdt: float, pair: float, disagree: bool
):
    for address, price in ((USDC, usdc), (USDT, usdt)):
        node.feeds[address] = FeedOfNode(description="a dollar")
        node.feeds[address].push(1, round(price * 10**8), start=NOW - 600)
    with Store.open() as store:
        store.write_batch("binance", "", {"dim_prices": binance(pair, NOW - 1800)})

    said = run("--feeds", "USDC/USD", "USDT/USD")

    noted = rows("SELECT check_name, example FROM fact_validation WHERE source = 'chainlink'")
    expected = (
        "chainlink and binance agree on USDC in USDT within 0.5%",
        f"chainlink {usdc / usdt:.6f}, binance {pair:.6f}",
    )
    assert noted == ([expected] if disagree else [])
    assert ("1 pairs on which Chainlink and Binance disagree" in said) == disagree
    assert dict(rows("SELECT pair, price FROM mart_feed_staleness")) == {"USDC/USD": usdc, "USDT/USD": usdt}


def test_a_bar_that_is_too_old_is_not_compared(run: Run, node: FeedNode):
    for address in (USDC, USDT):
        node.feeds[address] = FeedOfNode()
        node.feeds[address].push(1, 10**8, start=NOW - 600)
    with Store.open() as store:
        store.write_batch("binance", "", {"dim_prices": binance(0.5, NOW - oracle_checks.SAME_TIME)})
        run("--feeds", "USDC/USD", "USDT/USD")

        assert oracle_checks.compared(store, 1, Block(1000, "", NOW)) is None


@pytest.mark.slow
def test_with_every_it_goes_on_collecting_until_it_is_told_to_stop(run: Run, node: FeedNode, own_warehouse: Path):
    """As a user runs it: a process of its own, two rounds or more, SIGTERM, an end without a half-written round."""
    command = [sys.executable, "-m", "flows", "oracle-prices", "--no-market", "--feeds", ETH, "--every", "1"]
    process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        lines = [process.stdout.readline()]
        node.tip, node.time = node.tip + 1, node.time + 12
        node.feeds[ETH].push(2, 3000, start=node.time)
        lines += [process.stdout.readline(), process.stdout.readline()]
        process.send_signal(signal.SIGTERM)
        rest, errors = process.communicate(timeout=60)
    finally:
        process.kill()

    assert process.returncode == 0, errors
    assert "57 rounds read, 57 new or changed" in lines[0]
    assert "rounds; stopped by SIGTERM" in rest
    assert [state for (state,) in rows("SELECT DISTINCT state FROM fact_run")] == ["completed"]
    assert rows("SELECT max(answer) FROM raw_chainlink_rounds WHERE phase_id = 2") == [("3000",)]
    assert rows("SELECT block, age_s FROM mart_feed_staleness ORDER BY block") == [(1000, 140), (1001, 0)]


def test_keys_in_the_nodes_address_are_nowhere(run: Run, own_warehouse: Path):
    said = run("--feeds", ETH)

    assert "SECRETKEY" not in said
    assert b"SECRETKEY" not in own_warehouse.read_bytes()
    assert rows("SELECT count(*) FROM fact_run WHERE params LIKE '%127.0.0.1%'") == [(1,)]
