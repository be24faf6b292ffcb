"""What is decoded from a chain's blocks, and how it adds up.

Staging tells which of several blocks of one height counts: `orphaned` is 1 for rows of a block that is no longer part
of the chain. Every staging table has this column, so that a block is marked by one update by (chain_id, block_number,
block_hash), and tables made from staging count the rows with `orphaned = 0`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pandera.typing import Series

from data.schemas import fields
from data.schemas.chain import chain_column, number_column
from data.schemas.fields import (
    flag,
    integer,
    name,
    real,
    seconds,
    signed,
    text,
    uint,
)
from data.schemas.model import Numbered

SIGNED = r"-?\d{1,78}"
STANDARDS = ["ERC20", "ERC721", "ERC1155"]
PRIMITIVES = ["swap", "mint", "burn", "deposit", "withdraw", "borrow", "repay", "liquidation", "flash_loan"]


def _signed(description: str, unit: str, **checks: Any) -> Any:
    return text(description, unit, whole_text_matches=SIGNED, **checks)


def _orphaned() -> Any:
    return flag("1 when the block is no longer part of the chain")


class ChainBlocks(
    Numbered,
    key=["chain_id", "block_number", "block_hash"],
    optional=["base_fee_per_gas"],
    indexes=[["batch"], ["chain_id", "timestamp"]],
):
    """`stg_chain_blocks`: every block that was read whole, and whether it still counts.

    Its logs are those of its transactions and, where the node lists logs, those that belong to no transaction.
    """

    chain_id: Series[np.int64] = chain_column()
    block_number: Series[np.int64] = number_column()
    block_hash: Series[str] = fields.block_hash("hash of the block")
    parent_hash: Series[str] = fields.block_hash("hash of the block before")
    timestamp: Series[np.int64] = seconds("time of the block")
    transaction_count: Series[np.int64] = integer("number of transactions", "transactions")
    log_count: Series[np.int64] = integer("number of logs", "logs")
    gas_used: Series[np.int64] = integer("gas used", "gas")
    base_fee_per_gas: Series[str] = uint("base fee", "wei per gas", nullable=True)
    orphaned: Series[np.int64] = _orphaned()


class TokenTransfers(
    Numbered,
    key=["chain_id", "block_number", "block_hash", "log_index", "item"],
    optional=["operator", "token_id"],
    indexes=[["batch"]],
):
    """`stg_token_transfers`: movements of ERC-20, ERC-721 and ERC-1155 tokens.

    `indexed_arguments` is how many of the three arguments the log holds as topics. Two are standard for ERC-20, three
    for ERC-721; with three, an ERC-20 look-alike that indexes its value cannot be told from an ERC-721 by the log, and
    with none an early NFT cannot be told from an early ERC-20.
    """

    chain_id: Series[np.int64] = chain_column()
    block_number: Series[np.int64] = number_column()
    block_hash: Series[str] = fields.block_hash("hash of the block")
    log_index: Series[np.int64] = integer("place of the log in the block", "index")
    item: Series[np.int64] = integer("place within the log: ERC-1155 batches move several tokens, else 0", "index")
    transaction_hash: Series[str] = fields.block_hash("hash of the transaction")
    timestamp: Series[np.int64] = seconds("time of the block")
    standard: Series[str] = text("ERC20, ERC721 or ERC1155", isin=STANDARDS)
    token: Series[str] = fields.address("token contract")
    operator: Series[str] = fields.address("who moved it (ERC-1155)", nullable=True)
    from_address: Series[str] = fields.address("sender; 0x0 where tokens are created")
    to_address: Series[str] = fields.address("recipient; 0x0 where tokens are destroyed")
    token_id: Series[str] = uint("which token (ERC-721, ERC-1155)", "id", nullable=True)
    amount: Series[str] = uint("how much, in the token's smallest unit; 1 for ERC-721", "raw")
    indexed_arguments: Series[np.int64] = integer("arguments held as topics", "arguments")
    orphaned: Series[np.int64] = _orphaned()


class Primitives(
    Numbered,
    key=["chain_id", "block_number", "block_hash", "log_index"],
    optional=["counterparty", "asset", "asset_2", "amount_2"],
    indexes=[["batch"]],
):
    """`stg_primitives`: what people did with DeFi protocols, in one shape for all protocols and chains."""

    chain_id: Series[np.int64] = chain_column()
    block_number: Series[np.int64] = number_column()
    block_hash: Series[str] = fields.block_hash("hash of the block")
    log_index: Series[np.int64] = integer("place of the log in the block", "index")
    transaction_hash: Series[str] = fields.block_hash("hash of the transaction")
    timestamp: Series[np.int64] = seconds("time of the block")
    primitive: Series[str] = text(", ".join(PRIMITIVES), isin=PRIMITIVES)
    protocol: Series[str] = name("protocol by the form of its event, such as aave_v3; forks of it look the same")
    contract: Series[str] = fields.address("pool, pair or market that wrote the log")
    account: Series[str] = fields.address("whose position or tokens they are")
    counterparty: Series[str] = fields.address("who else took part: payer, recipient, liquidator", nullable=True)
    asset: Series[str] = fields.address(
        "first asset; empty where the log does not say (pairs name no tokens)", nullable=True
    )
    amount: Series[str] = uint("amount of the first asset", "raw")
    asset_2: Series[str] = fields.address("second asset: the collateral seized, for liquidations", nullable=True)
    amount_2: Series[str] = uint("amount of the second asset", "raw", nullable=True)
    orphaned: Series[np.int64] = _orphaned()


class DexSwaps(
    Numbered,
    key=["chain_id", "block_number", "block_hash", "log_index"],
    optional=["sqrt_price_x96", "liquidity", "tick"],
    indexes=[["batch"]],
):
    """`stg_dex_swaps`: swaps, amounts as changes of the pool's balances (what the pool pays is negative)."""

    chain_id: Series[np.int64] = chain_column()
    block_number: Series[np.int64] = number_column()
    block_hash: Series[str] = fields.block_hash("hash of the block")
    log_index: Series[np.int64] = integer("place of the log in the block", "index")
    transaction_hash: Series[str] = fields.block_hash("hash of the transaction")
    timestamp: Series[np.int64] = seconds("time of the block")
    protocol: Series[str] = name("uniswap_v2 or uniswap_v3, by the form of the event; forks look the same")
    pool: Series[str] = fields.address("pair or pool")
    sender: Series[str] = fields.address("who called")
    recipient: Series[str] = fields.address("who received")
    amount0: Series[str] = _signed("change of the pool's balance of token 0", "raw")
    amount1: Series[str] = _signed("change of the pool's balance of token 1", "raw")
    sqrt_price_x96: Series[str] = uint("root of the price after the swap, times 2**96 (v3)", "Q64.96", nullable=True)
    liquidity: Series[str] = uint("liquidity in range after the swap (v3)", "raw", nullable=True)
    tick: Series[pd.Int64Dtype] = signed(
        "log base 1.0001 of the price after the swap (v3)",
        "tick",
        nullable=True,
        in_range={"min_value": -887_272, "max_value": 887_272},
    )
    orphaned: Series[np.int64] = _orphaned()


