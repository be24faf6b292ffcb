"""From stored prices to the scenario of a market: the factor that moves each reserve, volatilities, correlations.

The volatility of each law has a memory of its own (`risk_core.laws.calibrated`) and is computed from a year of hourly
prices of each series. Correlation is Ledoit-Wolf over the last 90 days that all series share, on returns divided by the
deviation known before them. Prices up to the snapshot's block are used, and no later price has any part in the result.
Where there are not enough of them the calibration is refused, unless its caller allows later ones: it is then marked as
looking ahead, good for a what-if and no forecast.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from flows.risk.calibration_inputs import FLOOR, Inputs, log_returns
from flows.risk.factors import refuse_shared
from risk_core import GBM, Scenario
from risk_core.analytics.dependence import shrunk_correlation
from risk_core.analytics.volatility import (
    TWO_SPEED,
    Memory,
    annual_volatility,
    mean_weekday_factor,
    standardised,
    variance_path,
)
from risk_core.laws.calibrated import Calibrated
from risk_core.laws.law import Law
from risk_core.price_models import MOST_VOLATILITY

STRESS = Memory(half_lives=TWO_SPEED.half_lives[:1], weights=(1.0,), week=TWO_SPEED.week)
STRESS_FROM = 7 * 24
"""Hours after which a mean with a half-life of a day rests on enough hours to be meaningful."""
STRESS_IN_WORDS = "every asset at its highest one-day volatility of the last year, all at once"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """Annual volatility (F,), on a day of weekday factor 1, and correlation (F, F) of the factors of `inputs`."""

    inputs: Inputs
    volatility: np.ndarray
    correlation: np.ndarray

    def scenario(self, name: str, horizon: timedelta, n_steps: int, begins_at: int) -> Scenario:
        """The zero-drift scenario of the market over `horizon` in `n_steps` equal steps.

        begins_at: UTC epoch seconds; weekends in the horizon count with the law's weekday factors.
        """
        volatility, law = self.moves(begins_at, horizon)
        return Scenario(
            name=name,
            horizon=horizon,
            n_steps=n_steps,
            factors=tuple(self.inputs.series),
            volatility=volatility,
            correlation=self.correlation,
            factor=self.inputs.factor,
            law=law,
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks that a reader must see."""
        return self.inputs.notes

    def moves(self, begins_at: int, horizon: timedelta) -> tuple[np.ndarray, Law]:
        """(annual volatility over the horizon (F,), law)."""
        if not isinstance(self.inputs.law, Calibrated):
            return self.volatility, GBM()  # without a factor, no law has anything to move
        ahead = mean_weekday_factor(begins_at, horizon.total_seconds(), self.inputs.law.memory.week)
        return self.inputs.law.shape(self.volatility * np.sqrt(ahead))

    def row(self, market: str) -> dict[str, Any]:
        """The row of `fact_calibration`."""
        times = self.inputs.prices.index
        return {
            "calibration_id": self.inputs.id,
            "market": market,
            "method": json.dumps(self.inputs.method),
            "factors": json.dumps(self.inputs.series),
            "first_ts": int(times.min()) if len(times) else 0,
            "last_ts": int(times.max()) if len(times) else 0,
            "n_returns": len(log_returns(self.inputs.prices)),
            "looks_ahead": int(self.inputs.looks_ahead),
            "volatility": json.dumps(self.volatility.tolist()),
            "correlation": json.dumps(self.correlation.tolist()),
            "fitted": None,
        }

    @classmethod
    def from_row(cls, inputs: Inputs, row: Mapping[str, Any]) -> Calibration:
        """A stored calibration of the same inputs; JSON keeps every bit of a float."""
        n = len(inputs.series)
        return cls(
            inputs=inputs,
            volatility=np.array(json.loads(row["volatility"]), dtype=np.float64).reshape(n),
            correlation=np.array(json.loads(row["correlation"]), dtype=np.float64).reshape(n, n),
        )


def fit(inputs: Inputs) -> Calibration:
    """Estimate volatility and correlation from the window's hourly log returns. Raises `SharedSeries`."""
    if not inputs.series:
        return Calibration(inputs=inputs, volatility=np.zeros(0), correlation=np.zeros((0, 0)))
    refuse_shared(inputs.series)
    if not isinstance(inputs.law, Calibrated):
        raise TypeError(f"law {inputs.law.name}: is fitted by flows.risk.resampled")
    memory = inputs.law.memory
    variance, moves = {}, {}
    for name in dict.fromkeys(inputs.series.values()):
        returns = log_returns(inputs.history[name].to_frame())[name]
        ends = returns.index.to_numpy(dtype=np.int64)
        column = returns.to_numpy(dtype=np.float64)[:, None]
        variance[name] = variance_path(column, ends, memory)[-1, 0]
        moves[name] = pd.Series(standardised(column, ends, memory)[:, 0], index=ends[1:])
    volatility = annual_volatility([variance[name] for name in inputs.series.values()], floor=FLOOR)
    shared = log_returns(inputs.prices).index.intersection(pd.DataFrame(moves).dropna().index)
    together = np.column_stack([moves[name].loc[shared] for name in inputs.series.values()])
    return Calibration(inputs=inputs, volatility=volatility, correlation=shrunk_correlation(together))


def stressed(calibration: Calibration) -> Calibration:
    """The calibration with every asset at its highest one-day volatility of the history, at least its present one.

    A law that learns from the past cannot foresee a sudden shock; this is how bad the worst days were. It is the
    highest value of the mean of squares with a half-life of one day, without weekday factors, after its first week.
    """
    inputs = calibration.inputs
    highest = {}
    for name in dict.fromkeys(inputs.series.values()):
        returns = log_returns(inputs.history[name].to_frame())[name]
        path = variance_path(returns.to_numpy()[:, None], returns.index.to_numpy(dtype=np.int64), STRESS)
        highest[name] = float(path[STRESS_FROM:].max())
    volatility = annual_volatility([highest[name] for name in inputs.series.values()], floor=FLOOR)
    # One wrong price must not end the run: the volatility is limited to what a scenario accepts, with weekday factor.
    held = np.minimum(volatility, MOST_VOLATILITY / np.sqrt(max(STRESS.week)))
    return replace(calibration, volatility=np.maximum(held, calibration.volatility))
