"""Check a stored run once, when it is read, so that no page or chart shows an incomplete one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dashboard.market.loaded import ShownFigure, ShownRun

NEEDED = (("lar_repaid", 0.99), ("lar_seized", 0.99), ("var_deficit", 0.99), ("es_deficit", 0.99))
"""(measure, level) without which the Overview has no figures."""


class Damaged(ValueError):
    """A stored value cannot be shown; the message names it, what was expected and what was found."""


def check_run(run: ShownRun) -> ShownRun:
    """The run itself when every figure in it can be shown. Raises `Damaged`."""
    for (measure, level), estimate in run.estimates.items():
        check_figure(f"{measure} at {level:g}", estimate)
    for measure, level in NEEDED:
        if (measure, level) not in run.estimates:
            raise Damaged(f"{measure} at {level:g}: expected a stored figure, found none")
    if not isinstance(run.n_paths, int) or run.n_paths < 1 or not run.horizon_hours > 0:
        raise Damaged(f"expected paths and a horizon above 0, found {run.n_paths!r} and {run.horizon_hours!r} h")
    if run.fan:
        hours, levels = _numbers(run.fan, "fan", "hours", 1), _numbers(run.fan, "fan", "levels", 1)
        usd = _numbers(run.fan, "fan", "usd", 2)
        _same("fan: usd", usd.shape, (len(hours), len(levels)))
        if (np.diff(hours) <= 0).any():
            raise Damaged("fan: expected hours that grow")
    if run.histogram:
        edges, count = (_numbers(run.histogram, "histogram", field, 1) for field in ("edges", "count"))
        _same("histogram: edges", edges.shape, (len(count) + 1,))
        if (np.diff(edges) <= 0).any() or (count < 0).any() or not count.sum() > 0:
            raise Damaged("histogram: expected edges that grow and counts of at least one path")
    for symbol, usd_seized in run.seized_by_reserve.items():
        if not isinstance(symbol, str) or not is_number(usd_seized) or usd_seized < 0:
            raise Damaged(f"seized_by_reserve: expected a symbol and USD of at least 0, found {usd_seized!r}")
    return run


def is_number(value: object) -> bool:
    """Whether a stored value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def check_figure(name: str, figure: ShownFigure) -> ShownFigure:
    """Return the figure when its value, interval and error can be shown. Raises `Damaged`."""
    for field in ("value", "low", "high", "se"):
        found = getattr(figure, field)
        if not (is_number(found) or (found is None and field != "value")):
            raise Damaged(f"{name}: expected a number as {field}, found {found!r}")
    if figure.se is not None and figure.se < 0:
        raise Damaged(f"{name}: expected an error of at least 0, found {figure.se:g}")
    if figure.low is not None and figure.high is not None and figure.low > figure.high:
        raise Damaged(f"{name}: expected an interval, found {figure.low:g} to {figure.high:g}")
    return figure


def _numbers(series: Mapping[str, Any], name: str, field: str, n_axes: int) -> np.ndarray:
    try:
        found = np.asarray(series[field], dtype=float)
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(f"{name}: expected numbers as {field}, found {type(error).__name__}: {error}") from error
    if found.ndim != n_axes or found.size == 0 or not np.isfinite(found).all():
        raise Damaged(f"{name}: expected finite numbers on {n_axes} axes as {field}, found the shape {found.shape}")
    return found


def _same(name: str, found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if found != expected:
        raise Damaged(f"{name}: expected the shape {expected}, found {found}")