class TokenTransferHours(Numbered, key=["chain_id", "token", "hour"]):
    """`mart_token_transfer_hourly`: transfers of each token by the hour. Sums are doubles; staging is exact."""

    chain_id: Series[np.int64] = chain_column()
    token: Series[str] = fields.address("token contract")
    hour: Series[np.int64] = seconds("start of the hour")
    standard: Series[str] = text("ERC20, ERC721 or ERC1155", isin=STANDARDS, nullable=True)
    transfers: Series[np.int64] = integer("transfers that count", "transfers")
    senders: Series[np.int64] = integer("addresses that sent", "addresses")
    recipients: Series[np.int64] = integer("addresses that received", "addresses")
    amount: Series[np.float64] = real("sum of amounts, in the token's smallest unit, to 15 digits", "raw", ge=0)
    largest: Series[np.float64] = real("largest amount, to 15 digits", "raw", ge=0)


class AddressActivity(Numbered, key=["chain_id", "block_number", "address"]):
    """`mart_address_activity`: what each address did in each block, as features of later scores.

    Rises and falls of leverage are counted as events: borrowed amounts are in `stg_primitives`, without a common unit.
    """

    chain_id: Series[np.int64] = chain_column()
    block_number: Series[np.int64] = number_column()
    address: Series[str] = fields.address("who")
    transactions_sent: Series[np.int64] = integer("transactions sent", "transactions")
    native_sent: Series[np.float64] = real("native currency sent with them", "units of 1e18 wei", ge=0)
    native_received: Series[np.float64] = real("native currency received by transactions", "units of 1e18 wei", ge=0)
    transfers_sent: Series[np.int64] = integer("token transfers sent", "transfers")
    transfers_received: Series[np.int64] = integer("token transfers received", "transfers")
    tokens: Series[np.int64] = integer("different tokens among them", "tokens")
    counterparties: Series[np.int64] = integer("different addresses on the other side of all of these", "addresses")
    swaps: Series[np.int64] = integer("swaps received", "events")
    liquidity_changes: Series[np.int64] = integer("liquidity added to or taken from pools", "events")
    collateral_changes: Series[np.int64] = integer("deposits and withdrawals", "events")
    leverage_ups: Series[np.int64] = integer("borrows and flash loans", "events")
    leverage_downs: Series[np.int64] = integer("repayments", "events")
    liquidations: Series[np.int64] = integer("times it was liquidated", "events")
