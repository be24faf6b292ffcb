"""What the flow makes of a chain: everything once, whatever happened before; and what it says when a node is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.store.store import Store
from flows.chain import backfill as chain_backfill
from flows.chain.backfill import NotTheStoredChain, chunks, gathered, in_order
from flows.chain.node import BrokenChain
from flows.errors import ConfigurationError, FlowError, MalformedAnswer, SourceRefused, SourceUnavailable
from tests.flows.chain.fake_chain import FakeChain, Refused, address, word

TABLES = (
    "raw_chain_blocks",
    "raw_chain_transactions",
    "raw_chain_receipts",
    "raw_chain_logs",
    "stg_chain_blocks",
    "stg_token_transfers",
)
Backfill = Callable[..., str]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several transactions even for a short chain."""
    monkeypatch.setattr(chain_backfill, "ROWS_A_BATCH", 130)


def held(sql: str, *params: Any) -> list[tuple]:
    with Store.open(readonly=True) as store:
        return store.rows(sql, params)


def content(orphaned: str = "") -> dict[str, list[tuple]]:
    """Every row of every table without the number of the write, so that two warehouses can be compared."""
    with Store.open(readonly=True) as store:
        found = {}
        for table in TABLES:
            names = [row[1] for row in store.rows(f"PRAGMA table_info({table})") if row[1] != "batch"]
            where = orphaned if table.startswith("stg") else ""
            found[table] = store.rows(f"SELECT {', '.join(names)} FROM {table} {where} ORDER BY 1, 2, 3, 4, 5")
        return found


def test_a_range_arrives_whole(chain: FakeChain, backfill: Backfill):
    said = backfill(5, 24)

    assert said.startswith("blocks 5 to 24: 20 read (0 were there), 60 logs, 60 token transfers")
    assert held("SELECT count(*), min(block_number), max(block_number) FROM raw_chain_blocks") == [(20, 5, 24)]
    assert held("SELECT count(*) FROM raw_chain_transactions WHERE to_address IS NULL") == [(20,)]
    assert held("SELECT count(*), sum(log_count) FROM raw_chain_receipts") == [(40, 60)]
    row = held(
        "SELECT token, from_address, to_address, amount, standard, timestamp FROM stg_token_transfers "
        "WHERE block_number = 7 AND log_index = 2"
    )
    assert row == [(address("token", 2), address("from", 7, 2, ""), address("to", 7, 2), str(7 * 10**18 + 2), "ERC20",
                    1_700_000_084)]  # fmt: skip


def test_a_second_run_reads_nothing_and_changes_nothing(chain: FakeChain, backfill: Backfill, own_warehouse: Path):
    backfill(5, 24)
    before, batches = content(), held("SELECT max(batch) FROM fact_batch")
    chain.methods.clear()

    assert "0 read (20 were there)" in backfill(5, 24)
    assert "eth_getBlockReceipts" not in chain.methods
    assert (content(), held("SELECT max(batch) FROM fact_batch")) == (before, batches)
    backfill(5, 24, "--reread")
    assert (content(), held("SELECT max(batch) FROM fact_batch")) == (before, batches)


