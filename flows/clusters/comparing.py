"""Clusters seen beside clusters implied by prices, by the fitted process, and by no clustering at all.

In the engine no liquidation causes another: what its calls cluster, the prices do. It is compared with what was seen in
counts by step, the only clock that the engine has.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from data.errors import NoResult
from data.liquidations import HOUR
from data.results import latest
from data.snapshot.loading import load_market
from risk_core.analytics import hawkes
from risk_core.analytics.hawkes import INDEPENDENT, PRICES, PROCESS, SEEN
from risk_core.arrivals import MOST_STEPS, calls_by_step

if TYPE_CHECKING:
    from data.results import RiskRun
    from flows.clusters.fitting import Fitted
    from risk_core import Snapshot

LEVELS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500, 750, 1_000, 2_000, 5_000, 10_000)
"""Counts of a step of which the chance is told."""
WINDOW, STEP = 24 * HOUR, HOUR
"""Where no risk run is stored, seconds."""
PROCESS_WINDOWS = 1_000
"""Windows of the fitted process that are simulated."""
FIGURES = ("mean", "dispersion_step", "dispersion_window", "in_bursts")
RISK = "python -m flows risk-scenarios"


def newest_run(at: Snapshot) -> RiskRun | None:
    """The newest risk run of the snapshot, None without one."""
    try:
        return latest(market=at.market, snapshot_hash=at.hash)
    except NoResult:
        return None


def comparison_rows(
    at: Snapshot, last: int, done: Fitted, run: RiskRun | None, *, at_least: int, paths: int, seed: int
) -> list[dict[str, Any]]:
    """Rows of `mart_cluster_comparison`. `paths`: of the engine; `last`: end of the liquidations that were fitted."""
    window, step = (run.horizon_seconds, run.horizon_seconds // run.n_steps) if run else (WINDOW, STEP)
    n_steps, hours = window // step, step / HOUR
    asked = {"at_least": at_least, "levels": LEVELS, "seed": seed}
    common: dict[str, Any] = {
        "market": at.market, "ts": last, "calibration_id": done.id, "at_least": at_least, "step_seconds": step,
        "window_seconds": window,
    }  # fmt: skip
    rows = []

    def add(of: str, found: hawkes.Clustering | None, gain: tuple[float, ...], missing: str = "") -> None:
        rows.append(common | _row(found, gain) | {
            "of": of, "place": len(rows), "missing": missing, "run_id": run.run_id if run and of == PRICES else None,
        })  # fmt: skip

    if done.events.end < window / HOUR:
        nothing = f"the liquidations cover less than one window of {window / HOUR:g} h"
        for of in (SEEN, PRICES, PROCESS, INDEPENDENT):
            add(of, None, UNKNOWN, nothing)
        return rows
    seen = hawkes.counts_in_steps(done.events.times, end=done.events.end, step=hours, n_steps=n_steps)
    excitement = _excitement(seen, hours)

    def gain(counts: np.ndarray) -> tuple[float, ...]:
        return UNKNOWN if excitement is None else hawkes.gain_of_counts(excitement, counts, step=hours, seed=seed)

    add(SEEN, hawkes.clustering(seen, **asked), gain(seen))
    calls, missing = _calls(at, run, paths)
    add(PRICES, None if calls is None else hawkes.clustering(calls, **asked),
        UNKNOWN if calls is None else gain(calls), missing)  # fmt: skip
    if done.fit.model.is_stationary:
        # One window more, left out: it begins without a past.
        length = (PROCESS_WINDOWS + 1) * n_steps * hours
        path = hawkes.simulate(done.fit.model, length, seed=seed, most=20_000_000)
        drawn = hawkes.counts_in_steps(path.times, end=length, step=hours, n_steps=n_steps)[1:]
        add(PROCESS, hawkes.clustering(drawn, **asked), gain(drawn))
    else:
        add(PROCESS, None, UNKNOWN, "the fitted process is explosive: it has no mean rate")
    mean = float(seen.sum()) / len(seen)
    if mean > 0:
        of_poisson = hawkes.clustering_of_poisson(mean, n_steps=n_steps, at_least=at_least, levels=LEVELS)
        add(INDEPENDENT, of_poisson, UNKNOWN)
    else:
        add(INDEPENDENT, None, UNKNOWN, "no liquidation lies in a whole window")
    return rows


UNKNOWN = (float("nan"),) * 3


def _excitement(seen: np.ndarray, hours: float) -> hawkes.Hawkes | None:
    """The process of all kinds together on the engine's clock, fitted to what was seen; None where there is none."""
    flat = seen.ravel()
    rank = np.arange(flat.sum()) - np.repeat(np.cumsum(flat) - flat, flat)
    times = (np.repeat(np.arange(len(flat)), flat) + (rank + 0.5) / np.repeat(flat, flat)) * hours
    if len(times) < hawkes.LEAST_EVENTS:
        return None
    events = hawkes.EventTimes(times=times, kinds=np.zeros(len(times), int), end=len(flat) * hours, n_kinds=1)
    fit = hawkes.fit(events)
    return fit.model if fit.converged and fit.model.is_stationary else None


def _calls(at: Snapshot, run: RiskRun | None, paths: int) -> tuple[np.ndarray | None, str]:
    """((P, T) calls of the engine, why there are none)."""
    if run is None:
        return None, f"no risk run of the snapshot is stored (`{RISK}`)"
    scenario = run.scenario()
    if scenario.n_steps > MOST_STEPS:
        return None, f"calls are counted in at most {MOST_STEPS} steps; the newest risk run has {scenario.n_steps}"
    market = load_market(block=at.block, market=at.market)
    plain = replace(scenario, sampling="plain")
    return calls_by_step(market, plain, n_paths=paths, seed=run.seed, policy=run.policy), ""


def _row(found: hawkes.Clustering | None, gain: tuple[float, ...]) -> dict[str, Any]:
    figures = {name: UNKNOWN if found is None else getattr(found, name) for name in FIGURES} | {"gain": gain}
    curve = {"levels": [], "greatest": [], "low": [], "high": []} if found is None else {
        "levels": found.levels.tolist(), "greatest": found.greatest.tolist(), "low": found.greatest_low.tolist(),
        "high": found.greatest_high.tolist(),
    }  # fmt: skip
    return {
        "n_windows": found.n_windows if found else 0, "n_events": found.n_events if found else 0,
        "curve": json.dumps(curve),
        **{f"{name}{end}": value for name, of in figures.items()
           for end, value in zip(("", "_low", "_high"), of, strict=True)},
    }  # fmt: skip
