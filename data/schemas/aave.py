"""One lending market at one block: reserves, e-modes, accounts, positions, and the snapshot that binds them.

Raw integers are text in the chain's own units. Reserves and e-modes have rows of their own at every block that was
read. Balances, flags and e-modes of accounts are stored when they change, and hold until the next change. A snapshot
is complete when the four tables hold exactly the row counts that `fact_snapshot` states.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from data.schemas.fields import (
    address,
    block_hash,
    bps,
    document,
    flag,
    ingested_at,
    integer,
    name,
    real,
    seconds,
    sha256,
    text,
    uint,
    written_by,
)
from data.schemas.model import DAY, Numbered, Read, TableModel, Valid


class Snapshots(
    Numbered,
    key=["market", "block"],
    optional=["protocol", "read_mode", "base_block"],
    indexes=[["batch"]],
    late_after=2 * DAY,
):
    """`fact_snapshot`: one row for each (market, block) read, with the row counts that make it complete."""

    market: Series[str] = name("market name, an address-book name or the sample's")
    block: Series[np.int64] = integer("block number all values were read at", "block")
    chain_id: Series[np.int64] = integer("EIP-155 chain id", "id")
    block_hash: Series[str] = block_hash("hash of that block")
    block_time: Series[np.int64] = seconds("timestamp of that block")
    pool_revision: Series[np.int64] = integer("POOL_REVISION of the pool: 10 is v3.6, 11 is v3.7", "revision")
    provider: Series[str] = address("PoolAddressesProvider")
    pool: Series[str] = address("Pool")
    oracle: Series[str] = address("AaveOracle")
    data_provider: Series[str] = address("AaveProtocolDataProvider")
    base_currency_unit: Series[str] = uint("one unit of the oracle's base currency", "oracle units")
    n_reserves: Series[np.int64] = integer("rows of raw_aave_reserves that belong here", "rows")
    n_emodes: Series[np.int64] = integer("rows of raw_aave_emodes that belong here", "rows")
    n_accounts: Series[np.int64] = integer("rows of raw_aave_account_states that hold at the block", "rows")
    n_positions: Series[np.int64] = integer("rows of raw_aave_balances that hold at the block", "rows")
    hf_checked: Series[np.int64] = integer("accounts whose health factor was compared with the pool's own", "accounts")
    below_one_confirmed: Series[np.int64] = integer(
        "accounts below health factor 1 that getUserAccountData confirmed", "accounts"
    )
    is_synthetic: Series[np.int64] = flag("1 for generated accounts, which every screen must call a sample")
    protocol: Series[pd.StringDtype] = text(
        "protocol whose rules hold; empty means aave_v3",
        nullable=True,
        isin=["aave_v3", "aave_v2", "compound_v2", "compound_v3"],
    )
    read_mode: Series[pd.StringDtype] = pa.Field(
        description="full: every account was read; incremental: those untouched since base_block were carried forward; "
        "borrowers: accounts with debt alone, their debts and their collateral; replayed: all of it comes from the "
        "market's logs, which gave what a node said at a later block",
        metadata={"unit": "text", "provenance": True},
        nullable=True,
        isin=["full", "incremental", "borrowers", "replayed"],
    )
    base_block: Series[pd.Int64Dtype] = pa.Field(
        description="block of the snapshot that was carried forward; empty where all was read",
        metadata={"unit": "block", "provenance": True},
        nullable=True,
        ge=0,
    )
    snapshot_hash: Series[str] = sha256("digest of the content of the snapshot's rows (data.snapshot.content_hash)")
    run_id: Series[str] = written_by()
    ingested_at: Series[np.int64] = ingested_at()


class Reserves(
    Read,
    key=["market", "block", "asset"],
    optional=[
        *("optimal_usage_ratio", "base_rate", "slope1", "slope2"),
        *("price_cap_raw", "ratio_cap", "ratio_of", "linked_to", "price_is_fixed"),
    ],
    late_after=2 * DAY,
):
    """`raw_aave_reserves`: configuration, indices, rates, supplies and oracle price of each reserve at a block."""

    market: Series[str] = name("market name")
    block: Series[np.int64] = integer("block number", "block")
    asset: Series[str] = address("underlying token")
    reserve_id: Series[np.int64] = integer("protocol's reserve id, the bit in every bitmap; may have gaps", "id")
    symbol: Series[str] = name("token symbol")
    decimals: Series[np.int64] = pa.Field(
        description="decimals of the token", metadata={"unit": "digits"}, in_range={"min_value": 0, "max_value": 77}
    )
    atoken: Series[str] = address("aToken")
    vtoken: Series[str] = address("variable debt token")
    ltv_bps: Series[np.int64] = bps("loan to value")
    liquidation_threshold_bps: Series[np.int64] = bps("liquidation threshold")
    liquidation_bonus_bps: Series[np.int64] = bps("100 % plus the liquidation bonus; 0 where none is configured")
    reserve_factor_bps: Series[np.int64] = bps("share of the interest that goes to the treasury")
    liquidation_protocol_fee_bps: Series[np.int64] = bps("treasury's share of the liquidation bonus")
    is_active: Series[np.int64] = flag("reserve is active")
    is_frozen: Series[np.int64] = flag("no new supply or borrow; liquidation is still allowed")
    is_paused: Series[np.int64] = flag("nothing is allowed, liquidation included")
    borrowing_enabled: Series[np.int64] = flag("borrowing is enabled")
    grace_until: Series[np.int64] = seconds("liquidations are barred up to and including this time; 0 for none")
    supply_cap: Series[str] = uint("supply cap; 0 for none", "tokens")
    borrow_cap: Series[str] = uint("borrow cap; 0 for none", "tokens")
    liquidity_index: Series[str] = uint("stored supply index", "ray")
    variable_borrow_index: Series[str] = uint("stored variable debt index", "ray")
    liquidity_rate: Series[str] = uint("supply rate a year", "ray")
    variable_borrow_rate: Series[str] = uint("variable borrow rate a year", "ray")
    last_update_timestamp: Series[np.int64] = seconds("when the stored indices were set")
    optimal_usage_ratio: Series[pd.StringDtype] = uint(
        "utilisation at the kink of the rate curve", "ray", nullable=True
    )
    base_rate: Series[pd.StringDtype] = uint("borrow rate a year at zero utilisation", "ray", nullable=True)
    slope1: Series[pd.StringDtype] = uint("rise of the rate up to the kink", "ray", nullable=True)
    slope2: Series[pd.StringDtype] = uint("rise of the rate from the kink to full utilisation", "ray", nullable=True)
    scaled_atoken_supply: Series[str] = uint("scaledTotalSupply of the aToken", "token units / index")
    scaled_debt_supply: Series[str] = uint("scaledTotalSupply of the debt token", "token units / index")
    virtual_balance: Series[str] = uint("liquidity that limits withdrawals", "token units")
    deficit: Series[str] = uint("bad debt the protocol has booked", "token units")
    price_raw: Series[str] = pa.Field(
        description="oracle price in fact_snapshot.base_currency_unit: USD with 8 decimals, wei on v2 Ethereum; empty "
        "where the oracle has none, and then nobody owes the reserve or has it as collateral",
        metadata={"unit": "base units per token"},
        nullable=True,
        whole_text_matches=r"0*[1-9]\d{0,77}",
        fits_bits=256,
    )
    price_source: Series[str] = address("price feed or adapter of the reserve")
    price_description: Series[str] = text("description() of the feed, empty where it has none")
    price_cap_raw: Series[pd.StringDtype] = uint(
        "highest price that the oracle says, as price_raw; empty where it has no cap or none is known",
        "base units per token",
        nullable=True,
    )
    ratio_cap: Series[pd.StringDtype] = uint(
        "highest ratio to the price of ratio_of that the oracle lets through at the block; empty for none",
        "ray",
        nullable=True,
    )
    ratio_of: Series[pd.StringDtype] = address("asset whose oracle price the ratio multiplies", nullable=True)
    linked_to: Series[pd.StringDtype] = address("asset whose oracle price this one follows", nullable=True)
    price_is_fixed: Series[pd.Int64Dtype] = flag("1 where the oracle says a constant; empty is 0", nullable=True)


class EModes(Numbered, key=["market", "block", "emode_id"]):
    """`raw_aave_emodes`: e-mode categories at a block. Bit i of a bitmap is the reserve with id i."""

    market: Series[str] = name("market name")
    block: Series[np.int64] = integer("block number", "block")
    emode_id: Series[np.int64] = pa.Field(
        description="category id, from 1", metadata={"unit": "id"}, in_range={"min_value": 1, "max_value": 255}
    )
    label: Series[str] = text("label; a hint for people, never a key")
    ltv_bps: Series[np.int64] = bps("loan to value inside the category")
    liquidation_threshold_bps: Series[np.int64] = bps("liquidation threshold inside the category")
    liquidation_bonus_bps: Series[np.int64] = bps("100 % plus the liquidation bonus inside the category")
    collateral_bitmap: Series[str] = uint("reserves that are collateral in the category", "bitmap")
    borrowable_bitmap: Series[str] = uint("reserves that may be borrowed in the category", "bitmap")
    ltvzero_bitmap: Series[str] = uint("reserves of the category with loan to value 0", "bitmap")
    isolated: Series[np.int64] = flag("v3.7: collateral outside the category gives no borrowing power")


class AccountStates(Valid, key=["market", "account", "valid_from"]):
    """`raw_aave_account_states`: e-mode and flags of every account that holds an aToken or a debt token."""

    market: Series[str] = name("market name")
    account: Series[str] = address("the account")
    valid_from: Series[np.int64] = integer("first block that was read at which this held", "block")
    emode_id: Series[np.int64] = pa.Field(
        description="e-mode of the account; 0 for none",
        metadata={"unit": "id"},
        in_range={"min_value": 0, "max_value": 255},
    )
    config_bitmap: Series[str] = uint("bit 2i: borrows reserve i; bit 2i + 1: uses it as collateral", "bitmap")


class Balances(Valid, key=["market", "account", "asset", "valid_from"], optional=["stable_debt", "valid_to"]):
    """`raw_aave_balances`: scaled supply and debt of each account in each reserve; they change when it is touched."""

    market: Series[str] = name("market name")
    account: Series[str] = address("the account")
    asset: Series[str] = address("underlying token")
    valid_from: Series[np.int64] = integer("first block that was read at which this held", "block")
    reserve_id: Series[np.int64] = integer("protocol's reserve id", "id")
    scaled_supply: Series[str] = uint("scaled aToken balance", "token units / index")
    scaled_debt: Series[str] = uint("scaled debt balance", "token units / index")
    stable_debt: Series[pd.StringDtype] = uint(
        "Aave v2: debt at a stable rate, with its interest at the block; empty for none", "token units", nullable=True
    )


class AccountData(Numbered, key=["market", "block", "account"]):
    """`raw_aave_account_data`: what the pool itself says of the accounts that it was asked about at a block."""

    market: Series[str] = name("market name")
    block: Series[np.int64] = integer("block number", "block")
    account: Series[str] = address("the account")
    total_collateral_base: Series[str] = uint("getUserAccountData", "1e-8 USD")
    total_debt_base: Series[str] = uint("getUserAccountData", "1e-8 USD")
    health_factor_raw: Series[str] = uint("getUserAccountData; 2**256 - 1 without debt", "wad")


class Positions(Numbered, key=["market", "block", "account", "asset"]):
    """`stg_positions`: each account's supply and debt in each reserve at the newest block of its market.

    Those of an older block come from `data.load_market(block=...)`, or from `raw_aave_balances` and the indices.
    """

    market: Series[str] = name("market name")
    block: Series[np.int64] = integer("block number", "block")
    account: Series[str] = address("the account")
    asset: Series[str] = address("underlying token")
    reserve_id: Series[np.int64] = integer("protocol's reserve id", "id")
    scaled_supply: Series[str] = uint("scaled aToken balance", "token units / index")
    supply_raw: Series[str] = uint("aToken balance at the block's time", "token units")
    scaled_debt: Series[str] = uint("scaled debt balance", "token units / index")
    debt_raw: Series[str] = uint("debt at the block's time", "token units")
    is_collateral: Series[np.int64] = flag("supply is enabled as collateral; flags decide, not balances")
    supply: Series[np.float64] = real("supply_raw as a float", "tokens", ge=0)
    debt: Series[np.float64] = real("debt_raw as a float", "tokens", ge=0)


class Holders(TableModel, key=["market", "token", "account"]):
    """`raw_aave_holders`: every account that ever received an aToken or debt token, or borrowed, by the log."""

    market: Series[str] = name("market name")
    token: Series[str] = address("aToken or debt token it received; the pool for an account that borrowed")
    account: Series[str] = address("the account")
    # Provenance: a later scan that finds the account again does not change the first block.
    first_seen_block: Series[np.int64] = pa.Field(
        description="block of the first event that names it", metadata={"unit": "block", "provenance": True}, ge=0
    )


class Checkpoints(TableModel, key=["source", "key"]):
    """`ingest_checkpoint`: how far a resumable scan has come."""

    source: Series[str] = name("source of the scan")
    key: Series[str] = name("what is scanned")
    value: Series[str] = document("state to resume from")
    updated_at: Series[np.int64] = seconds("when it was written")
