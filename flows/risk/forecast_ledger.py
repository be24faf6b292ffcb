"""Flow `forecast-ledger`: stored forecasts held against what came, and the record of every law. No network."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from data import marts
from data.errors import NoResult
from data.results.figures import LEVELS
from data.snapshot.loading import newest
from data.store.reader import Reader
from data.store.store import Store
from flows.pipeline import recorded
from flows.risk.ledger import ES_LEVEL, NOT_NOTED, QUANTITIES, SHORTFALLS, Forecast, Record, Score, records, scored
from flows.risk.options import ForecastLedgerOptions

SOURCE = "forecast_ledger"
OUTCOMES = "mart_forecast_outcome"
TABLES = ("mart_forecast_score", "mart_forecast_test")


def run(arguments: ForecastLedgerOptions) -> str:
    """Join, test and store; returns the record of every law. Raises `data.errors.NoSnapshot`, `NoResult`."""
    market = arguments.market or newest().market
    with Store.open() as store:
        marts.refresh(store, [OUTCOMES])
        scores = scored(stored(store, market))
        if not scores and arguments.or_nothing:
            return f"{market}: no forecast is stored (a run that saw later prices is none): nothing to do"
        if not scores:
            raise NoResult(f"{store.path}: holds no forecast of {market}; run `python -m flows risk-scenarios`")
        found = records(scores)
        with recorded(store, "forecast-ledger", arguments.model_dump()) as run:
            run.write(SOURCE, market, frames(scores, found), scope={"market": market})
    return said(market, scores, found)


def stored(store: Reader, market: str) -> list[Forecast]:
    """Every forecast of the market's amounts beside what came, each with its law and distribution.

    Runs whose calibration saw prices later than their block are left out: they are no forecasts.
    """
    series: dict[str, dict[str, Any]] = {}
    for run_id, name, value in store.rows(
        "SELECT s.run_id, s.series, s.value FROM fact_risk_series AS s JOIN fact_risk_run AS r ON r.run_id = s.run_id "
        "WHERE r.market = ? AND s.series IN ('calibration', 'quantiles')",
        (market,),
    ):
        series.setdefault(run_id, {})[name] = json.loads(value)
    columns = (
        "run_id", "measure", "level", "value", "outcome", "horizon_seconds", "made_at", "valid_until", "sealed_at",
        "sha256", "after_the_fact", "window_read", "is_synthetic",
    )  # fmt: skip
    by_run: dict[str, dict[str, dict[float, dict[str, Any]]]] = {}
    for row in store.rows(f"SELECT {', '.join(columns)} FROM {OUTCOMES} WHERE market = ?", (market,)):
        told = dict(zip(columns, row, strict=True))
        by_run.setdefault(told["run_id"], {}).setdefault(told["measure"], {})[told["level"]] = told
    return [
        Forecast(
            market=market,
            law=str(series.get(run_id, {}).get("calibration", {}).get("law") or NOT_NOTED),
            values={level: told["value"] for level, told in levels.items()},
            shortfall=_shortfall(measures, SHORTFALLS.get(measure)),
            quantiles=_distribution(series.get(run_id, {}), QUANTITIES[measure]),
            **_head(levels),
        )
        for run_id, measures in by_run.items()
        if not series.get(run_id, {}).get("calibration", {}).get("looks_ahead")
        for measure, levels in measures.items()
        if measure in QUANTITIES
    ]


def _head(levels: Mapping[float, Mapping[str, Any]]) -> dict[str, Any]:

    told = levels.get(LEVELS[-1]) or next(iter(levels.values()))
    names = ("run_id", "measure", "horizon_seconds", "made_at", "valid_until", "sealed_at", "sha256", "window_read")
    flags = {name: bool(told[name]) for name in ("after_the_fact", "is_synthetic")}
    return {name: told[name] for name in (*names, "outcome")} | flags


def _shortfall(measures: Mapping[str, Mapping[float, Mapping[str, Any]]], name: str | None) -> float | None:

    told = measures.get(name or "", {}).get(ES_LEVEL)
    return None if told is None else float(told["value"])


def _distribution(series: Mapping[str, Any], of: str) -> Any:

    found = series.get("quantiles", {}).get(of)
    return None if found is None else np.array(found, dtype=np.float64)


def frames(scores: Iterable[Score], found: Iterable[Record]) -> dict[str, pd.DataFrame]:
    """Rows of the two tables."""
    shared = (
        "market", "measure", "run_id", "law", "horizon_seconds", "made_at", "valid_until", "sealed_at", "sha256",
        "outcome",
    )  # fmt: skip
    rows = [
        {name: getattr(score.forecast, name) for name in shared}
        | {f"value_{round(level * 100)}": score.forecast.values[level] for level in (0.9, 0.95, 0.99)}
        | {
            "shortfall": score.forecast.shortfall, "state": score.state, "pit": score.pit, "crps_usd": score.crps_usd,
            "evidence": score.evidence, "is_synthetic": int(score.forecast.is_synthetic),
        }
        for score in scores
    ]  # fmt: skip
    tests = [
        asdict(record) | {"enough": int(record.enough), "is_synthetic": int(record.is_synthetic), "es_level": ES_LEVEL}
        for record in found
    ]
    return {"mart_forecast_score": pd.DataFrame(rows), "mart_forecast_test": pd.DataFrame(tests)}


def said(market: str, scores: Iterable[Score], found: Iterable[Record]) -> str:
    """The record of every law in debt repaid, one line a level; what waits is counted."""
    lines = []
    for record in found:
        if record.measure != "lar_repaid":
            continue
        head = f"  {record.law}, {record.horizon_seconds / 3600:g} h, {record.level:.0%}: "
        if record.n < 2 or not record.enough:
            lines.append(f"{head}{record.n} tested, too few to say ({record.needed} are needed)")
        else:
            lines.append(
                f"{head}{record.exceptions} of {record.n} exceeded, {record.expected:.1f} expected, "
                f"p {record.kupiec_p:.3f} (Kupiec) {record.conditional_p:.3f} (with independence), {record.zone}"
            )
    states = [score.state for score in scores if score.forecast.measure == "lar_repaid"]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    return "\n".join([f"{market}, debt repaid: {len(states)} forecasts ({counts})", *lines])
