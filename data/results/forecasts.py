"""The ledger of forecasts: what a risk run said about a window before it was over (`fact_forecast`).

A row is written once. Its seal is the SHA-256 of its content: a row that does not match its seal was changed after it
was written. Computing the run again removes such a row to quarantine and writes the forecast anew; a row that matches
stays as it was made, also where a newer version of the code would say something else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from data.errors import ResultRefused
from data.results.seal import AGAIN
from data.store.reader import Reader

LEDGER = frozenset({"lar_repaid", "lar_seized", "es_repaid", "var_deficit", "es_deficit", "p_deficit", "mean_repaid"})
"""Measures that go into the ledger of forecasts."""

_COLUMNS = (
    "run_id", "market", "measure", "level", "horizon_seconds", "made_at", "valid_until", "value", "low", "high",
    "is_synthetic",
)  # fmt: skip


def forecast(head: Mapping[str, Any], figure: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the ledger with its seal. `head`: the run's passport; `figure`: a row of `fact_risk_scenarios`."""
    row = {
        "run_id": head["run_id"], "market": head["market"], "measure": figure["measure"], "level": figure["level"],
        "horizon_seconds": head["horizon_seconds"], "made_at": head["block_time"],
        "valid_until": head["block_time"] + head["horizon_seconds"], "value": figure["value"], "low": figure["low"],
        "high": figure["high"], "is_synthetic": head["is_synthetic"],
    }  # fmt: skip
    # SQLite makes 0.0 of -0.0, and the two are different text.
    row = {name: value + 0.0 if isinstance(value, float) else value for name, value in row.items()}
    return row | {"sha256": seal_of(row)}


def seal_of(row: Mapping[str, Any]) -> str:
    """The seal of a forecast: SHA-256 of its content as sorted JSON, without the seal and how the row arrived."""
    content = {name: value for name, value in row.items() if name not in ("sha256", "sealed_at", "batch")}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def seals(store: Reader, run_id: str) -> dict[tuple[str, float], str]:
    """The seals of a run's stored forecasts by (measure, level). Raises `ResultRefused` for a row that was changed."""
    sound, changed = stored(store, run_id)
    if changed:
        row = changed[0]
        raise ResultRefused(
            f"risk run {run_id[:12]}: forecast {row['measure']} at level {row['level']} does not match its seal, so it "
            f"was changed after it was written; {AGAIN}"
        )
    return sound


def stored(store: Reader, run_id: str) -> tuple[dict[tuple[str, float], str], list[dict[str, Any]]]:
    """(seals of the rows that match their seal, by (measure, level); rows that do not match)."""
    sound, changed = {}, []
    for *content, seal in store.rows(
        f"SELECT {', '.join(_COLUMNS)}, sha256 FROM fact_forecast WHERE run_id = ?", (run_id,)
    ):
        row = dict(zip(_COLUMNS, content, strict=True))
        if seal == seal_of(row):
            sound[row["measure"], row["level"]] = seal
        else:
            changed.append(row | {"sha256": seal})
    return sound, changed
