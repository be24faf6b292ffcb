"""A stored risk run: its passport, its figures with their errors, its curves, and a sealed forecast."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from data.schemas.fields import document, flag, integer, name, real, seconds, sha256, text, written_by
from data.schemas.model import DAY, Numbered, TableModel


def _created_at() -> Any:
    return pa.Field(
        description="when the run was stored",
        metadata={"unit": "unix seconds UTC", "provenance": True},
        in_range={"min_value": 0, "max_value": 99_999_999_999},
    )


def _level() -> Any:
    return real("level of a quantile or a shortfall, 0.99 is 99 %; 0 where the measure has none", "fraction", ge=0)


class RiskRuns(TableModel, key=["run_id"], optional=["seal_sha256"]):
    """`fact_risk_run`: the passport of one simulation. Equal inputs give the equal `run_id`."""

    run_id: Series[str] = sha256("digest of snapshot, scenario, seed, paths, policy and code version")
    market: Series[str] = name("market name")
    chain_id: Series[np.int64] = integer("EIP-155 chain id", "id")
    block: Series[np.int64] = integer("block of the snapshot", "block")
    block_time: Series[np.int64] = seconds("time of that block")
    pool_revision: Series[np.int64] = integer("POOL_REVISION of the snapshot", "revision")
    snapshot_hash: Series[str] = text("digest of the snapshot", "sha256")
    scenario_id: Series[str] = name("name of the scenario")
    scenario: Series[str] = document("the scenario in full")
    scenario_hash: Series[str] = sha256("digest of the scenario")
    seed: Series[np.int64] = integer("seed of the random numbers", "seed")
    n_paths: Series[np.int64] = integer("paths", "paths")
    n_steps: Series[np.int64] = integer("steps of a path", "steps")
    horizon_seconds: Series[np.int64] = integer("length of a path", "s")
    policy: Series[str] = name("what liquidators choose")
    code_version: Series[str] = name("version and source digest of the engine")
    n_accounts: Series[np.int64] = integer("accounts simulated", "accounts")
    is_synthetic: Series[np.int64] = flag("1 when the snapshot is a sample")
    flow_run_id: Series[str] = written_by()
    created_at: Series[np.int64] = _created_at()
    seal_sha256: Series[pd.StringDtype] = sha256(
        "seal: digest of this row and of all rows of the run; empty in runs of older versions", nullable=True
    )


class RiskScenarios(
    TableModel,
    key=["run_id", "scenario_id", "measure", "level"],
    optional=["low", "high", "se", "n_positive", "no_interval"],
    late_after=2 * DAY,
):
    """`fact_risk_scenarios`: one figure a row, with the passport's main columns, so that no join is needed."""

    run_id: Series[str] = sha256("risk run (fact_risk_run)")
    scenario_id: Series[str] = name("name of the scenario")
    measure: Series[str] = name("lar_repaid, lar_seized, var_deficit, es_deficit, p_deficit, mean_repaid and others")
    level: Series[np.float64] = _level()
    value: Series[np.float64] = real("the figure; losses are positive", "see column unit")
    low: Series[np.float64] = real("lower end of the 95 % interval", "see column unit", nullable=True)
    high: Series[np.float64] = real("upper end of the 95 % interval", "see column unit", nullable=True)
    se: Series[np.float64] = real("standard error", "see column unit", ge=0, nullable=True)
    unit: Series[str] = name("unit of value, low, high and se: USD, fraction, count")
    n_paths: Series[np.int64] = integer("paths the figure rests on", "paths")
    n_positive: Series[pd.Int64Dtype] = integer("paths with a positive amount", "paths", nullable=True)
    few_draws: Series[np.int64] = flag("1 when too few paths lie beyond the level for a firm figure")
    no_interval: Series[pd.StringDtype] = text("why there is no interval, in words", "text", nullable=True)
    market: Series[str] = name("market name")
    block: Series[np.int64] = integer("block of the snapshot", "block")
    block_time: Series[np.int64] = seconds("time of that block")
    snapshot_hash: Series[str] = text("digest of the snapshot", "sha256")
    params_hash: Series[str] = sha256("digest of the scenario")
    seed: Series[np.int64] = integer("seed of the random numbers", "seed")
    horizon_seconds: Series[np.int64] = integer("length of a path", "s")
    policy: Series[str] = name("what liquidators choose")
    code_version: Series[str] = name("version and source digest of the engine")
    is_synthetic: Series[np.int64] = flag("1 when the snapshot is a sample")
    created_at: Series[np.int64] = _created_at()


class RiskSeries(TableModel, key=["run_id", "series"]):
    """`fact_risk_series`: curves of a run as JSON: fan by step, amounts by reserve, histogram, shares of the tail."""

    run_id: Series[str] = sha256("risk run (fact_risk_run)")
    series: Series[str] = name("which curve")
    value: Series[str] = document("the curve")


class Forecasts(
    Numbered, key=["run_id", "measure", "level"], optional=["low", "high"], indexes=[["batch"]], sealed=True
):
    """`fact_forecast`: forecasts made before their window began. Sealed: a row is written once and never changed."""

    run_id: Series[str] = sha256("risk run (fact_risk_run)")
    market: Series[str] = name("market name")
    measure: Series[str] = name("measure of fact_risk_scenarios")
    level: Series[np.float64] = _level()
    horizon_seconds: Series[np.int64] = integer("length of the window forecast", "s")
    made_at: Series[np.int64] = seconds("start of the window: the time of the snapshot's block")
    valid_until: Series[np.int64] = seconds("end of the window")
    value: Series[np.float64] = real("the forecast", "USD or fraction, as the measure")
    low: Series[np.float64] = real("lower end of the 95 % interval", "as value", nullable=True)
    high: Series[np.float64] = real("upper end of the 95 % interval", "as value", nullable=True)
    is_synthetic: Series[np.int64] = flag("1 when the snapshot is a sample")
    sha256: Series[str] = sha256("seal: digest of the row's content")
    sealed_at: Series[np.int64] = _created_at()
