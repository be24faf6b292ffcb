"""Real blocks of Ethereum as nodes sent them, against what ethereum-etl published for them: equal to the last digit.

Whatever folder of the recordings has a peer's expectations is tried, so new ones need no new test.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from flows.chain.columns import block_columns, log_columns, receipt_columns, transaction_columns
from flows.chain.transfers import token_transfers

PEER_NAMES = {
    "hash": {"expected_blocks": "block_hash", "expected_transactions": "transaction_hash"},
    "number": {"expected_blocks": "block_number"},
    "token_address": {"expected_token_transfers": "token"},
}
OWN_TO_PEER = ("item_id", "item_timestamp", "type", "block_timestamp")
"""Keys of the peer's own making, or (block_timestamp) joined from the block."""


def cases(folder: Path) -> list[tuple[str, Path]]:
    return sorted((path.stem, path) for path in folder.rglob("expected_*") if _answers(path.parent, path.stem))


def _answers(folder: Path, what: str) -> bool:
    needs = {
        "expected_blocks": "getBlockByNumber",
        "expected_transactions": "getBlockByNumber",
        "expected_receipts": "getTransactionReceipt",
        "expected_logs": "getTransactionReceipt",
        "expected_token_transfers": "",
    }
    return any(needs.get(what, "?") in path.name for path in folder.glob("web3_response.*"))


def expected(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    return list(csv.DictReader(text.splitlines()))


def recorded(folder: Path, method: str) -> list[Any]:
    found = [
        json.loads(path.read_text(encoding="utf-8"))["result"]
        for path in sorted(folder.glob(f"web3_response.{method}*"))
        if "_latest_" not in path.name
    ]
    return [result for result in found if result]


def rows(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def ours(folder: Path, what: str) -> list[dict[str, Any]]:
    """Our rows for what a file of the peer expects, each with the peer's further columns joined in."""
    blocks = recorded(folder, "eth_getBlockByNumber")
    receipts = recorded(folder, "eth_getTransactionReceipt")
    logs = [log for receipt in receipts for log in receipt["logs"]]
    logs += [log for part in recorded(folder, "eth_getFilterLogs") for log in part]
    if what == "expected_blocks":
        return rows(block_columns(blocks))
    if what == "expected_receipts":
        return rows(receipt_columns(receipts))
    if what == "expected_transactions":
        by_hash = {row["transaction_hash"]: row for row in rows(receipt_columns(receipts))}
        return [
            row | {f"receipt_{name}": value for name, value in by_hash.get(row["transaction_hash"], {}).items()}
            for row in rows(transaction_columns(blocks))
        ]
    columns, words = log_columns(logs)
    held = rows(columns)
    if what == "expected_logs":
        return [row | {"topics": [row[f"topic{n}"] for n in range(4) if row[f"topic{n}"]]} for row in held]
    found = token_transfers(words)
    assert not found.rejected
    return [
        held[position]
        | {name: column[j] for name, column in found.columns().items()}
        # The peer calls the id of an ERC-721 its value.
        | {"value": found.token_id[j] if found.standard[j] == "ERC721" else found.amount[j]}
        for j, position in enumerate(found.position)
        if found.standard[j] != "ERC1155"
    ]


def same(mine: Any, theirs: Any) -> bool:
    """Equal as text; the peer writes nothing, null and an empty list for what a block does not have."""
    if theirs in (None, "", []):
        return mine in (None, "", "[]")
    if isinstance(theirs, (dict, list)) or (isinstance(mine, list)):
        theirs = theirs.split(",") if isinstance(theirs, str) else theirs
        return (json.loads(mine) if isinstance(mine, str) else mine) == theirs
    return str(mine) == str(theirs)


def key(row: dict[str, Any]) -> tuple[int, int]:
    return int(row["block_number"] if "block_number" in row else row["number"]), int(
        row.get("log_index") or row.get("transaction_index") or 0
    )


def test_every_recorded_expectation_is_reproduced(shared_data: Path):
    folder = shared_data / "recorded" / "jsonrpc"
    found = cases(folder)
    assert found, "no recordings with expectations"
    compared = 0
    for what, path in found:
        theirs, mine = sorted(expected(path), key=key), sorted(ours(path.parent, what), key=key)
        assert len(mine) == len(theirs), path
        for row, peer in zip(mine, theirs, strict=True):
            for name, value in peer.items():
                if name in OWN_TO_PEER:
                    continue
                known = PEER_NAMES.get(name, {}).get(what, name)
                if known not in row and value in (None, ""):
                    continue
                assert same(row[known], value), (path.name, name, row[known], value)
                compared += 1
    assert compared > 300


def test_withdrawals_become_whole_numbers_by_the_peers_names(shared_data: Path):
    """The peer's row of a block with withdrawals, put back into the words of JSON-RPC and read again."""
    folder = (
        shared_data / "recorded" / "jsonrpc" / "test_export_blocks_job" / "blocks_with_transactions_and_withdrawals"
    )
    camel = {"number": "number", "hash": "hash", "parent_hash": "parentHash", "nonce": "nonce", "miner": "miner",
             "sha3_uncles": "sha3Uncles", "logs_bloom": "logsBloom", "transactions_root": "transactionsRoot",
             "state_root": "stateRoot", "receipts_root": "receiptsRoot", "difficulty": "difficulty", "size": "size",
             "total_difficulty": "totalDifficulty", "extra_data": "extraData", "gas_limit": "gasLimit",
             "gas_used": "gasUsed", "timestamp": "timestamp", "base_fee_per_gas": "baseFeePerGas",
             "withdrawals_root": "withdrawalsRoot"}  # fmt: skip
    for peer in expected(folder / "expected_blocks.json"):
        block = {
            theirs: hex(peer[ours]) if isinstance(peer[ours], int) else peer[ours] for ours, theirs in camel.items()
        }
        block["transactions"] = [None] * peer["transaction_count"]
        block["withdrawals"] = [
            {
                "index": hex(w["index"]),
                "validatorIndex": hex(w["validator_index"]),
                "address": w["address"].upper().replace("0X", "0x"),
                "amount": hex(w["amount"]),
            }
            for w in peer["withdrawals"]
        ]
        row = rows(block_columns([block]))[0]
        for name, value in peer.items():
            assert same(row[PEER_NAMES.get(name, {}).get("expected_blocks", name)], value), name


@pytest.mark.parametrize(
    ("field", "value"), [("status", "0x1"), ("status", None), ("root", "0x"), ("to", None), ("effectiveGasPrice", None)]
)
def test_receipts_of_every_age_are_read(field: str, value: Any):
    receipt = {
        "blockNumber": "0x1", "blockHash": "0x" + "11" * 32, "transactionIndex": "0x0",
        "transactionHash": "0x" + "22" * 32, "cumulativeGasUsed": "0x5208", "gasUsed": "0x5208", "logs": [],
        "contractAddress": None, "type": "0x2", "status": "0x0", "blobGasUsed": "0x20000", "blobGasPrice": "0x1",
    }  # fmt: skip
    row = rows(receipt_columns([receipt | {field: value}]))[0]
    assert row["status"] == {"0x1": 1, None: None}.get(value, 0) if field == "status" else row["status"] == 0
    assert row["root"] is None
    assert (row["blob_gas_used"], row["blob_gas_price"]) == (131072, "1")
