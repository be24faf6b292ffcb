"""The same logs and transfers in Parquet files as in the warehouse, from another method of the node."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.store.store import Store
from flows.chain import parquet as chain_parquet
from flows.clients.json_rpc import RpcError
from flows.errors import MalformedAnswer
from tests.flows.chain.fake_chain import FakeChain, word

pytest.importorskip("pyarrow", reason="pyarrow is not installed (requirements-export.txt)")
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
     {"topics": [word(1)] * 5}],
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
