"""Synthetic forecasts of the sample's past days, to show a ledger at once. All were made after the fact.

The outcomes are the sample's liquidations (`data.sample.liquidations`). Two invented laws forecast the debt they repay:
`sample-bursts` is the process that made them, with a scale that is wrong by some per cent from day to day;
`sample-one-by-one` has the same mean number of liquidations, but independent ones, so its tail is too thin. There is a
one-day forecast for each day, and by the first law also one for seven days, so that its windows overlap.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

import numpy as np
import pandas as pd

from data.results.figures import DISTRIBUTION, LEVELS
from data.results.forecasts import forecast
from data.results.seal import seal_of_run
from data.sample import configuration
from data.sample.liquidations import DAYS, MEDIAN_USD, MODEL, SLOT, SPREAD
from data.settings import SAMPLE_MARKET
from risk_core.analytics.backtests import middle_levels
from risk_core.analytics.hawkes import Hawkes, simulate

BONUS = 1.05
"""Collateral taken over debt repaid, as for most of the sample's collateral."""
DAY = 86_400
SIMULATED_DAYS = 8_000
"""Simulated days of a law, whose sums give its forecast."""
OFF, KEPT = 0.06, 0.8
"""Logarithm of the scale: standard deviation of its daily change, and the share that stays the next day."""
LAWS = {
    "sample-bursts": "synthetic: liquidations bring further ones, sizes are lognormal",
    "sample-one-by-one": "synthetic: as many liquidations, none of which brings another",
}
HORIZONS = (("sample-bursts", 1), ("sample-one-by-one", 1), ("sample-bursts", 7))
"""(law, days of the forecast window)."""


def frames(seed: int = 7) -> dict[str, pd.DataFrame]:
    """Rows of `fact_risk_run`, `fact_risk_series` and `fact_forecast`: one run a law, length and day, sealed."""
    runs, series, forecasts = [], [], []
    for head, figures, curves in _runs(seed):
        rows = [forecast(head, figure) for figure in figures]
        texts = {name: json.dumps(value, sort_keys=True) for name, value in curves.items()}
        seal = seal_of_run(head, [], texts, (row["sha256"] for row in rows))
        runs.append(head | {"seal_sha256": seal})
        series += [{"run_id": head["run_id"], "series": name, "value": text} for name, text in texts.items()]
        forecasts += rows
    return {
        "fact_risk_run": pd.DataFrame(runs),
        "fact_risk_series": pd.DataFrame(series),
        "fact_forecast": pd.DataFrame(forecasts),
    }


def _runs(seed: int) -> Iterator[tuple[dict, list[dict], dict]]:
    """Passport, figures and curves of each run."""
    sums = {law: _daily_sums(law, seed) for law in LAWS}
    rng = np.random.Generator(np.random.PCG64([seed, 11]))
    for law, days in HORIZONS:
        weekly = sums[law][: len(sums[law]) // days * days].reshape(-1, days).sum(axis=1)
        drift = 0.0
        for day in range(DAYS):
            drift = KEPT * drift + OFF * rng.normal()
            yield _run(law, days, day, np.sort(weekly) * np.exp(drift), seed)


def _daily_sums(law: str, seed: int) -> np.ndarray:
    """(SIMULATED_DAYS,) debt repaid on each simulated day under the law, USD."""
    model = MODEL
    if law == "sample-one-by-one":
        model = Hawkes(mu=MODEL.mean_rates, alpha=np.zeros((2, 2)), beta=np.ones((2, 2)))
    path = simulate(model, SIMULATED_DAYS * 24.0, seed=seed + 1_000)
    rng = np.random.Generator(np.random.PCG64([seed, 12]))
    usd = MEDIAN_USD * np.exp(SPREAD * rng.normal(size=len(path))) / BONUS
    return np.bincount((path.times / 24).astype(np.int64).clip(0, SIMULATED_DAYS - 1), usd, SIMULATED_DAYS)


def _run(law: str, days: int, day: int, usd: np.ndarray, seed: int) -> tuple[dict, list[dict], dict]:
    """One run of `law` at midnight of the sample's day `day`; `usd`: its draws of the debt repaid, sorted."""
    n = len(usd)
    scenario = {"name": f"sample-history-{24 * days}h", "law": law, "synthetic": True}
    text = json.dumps(scenario, sort_keys=True)
    head = {
        "run_id": _digest("run", law, days, day, seed), "market": SAMPLE_MARKET, "chain_id": configuration.CHAIN_ID,
        "block": day * DAY // SLOT + 1, "block_time": configuration.BLOCK_TIME - (DAYS - day) * DAY, "pool_revision": 0,
        "snapshot_hash": _digest("snapshot", day, seed), "scenario_id": scenario["name"], "scenario": text,
        "scenario_hash": hashlib.sha256(text.encode()).hexdigest(), "seed": seed, "n_paths": n, "n_steps": 1,
        "horizon_seconds": days * DAY, "policy": "synthetic", "code_version": "sample", "n_accounts": 0,
        "is_synthetic": 1,
    }  # fmt: skip
    figures = [
        {"measure": measure, "level": level, "value": round(float(value), 2), "low": None, "high": None}
        for level in LEVELS
        for rank in [int(np.ceil(n * level)) - 1]
        for measure, value in (
            ("lar_repaid", usd[rank]),
            ("lar_seized", usd[rank] * BONUS),
            ("es_repaid", usd[rank:].mean()),
        )
    ]
    figures.append({"measure": "mean_repaid", "level": 0.0, "value": float(usd.mean()), "low": None, "high": None})
    ranks = np.ceil(n * middle_levels(DISTRIBUTION)).astype(np.int64) - 1
    spread = usd[ranks].round(2)
    curves = {
        "calibration": {"law": law, "law_in_words": LAWS[law]},
        "quantiles": {"repaid": spread.tolist(), "seized": (spread * BONUS).round(2).tolist()},
    }
    return head, figures, curves


def _digest(*parts: object) -> str:
    return hashlib.sha256(f"sample:forecast:{parts}".encode()).hexdigest()
