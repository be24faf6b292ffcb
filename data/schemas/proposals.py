"""Proposed changes of risk parameters beside the market as it is."""

from __future__ import annotations

import numpy as np
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
