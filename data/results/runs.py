"""Stored risk runs, read by `latest` and `find`; `data.results.saving` writes them with their figures and errors.

A run is identified by what made it (snapshot, scenario, seed, paths, policy, engine), so storing it again changes
nothing. One SELECT answers the common question:

    SELECT value, low, high, unit FROM fact_risk_scenarios
    WHERE measure = 'lar_repaid' AND level = 0.99 ORDER BY block_time DESC, created_at DESC LIMIT 1
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from data.errors import DamagedValue, NoResult, ResultRefused
from data.results.figures import Figure
from data.results.forecasts import seals
from data.results.scenario import scenario_from_record, scenario_hash
from data.results.seal import require_sealed, require_sound, seal_of_run
from data.store.reader import Reader
from risk_core import Scenario, Snapshot

_PASSPORT = (
    "run_id", "market", "chain_id", "block", "block_time", "pool_revision", "snapshot_hash", "scenario_id", "scenario",
    "scenario_hash", "seed", "n_paths", "n_steps", "horizon_seconds", "policy", "code_version", "n_accounts",
    "is_synthetic", "created_at", "seal_sha256",
)  # fmt: skip
LATER = ("no_interval",)
"""Fields of a figure that older versions did not store. Where they are empty they are not part of the seal."""
SEALED = (
    *(name for name in Figure.__slots__ if name not in LATER), "run_id", "scenario_id", "market", "block", "block_time",
    "snapshot_hash", "params_hash", "seed", "horizon_seconds", "policy", "code_version", "is_synthetic", *LATER,
)  # fmt: skip
"""What is sealed of a row of `fact_risk_scenarios`: all but when it was stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskRun:
    """One stored risk run: its passport, its figures by (measure, level), its curves by name.

    Curves: `fan` {hours (T + 1,), levels, usd (T + 1, levels)} of cumulative debt repaid; `repaid_by_reserve`,
    `seized_by_reserve`, `deficit_by_reserve` {symbol: mean USD a path}; `histogram` {edges, count} of debt repaid
    over paths; `quantiles` {repaid, seized, deficit}, each USD at `backtests.middle_levels`; `accounts` {address,
    probability} of being liquidated; `calibration`, as the flow recorded it; `stressed` {words, volatility, figures},
    under a volatility of bad days; `histogram_of_most` {edges, count, beyond}, which leaves the last few paths out;
    `convergence` [{n_paths, value, low, high}] of liquidations at risk 99 %. Runs of the flow also have `shares`
    [{measure, level, value, n_draws, no_shares, reserves, sold, accounts, drivers}], each list {name, share, se};
    `steps` {hours (T,), first_liquidation (T + 1,), all, tail}, the last two {repaid, seized} as rows {name, usd (T,)};
    `envelope` [{name, group, words, in_use, figure}]; `left_out`, why a law is not in it, where one is not.
    """

    run_id: str
    market: str
    chain_id: int
    block: int
    block_time: int
    pool_revision: int
    snapshot_hash: str
    scenario_id: str
    scenario_record: Mapping[str, Any]
    scenario_hash: str
    seed: int
    n_paths: int
    n_steps: int
    horizon_seconds: int
    policy: str
    code_version: str
    n_accounts: int
    is_synthetic: bool
    created_at: int
    figures: Mapping[tuple[str, float], Figure]
    series: Mapping[str, Any]

    def figure(self, measure: str, level: float = 0.0) -> Figure:
        """A stored figure. Raises `KeyError` that names what is stored."""
        if (measure, level) not in self.figures:
            known = ", ".join(f"{name} {at:g}" for name, at in sorted(self.figures))
            raise KeyError(f"run {self.run_id[:12]} holds no {measure} at level {level:g}; it holds {known}")
        return self.figures[measure, level]

    @property
    def looks_ahead(self) -> bool:
        """Whether prices later than the block went into the calibration: the figures are no forecast."""
        return bool(self.series.get("calibration", {}).get("looks_ahead", False))

    @property
    def law(self) -> tuple[str, str]:
        """(name of the law of the price moves, its description); ("", "") of runs that did not store it."""
        record = self.series.get("calibration", {})
        return str(record.get("law", "")), str(record.get("law_in_words", ""))

    def stressed(self, level: float) -> tuple[Figure, str] | None:
        """(liquidations at risk under a volatility of bad days, its description); None where none was stored."""
        record = self.series.get("stressed", {})
        found = [Figure(**figure) for figure in record.get("figures", []) if figure["level"] == level]
        return (found[0], str(record["words"])) if found else None

    def scenario(self) -> Scenario:
        """The scenario that was simulated."""
        return scenario_from_record(self.scenario_record)


