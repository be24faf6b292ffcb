"""Flow `volatility-fits`: GARCH(1, 1) of every stored series and of portfolios, fitted anew every so many days.

The fits are stored with the day that each knows last, so the Market page can hold every forecast against what came
without a look ahead. A fit of the same returns is not made twice.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from data.errors import DataError
from data.prices.portfolio import DAY, combined, name_of, parse
from data.prices.served import served_closes, served_series
from data.snapshot.loading import newest
from data.store.reader import Reader
from data.store.store import Store
from flows.pipeline import recorded
from flows.risk.options import MIX, VolatilityFitsOptions
from risk_core import InputError
from risk_core.analytics.garch import NUMBERS, Fit, fit, schedule

SOURCE = "volatility-fits"
METHOD = "garch(1,1), zero mean, normal quasi-likelihood, arch, simple daily returns, 1"
"""Its last number goes up when the same returns give another fit."""


class Returns(NamedTuple):
    """Daily simple returns of a portfolio (n,), and the end of each day, (n,)."""

    ts: np.ndarray
    returns: np.ndarray


def run(arguments: VolatilityFitsOptions) -> str:
    """Fit what is new and store it; returns one line. Raises `data.errors.NoSnapshot`, `risk_core.InputError`."""
    asked = [parse(text) for text in arguments.portfolios]
    made = refused = kept = 0
    with Store.open() as store:
        synthetic = newest().synthetic
        known = served_series(store, synthetic=synthetic)
        missing = sorted({series for weights in asked for series in weights} - set(known))
        if missing and arguments.portfolios != [MIX]:
            raise InputError(f"portfolios: no prices of {', '.join(missing)}; known: {', '.join(known) or 'none'}")
        every = [{series: 1.0} for series in known] + [one for one in asked if set(one) <= set(known)]
        batches = []
        for weights in every:
            name, found = name_of(weights), returns_of(store, weights, synthetic)
            stored = _stored(store, name, synthetic)
            rows = [
                row_of(name, found, at, arguments, synthetic, stored)
                for at in schedule(len(found.returns), arguments.refit_days, arguments.least_days).tolist()
            ]
            new = sum(row["inputs_sha256"] not in stored for row in rows)
            made, kept = made + new, kept + len(rows) - new
            refused += sum(bool(row["refused"]) for row in rows)
            if rows and (new or len(rows) != len(stored)):
                batches.append((name, rows))
        if not batches:
            return f"{kept} fits of {len(every)} series and portfolios are stored already: nothing to do"
        with recorded(store, "volatility-fits", arguments.model_dump()) as run:
            for name, rows in batches:
                scope = {"portfolio": name, "is_synthetic": int(synthetic)}
                run.write(SOURCE, f"{name}:{int(synthetic)}", {"fact_volatility_fit": _frame(rows)}, scope=scope)
    return (
        f"{made} fits made and {kept} kept of {len(every)} series and portfolios, one every {arguments.refit_days} "
        f"days; {refused} failed and are withheld"
    )


def returns_of(store: Reader, weights: dict[str, float], synthetic: bool) -> Returns:
    """Returns over the newest stretch of days without a gap."""
    closes = [served_closes(store, series, DAY, synthetic=synthetic) for series in weights]
    for series, (_, price) in zip(weights, closes, strict=True):
        if not (np.isfinite(price) & (price > 0)).all():
            raise DataError(
                f"dim_prices: {series} has a price that is not above 0; remove it and read the prices again"
            )
    ts, value = combined(closes, list(weights.values()))
    return Returns(ts[1:], value[1:] / value[:-1] - 1.0)


def row_of(
    name: str, found: Returns, at: int, asked: VolatilityFitsOptions, synthetic: bool, stored: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """The row of the fit at return number `at`; the stored one where the same returns were fitted before."""
    first = max(at + 1 - asked.most_days, 0)
    window = found.returns[first : at + 1]
    digest = hashlib.sha256(METHOD.encode() + np.ascontiguousarray(window, dtype="<f8").tobytes()).hexdigest()
    row: dict[str, Any] = {
        "portfolio": name,
        "fitted_ts": int(found.ts[at]),
        "first_ts": int(found.ts[first]),
        "n_returns": len(window),
        "refit_days": asked.refit_days,
        "inputs_sha256": digest,
        "is_synthetic": int(synthetic),
    }
    if digest in stored:
        return row | stored[digest]
    made: Fit = fit(window)
    numbers = {number: getattr(made, number) for number in NUMBERS}
    # A number that is none (NaN of a failed fit, an error that cannot be computed) is NULL.
    kept = {number: value if np.isfinite(value) else None for number, value in numbers.items()}
    return row | kept | {"refused": made.refused or None}


def _stored(store: Reader, name: str, synthetic: bool) -> dict[str, dict[str, Any]]:
    """What is stored of a portfolio, by digest: the numbers of each fit and why it failed."""
    columns = (*NUMBERS, "refused")
    rows = store.rows(
        f"SELECT inputs_sha256, {', '.join(columns)} FROM fact_volatility_fit WHERE portfolio = ? AND is_synthetic = ?",
        (name, int(synthetic)),
    )
    return {row[0]: dict(zip(columns, row[1:], strict=True)) for row in rows}


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:

    return pd.DataFrame(rows).astype(dict.fromkeys(NUMBERS, "float64"))
