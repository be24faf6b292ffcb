"""Lending events of Aave and Compound: as received by route, as one typed table, and as served by kind."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from data.schemas.fields import (
    HASH32,
    PROTOCOLS,
    address,
    integer,
    name,
    real,
    seconds,
    text,
    uint,
)
from data.schemas.fields import (
    block_hash as hash32,
)
from data.schemas.model import AppendOnly, Numbered, Received, TableModel

EVENT_TYPES = ["borrow", "deposit", "liquidation", "repay", "withdraw", "deficit"]
KEY = ["chain_id", "block_number", "log_index"]


class _Received(
    Received,
    key=["source", "market", *KEY],
    indexes=[["batch"], ["chain_id", "asset"]],
    optional=["debt_asset", "debt_amount_raw", "usd_e8"],
):
    """What every raw lending table has. Which of the rows of a block are part of the chain: `raw_lending_blocks`."""

    source: Series[str] = name("route: logs of a node, messari:SUBGRAPH, or an outside vendor's name")
    chain_id: Series[np.int64] = integer("EIP-155 chain id", "id")
    block_number: Series[np.int64] = integer("block of the log", "block")
    log_index: Series[np.int64] = integer("index of the log in its block", "index")
    market: Series[str] = name("market name, an address-book name where there is one")
    protocol: Series[str] = text("aave_v2, aave_v3, compound_v2 or compound_v3", isin=PROTOCOLS)
    contract: Series[pd.StringDtype] = address("contract that emitted the log; absent where unknown", nullable=True)
    event: Series[str] = name("name of the contract's event, or of the subgraph's entity")
    block_hash: Series[pd.StringDtype] = text(
        "hash of the block; a digest of its events where the route knows none",
        "hash",
        nullable=True,
        whole_text_matches=HASH32,
    )
    block_timestamp: Series[np.int64] = seconds("time of the block")
    tx_hash: Series[str] = hash32("hash of the transaction")
    owner: Series[str] = address("owner of the position: onBehalfOf, never the payer")
    initiator: Series[pd.StringDtype] = address("who called or paid; absent where not named", nullable=True)
    counterparty: Series[pd.StringDtype] = address("receiver, or liquidator; absent where none", nullable=True)
    asset: Series[str] = address("token; of a liquidation the collateral; zero for the chain's own coin")
    amount_raw: Series[str] = uint("amount of it", "token units")
    debt_asset: Series[pd.StringDtype] = address("token that a liquidation repaid", nullable=True)
    debt_amount_raw: Series[pd.StringDtype] = uint("amount of it", "token units", nullable=True)
    part: Series[np.int64] = integer("further collaterals of one liquidation count from 1, all else is 0", "count")
    usd_e8: Series[pd.StringDtype] = uint("value that the source itself states", "1e-8 USD", nullable=True)


class ReceivedBorrows(_Received):
    """`raw_lending_borrow_events`."""


class ReceivedDeposits(_Received):
    """`raw_lending_deposit_events`."""


class ReceivedLiquidations(_Received):
    """`raw_lending_liquidation_events`."""


class ReceivedRepayments(_Received):
    """`raw_lending_repay_events`."""


class ReceivedWithdrawals(_Received):
    """`raw_lending_withdraw_events`."""


class ReceivedDeficits(_Received):
    """`raw_lending_deficit_events`: debt that a protocol wrote off, of an account without any collateral left."""


class ReadBlocks(
    AppendOnly,
    key=["source", "market", "chain_id", "block_number"],
    indexes=[["batch"], ["chain_id", "block_number"], ["block_timestamp"]],
):
    """`raw_lending_blocks`: blocks in which events were found; `n_events` is 0 where a later reading found none.

    An event counts if its block hash is the newest one in this table: a reorganisation adds a row.
    """

    source: Series[str] = name("route, as in the tables of events")
    market: Series[str] = name("market name")
    chain_id: Series[np.int64] = integer("EIP-155 chain id", "id")
    block_number: Series[np.int64] = integer("block", "block")
    block_hash: Series[pd.StringDtype] = text(
        "as in the tables of events; absent where nothing is left", "hash", nullable=True, whole_text_matches=HASH32
    )
    block_timestamp: Series[np.int64] = seconds("time of the block")
    n_events: Series[np.int64] = integer("events of the market in it", "events")


class ReadSpans(Numbered, key=["source", "market", "chain_id"], indexes=[["batch"]]):
    """`raw_lending_reads`: the time over which the events of a market are stored without a gap, by route.

    Blocks that may still be replaced do not count, and a market whose scan began anew has only what it has read since.
    """

    source: Series[str] = name("route, as in the tables of events")
    market: Series[str] = name("market name")
    chain_id: Series[np.int64] = integer("EIP-155 chain id", "id")
    first_block: Series[np.int64] = integer("first block that was read", "block")
    first_time: Series[np.int64] = seconds("time of it: every event after this second, up to last_time, is stored")
    last_block: Series[np.int64] = integer("last block that was read and is settled", "block")
    last_time: Series[np.int64] = seconds("last second of which every event is stored: the one before that block")


class LendingAssets(Numbered, key=["chain_id", "asset"], optional=["decimals", "series"], indexes=[["batch"]]):
    """`dim_lending_asset`: symbol and decimals of each token of the events, as its contract states them."""

    chain_id: Series[np.int64] = integer("EIP-155 chain id", "id")
    asset: Series[str] = address("token; zero for the chain's own coin")
    symbol: Series[str] = name("symbol, or the address where it has none")
    decimals: Series[pd.Int64Dtype] = pa.Field(
        description="decimals; absent where the token does not say",
        metadata={"unit": "digits"},
        in_range={"min_value": 0, "max_value": 77},
        nullable=True,
    )
    series: Series[pd.StringDtype] = text("symbol in dim_prices of the traded price of this very token", nullable=True)


class EventPrices(AppendOnly, key=["chain_id", "block_number", "asset", "market"], optional=["eth_usd_raw"]):
    """`raw_lending_prices`: the price of an asset by the market's own oracle at the block of an event."""

    chain_id: Series[np.int64] = integer("EIP-155 chain id", "id")
    market: Series[str] = name("market whose oracle was asked")
    block_number: Series[np.int64] = integer("block of the price", "block")
    asset: Series[str] = address("token")
    block_timestamp: Series[np.int64] = seconds("time of the block")
    oracle: Series[str] = address("oracle contract")
    price_raw: Series[str] = uint("price; USD with 8 decimals", "1e-8 USD per token")
    eth_usd_raw: Series[pd.StringDtype] = uint("price of WETH at the same block", "1e-8 USD", nullable=True)