def run_id_of(
    snapshot: Snapshot, scenario: Scenario, *, seed: int, n_paths: int, policy: str, code_version: str
) -> str:
    """SHA-256 of what makes a run: equal inputs give the equal id."""
    parts = [snapshot.hash, scenario_hash(scenario), int(seed), int(n_paths), policy, code_version]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def find(
    snapshot: Snapshot,
    scenario: Scenario,
    *,
    seed: int,
    n_paths: int,
    policy: str,
    code_version: str,
    db: Path | str | None = None,
) -> RiskRun | None:
    """The stored run with exactly these inputs, or None.

    None also where its rows were changed since they were written: computing and saving the run again repairs them.
    """
    wanted = run_id_of(snapshot, scenario, seed=seed, n_paths=n_paths, policy=policy, code_version=code_version)
    with Reader.open(db) as store, store.one_state():
        if not store.rows("SELECT 1 FROM fact_risk_run WHERE run_id = ?", (wanted,)):
            return None
        try:
            return read(store, wanted)
        except (ResultRefused, DamagedValue):
            return None


def latest(
    db: Path | str | None = None,
    *,
    market: str | None = None,
    snapshot_hash: str | None = None,
    scenario_id: str | None = None,
) -> RiskRun:
    """The newest stored run: of the newest block, then the last stored. Live before sample.

    Raises `NoResult`, and `ResultRefused` where its rows were changed or removed after they were written.
    """
    where, params = ["1"], []
    for column, value in (("market", market), ("snapshot_hash", snapshot_hash), ("scenario_id", scenario_id)):
        if value is not None:
            where.append(f"{column} = ?")
            params.append(value)
    with Reader.open(db) as store, store.one_state():
        found = store.rows(
            f"SELECT run_id FROM fact_risk_run WHERE {' AND '.join(where)} "
            "ORDER BY is_synthetic, block_time DESC, block DESC, created_at DESC, run_id LIMIT 1",
            params,
        )
        if not found:
            asked = ", ".join(str(value) for value in params) or "anything"
            raise NoResult(f"{store.path}: holds no risk run of {asked}; run `python -m flows risk-scenarios`")
        return read(store, found[0][0])


def sealed(row: Sequence[Any]) -> Sequence[Any]:
    """What is sealed of a row of the columns `SEALED`."""
    return row if row[-1] is not None else row[: -len(LATER)]


def read(store: Reader, run_id: str) -> RiskRun:
    """A stored run, by its id. Raises `ResultRefused` where it is not as it was written."""
    head = dict(
        zip(
            _PASSPORT,
            store.rows(f"SELECT {', '.join(_PASSPORT)} FROM fact_risk_run WHERE run_id = ?", (run_id,))[0],
            strict=True,
        )
    )
    rows = store.rows(
        f"SELECT {', '.join(SEALED)} FROM fact_risk_scenarios WHERE run_id = ? ORDER BY measure, level",
        (run_id,),
    )
    kept = [dict(zip(SEALED, row, strict=True)) for row in rows]
    found = {
        (row["measure"], row["level"]): Figure(
            **{name: row[name] for name in Figure.__slots__} | {"few_draws": bool(row["few_draws"])}
        )
        for row in kept
    }
    series = dict(store.rows("SELECT series, value FROM fact_risk_series WHERE run_id = ?", (run_id,)))
    passport = {name: value for name, value in head.items() if name not in ("created_at", "seal_sha256")}
    found_seal = seal_of_run(passport, map(sealed, rows), series, seals(store, run_id).values())
    require_sealed(run_id, found_seal, head.pop("seal_sha256"))
    require_sound(run_id, found.values())
    record = json.loads(head.pop("scenario"))
    return RiskRun(
        **head | {"is_synthetic": bool(head["is_synthetic"])},
        scenario_record=MappingProxyType(record),
        figures=MappingProxyType(found),
        series=MappingProxyType({name: json.loads(value) for name, value in series.items()}),
    )
