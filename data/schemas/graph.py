"""Data of subgraphs on a lending market at a block, as received and typed, and the progress of a verified read."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pandera.typing import Series

from data.schemas.fields import (
    address,
    document,
    flag,
    integer,
    name,
    real,
    seconds,
    text,
    uint,
)
from data.schemas.model import Numbered, Received, TableModel


class GraphMarketData(Received, key=["subgraph", "block", "entity", "entity_id"]):
    """`raw_graph_market_data`: reserves, e-modes or markets of a subgraph at a block, each entity as received."""

    subgraph: Series[str] = name("id of the subgraph")
    block: Series[np.int64] = integer("block the query asked for", "block")
    entity: Series[str] = name("kind of entity, such as reserve")
    entity_id: Series[str] = name("id of the entity", "id")
    body: Series[str] = document("the entity as received, keys sorted")
    source: Series[str] = name("where it was read")


class GraphAccountPositions(Received, key=["subgraph", "block", "entity_id"]):
    """`raw_graph_account_positions`: what accounts hold according to a subgraph at a block, as received."""

    subgraph: Series[str] = name("id of the subgraph")
    block: Series[np.int64] = integer("block the query asked for", "block")
    entity_id: Series[str] = name("id of the entity", "id")
    account: Series[str] = address("the account")
    body: Series[str] = document("the entity as received, keys sorted")
    source: Series[str] = name("where it was read")


class StagedGraphMarketData(Numbered, key=["market", "block", "asset"], optional=["price_usd"], indexes=[["batch"]]):
    """`stg_graph_market_data`: reserves as a subgraph has them, typed, indices brought to the block's time.

    Written beside the raw rows and not by SQL: an index is a product of 256-bit integers.
    """

    market: Series[str] = name("market name")
    block: Series[np.int64] = integer("block", "block")
    asset: Series[str] = address("underlying token")
    subgraph: Series[str] = name("id of the subgraph")
    protocol_version: Series[np.int64] = integer("2 or 3", "version")
    symbol: Series[str] = name("token symbol")
    decimals: Series[np.int64] = integer("decimals of the token", "digits")
    atoken: Series[str] = address("aToken")
    vtoken: Series[str] = address("variable debt token")
    ltv_bps: Series[np.int64] = integer("loan to value", "bps")
    liquidation_threshold_bps: Series[np.int64] = integer("liquidation threshold", "bps")
    liquidation_bonus_bps: Series[np.int64] = integer("100 % plus the liquidation bonus; 0 for none", "bps")
    reserve_factor_bps: Series[np.int64] = integer("share of the interest that goes to the treasury", "bps")
    is_active: Series[np.int64] = flag("reserve is active")
    is_frozen: Series[np.int64] = flag("no new supply or borrow")
    borrowing_enabled: Series[np.int64] = flag("borrowing is enabled")
    liquidity_index: Series[str] = uint("stored supply index", "ray")
    variable_borrow_index: Series[str] = uint("stored variable debt index", "ray")
    liquidity_rate: Series[str] = uint("supply rate a year", "ray")
    variable_borrow_rate: Series[str] = uint("variable borrow rate a year", "ray")
    last_update_timestamp: Series[np.int64] = seconds("when the stored indices were set")
    normalized_income: Series[str] = uint("supply index at the block's time", "ray")
    normalized_debt: Series[str] = uint("debt index at the block's time", "ray")
    price_raw: Series[str] = uint("the oracle's price as indexed (priceInEth), in units of price_base", "price units")
    price_base: Series[str] = text("USD (8 decimals), ETH (wei), or empty where it is not known", "currency")
    price_usd: Series[np.float64] = real("price_raw in US dollars, where price_base is USD", "USD", nullable=True)


class StagedGraphAccountPositions(
    Numbered, key=["market", "block", "account", "asset"], optional=["supply_raw", "debt_raw"], indexes=[["batch"]]
):
    """`stg_graph_account_positions`: holdings as a subgraph has them, balances computed anew for the block's time.

    The subgraph's own `current…` balances are of the account's last event and are not used. Written beside the raw
    rows and not by SQL: a balance is a product of 256-bit integers.
    """

    market: Series[str] = name("market name")
    block: Series[np.int64] = integer("block", "block")
    account: Series[str] = address("the account")
    asset: Series[str] = address("underlying token")
    subgraph: Series[str] = name("id of the subgraph")
    scaled_supply: Series[str] = uint("scaled aToken balance", "token units / index")
    supply_raw: Series[pd.StringDtype] = uint("aToken balance at the block's time", "token units", nullable=True)
    scaled_debt: Series[str] = uint("scaled variable debt", "token units / index")
    debt_raw: Series[pd.StringDtype] = uint("variable debt at the block's time", "token units", nullable=True)
    stable_debt_raw: Series[str] = uint("principal of v2's stable debt, as of its last event", "token units")
    is_collateral: Series[np.int64] = flag("supply is enabled as collateral")
    emode_id: Series[np.int64] = integer("e-mode of the account; 0 for none", "id")
    last_update_timestamp: Series[np.int64] = seconds("last event of the holding")


class AccountsInProgress(TableModel, key=["market", "block", "account"]):
    """`ingest_aave_accounts`: accounts that an unfinished verified read has already read from the chain.

    Emptied when the snapshot they belong to is stored.
    """

    market: Series[str] = name("market name")
    block: Series[np.int64] = integer("block they were read at", "block")
    account: Series[str] = address("the account")
    flags: Series[str] = uint("configuration: bit 2i borrows reserve i, bit 2i + 1 uses it as collateral", "bitmap")
    emode_id: Series[np.int64] = integer("e-mode; 0 for none", "id")
    supply: Series[str] = document("scaled aToken balance by reserve id")
    debt: Series[str] = document("scaled debt by reserve id")
    n_unlisted: Series[np.int64] = integer("balances that the candidates' source did not list", "balances")