class LendingEvents(Numbered, key=KEY, indexes=[["batch"], ["wallet"], ["event_type", "block_timestamp"]]):
    """`stg_lending_events`: one row for each event that is part of the chain, by whichever route it came.

    Values are NULL where no price at most a day old was known at the time; the price, its source and its age are
    stored.
    """

    chain_id: Series[np.int64] = integer("EIP-155 chain id", "id")
    block_number: Series[np.int64] = integer("block of the log", "block")
    log_index: Series[np.int64] = integer("index of the log in its block", "index")
    event_type: Series[str] = text("what happened", isin=EVENT_TYPES)
    wallet: Series[str] = address("owner of the position")
    initiator: Series[pd.StringDtype] = address("who called or paid; NULL where not named", nullable=True)
    self_initiated: Series[pd.Int64Dtype] = pa.Field(
        description="1: the wallet itself called or paid; NULL where the log does not say",
        metadata={"unit": "0/1"},
        isin=[0, 1],
        nullable=True,
    )
    counterparty: Series[pd.StringDtype] = address("receiver, or liquidator; NULL where none", nullable=True)
    protocol: Series[str] = text("protocol and version", isin=PROTOCOLS)
    market: Series[str] = name("market name")
    event: Series[str] = name("name of the contract's event")
    asset: Series[str] = address("token; of a liquidation the collateral (cTokens at Compound v2)")
    symbol: Series[pd.StringDtype] = text("its symbol", nullable=True)
    amount_raw: Series[str] = uint("amount, exact", "token units")
    amount: Series[np.float64] = real("amount; NULL where the decimals are not known", "tokens", ge=0, nullable=True)
    amount_usd: Series[np.float64] = real("value at the time", "USD", ge=0, nullable=True)
    amount_eth: Series[np.float64] = real("value at the time", "ETH", ge=0, nullable=True)
    price_usd: Series[np.float64] = real("price used for it", "USD per token", ge=0, nullable=True)
    price_source: Series[pd.StringDtype] = text("where that price or value is from; NULL without one", nullable=True)
    price_age: Series[pd.Int64Dtype] = pa.Field(
        description="how much older than the event that price is", metadata={"unit": "seconds"}, ge=0, nullable=True
    )
    debt_asset: Series[pd.StringDtype] = address("token that a liquidation repaid", nullable=True)
    debt_amount_raw: Series[pd.StringDtype] = uint("amount of it, exact", "token units", nullable=True)
    debt_amount: Series[np.float64] = real("amount of it", "tokens", ge=0, nullable=True)
    debt_amount_usd: Series[np.float64] = real("value of it at the time", "USD", ge=0, nullable=True)
    debt_price_source: Series[pd.StringDtype] = text("where its price is from; NULL without one", nullable=True)
    part: Series[np.int64] = integer("further collaterals of one liquidation count from 1: count part = 0", "count")
    block_timestamp: Series[np.int64] = seconds("time of the block")
    tx_hash: Series[str] = hash32("hash of the transaction")
    source: Series[str] = name("route the row came by")


