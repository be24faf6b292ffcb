"""Calibrations of every law: of those that are made of past returns here, of the others in `calibration`.

`bootstrap` draws the joint hourly returns of the last year; `garch`, `garch-t` and `filtered-history` fit a GARCH(1, 1)
to each series' own year and draw normal or Student-t innovations, or the residuals of hours that all series share. The
window, the prices and the numbers that were fitted are stored with the calibration.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from flows.errors import FlowError
from flows.risk import calibration as plain
from flows.risk.calibration import Calibration
from flows.risk.calibration_inputs import FLOOR, HISTORY_DAYS, HOUR, Inputs, InsufficientHistory, day, log_returns
from flows.risk.factors import refuse_shared
from risk_core.analytics.garch import Fit
from risk_core.analytics.garch import fit as fit_garch
from risk_core.laws.from_returns import (
    Fitted,
    FromReturns,
    degrees_of_freedom,
    fitted,
    residuals,
)
from risk_core.laws.law import Law

LEAST_ROW_DAYS = 30
"""With fewer days of joint hours, past rows hold too little to draw from."""
MOST_MISSING = 0.1
"""Share of hours without a price of some series; with more, blocks of rows are not consecutive hours."""


class NoLaw(FlowError):
    """The prices do not make the law that was asked for: the message names series and window."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FromReturnsCalibration(Calibration):
    """A calibration whose law is made of past returns: `fitted`, and `told`, what is stored of it as JSON values."""

    fitted: Fitted
    told: dict[str, Any]

    def moves(self, begins_at: int, horizon: timedelta) -> tuple[np.ndarray, Law]:
        """(annual volatility of the first step (F,), law)."""
        law = self.inputs.law
        assert isinstance(law, FromReturns)
        return self.volatility, law.law(self.fitted, self.volatility)

    @property
    def notes(self) -> tuple[str, ...]:
        """And how many hours it rests on, and what could not be fitted."""
        law, notes = self.inputs.law, []
        if isinstance(law, FromReturns) and law.rows:
            first, last = (day(self.told[name]) for name in ("first_ts", "last_ts"))
            notes.append(
                f"law {law.name}: drawn from {self.told['rows'] / 24:,.0f} days of hours ({first} to {last}), and no "
                f"{'residual' if law.variance else 'hour'} is worse than the worst of these"
            )
        still: dict[str, list[str]] = {}
        for name, kept in self.told["fits"].items():
            if kept.get("refused"):
                still.setdefault(kept["refused"], []).append(name)
        notes += [
            f"law {law.name}: the volatility of {', '.join(names)} stands still, as no GARCH was found: {reason}"
            for reason, names in still.items()
        ]
        return (*self.inputs.notes, *notes)

    def row(self, market: str) -> dict[str, Any]:
        """The row of `fact_calibration`."""
        return Calibration.row(self, market) | {"fitted": json.dumps(self.told)}


def fit(inputs: Inputs) -> Calibration:
    """The calibration of the inputs' law, whichever it is.

    Raises `SharedSeries`; and of a law that is made of past returns `InsufficientHistory` for too few, gappy or
    constant prices and `NoLaw` where no variance can be fitted to any series.
    """
    if not isinstance(inputs.law, FromReturns) or not inputs.series:
        return plain.fit(inputs)
    refuse_shared(inputs.series)
    names = list(dict.fromkeys(inputs.series.values()))
    moves = {name: log_returns(inputs.history[name].to_frame())[name] for name in names}
    fits = {name: garch_of(moves[name].to_numpy(dtype=np.float64).tobytes()) for name in names if inputs.law.variance}
    if fits and all(found.refused for found in fits.values()):
        reasons = "; ".join(f"{name}: {found.refused}" for name, found in fits.items())
        raise NoLaw(
            f"law {inputs.law.name}: no variance that follows the moves was found in hourly prices "
            f"{_window(next(iter(moves.values())))} ({reasons}); use another --law"
        )
    return _made(inputs, moves, fits)


@lru_cache(maxsize=128)
def garch_of(returns: bytes) -> Fit:
    """The fit to float64 returns, kept: three laws need it of the same prices."""
    return fit_garch(np.frombuffer(returns, dtype=np.float64))


