"""The schema of every table: one pandera model each, from which the SQL tables are derived.

A model's `Config.unique` is the table's primary key. In `Config.metadata`, `"optional"` names nullable columns that
a frame may leave out and `"sealed"` marks a table whose rows are written once and never changed. A field with
`provenance` in its metadata (such as `ingested_at`) tells how a row arrived, is no part of its content, and is filled
in by the store when a frame leaves it out.
"""

from __future__ import annotations

import pandera.pandas as pa

from data.schemas import aave, calibrations, prices, results, runs

SCHEMAS: dict[str, type[pa.DataFrameModel]] = {
    "fact_snapshot": aave.Snapshots,
    "raw_aave_reserves": aave.Reserves,
    "raw_aave_emodes": aave.EModes,
    "raw_aave_user_accounts": aave.UserAccounts,
    "stg_positions": aave.Positions,
    "raw_aave_holders": aave.Holders,
    "ingest_checkpoint": aave.Checkpoints,
    "raw_binance_klines": prices.BinanceKlines,
    "dim_prices": prices.Prices,
    "dim_asset": prices.Assets,
    "fact_calibration": calibrations.Calibrations,
    "fact_risk_run": results.RiskRuns,
    "fact_risk_scenarios": results.RiskScenarios,
    "fact_risk_series": results.RiskSeries,
    "fact_forecast": results.Forecasts,
    "fact_run": runs.Runs,
    "fact_validation": runs.Validations,
    "quarantine": runs.Quarantine,
    "schema_version": runs.SchemaVersions,
}
"""Table name to model."""
