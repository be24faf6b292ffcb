"""Health-factor bands: the health factor at which a pair of collateral and debt has a stated chance of liquidation."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pandera.typing import Series

from data.schemas.fields import address, flag, integer, name, real, seconds, sha256, text
from data.schemas.model import DAY, Numbered


class HealthFactorBands(
    Numbered,
    key=["market", "block", "collateral", "debt", "chance"],
    optional=["health_factor", "low", "high", "reason", "looks_ahead"],
    late_after=2 * DAY,
):
    """`mart_health_factor_bands`: a row for each pair and chance; pairs are the main collateral and debt of accounts.

    `health_factor` is NULL for a pair without a band, `low` and `high` for one without an interval; `reason` says why.
    A newer computation of a block replaces the older one.
    """

    market: Series[str] = name("market name")
    block: Series[np.int64] = integer("block of the snapshot", "block")
    block_time: Series[np.int64] = seconds("time of that block")
    collateral: Series[str] = address("asset of the collateral")
    debt: Series[str] = address("asset of the debt")
    collateral_symbol: Series[str] = name("symbol of the collateral")
    debt_symbol: Series[str] = name("symbol of the debt")
    chance: Series[np.float64] = real("chance of a liquidation within the horizon, 0.05 is 5 %", "fraction", gt=0, lt=1)
    health_factor: Series[np.float64] = real("health factor with that chance", "ratio", ge=1, nullable=True)
    low: Series[np.float64] = real("lower end of its 95 % interval", "ratio", ge=1, nullable=True)
    high: Series[np.float64] = real("upper end of its 95 % interval", "ratio", ge=1, nullable=True)
    few_draws: Series[np.int64] = flag("1 where too few paths lie beyond it for an interval")
    reason: Series[pd.StringDtype] = text("why there is no band, or no interval, in words", nullable=True)
    n_accounts: Series[np.int64] = integer("accounts whose main collateral and main debt these are", "accounts")
    debt_usd: Series[np.float64] = real("all debt of these accounts at the snapshot", "USD", ge=0)
    horizon_seconds: Series[np.int64] = integer("length of a path", "s")
    n_steps: Series[np.int64] = integer("steps of a path", "steps")
    n_paths: Series[np.int64] = integer("paths", "paths")
    seed: Series[np.int64] = integer("seed of the random numbers", "seed")
    law: Series[str] = name("law of the price moves")
    calibration_id: Series[str] = sha256("volatility and correlation used (fact_calibration)")
    code_version: Series[str] = name("version and source digest of the engine")
    looks_ahead: Series[pd.Int64Dtype] = flag("1 where the calibration saw prices later than the block", nullable=True)
    is_synthetic: Series[np.int64] = flag("1 when the snapshot is a sample")
