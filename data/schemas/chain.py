"""The chain itself as received: blocks, transactions, receipts and logs.

Keys hold the block's hash, so a block that was replaced by a reorganisation stays beside the one that replaced it. A
block of a known hash that is read again replaces what was read before, all of it in one transaction: the hash
determines the content, so where two readings differ a node was wrong. What is decoded from them is in
`data.schemas.activity`.

The raw tables say by `batch` how their rows arrived (`fact_batch` has run, payload and time); they are read by block,
and have no index by batch, which would cost a log table a tenth of its speed and a quarter of its size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pandera.typing import Series

from data.schemas import fields
from data.schemas.fields import (
    document,
    integer,
    name,
    seconds,
    text,
    uint,
)
from data.schemas.model import Numbered

HEX = r"0x([0-9a-f]{2})*"


def _bytes(description: str, **checks: Any) -> Any:
    return text(description, "hex", whole_text_matches=HEX, **checks)


def chain_column() -> Any:
    """The column `chain_id`."""
    return integer("chain id, 1 for Ethereum", "id")


def number_column() -> Any:
    """The column `block_number`."""
    return integer("block number", "block")


class Blocks(
    Numbered,
    key=["chain_id", "block_number", "block_hash"],
    optional=[
        "nonce",
        "sha3_uncles",
        "logs_bloom",
        "transactions_root",
        "state_root",
        "receipts_root",
        "mix_hash",
        "difficulty",
        "total_difficulty",
        "size",
        "extra_data",
        "base_fee_per_gas",
        "withdrawals_root",
        "withdrawals",
        "blob_gas_used",
        "excess_blob_gas",
        "parent_beacon_block_root",
    ],
):
    """`raw_chain_blocks`: block headers."""

    chain_id: Series[np.int64] = chain_column()
    block_number: Series[np.int64] = number_column()
    block_hash: Series[str] = fields.block_hash("hash of the block")
    parent_hash: Series[str] = fields.block_hash("hash of the block before")
    timestamp: Series[np.int64] = seconds("time of the block")
    nonce: Series[str] = _bytes("proof-of-work nonce", nullable=True)
    sha3_uncles: Series[str] = fields.block_hash("hash of the list of uncles", nullable=True)
    logs_bloom: Series[str] = _bytes("Bloom filter of the logs", nullable=True)
    transactions_root: Series[str] = fields.block_hash("root of the transactions", nullable=True)
    state_root: Series[str] = fields.block_hash("root of the state", nullable=True)
    receipts_root: Series[str] = fields.block_hash("root of the receipts", nullable=True)
    miner: Series[str] = fields.address("who receives the fees")
    mix_hash: Series[str] = fields.block_hash("proof-of-work mix, or the randomness of the slot", nullable=True)
    difficulty: Series[str] = uint("difficulty", "hashes", nullable=True)
    total_difficulty: Series[str] = uint("difficulty of the chain up to here", "hashes", nullable=True)
    size: Series[pd.Int64Dtype] = integer("size", "bytes", nullable=True)
    extra_data: Series[str] = _bytes("what the producer wrote", nullable=True)
    gas_limit: Series[np.int64] = integer("gas limit", "gas")
    gas_used: Series[np.int64] = integer("gas used", "gas")
    base_fee_per_gas: Series[str] = uint("base fee (EIP-1559); empty before London", "wei per gas", nullable=True)
    withdrawals_root: Series[str] = fields.block_hash("root of the withdrawals", nullable=True)
    withdrawals: Series[str] = document("withdrawals (EIP-4895); amounts in gwei; empty before Shanghai", nullable=True)
    blob_gas_used: Series[pd.Int64Dtype] = integer("blob gas used (EIP-4844)", "gas", nullable=True)
    excess_blob_gas: Series[pd.Int64Dtype] = integer("blob gas above the target (EIP-4844)", "gas", nullable=True)
    parent_beacon_block_root: Series[str] = fields.block_hash("root of the beacon block (EIP-4788)", nullable=True)
    transaction_count: Series[np.int64] = integer("number of transactions", "transactions")
    source: Series[str] = name("where it was read")


class Transactions(
    Numbered,
    key=["chain_id", "block_number", "block_hash", "transaction_index"],
    optional=[
        "to_address",
        "gas_price",
        "transaction_type",
        "max_fee_per_gas",
        "max_priority_fee_per_gas",
        "max_fee_per_blob_gas",
        "blob_versioned_hashes",
    ],
):
    """`raw_chain_transactions`: transactions of blocks."""

    chain_id: Series[np.int64] = chain_column()
    block_number: Series[np.int64] = number_column()
    block_hash: Series[str] = fields.block_hash("hash of the block")
    transaction_index: Series[np.int64] = integer("place in the block, from 0", "index")
    transaction_hash: Series[str] = fields.block_hash("hash of the transaction")
    nonce: Series[np.int64] = integer("the sender's count of transactions before this one", "count")
    from_address: Series[str] = fields.address("sender")
    to_address: Series[str] = fields.address("recipient; empty where a contract is created", nullable=True)
    value: Series[str] = uint("native currency sent along", "wei")
    gas: Series[np.int64] = integer("gas limit", "gas")
    gas_price: Series[str] = uint("price offered, or paid (EIP-1559)", "wei per gas", nullable=True)
    input: Series[str] = _bytes("call data")
    transaction_type: Series[pd.Int64Dtype] = integer(
        "0 legacy, 1 EIP-2930, 2 EIP-1559, 3 EIP-4844, 4 EIP-7702", "type", nullable=True
    )
    max_fee_per_gas: Series[str] = uint("most that is paid (EIP-1559)", "wei per gas", nullable=True)
    max_priority_fee_per_gas: Series[str] = uint("most for the producer (EIP-1559)", "wei per gas", nullable=True)
    max_fee_per_blob_gas: Series[str] = uint("most for blob gas (EIP-4844)", "wei per gas", nullable=True)
    blob_versioned_hashes: Series[str] = document("hashes of the blobs (EIP-4844)", nullable=True)
    source: Series[str] = name("where it was read")


class Receipts(
    Numbered,
    key=["chain_id", "block_number", "block_hash", "transaction_index"],
    optional=[
        "contract_address",
        "root",
        "status",
        "effective_gas_price",
        "blob_gas_used",
        "blob_gas_price",
        "l1_fee",
        "l1_gas_used",
        "l1_gas_price",
        "l1_fee_scalar",
    ],
):
    """`raw_chain_receipts`: the outcome of each transaction. `root` before Byzantium, `status` since."""

    chain_id: Series[np.int64] = chain_column()
    block_number: Series[np.int64] = number_column()
    block_hash: Series[str] = fields.block_hash("hash of the block")
    transaction_index: Series[np.int64] = integer("place in the block, from 0", "index")
    transaction_hash: Series[str] = fields.block_hash("hash of the transaction")
    cumulative_gas_used: Series[np.int64] = integer("gas used in the block up to here", "gas")
    gas_used: Series[np.int64] = integer("gas used", "gas")
    contract_address: Series[str] = fields.address("contract created, if any", nullable=True)
    root: Series[str] = fields.block_hash("state root after the transaction, before Byzantium", nullable=True)
    status: Series[pd.Int64Dtype] = integer("1 success, 0 failure; empty before Byzantium", "0/1", nullable=True)
    effective_gas_price: Series[str] = uint("price paid", "wei per gas", nullable=True)
    blob_gas_used: Series[pd.Int64Dtype] = integer("blob gas used (EIP-4844)", "gas", nullable=True)
    blob_gas_price: Series[str] = uint("price of blob gas (EIP-4844)", "wei per gas", nullable=True)
    l1_fee: Series[str] = uint("fee for the first layer, on rollups that charge one", "wei", nullable=True)
    l1_gas_used: Series[str] = uint("gas of the first layer, on such rollups", "gas", nullable=True)
    l1_gas_price: Series[str] = uint("its price, on such rollups", "wei per gas", nullable=True)
    l1_fee_scalar: Series[str] = text("its factor as received, a decimal, on such rollups", "factor", nullable=True)
    log_count: Series[np.int64] = integer("number of logs", "logs")
    source: Series[str] = name("where it was read")


class Logs(
    Numbered,
    key=["chain_id", "block_number", "block_hash", "log_index"],
    optional=["topic0", "topic1", "topic2", "topic3"],
):
    """`raw_chain_logs`: event logs."""

    chain_id: Series[np.int64] = chain_column()
    block_number: Series[np.int64] = number_column()
    block_hash: Series[str] = fields.block_hash("hash of the block")
    log_index: Series[np.int64] = integer(
        "place in the block, counted from 0, whatever number the node gives it", "index"
    )
    transaction_hash: Series[str] = fields.block_hash(
        "hash of the transaction; the block's own where the log belongs to none (end of block on zkSync, Celo)"
    )
    transaction_index: Series[np.int64] = integer(
        "place of the transaction in the block; behind the last one where the log belongs to none", "index"
    )
    address: Series[str] = fields.address("contract that wrote the log")
    topic0: Series[str] = fields.block_hash("first topic, the event; empty for anonymous events", nullable=True)
    topic1: Series[str] = fields.block_hash("second topic", nullable=True)
    topic2: Series[str] = fields.block_hash("third topic", nullable=True)
    topic3: Series[str] = fields.block_hash("fourth topic", nullable=True)
    data: Series[str] = _bytes("data")
    source: Series[str] = name("where it was read")