def test_a_run_that_was_cut_off_is_completed_to_the_same_rows(
    chain: FakeChain, backfill: Backfill, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    def cut(method: str, params: Any, answer: Any) -> Any:
        if method == "eth_getBlockReceipts" and int(params[0], 16) == 26:
            raise Refused(-32000, "disk on fire")
        return answer

    chain.alter = cut
    with pytest.raises(FlowError, match="disk on fire"):
        backfill(0, 39)
    stored = held("SELECT max(block_number), count(*) FROM stg_chain_blocks")[0]
    assert 0 < stored[0] < 26
    assert stored[0] == stored[1] - 1  # from 0 on without a hole
    chain.alter = lambda method, params, answer: answer
    said = backfill(0, 39)
    assert f"{40 - stored[1]} read ({stored[1]} were there)" in said
    resumed = content()
    monkeypatch.setenv("RISK_DB", str(tmp_path / "undisturbed.sqlite"))
    backfill(0, 39)
    assert content() == resumed


def test_holes_are_found_and_filled(chain: FakeChain, backfill: Backfill):
    for start, end in [(3, 5), (9, 9)]:
        backfill(start, end)
    chain.methods.clear()

    assert "8 read (4 were there)" in backfill(0, 11)
    assert chain.methods.count("eth_getBlockReceipts") == 8
    assert held("SELECT count(*), count(DISTINCT block_number) FROM stg_chain_blocks") == [(12, 12)]


def test_finalized_is_the_default_end(chain: FakeChain, backfill: Backfill):
    chain.finalized = 11
    backfill(0, "finalized")
    assert held("SELECT max(block_number) FROM stg_chain_blocks") == [(11,)]


def test_a_node_without_receipts_by_block_gives_the_same_rows(
    chain: FakeChain, backfill: Backfill, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    chain.by_block = False
    backfill(0, 9)
    assert chain.methods.count("eth_getTransactionReceipt") == 20
    slow = content()
    chain.by_block = True
    monkeypatch.setenv("RISK_DB", str(tmp_path / "other.sqlite"))
    backfill(0, 9)
    assert content() == slow


def test_replaced_blocks_are_marked_and_raw_rows_stay(chain: FakeChain, backfill: Backfill):
    backfill(30, 39)
    chain.reorganise(35, "fork")
    said = backfill(30, 39, "--reread")

    assert "5 stored blocks were replaced" in said
    orphans = held("SELECT block_number FROM stg_chain_blocks WHERE orphaned = 1 ORDER BY 1")
    assert orphans == [(n,) for n in range(35, 40)]
    assert held("SELECT count(*), count(DISTINCT block_number) FROM stg_chain_blocks WHERE orphaned = 0") == [(10, 10)]
    assert held("SELECT count(*) FROM stg_token_transfers WHERE orphaned = 0") == [(30,)]
    assert held("SELECT count(*) FROM stg_token_transfers WHERE orphaned = 1 AND block_number >= 35") == [(15,)]
    assert held("SELECT count(*) FROM raw_chain_blocks") == [(15,)]
    senders = held(
        "SELECT from_address FROM stg_token_transfers WHERE block_number = 36 AND orphaned = 0 ORDER BY log_index"
    )
    assert senders == [(address("from", 36, place, "fork"),) for place in range(3)]


def test_a_block_that_comes_back_counts_again(chain: FakeChain, backfill: Backfill):
    backfill(15, 20)
    before = content("WHERE orphaned = 0")
    chain.reorganise(18, "fork")
    backfill(15, 20, "--reread")
    assert content("WHERE orphaned = 0")["stg_token_transfers"] != before["stg_token_transfers"]
    chain.forks.clear()
    backfill(15, 20, "--reread")
    after = content("WHERE orphaned = 0")
    assert {t: after[t] for t in after if t.startswith("stg")} == {t: before[t] for t in before if t.startswith("stg")}


@pytest.mark.parametrize(("stored", "asked"), [((0, 9), (10, 19)), ((20, 29), (10, 19)), ((0, 9), (5, 19))])
def test_a_range_that_does_not_fit_its_neighbours_is_refused(
    chain: FakeChain, backfill: Backfill, stored: tuple[int, int], asked: tuple[int, int]
):
    backfill(*stored)
    chain.reorganise(8, "fork")
    before = content()
    with pytest.raises(NotTheStoredChain, match="--reread"):
        backfill(*asked)
    if stored[0] == 0:
        assert content() == before
    held_hashes = held("SELECT count(*) FROM stg_chain_blocks WHERE block_number = 9")
    assert held_hashes[0][0] <= 1


# What a node may do wrong


def spoil(chain: FakeChain, wanted: str, number: int, change: Callable[[Any], Any]) -> None:
    def alter(method: str, params: Any, answer: Any) -> Any:
        mine = method == wanted and (not params or params[0] == hex(number))
        return change(answer) if mine else answer

    chain.alter = alter


def test_a_head_that_the_node_does_not_have_is_named(chain: FakeChain, backfill: Backfill):
    spoil(chain, "eth_blockNumber", 0, lambda answer: hex(1000))
    with pytest.raises(MalformedAnswer, match="says its head is block 1000, but does not have that block"):
        backfill(0, 39)


def test_a_block_above_the_head_is_refused(chain: FakeChain, backfill: Backfill):
    with pytest.raises(SourceRefused, match="above the node's head 39"):
        backfill(0, 40)


def test_another_chain_is_refused(chain: FakeChain, backfill: Backfill):
    chain.chain_id = 1
    with pytest.raises(ConfigurationError, match="is on chain 1"):
        backfill(0, 9)


def test_a_range_that_ends_before_it_begins_is_refused(chain: FakeChain, backfill: Backfill):
    with pytest.raises(ConfigurationError, match="nothing to read"):
        backfill(9, 3)


@pytest.mark.parametrize(
    ("method", "number", "change", "error", "words"),
    [
        ("eth_getBlockByNumber", 13, lambda b: None, MalformedAnswer, "does not have block 13"),
        (
            "eth_getBlockByNumber",
            13,
            lambda b: b | {"number": "0xc"},
            MalformedAnswer,
            "expected block 13, found block 12",
        ),
        ("eth_getBlockByNumber", 13, lambda b: b | {"timestamp": "0x1"}, BrokenChain, "do not go backwards"),
        ("eth_getBlockByNumber", 13, lambda b: b | {"parentHash": word(5)}, BrokenChain, "names parent"),
        ("eth_getBlockByNumber", 12, lambda b: b | {"parentHash": word(5)}, BrokenChain, "names parent"),
        ("eth_getBlockByNumber", 13, lambda b: b | {"gasUsed": "lots"}, MalformedAnswer, "field gasUsed"),
        ("eth_getBlockByNumber", 13, lambda b: {"number": "0xd"}, MalformedAnswer, "expected number, hash"),
        ("eth_getBlockReceipts", 13, lambda r: r[:1], BrokenChain, "2 transactions, its receipts name 1"),
        ("eth_getBlockReceipts", 13, lambda r: r[::-1], BrokenChain, "same order"),
        ("eth_getBlockReceipts", 13, lambda r: None, BrokenChain, "receipts of block 13 are missing"),
        ("eth_getBlockReceipts", 13, lambda r: [r[0] | {"blockHash": word(1)}, r[1]], BrokenChain, "another block"),
        ("eth_getBlockReceipts", 13, lambda r: [r[0] | {"logs": r[0]["logs"] * 2}, r[1]], MalformedAnswer, "repeated"),
        ("eth_getBlockReceipts", 13, lambda r: [r[0] | {"logs": [{}]}, r[1]], MalformedAnswer, "is not what"),
    ],
)
def test_answers_that_contradict_each_other_stop_the_run_before_their_block(
    chain: FakeChain,
    backfill: Backfill,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    number: int,
    change: Any,
    error: type[Exception],
    words: str,
):
    monkeypatch.setattr("flows.clients.json_rpc.time.sleep", lambda seconds: None)
    spoil(chain, method, number, change)
    with pytest.raises(error, match=words):
        backfill(8, 15)
    assert held("SELECT count(*) FROM stg_chain_blocks") == [(0,)]
    assert held("SELECT state FROM fact_run") == [("failed",)]


def test_a_block_replaced_between_two_answers_is_read_again(
    chain: FakeChain, backfill: Backfill, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("flows.clients.json_rpc.time.sleep", lambda seconds: None)
    turns = iter(range(100))

    def once(method: str, params: Any, answer: Any) -> Any:
        if method == "eth_getBlockReceipts" and params[0] == "0x5" and next(turns) == 0:
            return [row | {"blockHash": word(9)} for row in answer]
        return answer

    chain.alter = once
    assert "10 read" in backfill(0, 9)


def test_a_node_that_is_away_is_said_to_be(chain: FakeChain, backfill: Backfill, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("flows.clients.json_rpc.time.sleep", lambda seconds: None)
    monkeypatch.setenv("ETH_RPC_URL", "http://127.0.0.1:1")
    with pytest.raises(SourceUnavailable):
        backfill(0, 9)
    assert held("SELECT state FROM fact_run") == [("failed",)]


def test_logs_that_only_look_like_transfers_are_put_aside_with_the_reason(chain: FakeChain, backfill: Backfill):
    odd = [
        {"data": "0x"},
        {"data": word(1) + word(2)[2:]},
        {"data": "0x1234"},
        {"topics": chain.log_list(0)[0]["topics"][:2]},
        {"topics": [chain.log_list(0)[0]["topics"][0]] * 3},
    ]
    whole = chain.log_list

    def spoilt(number: int) -> list[dict[str, Any]]:
        return (
            [log | change for log, change in zip(whole(number) * 2, odd, strict=False)]
            if number == 3
            else whole(number)
        )

    chain.log_list = spoilt
    said = backfill(0, 5)

    assert "5 logs could not be decoded" in said
    assert held("SELECT count(*) FROM raw_chain_logs WHERE block_number = 3") == [(5,)]
    assert held("SELECT count(*) FROM stg_token_transfers WHERE block_number = 3") == [(0,)]
    reasons = {reason for (reason,) in held("SELECT reason FROM quarantine WHERE table_name = 'stg_token_transfers'")}
    assert len(reasons) == 5
    assert any("3 topics and 0 bytes" in reason for reason in reasons)
    backfill(0, 5, "--reread")
    assert held("SELECT count(*) FROM quarantine") == [(5,)]


# The machinery


def test_chunks_cover_a_range_once():
    assert list(chunks(3, 12, 4)) == [(3, 6), (7, 10), (11, 12)]
    assert list(chunks(5, 5, 10)) == [(5, 5)]


def test_ranges_come_in_order_and_no_more_are_begun_than_allowed():
    import threading
    import time

    running, most, lock = 0, 0, threading.Lock()

    def read(first: int, last: int) -> Any:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.001 * (first % 3))
        return first

    found = []
    for first in in_order(read, chunks(0, 59, 2), threads=4, ahead=6):
        found.append(first)
        with lock:
            running -= 1
    assert found == list(range(0, 60, 2))
    assert most <= 6


def test_ranges_are_gathered_until_a_batch_is_full():
    class Part:
        def __init__(self, rows: int) -> None:
            self.n_rows = rows

    runs = [[p.n_rows for p in run] for run in gathered(map(Part, [5, 5, 20, 1, 1]), 10)]
    assert runs == [[5, 5], [20], [1, 1]]
