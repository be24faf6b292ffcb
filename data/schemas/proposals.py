"""Proposed changes of risk parameters and of oracle caps beside the market as it is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from data.schemas.fields import address, document, flag, integer, name, real, seconds, sha256, text
from data.schemas.model import Numbered

MEASURES = ["lar", "var", "es", "mean", "repaid_now", "deficit_now", "liquidatable_now"]
EFFECTS = ["liquidatable", "warn"]


class ParameterChanges(
    Numbered, key=["proposal", "measure", "level"], optional=["low", "high"], indexes=[["market", "block"]]
):
    """`mart_parameter_change`: a figure of a market before and after a change of parameters, on the same paths.

    lar: quantile of debt repaid; var, es: of the deficit; mean: debt repaid. They are of a horizon, and `low` to `high`
    is the 95 % interval of after minus before. The figures of now are exact, every account, and have none.
    """

    proposal: Series[str] = sha256("digest of snapshot, change, scenario and engine")
    market: Series[str] = name("market name")
    block: Series[np.int64] = integer("block of the snapshot", "block")
    block_time: Series[np.int64] = seconds("time of that block")
    changes: Series[str] = document("the new values: {NAME.FIELD: fraction}")
    measure: Series[str] = text(", ".join(MEASURES), isin=MEASURES)
    level: Series[np.float64] = real("level of a quantile or a shortfall; 0 where there is none", "1", ge=0, lt=1)
    unit: Series[str] = text("USD or count", isin=["USD", "count"])
    before: Series[np.float64] = real("the figure as it is", "see unit", ge=0)
    after: Series[np.float64] = real("the figure with the change", "see unit", ge=0)
    low: Series[np.float64] = real("lower end of the difference's interval", "see unit", nullable=True)
    high: Series[np.float64] = real("upper end of the difference's interval", "see unit", nullable=True)
    few_draws: Series[np.int64] = flag("1 where fewer than 30 paths with a loss determine it")
    horizon_seconds: Series[np.int64] = integer("length of a path; 0 for a figure of now", "s")
    n_paths: Series[np.int64] = integer("paths; 0 for a figure of now", "paths")
    seed: Series[np.int64] = integer("seed of the random numbers", "seed")
    law: Series[str] = name("law of the price moves")
    calibration_id: Series[str] = sha256("volatility and correlation used (fact_calibration)")
    code_version: Series[str] = name("version and source digest of the engine")
    looks_ahead: Series[np.int64] = flag("1 where the calibration saw prices later than the block")
    is_synthetic: Series[np.int64] = flag("1 when the snapshot is a sample")


class ParameterChangeAccounts(Numbered, key=["proposal", "account"]):
    """`mart_parameter_change_account`: who becomes liquidatable by a change, and who comes close and is to warn."""

    proposal: Series[str] = sha256("the change (mart_parameter_change)")
    account: Series[str] = address("account")
    effect: Series[str] = text("liquidatable by the change, or to warn", isin=EFFECTS)
    health_before: Series[np.float64] = real("health factor as it is", "ratio", ge=0)
    health_after: Series[np.float64] = real("health factor with the change", "ratio", ge=0)
    debt_usd: Series[np.float64] = real("its debt", "USD", ge=0)
    repaid_usd: Series[np.float64] = real("what liquidators would repay at once", "USD", ge=0)


class CapUpdates(
    Numbered,
    key=["proposal"],
    optional=["largest_before", "binds_from"],
    indexes=[["market", "block"]],
):
    """`mart_cap_update`: an update of a ratio's cap before it is made: whether it binds, who falls, what refuses it."""

    proposal: Series[str] = sha256("digest of snapshot, update and engine")
    market: Series[str] = name("market name")
    block: Series[np.int64] = integer("block of the snapshot", "block")
    block_time: Series[np.int64] = seconds("time of that block; the update is judged as if made then")
    asset: Series[str] = address("token whose ratio is capped")
    base: Series[str] = address("reserve that the ratio multiplies")
    snapshot_ratio: Series[np.float64] = real("snapshot ratio of the update", "base per token", gt=0)
    snapshot_time: Series[np.int64] = seconds("snapshot time of the update")
    max_yearly_growth: Series[np.float64] = real("growth of the cap in a year", "1", ge=0)
    ratio: Series[np.float64] = real("ratio at the block, before any cap", "base per token", gt=0)
    ratio_growth: Series[np.float64] = real("growth of the ratio in a year that was assumed", "1", gt=-1)
    largest_before: Series[np.float64] = real(
        "largest ratio that the cap in force lets through; empty where its terms are not known", "base per token",
        nullable=True,
    )  # fmt: skip
    largest_after: Series[np.float64] = real("largest ratio that the new cap lets through", "base per token", ge=0)
    price_move: Series[np.float64] = real("change of the oracle's price at once", "1", gt=-1)
    binds: Series[np.int64] = flag("1 where the new cap holds the price down at once")
    binds_from: Series[pd.Int64Dtype] = pa.Field(
        description="when it begins to hold the price down at this growth; empty, not within 100 years",
        metadata={"unit": "UTC seconds"},
        ge=0,
        nullable=True,
    )
    liquidated_accounts: Series[np.int64] = integer("accounts that are liquidated at once", "accounts")
    repaid_usd: Series[np.float64] = real("debt repaid, at market prices", "USD", ge=0)
    borrower_loss_usd: Series[np.float64] = real("what those borrowers lose, at market prices", "USD")
    deficit_usd: Series[np.float64] = real("deficit of those liquidations", "USD", ge=0)
    refused_because: Series[str] = document("rules of the contracts that refuse the update: [text]")
    code_version: Series[str] = name("version and source digest of the engine")
    is_synthetic: Series[np.int64] = flag("1 when the snapshot is a sample")
