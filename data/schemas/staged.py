"""Staging: typed, deduplicated rows that `data/marts` makes of raw tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandera.pandas as pa
from pandera.typing import Series

from data.schemas.fields import address, batch, flag, integer, name, real, seconds, text

PROTOCOLS = ["aave_v2", "aave_v3", "aave_v4", "compound_v2", "compound_v3"]
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
    """A fraction; e-mode and reserve parameters stay below 1, the rest of the range is what basis points can say."""
    return real(description, "fraction", in_range={"min_value": 0, "max_value": 6.5535})


def health_factor() -> Any:
    """Collateral times threshold over debt."""
    return real("collateral times threshold over debt; empty without debt", "ratio", ge=0, nullable=True)


def risk_factor() -> Any:
    """The inverse of the health factor, which can be averaged and stays finite."""
    return real(
        "debt over collateral times threshold: 0 without debt, at most 1e6; above 1 the account can be liquidated",
        "ratio", in_range={"min_value": 0, "max_value": RISK_FACTOR_CAP},
    )  # fmt: skip


def is_synthetic() -> Any:
    """Whether the accounts are generated."""
    return flag("1 for generated accounts, which every screen must call a sample")


class StagedPrices(pa.DataFrameModel):
    """`stg_prices`: closing price of every finished candle, in USD by the rule of `usd_proxy`."""

    symbol: Series[str] = name("series such as ETHUSDT")
    interval: Series[str] = name("length of the candle such as 1h")
    ts: Series[np.int64] = seconds("end of the candle, the time the price holds at")
    source: Series[str] = name("where the candle was read")
    price_usd: Series[np.float64] = real("closing price, see usd_proxy", "USD per unit", gt=0)
    price_usdt: Series[np.float64] = real("closing price as quoted in USDT", "USDT per unit", gt=0)
    usd_proxy: Series[str] = text(
        "USDT where 1 USDT is taken as 1 USD; USDC where USDT was more than 0.2 % off it and the price is divided by "
        "USDCUSDT",
        isin=["USDT", "USDC"],
    )
    batch: Series[np.int64] = batch()

    class Config:
        strict = True
        coerce = True
        unique = ["symbol", "interval", "ts", "source"]  # noqa: RUF012
        metadata = {"indexes": [["batch"]]}  # noqa: RUF012


class AaveTerms(pa.DataFrameModel):
    """`stg_aave_terms`: what each reserve counts for as collateral, outside and inside each e-mode, at a block."""

    market: Series[str] = name("market name")
    block: Series[np.int64] = integer("block number", "block")
    emode_id: Series[np.int64] = integer("e-mode of the account; 0 for none", "id")
    asset: Series[str] = address("underlying token")
    symbol: Series[str] = name("token symbol")
    unit: Series[str] = unit()
    price: Series[np.float64] = real("oracle price", "see unit, per token", gt=0)
    liquidation_threshold: Series[np.float64] = share("share of the value that backs debt")
    ltv: Series[np.float64] = share("share of the value that may be borrowed")
    batch: Series[np.int64] = batch()

    class Config:
        strict = True
        coerce = True
        unique = ["market", "block", "emode_id", "asset"]  # noqa: RUF012


class AccountHealth(pa.DataFrameModel):
    """`stg_account_health`: collateral, debt and health factor of each account with a position, at a block."""

    market: Series[str] = name("market name")
    block: Series[np.int64] = integer("block number", "block")
    account: Series[str] = address("the account")
    emode_id: Series[np.int64] = integer("e-mode of the account; 0 for none", "id")
    unit: Series[str] = unit()
    collateral: Series[np.float64] = real("supply that is enabled as collateral", "see unit", ge=0)
    lt_collateral: Series[np.float64] = real("the same, each times its threshold (in e-mode, its)", "see unit", ge=0)
    ltv_collateral: Series[np.float64] = real("the same, each times its ltv (in e-mode, its)", "see unit", ge=0)
    debt: Series[np.float64] = real("debt", "see unit", ge=0)
    health_factor: Series[np.float64] = health_factor()
    risk_factor: Series[np.float64] = risk_factor()
    eth_price: Series[np.float64] = real(
        "the market's oracle price of WETH, 1 where it counts in ether; empty where it has none", "see unit, per ETH",
        gt=0, nullable=True,
    )  # fmt: skip
    batch: Series[np.int64] = batch()

    class Config:
        strict = True
        coerce = True
        unique = ["market", "block", "account"]  # noqa: RUF012
        metadata = {"optional": ["health_factor", "eth_price"]}  # noqa: RUF012


class WalletNow(pa.DataFrameModel):
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
    batch: Series[np.int64] = batch()

    class Config:
        strict = True
        coerce = True
        unique = ["wallet", "market"]  # noqa: RUF012
        metadata = {"indexes": [["market"]]}  # noqa: RUF012


class WalletDaily(pa.DataFrameModel):
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
    batch: Series[np.int64] = batch()

    class Config:
        strict = True
        coerce = True
        unique = ["wallet", "market", "day"]  # noqa: RUF012
        metadata = {"indexes": [["market", "day"]]}  # noqa: RUF012