def from_row(inputs: Inputs, row: Mapping[str, Any]) -> Calibration:
    """A stored calibration of the same inputs; its GARCH is not fitted again."""
    if not isinstance(inputs.law, FromReturns) or not inputs.series:
        return Calibration.from_row(inputs, row)
    told = json.loads(row["fitted"])
    names = list(dict.fromkeys(inputs.series.values()))
    moves = {name: log_returns(inputs.history[name].to_frame())[name] for name in names}
    return _made(inputs, moves, {name: Fit(**kept) for name, kept in told.get("fits", {}).items()}, told)


def _made(
    inputs: Inputs, moves: Mapping[str, pd.Series], fits: Mapping[str, Fit], told: dict[str, Any] | None = None
) -> Calibration:
    law = inputs.law
    assert isinstance(law, FromReturns)
    order = list(inputs.series.values())
    parts, ahead = {}, {}
    for name, returns in moves.items():
        parts[name] = returns
        if name in fits:
            over, ahead[name] = residuals(returns.to_numpy(dtype=np.float64), fits[name])
            parts[name] = pd.Series(over, index=returns.index)
    joint = pd.DataFrame(parts).dropna()
    _require_rows(law, joint, parts, inputs.looks_ahead)
    rows = law.kept(joint[order].to_numpy(dtype=np.float64))
    if told is None:
        nu = degrees_of_freedom(rows) if law.tail else None
        kept = {
            name: {key: value for key in one.__slots__ if (value := getattr(one, key)) == value}
            for name, one in fits.items()
        }
        times = joint.index
        told = {"rows": len(rows), "first_ts": int(times[0]), "last_ts": int(times[-1]), "fits": kept, "nu": nu}
    follows = [name for name in order if fits]
    volatility, correlation, found = fitted(
        law, rows, [fits[name] for name in follows], [ahead[name] for name in follows], told["nu"], FLOOR
    )
    return FromReturnsCalibration(
        inputs=inputs, volatility=volatility, correlation=correlation, fitted=found, told=told
    )


def _require_rows(law: FromReturns, joint: pd.DataFrame, parts: Mapping[str, pd.Series], looks_ahead: bool) -> None:
    """Raises `InsufficientHistory`: too few joint hours, too many holes, a series that never moves."""
    for name, found in parts.items():
        if not found.to_numpy().any():
            raise InsufficientHistory(
                f"law {law.name}: {name} never moves in its hourly prices {_window(found)}; let its reserves follow "
                "another series, or use another --law"
            )
    shortest = min(parts, key=lambda name: len(parts[name]))
    if len(joint) < LEAST_ROW_DAYS * 24:
        raise InsufficientHistory(
            f"law {law.name}: {len(joint) / 24:.1f} days of hourly returns are stored for all series together (the "
            f"shortest is {shortest}), at least {LEAST_ROW_DAYS} are needed; run "
            f"`python -m flows market-prices --days {HISTORY_DAYS}`, or use another --law"
        )
    hours = (int(joint.index[-1]) - int(joint.index[0])) // HOUR + 1
    missing = 1 - len(joint) / hours
    if missing > MOST_MISSING:
        first, last = joint.index[0], joint.index[-1]
        gappiest = min(parts, key=lambda name: len(parts[name].loc[first:last]))
        raise InsufficientHistory(
            f"law {law.name}: {missing:.0%} of the hours from {day(first)} to {day(last)} lack a return of "
            f"some series (most: {gappiest}), at most {MOST_MISSING:.0%} may; read the missing prices, or use another "
            "--law"
        )


def _window(found: pd.Series) -> str:
    return f"from {day(found.index[0])} to {day(found.index[-1])}"


def steps_of(calibration: Calibration, horizon: timedelta, n_steps: int) -> int | None:
    """`n_steps` where the law takes them, else as many as make each an hour; None where that is no whole number."""
    law = calibration.inputs.law
    if not isinstance(law, FromReturns) or not calibration.inputs.series:
        return n_steps
    hours = horizon.total_seconds() / HOUR
    every = hours / n_steps
    fits = every == round(every) >= 1 if not law.variance else every == 1
    if fits:
        return n_steps
    return round(hours) if hours == round(hours) and hours >= 1 else None
