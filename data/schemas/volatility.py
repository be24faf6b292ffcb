"""Fits of volatility models to price series and portfolios of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pandera.typing import Series

from data.schemas.fields import flag, integer, name, real, seconds, sha256, text
from data.schemas.model import DAY, Numbered

_FIT = ["omega", "alpha", "beta", "omega_se", "alpha_se", "beta_se", "log_likelihood", "refused"]


class VolatilityFits(
    Numbered,
    key=["portfolio", "fitted_ts", "is_synthetic"],
    optional=_FIT,
    time="fitted_ts",
    late_after=60 * DAY,
):
    """`fact_volatility_fit`: a GARCH(1, 1) fit to daily returns up to `fitted_ts`; NULL parameters where it failed.

    A fit holds until the next one of the same portfolio; see `risk_core.analytics.garch`.
    """

    portfolio: Series[str] = name("price series, or series with their shares in per cent", longest=2_000)
    fitted_ts: Series[np.int64] = seconds("end of the last day that it was fitted to")
    first_ts: Series[np.int64] = seconds("end of the first day that it was fitted to")
    n_returns: Series[np.int64] = integer("daily returns that it was fitted to", "returns")
    refit_days: Series[np.int64] = integer("days until the next fit", "days")
    omega: Series[np.float64] = real("constant of the variance of a simple daily return", "1", nullable=True)
    alpha: Series[np.float64] = real("weight of the last squared return", "1", nullable=True)
    beta: Series[np.float64] = real("weight of the last variance", "1", nullable=True)
    omega_se: Series[np.float64] = real("robust standard error of omega", "1", nullable=True)
    alpha_se: Series[np.float64] = real("robust standard error of alpha", "1", nullable=True)
    beta_se: Series[np.float64] = real("robust standard error of beta", "1", nullable=True)
    log_likelihood: Series[np.float64] = real("of the fitted returns", "nats", nullable=True)
    refused: Series[pd.StringDtype] = text("why there is no fit, in words", nullable=True)
    inputs_sha256: Series[str] = sha256("digest of the returns and the method")
    is_synthetic: Series[np.int64] = flag("1 for the sample's prices")
