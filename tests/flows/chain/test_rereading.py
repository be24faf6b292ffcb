"""A block that is read again is replaced, whatever the first reading said; no table made of it can tell the order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data import marts
from data.store.store import Store
from flows.chain.backfill import Written, write
from flows.chain.block_range import block_range
from flows.chain.node import BrokenChain, WholeBlock
from flows.errors import MalformedAnswer
from flows.pipeline import Run
from tests.flows.chain.fake_chain import FakeChain, Refused, address, digest, transfer, word

MARTS = ("mart_token_transfer_hourly", "mart_address_activity")
COUNTED = ("raw_chain_logs", "stg_token_transfers")
Backfill = Callable[..., str]


def rows(sql: str) -> list[tuple]:
    with Store.open(readonly=True) as store:
        return store.rows(sql)


def everything(store: Store, *, batch: bool = True) -> dict[str, list[tuple]]:
    found = {}
    for name in MARTS:
        columns = [row[1] for row in store.rows(f"PRAGMA table_info({name})") if batch or row[1] != "batch"]
        found[name] = sorted(store.rows(f"SELECT {', '.join(columns)} FROM {name}"))
    return found


def require_the_same_anew(store: Store) -> None:
    """An update gives what building anew gives, to the number of the batch."""
    marts.refresh(store, list(MARTS))
    kept = everything(store)
    marts.refresh(store, list(MARTS), full=True)
    assert kept == everything(store)


def shifted(log: dict[str, Any], by: int) -> dict[str, Any]:
    return log | {"logIndex": hex(int(log["logIndex"], 16) + by)}


@pytest.mark.parametrize("lists_logs", [True, False])
def test_a_numbering_that_begins_elsewhere_makes_no_second_log(chain: FakeChain, backfill: Backfill, lists_logs: bool):
    chain.logs = 4

    def alter(method: str, params: Any, answer: Any) -> Any:
        if method == "eth_getBlockReceipts" and params[0] == "0x5":
            return [row | {"logs": [shifted(log, 284) for log in row["logs"]]} for row in answer]
        if method == "eth_getLogs" and not lists_logs:
            raise Refused(-32601, "the method eth_getLogs does not exist/is not available")
        return answer

    chain.alter = alter
    said = backfill(0, 5)
    assert "the node numbers the logs of 1 blocks otherwise than from 0, they were counted" in said
    assert ("lists no logs" in said) is not lists_logs
    chain.alter = lambda method, params, answer: answer
    assert "otherwise" not in backfill(0, 5, "--reread")

    for table in COUNTED:
        assert rows(f"SELECT log_index FROM {table} WHERE block_number = 5") == [(0,), (1,), (2,), (3,)]
    assert rows("SELECT sum(transfers) FROM mart_token_transfer_hourly") == [(24,)]
    with Store.open() as store:
        require_the_same_anew(store)


@pytest.mark.parametrize(
    "first_said",
    [
        pytest.param(lambda log: log | {"data": word(1)}, id="another amount"),
        pytest.param(lambda log: log | {"topics": [word(5)]}, id="no transfer"),
        pytest.param(lambda log: log | {"address": address("another token")}, id="another token"),
        pytest.param(lambda log: None, id="no log"),
    ],
)
def test_a_second_reading_of_the_same_hash_replaces_the_first(chain: FakeChain, backfill: Backfill, first_said: Any):
    def spoil(logs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        given = [first_said(log) if log["blockNumber"] == "0x5" and log["logIndex"] == "0x2" else log for log in logs]
        return [log for log in given if log is not None]

    def alter(method: str, params: Any, answer: Any) -> Any:
        if method == "eth_getBlockReceipts":
            return [row | {"logs": spoil(row["logs"])} for row in answer]
        return spoil(answer) if method == "eth_getLogs" else answer

    chain.alter = alter
    backfill(0, 9)
    wrong = rows("SELECT * FROM mart_token_transfer_hourly")
    chain.alter = lambda method, params, answer: answer
    backfill(0, 9, "--reread")

    said = rows("SELECT token, amount FROM stg_token_transfers WHERE block_number = 5 ORDER BY log_index")
    assert said == [(address("token", place), str(5 * 10**18 + place)) for place in range(3)]
    assert rows("SELECT log_index, address FROM raw_chain_logs WHERE block_number = 5") == [
        (place, address("token", place)) for place in range(3)
    ]
    assert rows("SELECT * FROM mart_token_transfer_hourly") != wrong
    with Store.open() as store:
        require_the_same_anew(store)


def test_a_corrected_time_moves_a_block_to_its_hour(chain: FakeChain, backfill: Backfill):
    def alter(method: str, params: Any, answer: Any) -> Any:
        if method == "eth_getBlockByNumber" and params[0] == "0x9":
            return answer | {"timestamp": hex(int(answer["timestamp"], 16) + 7_200)}
        return answer

    chain.alter = alter
    backfill(9, 9)
    chain.alter = lambda method, params, answer: answer
    backfill(9, 9, "--reread")

    hours = rows("SELECT DISTINCT hour, transfers FROM mart_token_transfer_hourly")
    assert hours == [((1_700_000_000 + 12 * 9) // 3600 * 3600, 1)]
    with Store.open() as store:
        require_the_same_anew(store)


def test_reading_the_same_again_changes_nothing(chain: FakeChain, backfill: Backfill):
    backfill(0, 9)
    before = rows("SELECT max(batch) FROM fact_batch")
    backfill(0, 9, "--reread")
    assert rows("SELECT max(batch) FROM fact_batch") == before


def test_logs_of_no_transaction_are_kept_and_said(chain: FakeChain, backfill: Backfill):
    own = {3: None, 4: "0x" + "00" * 32, 6: chain.hash(6)}  # as nodes write "no transaction": null, zero, the block

    def alter(method: str, params: Any, answer: Any) -> Any:
        if method != "eth_getLogs":
            return answer
        first, last = (int(params[0][name], 16) for name in ("fromBlock", "toBlock"))
        loose = [
            transfer(n, 7) | {"blockNumber": hex(n), "blockHash": chain.hash(n), "logIndex": "0x3", "removed": False,
                              "transactionHash": of, "transactionIndex": None}
            for n, of in own.items() if first <= n <= last
        ]  # fmt: skip
        return answer + loose

    chain.alter = alter
    said = backfill(0, 9)
    assert "33 logs, 33 token transfers" in said
    assert "3 logs belong to no transaction and are stored under the hash of their block" in said
    kept = rows(
        "SELECT block_number, log_index, transaction_hash, transaction_index FROM raw_chain_logs "
        "WHERE transaction_index = 2"
    )
    assert kept == [(n, 3, chain.hash(n), 2) for n in own]
    assert rows("SELECT block_number FROM stg_chain_blocks WHERE log_count = 4") == [(n,) for n in own]
    assert rows("SELECT sum(log_count) FROM raw_chain_receipts") == [(30,)]


def test_a_list_that_lacks_logs_of_the_receipts_is_not_believed(chain, backfill, monkeypatch):
    monkeypatch.setattr("flows.clients.json_rpc.time.sleep", lambda seconds: None)
    chain.alter = lambda method, params, answer: answer[:-1] if method == "eth_getLogs" else answer
    with pytest.raises(BrokenChain, match="3 logs by its receipts, and 2 by eth_getLogs"):
        backfill(0, 9)
    assert rows("SELECT count(*) FROM stg_chain_blocks") == [(0,)]


def of_receipt(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Any], Any]:
    return lambda answer: [change(answer[0]), *answer[1:]]


def of_log(**fields: Any) -> Callable[[Any], Any]:
    return of_receipt(lambda row: row | {"logs": [row["logs"][0] | fields, *row["logs"][1:]]})


def of_transaction(**fields: Any) -> Callable[[Any], Any]:
    return lambda block: block | {"transactions": [block["transactions"][0] | fields, *block["transactions"][1:]]}


@pytest.mark.parametrize(
    ("method", "change", "words"),
    [
        ("eth_getBlockByNumber", of_transaction(transactionIndex="0x7"), "has place 7 by it"),
        ("eth_getBlockByNumber", of_transaction(blockNumber="0x7"), "is in block 7 by it"),
        ("eth_getBlockReceipts", of_receipt(lambda row: row | {"transactionIndex": "0x1"}), "place 1 by its receipt"),
        ("eth_getBlockReceipts", of_receipt(lambda row: row | {"blockNumber": "0x1"}), "block 1 by its receipt"),
        ("eth_getBlockReceipts", of_log(transactionHash=word(9)), "names transaction 0x0000"),
        ("eth_getBlockReceipts", of_log(transactionIndex="0x1"), "names place 1"),
        ("eth_getBlockReceipts", of_log(blockNumber="0x1"), "names block 1"),
    ],
)
def test_what_is_said_twice_must_be_said_alike(
    chain: FakeChain, backfill: Backfill, method: str, change: Any, words: str
):
    chain.alter = lambda m, params, answer: change(answer) if m == method and params[0] == "0x5" else answer
    with pytest.raises(MalformedAnswer, match=words):
        backfill(0, 9)
    assert rows("SELECT count(*) FROM stg_chain_blocks") == [(0,)]


# Whatever arrives, in whatever order


def whole(number: int, fork: int, mistake: int) -> WholeBlock:
    """Block `number` of a fork as a node tells it; `mistake` 0 tells the truth, each other one something else."""
    block_hash, n_logs = digest(number, fork), [3, 2, 3, 0, 4][mistake]
    own = {
        "blockNumber": hex(number),
        "blockHash": block_hash,
        "transactionIndex": "0x0",
        "transactionHash": digest("tx", number, fork, mistake == 4),
    }
    zero = "0x" + "00" * 32
    tx = own | {"hash": own["transactionHash"], "nonce": "0x0", "from": address("sender", fork), "gas": "0x1",
                "to": address("to", mistake == 2), "value": hex(10**18), "input": "0x"}  # fmt: skip
    logs = [
        transfer(number + (mistake == 2), place, str(fork)) | own | {"logIndex": hex(place + 284 * (mistake == 1))}
        for place in range(n_logs)
    ]
    receipt = own | {"cumulativeGasUsed": "0x1", "gasUsed": "0x1", "logs": logs}
    header = {"number": hex(number), "hash": block_hash, "parentHash": zero, "miner": address("miner"),
              "timestamp": hex(1_700_000_000 + 1_300 * number + 4_000 * (mistake == 3)), "gasLimit": "0x1",
              "gasUsed": "0x1", "transactions": [tx]}  # fmt: skip
    return WholeBlock(header, [receipt])


arrivals = st.lists(
    st.tuples(st.integers(1, 4), st.integers(0, 1), st.integers(0, 4), st.booleans()), min_size=1, max_size=12
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrivals=arrivals)
def test_updates_give_what_building_anew_gives_and_the_last_reading_counts(arrivals):
    with TemporaryDirectory() as folder, Store.open(Path(folder) / "a.sqlite") as store:
        last: dict[int, tuple[int, int]] = {}
        for number, fork, mistake, refresh in arrivals:
            write(Run(store, "run"), 1, [block_range(1, [whole(number, fork, mistake)])], Written())
            last[number] = (fork, mistake)
            if refresh:
                marts.refresh(store, list(MARTS))
        require_the_same_anew(store)
        with Store.open(Path(folder) / "b.sqlite") as other:
            for number, (fork, mistake) in last.items():
                write(Run(other, "run"), 1, [block_range(1, [whole(number, fork, mistake)])], Written())
            marts.refresh(other, list(MARTS))
            assert everything(store, batch=False) == everything(other, batch=False)
