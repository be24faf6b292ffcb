"""What is stored of a run's tail: who makes it, when and where it comes, and what the figure is by other models."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from data.results.figures import stored_figure, symbols_of
from risk_core import Market, Result, contributions, measures
from risk_core.analytics.euler import Shares
from risk_core.contributions import OTHERS, STAYED, Contributions

SHARED = (
    ("lar_repaid", "repaid", "quantile"),
    ("es_repaid", "repaid", "shortfall"),
    ("var_deficit", "deficit", "quantile"),
    ("es_deficit", "deficit", "shortfall"),
)
"""Figures whose shares are stored: the stored measure, what it is of, and which measure of the engine it is."""
SHARED_LEVELS = (0.95, 0.99, 0.999)
SHOWN_IN_STEPS = 7
"""Reserves with rows of their own in `steps`; the others are one row."""


def tail_series(result: Result, market: Market) -> dict[str, Any]:
    """The curves `shares` and `steps`, JSON-ready; see `RiskRun`. Follows the tail again: under a second."""
    found = {
        (name, level): contributions(market, result, level, of, measure)
        for name, of, measure in SHARED
        for level in SHARED_LEVELS
    }
    worst = found["es_repaid", 0.99]
    hours = result.horizon.total_seconds() / 3_600 * np.arange(1, result.n_steps + 1) / result.n_steps
    steps: dict[str, Any] = {
        "hours": hours.tolist(),
        "first_liquidation": result.first_liquidation.tolist(),
        "all": {
            "repaid": _steps(result.repaid_by_step, market),
            "seized": _steps(result.seized_by_step, market),
        },
        "tail": None,
    }
    if worst.by_step is not None and worst.first_liquidation is not None:
        steps["tail"] = {
            "level": worst.level,
            "n_draws": worst.n_draws,
            "repaid": _steps(worst.by_step[:, :, 0], market),
            "seized": _steps(worst.by_step[:, :, 1], market),
            "first_liquidation": worst.first_liquidation.tolist(),
        }
    return {
        "shares": [_shares(name, one, market) for (name, _), one in found.items()],
        "steps": steps,
    }


def envelope_series(runs: Iterable[tuple[str, str, str, bool, Result]]) -> list[dict[str, Any]]:
    """The curve `envelope`: liquidations at risk 99 % by each model, JSON-ready.

    runs: (name, group, description, whether it is that of the run, result) of each.
    """
    out = []
    for name, group, words, in_use, result in runs:
        figure = stored_figure("lar_repaid", "USD", measures.lar(result, 0.99))
        record = {field: getattr(figure, field) for field in figure.__slots__}
        out.append({"name": name, "group": group, "words": words, "in_use": in_use, "figure": record})
    return out


def _shares(name: str, found: Contributions, market: Market) -> dict[str, Any]:
    record: dict[str, Any] = {
        "measure": name, "level": found.level, "value": found.estimate.value, "n_draws": found.n_draws,
        "no_shares": found.no_shares or None, "reserves": [], "sold": [], "accounts": [], "drivers": [],
    }  # fmt: skip
    if found.by_reserve is None or found.by_account is None or found.accounts is None:
        return record
    symbols = symbols_of(market)
    record["reserves"] = _rows(symbols, found.by_reserve)
    record["sold"] = _rows(symbols, found.sold) if found.sold is not None else []
    accounts = [str(market.accounts[row]) for row in found.accounts]
    others = int((np.diff(market.debt.indptr) > 0).sum()) - len(accounts)
    record["accounts"] = _rows([*accounts, ""], found.by_account)
    record["other_accounts"] = max(others, 0)
    if found.by_driver is not None:
        record["drivers"] = [
            row | {"kind": {OTHERS: "others", STAYED: "stayed"}.get(row["name"], "factor")}
            for row in _rows(list(found.drivers), found.by_driver)
        ]
    return record


def _rows(names: list[str], shares: Shares) -> list[dict[str, Any]]:
    """Name, share and standard error of each part that is not 0."""
    return [
        {"name": name, "share": float(share), "se": float(se)}
        for name, share, se in zip(names, shares.share, shares.se, strict=True)
        if share != 0
    ]


def _steps(usd: np.ndarray, market: Market) -> list[dict[str, Any]]:
    """(T, R) USD by step as rows by reserve, largest first; the last, without a name, is that of all others."""
    total = usd.sum(axis=0)
    order = np.argsort(-total, kind="stable")
    order = order[total[order] > 0]
    symbols = symbols_of(market)
    rows = [{"name": symbols[r], "usd": usd[:, r].tolist()} for r in order[:SHOWN_IN_STEPS].tolist()]
    if len(order) > SHOWN_IN_STEPS:
        rows.append({"name": "", "usd": usd[:, order[SHOWN_IN_STEPS:]].sum(axis=1).tolist()})
    return rows
