"""Fits of price laws: the data, the method and the result, with an id that a scenario can name."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pandera.typing import Series

from data.schemas.fields import document, flag, ingested_at, integer, name, seconds, sha256, written_by
from data.schemas.model import TableModel


class Calibrations(TableModel, key=["calibration_id"]):
    """`fact_calibration`: one fit of volatility and correlation. Equal inputs and method give the equal id."""

    calibration_id: Series[str] = sha256("digest of the method, the factors and every price of the window")
    market: Series[str] = name("market whose factors were fitted")
    method: Series[str] = document("law and estimators with their parameters, and their version")
    factors: Series[str] = document("factor to price series, in the order of the arrays")
    first_ts: Series[np.int64] = seconds("first price of the window")
    last_ts: Series[np.int64] = seconds("last price of the window")
    n_returns: Series[np.int64] = integer("hourly returns that all series have in common", "returns")
    looks_ahead: Series[np.int64] = flag("1 when prices later than the snapshot's block were used")
    volatility: Series[str] = document("annual volatility of each factor on a day of weekday factor 1, a fraction")
    correlation: Series[str] = document("correlation matrix of the factors")
    fitted: Series[pd.StringDtype] = document(
        "of a law made of past returns: its rows, their window, GARCH of each series, degrees of freedom", nullable=True
    )
    run_id: Series[str] = written_by()
    ingested_at: Series[np.int64] = ingested_at()
