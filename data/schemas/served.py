"""Served tables that `data/marts` makes: dimensions, and marts with one row for each thing a user asks about."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from data.schemas.fields import address, batch, flag, integer, name, real, seconds
from data.schemas.staged import day, eth, health_factor, is_synthetic, protocol, risk_factor, share, usd


class Markets(pa.DataFrameModel):
    """`dim_market`: every market that was ever read, as its newest snapshot has it."""

    market: Series[str] = name("market name, an address-book name or the sample's")
    protocol: Series[str] = protocol()
    chain_id: Series[np.int64] = integer("EIP-155 chain id", "id")
    provider: Series[str] = address("PoolAddressesProvider")
    pool: Series[str] = address("Pool")
    oracle: Series[str] = address("AaveOracle")
    data_provider: Series[str] = address("AaveProtocolDataProvider")
    pool_revision: Series[np.int64] = integer("POOL_REVISION of the pool: 10 is v3.6, 11 is v3.7", "revision")
    n_snapshots: Series[np.int64] = integer("blocks that were read", "snapshots", gt=0)
    first_block: Series[np.int64] = integer("oldest of them", "block")
    newest_block: Series[np.int64] = integer("newest of them", "block")
    newest_block_time: Series[np.int64] = seconds("time of the newest")
    n_reserves: Series[np.int64] = integer("reserves at the newest", "reserves")
    n_accounts: Series[np.int64] = integer("accounts at the newest", "accounts")
    is_synthetic: Series[np.int64] = is_synthetic()
    batch: Series[np.int64] = batch()

    class Config:
        strict = True
        coerce = True
        unique = ["market"]  # noqa: RUF012


class BlockDays(pa.DataFrameModel):
    """`dim_block_day`: first block of each UTC day that is known on each chain."""

    chain_id: Series[np.int64] = integer("EIP-155 chain id", "id")
    day: Series[str] = day()
    block: Series[np.int64] = integer("first block of the day that is stored", "block")
    block_time: Series[np.int64] = seconds("its time")
    seconds_after_midnight: Series[np.int64] = integer("how long after 00:00:00 UTC that is", "s")
    is_synthetic: Series[np.int64] = is_synthetic()
    batch: Series[np.int64] = batch()

    class Config:
        strict = True
        coerce = True
        unique = ["chain_id", "day", "is_synthetic"]  # noqa: RUF012


class CollateralPositions(pa.DataFrameModel):
    """`mart_current_collateral_positions`: what each wallet has as collateral in each market now."""

    wallet: Series[str] = address("the account")
    market: Series[str] = name("market name")
    asset: Series[str] = address("underlying token")
    protocol: Series[str] = protocol()
    chain_id: Series[np.int64] = integer("EIP-155 chain id", "id")
    block: Series[np.int64] = integer("newest block of the market", "block")
    block_time: Series[np.int64] = seconds("its time")
    symbol: Series[str] = name("token symbol")
    amount: Series[np.float64] = real("supply that is enabled as collateral", "tokens", gt=0)
    price_usd: Series[np.float64] = real(
        "oracle price; empty where the market counts in ether", "USD per token", gt=0, nullable=True
    )
    collateral_usd: Series[np.float64] = usd("value of it")
    collateral_eth: Series[np.float64] = eth("value of it")
    emode_id: Series[np.int64] = integer("e-mode of the account; 0 for none", "id")
    liquidation_threshold: Series[np.float64] = share("share of the value that backs debt (in e-mode, its)")
    ltv: Series[np.float64] = share("share of the value that may be borrowed (in e-mode, its)")
    is_synthetic: Series[np.int64] = is_synthetic()
    batch: Series[np.int64] = batch()

    class Config:
        strict = True
        coerce = True
        unique = ["wallet", "market", "asset"]  # noqa: RUF012
        metadata = {"optional": ["collateral_eth"], "indexes": [["market"]]}  # noqa: RUF012


class PositionRisk(pa.DataFrameModel):
    """`mart_position_risk`: how near each wallet is to liquidation in each market now."""

    market: Series[str] = name("market name")
    wallet: Series[str] = address("the account")
    protocol: Series[str] = protocol()
    chain_id: Series[np.int64] = integer("EIP-155 chain id", "id")
    block: Series[np.int64] = integer("newest block of the market", "block")
    block_time: Series[np.int64] = seconds("its time")
    emode_id: Series[np.int64] = integer("e-mode of the account; 0 for none", "id")
    collateral_usd: Series[np.float64] = usd("supply that is enabled as collateral")
    lt_collateral_usd: Series[np.float64] = usd("the same, each times its liquidation threshold (in e-mode, its)")
    debt_usd: Series[np.float64] = usd("debt")
    health_factor: Series[np.float64] = health_factor()
    risk_factor: Series[np.float64] = risk_factor()
    is_liquidatable: Series[np.int64] = flag("1 where the health factor is below 1")
    fall_to_liquidation: Series[np.float64] = real(
        "fall of all collateral together, debt unchanged, that brings the health factor to 1: 1 - 1 / health factor; "
        "negative where it is below 1 already, empty without debt or without collateral", "fraction",
        le=1, nullable=True,
    )  # fmt: skip
    main_collateral: Series[pd.StringDtype] = address("asset with the greatest collateral value", nullable=True)
    main_collateral_symbol: Series[pd.StringDtype] = name("its symbol", nullable=True)
    main_collateral_price_usd: Series[np.float64] = real("its oracle price", "USD per token", gt=0, nullable=True)
    liquidation_price_usd: Series[np.float64] = real(
        "its price at which the health factor is 1, all else unchanged, its own debt moving with it; empty "
        "without debt, and where no price of it brings the health factor to 1", "USD per token", gt=0, nullable=True,
    )  # fmt: skip
    is_synthetic: Series[np.int64] = is_synthetic()
    batch: Series[np.int64] = batch()

    class Config:
        strict = True
        coerce = True
        unique = ["market", "wallet"]  # noqa: RUF012
        metadata = {  # noqa: RUF012
            "optional": [
                "health_factor", "fall_to_liquidation", "main_collateral", "main_collateral_symbol",
                "main_collateral_price_usd", "liquidation_price_usd",
            ],
        }  # fmt: skip


class Freshness(pa.DataFrameModel):
    """`mart_freshness`: how far each table has come. The view `freshness` adds its age at the moment of asking."""

    table_name: Series[str] = name("the table")
    newest_at: Series[pd.Int64Dtype] = seconds("newest time its rows speak of, where they speak of one", nullable=True)
    written_at: Series[np.int64] = seconds("when a write last changed it")
    n_changed: Series[np.int64] = integer("rows that writes brought or changed, all told", "rows")
    every_s: Series[pd.Int64Dtype] = integer(
        "age above which it is late; empty where none is expected", "s", nullable=True
    )
    batch: Series[np.int64] = batch()

    class Config:
        strict = True
        coerce = True
        unique = ["table_name"]  # noqa: RUF012
        metadata = {"optional": ["newest_at", "every_s"]}  # noqa: RUF012
