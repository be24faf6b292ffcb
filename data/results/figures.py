"""What is stored of a simulation: its figures with their errors, and the curves that a page draws."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from risk_core import Market, Result, measures

LEVELS = (0.9, 0.95, 0.99)
"""Levels of every stored quantile and shortfall that is a forecast, too."""
RARE = 0.999
"""Stored as a figure and not as a forecast: no ledger is ever long enough to test it."""
FAN_LEVELS = (0.5, 0.95, 0.99)
DISTRIBUTION = 200
"""Quantiles by which the whole distribution of an amount is stored, at `backtests.middle_levels`."""
HISTOGRAM_BINS = 60
TAIL_BINS = 80
"""Bins of the histogram that ends a little beyond the quantile of `RARE`: one path far out would hide all others."""
ACCOUNTS_KEPT = 200
"""Accounts stored with their probability of liquidation, the most likely first."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One stored figure: value with its 95 % interval and standard error, in `unit`; None where not known.

    no_interval: why there is no interval, in words; None where there is one, and in figures of older versions.
    """

    measure: str
    level: float
    value: float
    low: float | None
    high: float | None
    se: float | None
    unit: str
    n_paths: int
    n_positive: int | None
    few_draws: bool
    no_interval: str | None = None


def figures(result: Result) -> Iterator[Figure]:
    """Every stored measure. Losses are positive."""
    for level in (*LEVELS, RARE):
        yield stored_figure("lar_repaid", "USD", measures.lar(result, level))
        yield stored_figure("lar_seized", "USD", measures.lar(result, level, of="seized"))
        yield stored_figure("var_deficit", "USD", measures.var(result, level))
        yield stored_figure("es_deficit", "USD", measures.expected_shortfall(result, level))
        yield stored_figure("es_repaid", "USD", measures.expected_shortfall(result, level, of="repaid"))
    for of in ("repaid", "seized", "fee", "deficit"):
        yield stored_figure(f"mean_{of}", "USD", measures.mean(result, of))
    for of in ("repaid", "deficit"):
        yield stored_figure(f"severity_{of}", "USD", measures.severity(result, of))
    yield stored_figure("p_deficit", "fraction", measures.probability_of_loss(result))
    yield stored_figure("p_repaid", "fraction", measures.probability_of_loss(result, of="repaid"))
    for name, count in (("liquidations", result.n_liquidations), ("accounts", result.n_accounts_liquidated)):
        yield stored_figure(f"mean_{name}", "count", measures.average(count, result.cluster))


def stressed_series(result: Result, words: str) -> dict[str, Any]:
    """The curve `stressed`: liquidations at risk at every level under a volatility that `words` states, JSON-ready."""
    found = [stored_figure("lar_repaid", "USD", measures.lar(result, level)) for level in LEVELS]
    scenario = result.scenario
    return {
        "words": words,
        "scenario_id": scenario.name,
        "volatility": dict(zip(scenario.factors, scenario.volatility.tolist(), strict=True)),
        "figures": [{name: getattr(figure, name) for name in Figure.__slots__} for figure in found],
    }


def stored_figure(measure: str, unit: str, estimate: measures.Estimate) -> Figure:
    """An estimate of the engine as it is stored."""
    return Figure(
        measure=measure, level=estimate.level, value=estimate.value,
        low=None if estimate.no_interval else _known(estimate.low), high=_known(estimate.high),
        se=_known(estimate.se), unit=unit, n_paths=estimate.n_paths, n_positive=estimate.n_positive,
        few_draws=estimate.few_draws, no_interval=estimate.no_interval or None,
    )  # fmt: skip


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def curves(result: Result, market: Market) -> dict[str, Any]:
    """What a screen draws of a run, as JSON: fan and histogram of repaid debt, seizures, likely accounts.

    And `quantiles`, the distributions that are held against what came.
    """
    hours = result.horizon.total_seconds() / 3_600 * np.arange(result.n_steps + 1) / result.n_steps
    fan = np.vstack([np.zeros(len(FAN_LEVELS)), result.fan_usd(FAN_LEVELS)])
    count, edges = np.histogram(result.repaid_usd, bins=HISTOGRAM_BINS)
    hits = result.account_hits
    likely = np.argsort(-hits, kind="stable")[:ACCOUNTS_KEPT]
    likely = likely[hits[likely] > 0]
    return {
        "fan": {"hours": hours.tolist(), "levels": list(FAN_LEVELS), "usd": fan.tolist()},
        "repaid_by_reserve": _by_reserve(result.repaid_by_step, market),
        "seized_by_reserve": _by_reserve(result.seized_by_step, market),
        "deficit_by_reserve": _by_reserve(result.deficit_by_step, market),
        "quantiles": {of: _distribution(measures.losses(result, of)) for of in ("repaid", "seized", "deficit")},
        "histogram": {"edges": edges.tolist(), "count": count.tolist()},
        "histogram_of_most": _histogram_of_most(result.repaid_usd),
        "convergence": [
            {"n_paths": e.n_paths, "value": e.value, "low": e.low, "high": e.high}
            for e in measures.convergence(result, 0.99)
        ],
        "accounts": {
            "address": [str(market.accounts[row]) for row in likely],
            "probability": (hits[likely] / result.n_paths).tolist(),
        },
    }


def _histogram_of_most(usd: np.ndarray) -> dict[str, Any]:
    """Edges, counts, and how many paths are beyond the last edge; empty where no path has an amount."""
    rare = float(np.sort(usd)[max(int(np.ceil(RARE * len(usd))), 1) - 1])
    top = min(1.1 * rare, float(usd.max()))
    if not top > 0:
        return {}
    count, edges = np.histogram(usd, bins=TAIL_BINS, range=(0.0, top))
    return {"edges": edges.tolist(), "count": count.tolist(), "beyond": int((usd > top).sum())}


def _distribution(usd: np.ndarray) -> list[float]:
    """Its quantiles at `middle_levels(DISTRIBUTION)`: order statistics, as `measures.quantile` takes them."""
    # Here, not at the top: it brings scipy.stats, which a reader of stored figures does not need.
    from risk_core.analytics.backtests import middle_levels

    ranks = np.ceil(len(usd) * middle_levels(DISTRIBUTION)).astype(np.int64)
    return np.sort(usd)[np.maximum(ranks, 1) - 1].tolist()


def _by_reserve(by_step: np.ndarray, market: Market) -> dict[str, float]:
    """Mean USD a path over the whole horizon, by symbol, where above 0; the address follows a symbol used twice."""
    total = by_step.sum(axis=0)
    return {name: float(usd) for name, usd in zip(symbols_of(market), total, strict=True) if usd > 0}


def symbols_of(market: Market) -> list[str]:
    """The symbol of each reserve; the address follows a symbol used twice."""
    symbols = market.reserves.symbol
    return [s if symbols.count(s) == 1 else f"{s} {a}" for s, a in zip(symbols, market.reserves.asset, strict=True)]
