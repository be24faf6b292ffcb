"""A simulation into the warehouse, in one transaction: passport, figures with their errors, curves, forecasts."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

import pandas as pd

from data.quarantine.aside import put_aside
from data.results.figures import LEVELS, Figure, curves, figures, stressed_series
from data.results.forecasts import LEDGER, forecast, stored
from data.results.runs import SEALED, RiskRun, read, run_id_of, sealed
from data.results.scenario import scenario_hash, scenario_record
from data.results.seal import require_sound, seal_of_run
from data.store.store import Store
from risk_core import Market, Result


def save_result(
    store: Store,
    result: Result,
    market: Market,
    *,
    calibration: Mapping[str, Any] | None = None,
    stressed: tuple[Result, str] | None = None,
    more: Mapping[str, Any] | None = None,
    run_id: str | None = None,
) -> RiskRun:
    """Store a simulation in one transaction and return it as stored; storing it again changes nothing.

    `market`: the one simulated (names of reserves, accounts). `calibration`: JSON-ready, where the scenario comes from.
    `stressed`: a result of the same market under a volatility of bad days, and the description of that volatility.
    `more`: curves by name, JSON-ready, such as those of `data.results.tail`. `run_id`: of the flow's run (`fact_run`).
    Raises `BatchRefused` when a figure breaks its schema.
    """
    if market.snapshot != result.snapshot:
        raise ValueError(
            f"save_result: the result is of {result.snapshot.market} at block {result.snapshot.block}, the market "
            f"given is {market.snapshot.market} at block {market.snapshot.block}"
        )
    head = _passport(result, market)
    shared = {
        "run_id": head["run_id"], "scenario_id": head["scenario_id"], "market": head["market"], "block": head["block"],
        "block_time": head["block_time"], "snapshot_hash": head["snapshot_hash"],
        "params_hash": head["scenario_hash"], "seed": head["seed"], "horizon_seconds": head["horizon_seconds"],
        "policy": head["policy"], "code_version": head["code_version"], "is_synthetic": head["is_synthetic"],
    }  # fmt: skip
    rows = [
        shared | {name: getattr(figure, name) for name in Figure.__slots__} | {"few_draws": int(figure.few_draws)}
        for figure in figures(result)
    ]
    series = curves(result, market) | ({"calibration": dict(calibration)} if calibration is not None else {})
    if stressed is not None:
        series["stressed"] = stressed_series(*stressed)
    series |= dict(more or {})
    drawn = [
        {"run_id": head["run_id"], "series": name, "value": json.dumps(value, sort_keys=True)}
        for name, value in series.items()
    ]
    # What saw later prices is no forecast.
    is_forecast = not (calibration or {}).get("looks_ahead")
    forecasts = [
        forecast(head, row)
        for row in rows
        if is_forecast and row["measure"] in LEDGER and row["level"] in (0.0, *LEVELS)
    ]
    require_sound(head["run_id"], (Figure(**{name: row[name] for name in Figure.__slots__}) for row in rows))
    # The ledger keeps a forecast as it was made, so the run is sealed with the rows that will stand there.
    kept = {(row["measure"], row["level"]): row["sha256"] for row in forecasts} | put_changed_aside(
        store, head["run_id"]
    )
    head["seal_sha256"] = seal_of_run(
        head,
        (sealed([row[name] for name in SEALED]) for row in rows),
        {row["series"]: row["value"] for row in drawn},
        kept.values(),
    )
    frames = {
        "fact_risk_run": pd.DataFrame([head]),
        "fact_risk_scenarios": pd.DataFrame(rows),
        "fact_risk_series": pd.DataFrame(drawn),
        "fact_forecast": pd.DataFrame(forecasts),
    }
    store.write_batch("risk_core", head["run_id"], frames, run_id, scope={"run_id": head["run_id"]})
    return read(store, head["run_id"])


def put_changed_aside(store: Store, run_id: str) -> dict[tuple[str, float], str]:
    """Move a run's rows that do not match their seals to quarantine; returns the seals of the other rows."""
    sound, changed = stored(store, run_id)
    if changed:
        put_aside(
            store,
            "risk_core",
            run_id,
            run_id,
            [("fact_forecast", json.dumps(row, sort_keys=True), "does not match its seal") for row in changed],
            instead=lambda connection: _remove(connection, changed),
        )
    return sound


def _remove(connection: sqlite3.Connection, rows: list[dict[str, Any]]) -> None:
    connection.executemany(
        "DELETE FROM fact_forecast WHERE run_id = ? AND measure = ? AND level = ?",
        [(row["run_id"], row["measure"], row["level"]) for row in rows],
    )


def _passport(result: Result, market: Market) -> dict[str, Any]:
    at, scenario = result.snapshot, result.scenario
    return {
        "run_id": run_id_of(
            at, scenario, seed=result.seed, n_paths=result.n_paths, policy=result.policy,
            code_version=result.code_version,
        ),
        "market": at.market, "chain_id": at.chain_id, "block": at.block, "block_time": at.block_time,
        "pool_revision": at.revision, "snapshot_hash": at.hash, "scenario_id": scenario.name,
        "scenario": json.dumps(scenario_record(scenario), sort_keys=True), "scenario_hash": scenario_hash(scenario),
        "seed": int(result.seed), "n_paths": result.n_paths, "n_steps": scenario.n_steps,
        "horizon_seconds": round(scenario.horizon.total_seconds()), "policy": result.policy,
        "code_version": result.code_version, "n_accounts": market.n_accounts, "is_synthetic": int(at.synthetic),
    }  # fmt: skip
