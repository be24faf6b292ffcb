"""Forecasts and outcomes: the events of each window, and each stored forecast with its outcome."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pandera.typing import Series

from data.schemas.fields import flag, integer, name, real, seconds, sha256, text
from data.schemas.model import Numbered, TableModel

WINDOWS_READ = ["whole", "partial", "unread"]
STATES = ["tested", "not over", "not read", "unpriced", "after the fact", "overlaps"]
"""`tested`, or why a forecast is not tested: its window is not read to its end, is not read at all, has an amount
without a price, had ended when the forecast was stored, or overlaps that of the forecast before it."""


class _Came(Numbered):
    """Columns of the stored events of a window."""

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
    """`mart_forecast_outcome`: each stored forecast with its outcome; NULL where that is not known."""

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
    after_the_fact: Series[np.int64] = flag("1 when it was stored after its window had ended, so it is not a forecast")
    window_read: Series[str] = text("how far the events of the window were read", isin=WINDOWS_READ)
    read_until: Series[pd.Int64Dtype] = seconds(
        "events are known up to this second of the window; NULL where none of it was read", nullable=True
    )
    outcome: Series[np.float64] = real(
        "the outcome; NULL unless the window was read to its end and all values are known; of p_deficit 1 or 0",
        "as value",
        nullable=True,
    )


def _usd(description: str) -> Any:
    return real(description, "USD", ge=0, nullable=True)


def _share(description: str) -> Any:
    return real(description, "fraction", ge=0, le=1, nullable=True)


def _law() -> Any:
    return name("law of the price moves; `not noted` for runs that did not store it")


class ForecastScores(
    Numbered,
    key=["market", "measure", "run_id"],
    optional=["outcome", "shortfall", "pit", "crps_usd", "evidence"],
):
    """`mart_forecast_score`: each forecast of an amount, whether it is tested, and how it scored."""

    market: Series[str] = name("market name")
    measure: Series[str] = name("lar_repaid, lar_seized or var_deficit: which amount was forecast")
    run_id: Series[str] = sha256("risk run (fact_risk_run)")
    law: Series[str] = _law()
    horizon_seconds: Series[np.int64] = integer("length of the window", "s")
    made_at: Series[np.int64] = seconds("start of the window")
    valid_until: Series[np.int64] = seconds("end of the window")
    sealed_at: Series[np.int64] = seconds("when the forecast was stored")
    sha256: Series[str] = sha256("seal of its quantile at 99 % (fact_forecast)")
    value_90: Series[np.float64] = real("the amount forecast at 90 %", "USD", ge=0)
    value_95: Series[np.float64] = real("at 95 %", "USD", ge=0)
    value_99: Series[np.float64] = real("at 99 %", "USD", ge=0)
    shortfall: Series[np.float64] = _usd("expected shortfall at 95 %, where one is stored")
    outcome: Series[np.float64] = _usd("the outcome; NULL while it is not known")
    state: Series[str] = text("whether it is tested, or why not", isin=STATES)
    pit: Series[np.float64] = _share(
        "share of the stored distribution at or below the outcome; uniform for right forecasts"
    )
    crps_usd: Series[np.float64] = _usd("continuous ranked probability score by the stored quantiles, less is better")
    evidence: Series[np.float64] = real(
        "wealth of a bet against the expected shortfall after this forecast; 20 rejects it at 5 %",
        "multiple of the stake",
        ge=0,
        nullable=True,
    )
    is_synthetic: Series[np.int64] = flag("1 when forecast and outcome are made up")


class ForecastTests(
    Numbered,
    key=["market", "law", "measure", "horizon_seconds", "level"],
    optional=[
        "kupiec_p", "independence_p", "conditional_p", "cumulative", "zone", "pinball_usd", "crps_usd", "pit_p",
        "evidence", "evidence_most", "first_at", "last_until",
    ],
):  # fmt: skip
    """`mart_forecast_test`: the record of each law's forecasts, none hidden. A p-value below 0.05 does not hold."""

    market: Series[str] = name("market name")
    law: Series[str] = _law()
    measure: Series[str] = name("lar_repaid, lar_seized or var_deficit")
    horizon_seconds: Series[np.int64] = integer("length of the windows", "s")
    level: Series[np.float64] = real("level of the quantile", "fraction", gt=0, lt=1)
    n: Series[np.int64] = integer("forecasts that are tested; their windows do not overlap", "forecasts")
    needed: Series[np.int64] = integer(
        "forecasts for which one exception is expected; with fewer there is no verdict", "forecasts"
    )
    enough: Series[np.int64] = flag("1 when there are that many")
    exceptions: Series[np.int64] = integer("outcomes above their forecast", "forecasts")
    expected: Series[np.float64] = real("exceptions that a right law has on average", "forecasts", ge=0)
    kupiec_p: Series[np.float64] = _share("p-value: are exceptions as many as stated?")
    independence_p: Series[np.float64] = _share("p-value: do they come alone? (Christoffersen)")
    conditional_p: Series[np.float64] = _share("p-value: both together")
    cumulative: Series[np.float64] = _share("chance that a right law has at most as many exceptions")
    zone: Series[pd.StringDtype] = text("Basel's zone by it", isin=["green", "yellow", "red"], nullable=True)
    pinball_usd: Series[np.float64] = _usd("mean pinball loss, less is better")
    crps_usd: Series[np.float64] = _usd("mean CRPS by the stored quantiles, less is better")
    pit_p: Series[np.float64] = _share("p-value: do outcomes lie evenly in their distributions? (Kolmogorov-Smirnov)")
    es_level: Series[np.float64] = real("level of the expected shortfall that is tested", "fraction", gt=0, lt=1)
    evidence: Series[np.float64] = real("evidence against it now; at that level alone", "multiple", ge=0, nullable=True)
    evidence_most: Series[np.float64] = real("largest evidence so far; 20 rejects the shortfall", "multiple", ge=0,
                                             nullable=True)  # fmt: skip
    first_at: Series[pd.Int64Dtype] = seconds("start of the first window that is tested", nullable=True)
    last_until: Series[pd.Int64Dtype] = seconds("end of the last one", nullable=True)
    is_synthetic: Series[np.int64] = flag("1 when forecasts and outcomes are made up")


TABLES: dict[str, type[TableModel]] = {
    "stg_forecast_window": ForecastWindows,
    "mart_forecast_outcome": ForecastOutcomes,
    "mart_forecast_score": ForecastScores,
    "mart_forecast_test": ForecastTests,
}
