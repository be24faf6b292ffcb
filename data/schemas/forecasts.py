"""Forecasts beside what happened: the events of each window, and each stored forecast with its outcome."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pandera.typing import Series

from data.schemas.fields import flag, integer, name, real, seconds, sha256, text
from data.schemas.model import Numbered, TableModel

WINDOWS_READ = ["whole", "partial", "unread"]


class _Came(Numbered):
    """What came in a window, as far as it is stored."""

    n_events: Series[np.int64] = integer("lending events of every kind that were read in the window", "events")
    n_liquidations: Series[np.int64] = integer("liquidations among them", "events")
    n_accounts: Series[np.int64] = integer("accounts that were liquidated", "accounts")
    n_deficits: Series[np.int64] = integer("deficits that were booked", "events")
    repaid_usd: Series[np.float64] = real("debt that liquidators repaid, where its value is known", "USD", ge=0)
    seized_usd: Series[np.float64] = real("collateral that was seized, where its value is known", "USD", ge=0)
    deficit_usd: Series[np.float64] = real("deficit that was booked, where its value is known", "USD", ge=0)
    unpriced_repaid: Series[np.int64] = integer("liquidations whose debt has no value in USD", "events")
    unpriced_seized: Series[np.int64] = integer("seizures of collateral without a value in USD", "events")
    unpriced_deficit: Series[np.int64] = integer("deficits without a value in USD", "events")


class ForecastWindows(_Came, key=["run_id"]):
    """`stg_forecast_window`: the lending events of the window that a risk run forecast, in sums."""

    run_id: Series[str] = sha256("risk run (fact_risk_run)")
    market: Series[str] = name("market name")
    chain_id: Series[np.int64] = integer("EIP-155 chain id", "id")
    made_at: Series[np.int64] = seconds("start of the window: events after this second count")
    valid_until: Series[np.int64] = seconds("end of the window, included")


class ForecastOutcomes(_Came, key=["run_id", "measure", "level"]):
    """`mart_forecast_outcome`: each stored forecast, and what came in its window; NULL where that is not known."""

    run_id: Series[str] = sha256("risk run (fact_risk_run)")
    measure: Series[str] = name("measure of fact_risk_scenarios")
    level: Series[np.float64] = real(
        "level of a quantile or a shortfall; 0 where the measure has none", "fraction", ge=0
    )
    market: Series[str] = name("market name")
    scenario_id: Series[str] = name("name of the scenario")
    block: Series[np.int64] = integer("block of the snapshot", "block")
    made_at: Series[np.int64] = seconds("start of the window: the time of the snapshot's block")
    horizon_seconds: Series[np.int64] = integer("length of the window", "s")
    valid_until: Series[np.int64] = seconds("end of the window")
    value: Series[np.float64] = real("the forecast", "USD or fraction, as the measure")
    low: Series[np.float64] = real("lower end of its 95 % interval", "as value", nullable=True)
    high: Series[np.float64] = real("upper end of its 95 % interval", "as value", nullable=True)
    sha256: Series[str] = sha256("seal of the forecast (fact_forecast)")
    sealed_at: Series[np.int64] = seconds("when the forecast was stored")
    is_synthetic: Series[np.int64] = flag("1 when the snapshot is a sample; its times are made up too")
    after_the_fact: Series[np.int64] = flag("1 when it was stored after its window had ended: no forecast of it")
    window_read: Series[str] = text("how far the events of the window were read", isin=WINDOWS_READ)
    read_until: Series[pd.Int64Dtype] = seconds(
        "events are known up to this second of the window; NULL where none of it was read", nullable=True
    )
    outcome: Series[np.float64] = real(
        "what the measure forecast, of a window that was read whole with every value known; of p_deficit 1 or 0",
        "as value",
        nullable=True,
    )


TABLES: dict[str, type[TableModel]] = {
    "stg_forecast_window": ForecastWindows,
    "mart_forecast_outcome": ForecastOutcomes,
}
