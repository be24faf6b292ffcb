"""Features of wallets: what the flow `wallet-features` makes of states and events."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from data.schemas.fields import address, document, flag, integer, real, seconds, text
from data.schemas.model import Numbered
from risk_core.analytics.protection import LEVELS


def eth(description: str) -> Any:
    """An amount in ether that is not negative."""
    return real(description, "ETH", ge=0, nullable=True)


def risk(description: str) -> Any:
    """1 / health factor."""
    return real(description, "ratio", ge=0, nullable=True)


def ago(description: str) -> Any:
    """Whole seconds before `as_of`."""
    return pa.Field(description=description, metadata={"unit": "seconds"}, ge=0, nullable=True)


class WalletFeatures(Numbered, key=["wallet", "as_of"], indexes=[["as_of"]]):
    """`mart_wallet_features`: the 26 features of each wallet, as `risk_core.analytics.wallets` defines them.

    Over every stored market of Aave and Compound together. NULL stands for a mean over nothing, the time since an event
    that never happened, and the state of a wallet that is not in the newest snapshots.
    """

    wallet: Series[str] = address("the account")
    as_of: Series[np.int64] = seconds("time they are of: states and events until then")
    risk_factor: Series[np.float64] = risk("1 / health factor now, the greatest of all markets; 0 without debt")
    total_collateral_eth: Series[np.float64] = eth("collateral now")
    total_collateral_avg_eth: Series[np.float64] = eth("mean over days of the collateral")
    total_available_borrows_eth: Series[np.float64] = eth("what more it could borrow now")
    total_available_borrows_avg_eth: Series[np.float64] = eth("mean over days of what more it could borrow")
    avg_weighted_risk_factor: Series[np.float64] = risk("mean over days, each weighed by its debt")
    risk_factor_above_threshold_daily_count: Series[np.int64] = integer("days of a risk factor above 1 / 1.2", "days")
    avg_risk_factor: Series[np.float64] = risk("mean over days")
    max_risk_factor: Series[np.float64] = risk("greatest of all days")
    borrow_amount_sum_eth: Series[np.float64] = eth("all it ever borrowed, at the value then")
    borrow_amount_avg_eth: Series[np.float64] = eth("mean value of a loan")
    borrow_count: Series[np.int64] = integer("times it borrowed", "events")
    repay_amount_sum_eth: Series[np.float64] = eth("all it ever repaid, at the value then")
    repay_amount_avg_eth: Series[np.float64] = eth("mean value of a repayment")
    repay_count: Series[np.int64] = integer("times it repaid", "events")
    borrow_repay_diff_eth: Series[np.float64] = real("borrowed less repaid", "ETH")
    deposit_count: Series[np.int64] = integer("times it put something in", "events")
    deposit_amount_sum_eth: Series[np.float64] = eth("all it ever put in, at the value then")
    time_since_first_deposit: Series[pd.Int64Dtype] = ago("since its first deposit; NULL without one")
    withdraw_amount_sum_eth: Series[np.float64] = eth("all it ever took out, at the value then")
    withdraw_deposit_diff_eth: Series[np.float64] = eth("what it took out beyond what it put in, 0 for less")
    liquidation_count: Series[np.int64] = integer("times it was liquidated", "events")
    time_since_last_liquidated: Series[pd.Int64Dtype] = ago("since it was last liquidated; NULL if never")
    liquidation_amount_sum_eth: Series[np.float64] = eth("collateral that liquidators took, at the value then")
    unique_borrow_protocol_count: Series[np.int64] = integer("protocols it borrowed from", "protocols")
    unique_lending_protocol_count: Series[np.int64] = integer("protocols it put something into", "protocols")
    n_days: Series[np.int64] = integer("days with a stored state", "days")
    n_without_value: Series[np.int64] = integer("events without a known value: counted, missing from sums", "events")
    is_synthetic: Series[np.int64] = flag("1 where made of sample data, never mixed with real ones")


class WalletProtection(Numbered, key=["wallet", "as_of"], optional=["room"], indexes=[["as_of"]]):
    """`mart_wallet_protection`: whether a wallet protects itself, with its inputs and the rule.

    As `risk_core.analytics.protection` defines them; written with `mart_wallet_features`, for the same wallets.
    """

    wallet: Series[str] = address("the account")
    as_of: Series[np.int64] = seconds("time it is of: states and events until then")
    level: Series[str] = text("weak, medium or strong; no debt and not known are no judgement", isin=list(LEVELS))
    room: Series[np.float64] = real(
        "fall of all collateral before it can be liquidated; NULL where its state is not known", "fraction",
        ge=0, le=1, nullable=True,
    )  # fmt: skip
    acts: Series[np.int64] = integer("times it lowered its risk by itself", "acts")
    recent: Series[np.int64] = integer("what it did lately, of any kind", "events")
    liquidations: Series[np.int64] = integer("times it was liquidated", "events")
    rule: Series[str] = document("the thresholds it was judged by")
    is_synthetic: Series[np.int64] = flag("1 where made of sample data, never mixed with real ones")
