"""The seal of a stored risk run: a digest of all its rows, written with them and checked whenever they are read.

A figure that was changed or removed after it was written is refused: what is stored is served as it was computed.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from data.errors import ResultRefused
from data.results.figures import Figure

AGAIN = "run `python -m flows risk-scenarios` to compute it again"


def seal_of_run(
    passport: Mapping[str, Any], figures: Iterable[Sequence[Any]], series: Mapping[str, str], forecasts: Iterable[Any]
) -> str:
    """SHA-256 of a run's rows: the passport, every figure's row, each curve's JSON text, the seals of its forecasts.

    Does not depend on the order of rows, nor on when they were stored. -0.0 counts as 0.0, as SQLite stores it.
    """
    content = {
        "passport": {name: _plain(value) for name, value in passport.items()},
        "figures": sorted(json.dumps([_plain(value) for value in row]) for row in figures),
        "series": sorted(series.items()),
        "forecasts": sorted(forecasts),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def require_sealed(run_id: str, found: str | None, stored: str | None) -> None:
    """Raise `ResultRefused` where the rows of a run (digest `found`) are not those that were sealed."""
    if stored is None:
        raise ResultRefused(f"risk run {run_id[:12]} was stored by an older version, without a seal; {AGAIN}")
    if found != stored:
        raise ResultRefused(
            f"risk run {run_id[:12]}: its rows have digest {str(found)[:16]}, expected {stored[:16]}: figures or "
            f"curves were changed or removed after they were written; {AGAIN}"
        )


def require_sound(run_id: str, figures: Iterable[Figure]) -> None:
    """Raise `ResultRefused` unless low <= value <= high, all are finite, and the standard error is not negative."""
    for figure in figures:
        numbers = [figure.value, *(n for n in (figure.low, figure.high, figure.se) if n is not None)]
        low = figure.value if figure.low is None else figure.low
        high = figure.value if figure.high is None else figure.high
        if figure.no_interval and (figure.low, figure.high, figure.se) != (None, None, None):
            raise ResultRefused(
                f"risk run {run_id[:12]}: {figure.measure} at level {figure.level:g} has the interval [{figure.low}, "
                f"{figure.high}] and says why there is none ({figure.no_interval}); {AGAIN}"
            )
        if not (all(map(math.isfinite, numbers)) and low <= figure.value <= high and (figure.se or 0.0) >= 0):
            raise ResultRefused(
                f"risk run {run_id[:12]}: {figure.measure} at level {figure.level:g} is {figure.value} in "
                f"[{figure.low}, {figure.high}] with standard error {figure.se}; expected low <= value <= high and an "
                f"error that is not negative; {AGAIN}"
            )


def _plain(value: Any) -> Any:
    return value + 0.0 if isinstance(value, float) else value