class BorrowFacts(LendingEvents):
    """`fact_lending_borrow_events`: the borrows of stg_lending_events."""


class DepositFacts(LendingEvents):
    """`fact_lending_deposit_events`: the deposits of stg_lending_events."""


class LiquidationFacts(LendingEvents):
    """`fact_lending_liquidation_events`: the liquidations of stg_lending_events."""


class RepayFacts(LendingEvents):
    """`fact_lending_repay_events`: the repayments of stg_lending_events."""


class WithdrawFacts(LendingEvents):
    """`fact_lending_withdraw_events`: the withdrawals of stg_lending_events."""


class DeficitFacts(LendingEvents):
    """`fact_lending_deficit_events`: the deficits of stg_lending_events."""


RECEIVED = {
    "borrow": "raw_lending_borrow_events",
    "deposit": "raw_lending_deposit_events",
    "liquidation": "raw_lending_liquidation_events",
    "repay": "raw_lending_repay_events",
    "withdraw": "raw_lending_withdraw_events",
    "deficit": "raw_lending_deficit_events",
}
"""Kind of event to the table it arrives in."""

TABLES: dict[str, type[TableModel]] = {
    "raw_lending_borrow_events": ReceivedBorrows,
    "raw_lending_deposit_events": ReceivedDeposits,
    "raw_lending_liquidation_events": ReceivedLiquidations,
    "raw_lending_repay_events": ReceivedRepayments,
    "raw_lending_withdraw_events": ReceivedWithdrawals,
    "raw_lending_deficit_events": ReceivedDeficits,
    "raw_lending_blocks": ReadBlocks,
    "raw_lending_reads": ReadSpans,
    "raw_lending_prices": EventPrices,
    "dim_lending_asset": LendingAssets,
    "stg_lending_events": LendingEvents,
    "fact_lending_borrow_events": BorrowFacts,
    "fact_lending_deposit_events": DepositFacts,
    "fact_lending_liquidation_events": LiquidationFacts,
    "fact_lending_repay_events": RepayFacts,
    "fact_lending_withdraw_events": WithdrawFacts,
    "fact_lending_deficit_events": DeficitFacts,
}
