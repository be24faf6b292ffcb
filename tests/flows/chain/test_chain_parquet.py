"""The same logs and transfers in Parquet files as in the warehouse, from another method of the node."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.store.store import Store
from flows.chain.node import BrokenChain
from flows.clients.json_rpc import RpcError
from flows.errors import ConfigurationError, MalformedAnswer
from tests.flows.chain.fake_chain import FakeChain, word

pytest.importorskip("pyarrow", reason="pyarrow is not installed (requirements-export.txt)")

from flows.chain import log_tables
from flows.chain import parquet as chain_parquet

Backfill = Callable[..., str]


@pytest.fixture(autouse=True)
def short_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_parquet, "BLOCKS_A_FILE", 8)


def stored(table: str, names: list[str]) -> list[tuple]:
    with Store.open(readonly=True) as store:
        return store.rows(f"SELECT {', '.join(names)} FROM {table} ORDER BY block_number, log_index")


@pytest.mark.parametrize(("dataset", "table"), [("logs", "raw_chain_logs"), ("transfers", "stg_token_transfers")])
def test_files_hold_what_the_warehouse_holds(
    chain: FakeChain, backfill: Backfill, tmp_path: Path, dataset: str, table: str
):
    said = backfill(3, 24, "--parquet", str(tmp_path), "--dataset", dataset)
    assert said.startswith(f"blocks 3 to 24: 66 {dataset} written")
    rows = list(chain_parquet.rows_of(tmp_path, dataset))
    backfill(3, 24)

    assert [tuple(row.values()) for row in rows] == stored(table, list(rows[0]))
    names = sorted(path.name for path in tmp_path.rglob("*.parquet"))
    assert names == ["000000003-000000010.parquet", "000000011-000000018.parquet", "000000019-000000024.parquet"]


def test_a_cut_off_export_goes_on_with_the_files_that_are_missing(chain: FakeChain, backfill: Backfill, tmp_path: Path):
    def cut(method: str, params: Any, answer: Any) -> Any:
        return None if method == "eth_getLogs" and params[0]["fromBlock"] == "0xc" else answer

    chain.alter = cut
    with pytest.raises(MalformedAnswer, match="expected a list"):
        backfill(0, 23, "--parquet", str(tmp_path))
    assert [path.name for path in tmp_path.rglob("*.parquet")] == ["000000000-000000007.parquet"]
    chain.alter = lambda method, params, answer: answer
    chain.methods.clear()
    backfill(0, 23, "--parquet", str(tmp_path))
    assert chain.methods.count("eth_getLogs") == 4
    assert [row["block_number"] for row in chain_parquet.rows_of(tmp_path, "logs")] == [n // 3 for n in range(72)]


def test_a_range_that_the_node_refuses_is_halved(chain: FakeChain, backfill: Backfill, tmp_path: Path):
    chain.longest_range = 1
    backfill(0, 7, "--parquet", str(tmp_path))
    assert len(list(chain_parquet.rows_of(tmp_path, "logs"))) == 24
    chain.longest_range = 0
    with pytest.raises(RpcError, match="max block range"):
        backfill(8, 9, "--parquet", str(tmp_path))


def test_spaces_in_the_json_make_no_difference(chain: FakeChain, backfill: Backfill, tmp_path: Path):
    backfill(0, 7, "--parquet", str(tmp_path / "plain"))
    chain.separators = (" , ", " : ")
    backfill(0, 7, "--parquet", str(tmp_path / "spaced"))
    plain, spaced = (list(chain_parquet.rows_of(tmp_path / name, "logs")) for name in ("plain", "spaced"))
    assert len(plain) == 24
    assert plain == spaced


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize(
    "change",
    [{"blockNumber": "0xff"}, {"removed": True}, {"topics": "0x12"}, {"logIndex": None}, {"data": 5},
     {"topics": [word(1)] * 5}, {"blockHash": word(1)}, {"transactionIndex": "0x1"}, {"transactionHash": word(1)},
     {"logIndex": "0x1"}],
)  # fmt: skip
def test_logs_that_are_none_stop_the_export(
    chain: FakeChain, backfill: Backfill, tmp_path: Path, change: dict[str, Any], separators: tuple[str, str]
):
    chain.separators = separators
    chain.alter = lambda method, params, answer: (
        [answer[0] | change, *answer[1:]] if method == "eth_getLogs" else answer
    )
    with pytest.raises(MalformedAnswer):
        backfill(0, 7, "--parquet", str(tmp_path))
    assert not list(tmp_path.rglob("*.parquet"))


def test_topics_none_to_four_and_any_case_of_letters(chain: FakeChain, backfill: Backfill, tmp_path: Path):
    topics = [word(n + 10) for n in range(4)]
    logs = [{"address": "0x" + "aB" * 20, "topics": topics[:n], "data": "0x" + "cd" * n} for n in range(5)]
    chain.log_list = lambda number: json.loads(json.dumps(logs)) if number == 2 else []
    backfill(0, 7, "--parquet", str(tmp_path))
    rows = list(chain_parquet.rows_of(tmp_path, "logs"))
    assert [[row[f"topic{n}"] for n in range(4)] for row in rows] == [(topics[:n] + [None] * 4)[:4] for n in range(5)]
    assert {row["address"] for row in rows} == {"0x" + "ab" * 20}
    assert [row["data"] for row in rows] == ["0x" + "cd" * n for n in range(5)]


def test_logs_are_counted_as_in_the_warehouse_whatever_the_node_calls_them(
    chain: FakeChain, backfill: Backfill, tmp_path: Path
):
    other = {"address": "0x" + "ab" * 20, "topics": [], "data": "0x"}
    whole = chain.log_list
    chain.log_list = lambda number: [other, *whole(number)]
    plain = {name: tmp_path / name for name in ("plain", "shifted")}
    backfill(0, 7, "--parquet", str(plain["plain"]), "--dataset", "transfers")

    def shifted(method: str, params: Any, answer: Any) -> Any:
        if method != "eth_getLogs":
            return answer
        return [log | {"logIndex": hex(int(log["logIndex"], 16) + 284)} for log in answer]

    chain.alter = shifted
    backfill(0, 7, "--parquet", str(plain["shifted"]), "--dataset", "transfers")
    rows = list(chain_parquet.rows_of(plain["shifted"], "transfers"))
    assert [row["log_index"] for row in rows] == [1, 2, 3] * 8
    assert rows == list(chain_parquet.rows_of(plain["plain"], "transfers"))
    backfill(0, 7)
    assert [tuple(row.values()) for row in rows] == stored("stg_token_transfers", list(rows[0]))


def test_reading_again_replaces_files(chain: FakeChain, backfill: Backfill, tmp_path: Path):
    backfill(0, 7, "--parquet", str(tmp_path))
    chain.logs = 2
    backfill(0, 7, "--parquet", str(tmp_path))
    assert len(list(chain_parquet.rows_of(tmp_path, "logs"))) == 24
    backfill(0, 7, "--parquet", str(tmp_path), "--reread")
    assert len(list(chain_parquet.rows_of(tmp_path, "logs"))) == 16


def test_a_log_of_no_transaction_stands_under_the_hash_of_its_block(chain, backfill, tmp_path):
    chain.alter = lambda method, params, answer: (
        [answer[0] | {"transactionHash": None, "transactionIndex": None}, *answer[1:]]
        if method == "eth_getLogs"
        else answer
    )
    backfill(0, 3, "--parquet", str(tmp_path))
    first = next(chain_parquet.rows_of(tmp_path, "logs"))
    assert first["transaction_hash"] == first["block_hash"] == chain.hash(0)


@pytest.mark.parametrize("at", [4, 5])
def test_ranges_that_do_not_follow_each_other_are_refused(chain, backfill, tmp_path, monkeypatch, at):
    monkeypatch.setattr("flows.clients.json_rpc.time.sleep", lambda seconds: None)
    chain.alter = lambda method, params, answer: (
        answer | ({"parentHash": word(9)} if at == 4 else {"hash": word(8)})
        if method == "eth_getBlockByNumber" and params[0] == "0x4" and answer
        else answer
    )
    with pytest.raises(BrokenChain, match="names parent" if at == 4 else "the block itself is"):
        backfill(0, 7, "--parquet", str(tmp_path))
    assert not list(tmp_path.rglob("*.parquet"))


BLOCK, OTHER = word(21), word(22)
TX, SECOND = word(31), word(32)


def log_of(number: int, place: int, tx: str | None = TX, at: str | None = "0x0", block: str = BLOCK) -> dict[str, Any]:
    return {"address": "0x" + "ab" * 20, "topics": [], "data": "0x", "blockNumber": hex(number), "blockHash": block,
            "logIndex": hex(place), "transactionHash": tx, "transactionIndex": at, "removed": False}  # fmt: skip


@pytest.mark.parametrize("between", [0, 1])
@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ({}, {"block": OTHER}, f"logs of block 5 name {BLOCK} and {OTHER}"),
        ({}, {"at": "0x1"}, f"in block 5 logs disagree on the place of transaction {TX} \\(1 by one\\)"),
        ({}, {"tx": SECOND}, f"in block 5 logs disagree on the place of transaction {SECOND} \\(0 by one\\)"),
        ({}, {"at": "0x00"}, "disagree on the place"),
        ({}, {"at": "zero"}, "a quantity cannot be read"),
    ],
)
def test_logs_that_disagree_are_refused_wherever_they_stand(first, second, words, between):
    """Beside each other, and with a log of another transaction between them."""
    other = [log_of(5, 1 + i, word(40), "0x9") for i in range(between)]
    logs = [log_of(5, 0, **first), *other, log_of(5, 7, **second)]
    with pytest.raises(MalformedAnswer, match=words):
        log_tables.checked(log_tables.of_dicts(logs), 0, 9)


def test_logs_that_agree_are_taken_in_any_order():
    """The same transaction and place in another block, and logs of no transaction, contradict nothing."""
    logs = [
        log_of(5, 2, SECOND, "0x1"),
        log_of(6, 0, block=OTHER),
        log_of(5, 0),
        log_of(5, 3, None, None),
        log_of(5, 4, None, "0x7"),
        log_of(5, 1),
    ]
    found = log_tables.checked(log_tables.of_dicts(logs), 0, 9)
    assert found["log_index"].to_pylist() == [0, 1, 2, 3, 4, 0]
    assert found["transaction_hash"].to_pylist() == [TX, TX, SECOND, BLOCK, BLOCK, TX]


@pytest.mark.parametrize("text", ["a } b", "a { b", "},{", "{}", "\n"])
def test_a_brace_inside_a_text_cuts_no_log_in_two(text):
    logs = [log_of(5, 0) | {"note": text}, log_of(5, 1)]
    body = json.dumps({"result": logs}, separators=(",", ":")).encode()
    found = log_tables.parsed(body)
    assert found is None or found.equals(log_tables.of_dicts([{**log, "note": None} for log in logs]))
    plain = log_tables.parsed(json.dumps({"result": logs[1:] * 2}, separators=(",", ":")).encode())
    assert plain is not None
    assert plain.num_rows == 2


def test_without_pyarrow_the_option_says_what_to_install(chain, backfill, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "flows.chain.parquet", None)
    with pytest.raises(ConfigurationError, match=r"--parquet needs pyarrow: pip install -r requirements-export\.txt"):
        backfill(0, 7, "--parquet", str(tmp_path))
