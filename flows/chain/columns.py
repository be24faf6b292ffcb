"""Turn blocks, transactions, receipts and logs of a node into columns of the chain's tables. Nothing is fetched.

Texts become lower case, quantities whole numbers (decimal text where 64 bits may be too few), absent fields None.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flows.clients.log_columns import LogColumns
from flows.errors import MalformedAnswer

Columns = dict[str, list[Any]]
"""Column name to values, all of the same length."""


def _text(value: str) -> str:
    return value.lower()


def _int(value: str) -> int:
    return int(value, 16)


def _uint(value: str) -> str:
    return str(int(value, 16))


def _withdrawals(rows: list[Mapping[str, str]]) -> str:
    """JSON with whole numbers, field names as in the tables."""
    return json.dumps(
        [
            {
                "index": _int(row["index"]),
                "validator_index": _int(row["validatorIndex"]),
                "address": _text(row["address"]),
                "amount": _int(row["amount"]),
            }
            for row in rows
        ]
    )


def _root(value: str) -> str | None:
    return None if value == "0x" else value.lower()  # some nodes send empty bytes since Byzantium


def _hashes(rows: list[str]) -> str:
    return json.dumps([_text(row) for row in rows])


# column, JSON field, how it is read; the fields that a node may leave out or send as null are named below.
BLOCK = (
    ("block_number", "number", _int), ("block_hash", "hash", _text), ("parent_hash", "parentHash", _text),
    ("timestamp", "timestamp", _int), ("nonce", "nonce", _text), ("sha3_uncles", "sha3Uncles", _text),
    ("logs_bloom", "logsBloom", _text), ("transactions_root", "transactionsRoot", _text),
    ("state_root", "stateRoot", _text), ("receipts_root", "receiptsRoot", _text), ("miner", "miner", _text),
    ("mix_hash", "mixHash", _text), ("difficulty", "difficulty", _uint), ("total_difficulty", "totalDifficulty", _uint),
    ("size", "size", _int), ("extra_data", "extraData", _text), ("gas_limit", "gasLimit", _int),
    ("gas_used", "gasUsed", _int), ("base_fee_per_gas", "baseFeePerGas", _uint),
    ("withdrawals_root", "withdrawalsRoot", _text), ("withdrawals", "withdrawals", _withdrawals),
    ("blob_gas_used", "blobGasUsed", _int), ("excess_blob_gas", "excessBlobGas", _int),
    ("parent_beacon_block_root", "parentBeaconBlockRoot", _text), ("transaction_count", "transactions", len),
)  # fmt: skip
TRANSACTION = (
    ("block_number", "blockNumber", _int), ("block_hash", "blockHash", _text),
    ("transaction_index", "transactionIndex", _int), ("transaction_hash", "hash", _text), ("nonce", "nonce", _int),
    ("from_address", "from", _text), ("to_address", "to", _text), ("value", "value", _uint), ("gas", "gas", _int),
    ("gas_price", "gasPrice", _uint), ("input", "input", _text), ("transaction_type", "type", _int),
    ("max_fee_per_gas", "maxFeePerGas", _uint), ("max_priority_fee_per_gas", "maxPriorityFeePerGas", _uint),
    ("max_fee_per_blob_gas", "maxFeePerBlobGas", _uint), ("blob_versioned_hashes", "blobVersionedHashes", _hashes),
)  # fmt: skip
RECEIPT = (
    ("block_number", "blockNumber", _int), ("block_hash", "blockHash", _text),
    ("transaction_index", "transactionIndex", _int), ("transaction_hash", "transactionHash", _text),
    ("cumulative_gas_used", "cumulativeGasUsed", _int), ("gas_used", "gasUsed", _int),
    ("contract_address", "contractAddress", _text), ("root", "root", _root), ("status", "status", _int),
    ("effective_gas_price", "effectiveGasPrice", _uint), ("blob_gas_used", "blobGasUsed", _int),
    ("blob_gas_price", "blobGasPrice", _uint), ("l1_fee", "l1Fee", _uint), ("l1_gas_used", "l1GasUsed", _uint),
    ("l1_gas_price", "l1GasPrice", _uint), ("l1_fee_scalar", "l1FeeScalar", str), ("log_count", "logs", len),
)  # fmt: skip
LOG = (
    ("block_number", "blockNumber", _int),
    ("block_hash", "blockHash", _text),
    ("log_index", "logIndex", _int),
    ("transaction_hash", "transactionHash", _text),
    ("transaction_index", "transactionIndex", _int),
    ("address", "address", _text),
    ("data", "data", _text),
)
ALWAYS = {
    "number", "hash", "parentHash", "timestamp", "miner", "gasLimit", "gasUsed", "transactions", "blockNumber",
    "blockHash", "transactionIndex", "from", "value", "gas", "input", "transactionHash", "cumulativeGasUsed", "logs",
    "logIndex", "address", "data",
}  # fmt: skip
"""Fields that a row must have. A transaction must have its nonce, too; a block need not."""

Spec = Sequence[tuple[str, str, Callable[[Any], Any]]]


def block_columns(blocks: Sequence[Mapping[str, Any]]) -> Columns:
    """Rows of `raw_chain_blocks`. Raises `MalformedAnswer`."""
    return _columns(blocks, BLOCK, "a block")


def transaction_columns(blocks: Sequence[Mapping[str, Any]]) -> Columns:
    """Rows of `raw_chain_transactions` of blocks with whole transactions. Raises `MalformedAnswer`."""
    rows = [row for block in blocks for row in block["transactions"]]
    if rows and not isinstance(rows[0], Mapping):
        raise MalformedAnswer(f"transactions: expected whole transactions, found {rows[0]!r:.80}")
    return _columns(rows, TRANSACTION, "a transaction", ALWAYS | {"nonce"})


def receipt_columns(receipts: Sequence[Mapping[str, Any]]) -> Columns:
    """Rows of `raw_chain_receipts`; before Byzantium with `root`, since with `status`. Raises `MalformedAnswer`."""
    return _columns(receipts, RECEIPT, "a receipt")


def log_columns(logs: Sequence[Mapping[str, Any]]) -> tuple[Columns, LogColumns]:
    """Rows of `raw_chain_logs`, and the same logs for decoding. Raises `MalformedAnswer`."""
    columns = _columns(logs, LOG, "a log")
    try:
        topics = [[topic.lower() for topic in log["topics"]] for log in logs]
    except (KeyError, TypeError, AttributeError) as exc:
        raise MalformedAnswer(f"a log: expected a list of topics ({type(exc).__name__}: {exc})") from exc
    if max(map(len, topics), default=0) > 4:
        raise MalformedAnswer("a log: expected at most four topics, found more")
    for n in range(4):
        columns[f"topic{n}"] = [named[n] if len(named) > n else None for named in topics]
    return columns, LogColumns(columns["address"], topics, columns["data"])


def _columns(rows: Sequence[Mapping[str, Any]], spec: Spec, what: str, always: set[str] = ALWAYS) -> Columns:
    columns: Columns = {}
    for name, key, read in spec:
        try:
            if key in always:
                columns[name] = [read(row[key]) for row in rows]
            else:
                columns[name] = [
                    None if (value := row.get(key)) is None or value == "" else read(value) for row in rows
                ]
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise MalformedAnswer(
                f"{what}: field {key} is missing or not what JSON-RPC promises ({type(exc).__name__}: {exc}); "
                "is ETH_RPC_URL the address of an Ethereum node?"
            ) from exc
    return columns
