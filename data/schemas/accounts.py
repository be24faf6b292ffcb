"""Accounts and their risk, now and by day, and their markets: what `data/marts/accounts` makes of snapshots."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pandera.typing import Series

from data.schemas.fields import PROTOCOLS, address, flag, integer, name, real, seconds, text
from data.schemas.model import Numbered

RISK_FACTOR_CAP = 1e6


def protocol() -> Any:
    """Protocol and version of a market."""
    return text("protocol and version; the chain is a column of its own", isin=PROTOCOLS)


def day() -> Any:
    """A UTC day as text."""
    return text("UTC day", "YYYY-MM-DD", whole_text_matches=r"\d{4}-\d{2}-\d{2}")


def unit() -> Any:
    """What the oracle of a market counts in."""
    return text("what the market's oracle counts in: dollars, or ether (Aave v2)", isin=["USD", "ETH"])


def usd(description: str) -> Any:
    """An amount of money that is not negative; empty where the market does not count in dollars."""
    return real(f"{description}; empty where the market counts in ether", "USD", ge=0, nullable=True)


def eth(description: str) -> Any:
    """An amount of money in ether; empty where the market has no WETH whose oracle price could convert it."""
    return real(f"{description}; empty where the market lists no WETH", "ETH", ge=0, nullable=True)


def share(description: str) -> Any:
    """A fraction. Parameters of e-modes and reserves stay below 1; 16 bits of basis points hold up to 6.5535."""
    return real(description, "fraction", in_range={"min_value": 0, "max_value": 6.5535})


def health_factor() -> Any:
    """Collateral times threshold over debt."""
    return real("collateral times threshold over debt; empty without debt", "ratio", ge=0, nullable=True)


def risk_factor() -> Any:
    """The inverse of the health factor, which can be averaged and stays finite."""
    return real(
        "debt over collateral times threshold: 0 without debt, at most 1e6; above 1 the account can be liquidated",
        "ratio",
        in_range={"min_value": 0, "max_value": RISK_FACTOR_CAP},
    )


def is_synthetic() -> Any:
    """Whether the accounts are generated."""
    return flag("1 for generated accounts, which every screen must call a sample")


class Markets(Numbered, key=["market"]):
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


class BlockDays(Numbered, key=["chain_id", "day", "is_synthetic"]):
    """`dim_block_day`: first block of each UTC day that is known on each chain."""

    chain_id: Series[np.int64] = integer("EIP-155 chain id", "id")
    day: Series[str] = day()
    block: Series[np.int64] = integer("first block of the day that is stored", "block")
    block_time: Series[np.int64] = seconds("its time")
    seconds_after_midnight: Series[np.int64] = integer("how long after 00:00:00 UTC that is", "s")
    is_synthetic: Series[np.int64] = is_synthetic()


class AaveTerms(Numbered, key=["market", "block", "emode_id", "asset"]):
    """`stg_aave_terms`: terms of each reserve as collateral, outside and inside each e-mode, at a block."""

    market: Series[str] = name("market name")
    block: Series[np.int64] = integer("block number", "block")
    emode_id: Series[np.int64] = integer("e-mode of the account; 0 for none", "id")
    asset: Series[str] = address("underlying token")
    symbol: Series[str] = name("token symbol")
    unit: Series[str] = unit()
    price: Series[np.float64] = real("oracle price", "see unit, per token", gt=0)
    liquidation_threshold: Series[np.float64] = share("share of the value that backs debt")
    ltv: Series[np.float64] = share("share of the value that may be borrowed")


class AccountHealth(Numbered, key=["market", "block", "account"], optional=["health_factor", "eth_price"]):
    """`stg_account_health`: collateral, debt and health factor of each account with a position, at a block."""

    market: Series[str] = name("market name")
    block: Series[np.int64] = integer("block number", "block")
    account: Series[str] = address("the account")
    emode_id: Series[np.int64] = integer("e-mode of the account; 0 for none", "id")
    unit: Series[str] = unit()
    collateral: Series[np.float64] = real("supply that is enabled as collateral", "see unit", ge=0)
    lt_collateral: Series[np.float64] = real(
        "the same, each times its threshold (in e-mode, the category's)", "see unit", ge=0
    )
    ltv_collateral: Series[np.float64] = real(
        "the same, each times its ltv (in e-mode, the category's)", "see unit", ge=0
    )
    debt: Series[np.float64] = real("debt", "see unit", ge=0)
    health_factor: Series[np.float64] = health_factor()
    risk_factor: Series[np.float64] = risk_factor()
    eth_price: Series[np.float64] = real(
        "the market's oracle price of WETH, 1 where it counts in ether; empty where it has none",
        "see unit, per ETH",
        gt=0,
        nullable=True,
    )


class WalletNow(Numbered, key=["wallet", "market"], indexes=[["market"]]):
    """`stg_wallet_now`: newest state of each wallet in each market. Across markets: sums, and the greatest risk."""

    wallet: Series[str] = address("the account")
    market: Series[str] = name("market name")
    protocol: Series[str] = protocol()
    chain_id: Series[np.int64] = integer("EIP-155 chain id", "id")
    as_of_ts: Series[np.int64] = seconds("time of the block the state is of")
    block: Series[np.int64] = integer("block number", "block")
    collateral_eth: Series[np.float64] = eth("supply that is enabled as collateral")
    lt_collateral_eth: Series[np.float64] = eth("the same, each times its liquidation threshold")
    borrow_eth: Series[np.float64] = eth("debt")
    available_borrows_eth: Series[np.float64] = eth("what more could be borrowed: collateral times ltv, less the debt")
    health_factor: Series[np.float64] = health_factor()
    risk_factor: Series[np.float64] = risk_factor()
    is_synthetic: Series[np.int64] = is_synthetic()


class WalletDaily(Numbered, key=["wallet", "market", "day"], indexes=[["market", "day"]]):
    """`stg_wallet_daily`: state of each wallet in each market at the first block read of each UTC day."""

    wallet: Series[str] = address("the account")
    market: Series[str] = name("market name")
    day: Series[str] = day()
    protocol: Series[str] = protocol()
    chain_id: Series[np.int64] = integer("EIP-155 chain id", "id")
    block: Series[np.int64] = integer("first block of the day that was read", "block")
    block_time: Series[np.int64] = seconds("its time")
    collateral_eth: Series[np.float64] = eth("supply that is enabled as collateral")
    lt_collateral_eth: Series[np.float64] = eth("the same, each times its liquidation threshold")
    borrow_eth: Series[np.float64] = eth("debt")
    available_borrows_eth: Series[np.float64] = eth("what more could be borrowed: collateral times ltv, less the debt")
    health_factor: Series[np.float64] = health_factor()
    risk_factor: Series[np.float64] = risk_factor()
    is_synthetic: Series[np.int64] = is_synthetic()


class CollateralPositions(
    Numbered, key=["wallet", "market", "asset"], optional=["collateral_eth"], indexes=[["market"]]
):
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
    liquidation_threshold: Series[np.float64] = share("share of the value that backs debt (in e-mode, the category's)")
    ltv: Series[np.float64] = share("share of the value that may be borrowed (in e-mode, the category's)")
    is_synthetic: Series[np.int64] = is_synthetic()


class PositionRisk(
    Numbered,
    key=["market", "wallet"],
    optional=[
        "health_factor",
        "fall_to_liquidation",
        "main_collateral",
        "main_collateral_symbol",
        "main_collateral_price_usd",
        "liquidation_price_usd",
    ],
):
    """`mart_position_risk`: how near each wallet is to liquidation in each market now."""

    market: Series[str] = name("market name")
    wallet: Series[str] = address("the account")
    protocol: Series[str] = protocol()
    chain_id: Series[np.int64] = integer("EIP-155 chain id", "id")
    block: Series[np.int64] = integer("newest block of the market", "block")
    block_time: Series[np.int64] = seconds("its time")
    emode_id: Series[np.int64] = integer("e-mode of the account; 0 for none", "id")
    collateral_usd: Series[np.float64] = usd("supply that is enabled as collateral")
    lt_collateral_usd: Series[np.float64] = usd(
        "the same, each times its liquidation threshold (in e-mode, the category's)"
    )
    debt_usd: Series[np.float64] = usd("debt")
    health_factor: Series[np.float64] = health_factor()
    risk_factor: Series[np.float64] = risk_factor()
    is_liquidatable: Series[np.int64] = flag("1 where the health factor is below 1")
    fall_to_liquidation: Series[np.float64] = real(
        "fall of all collateral together, debt unchanged, that brings the health factor to 1: 1 - 1 / health factor; "
        "negative where it is below 1 already, empty without debt or without collateral",
        "fraction",
        le=1,
        nullable=True,
    )
    main_collateral: Series[pd.StringDtype] = address("asset with the greatest collateral value", nullable=True)
    main_collateral_symbol: Series[pd.StringDtype] = name("its symbol", nullable=True)
    main_collateral_price_usd: Series[np.float64] = real("its oracle price", "USD per token", gt=0, nullable=True)
    liquidation_price_usd: Series[np.float64] = real(
        "its price at which the health factor is 1, all else unchanged, its own debt moving with it; empty "
        "without debt, and where no price of it brings the health factor to 1",
        "USD per token",
        gt=0,
        nullable=True,
    )
    is_synthetic: Series[np.int64] = is_synthetic()
