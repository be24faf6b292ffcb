"""The stored simulation of liquidators with limits: what is repaid, and what waits, by each of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dashboard.market.checks import Damaged, is_number
from dashboard.market.loaded import ShownFigure
from data.store.reader import Reader
from risk_core import Snapshot

_NEWEST = """
SELECT model, depth, capital_usd, lar_repaid, waiting, waiting_at_end, shortfall, by_hour, n_paths, horizon_seconds,
       half_life_hours, feedback, cost, unquoted, is_assumed, looks_ahead
FROM mart_liquidation_queue
WHERE queue = (SELECT queue FROM mart_liquidation_queue WHERE market = ? AND block = ? AND is_synthetic = ?
               ORDER BY batch DESC LIMIT 1)
"""
ORDER = ("unlimited", "quoted depth", "half depth", "late oracle", "record capital")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueModel:
    """One model: figures in USD with their errors, and the mean debt that waits by the hour.

    repaid, waiting, waiting_at_end: 99 % quantiles; shortfall: mean of the worst 1 %. capital_usd: None, no limit.
    """

    name: str
    depth: float
    capital_usd: float | None
    repaid: ShownFigure
    waiting: ShownFigure
    waiting_at_end: ShownFigure
    shortfall: ShownFigure
    hours: tuple[float, ...]
    waiting_usd: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownQueue:
    """The newest stored simulation of a snapshot."""

    models: tuple[QueueModel, ...]
    n_paths: int
    horizon_hours: float
    half_life_hours: float
    feedback: float
    cost: float
    unquoted: tuple[str, ...]
    assumed: bool
    looks_ahead: bool


def load_queue(at: Snapshot, path: Path | str | None) -> ShownQueue | None:
    """The newest of a snapshot; None where none is stored. Raises `Damaged` for what cannot be shown."""
    with Reader.open(path) as store:
        rows = store.rows(_NEWEST, (at.market, at.block, int(at.synthetic)))
    if not rows:
        return None
    models = sorted((_model(row) for row in rows), key=lambda one: ORDER.index(one.name))
    n_paths, horizon, half_life, feedback, cost, unquoted, assumed, ahead = rows[0][8:]
    names = _parsed("unquoted", unquoted)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Damaged(f"mart_liquidation_queue.unquoted: expected a list of symbols, found {names!r:.60}")
    numbers = (n_paths, horizon, half_life, feedback, cost)
    if not all(is_number(value) for value in numbers) or n_paths < 1 or horizon <= 0:
        raise Damaged(f"mart_liquidation_queue: expected numbers of the run, found {numbers!r:.80}")
    return ShownQueue(
        models=tuple(models), n_paths=int(n_paths), horizon_hours=horizon / 3_600, half_life_hours=float(half_life),
        feedback=float(feedback), cost=float(cost), unquoted=tuple(names), assumed=bool(assumed),
        looks_ahead=bool(ahead),
    )  # fmt: skip


def _model(row: tuple) -> QueueModel:
    name, depth, capital, repaid, waiting, at_end, shortfall, by_hour = row[:8]
    if name not in ORDER:
        raise Damaged(f"mart_liquidation_queue.model: expected one of {', '.join(ORDER)}, found {name!r:.40}")
    if not is_number(depth) or depth < 0 or not (capital is None or (is_number(capital) and capital >= 0)):
        raise Damaged(f"{name}: expected a depth and a capital of at least 0, found {depth!r:.40} and {capital!r:.40}")
    curve = _parsed("by_hour", by_hour)
    hours, usd = (_numbers(name, curve, key) for key in ("hours", "waiting_usd"))
    if len(hours) != len(usd) or not hours:
        raise Damaged(f"{name}: expected an amount for each hour, found {len(usd)} for {len(hours)}")
    return QueueModel(
        name=name, depth=float(depth), capital_usd=capital, repaid=_figure(name, repaid),
        waiting=_figure(name, waiting), waiting_at_end=_figure(name, at_end), shortfall=_figure(name, shortfall),
        hours=hours, waiting_usd=usd,
    )  # fmt: skip


def _parsed(field: str, text: object) -> Any:
    try:
        return json.loads(text)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise Damaged(f"mart_liquidation_queue.{field}: expected JSON, found {text!r:.60}") from error


def _numbers(name: str, curve: Any, key: str) -> tuple[float, ...]:
    found = curve.get(key) if isinstance(curve, Mapping) else None
    if not isinstance(found, list) or not all(is_number(value) and value >= 0 for value in found):
        raise Damaged(f"{name}: expected {key} of at least 0, found {found!r:.60}")
    return tuple(float(value) for value in found)


def _figure(name: str, text: object) -> ShownFigure:
    found = _parsed("figures", text)
    if not isinstance(found, Mapping) or not is_number(found.get("value")) or found["value"] < 0:
        raise Damaged(f"{name}: expected a figure with a value of at least 0, found {found!r:.60}")
    low, high, se = (found.get(key) for key in ("low", "high", "se"))
    if not all(value is None or is_number(value) for value in (low, high, se)):
        raise Damaged(f"{name}: expected numbers as low, high and se, found {(low, high, se)!r:.60}")
    n_positive = found.get("n_positive")
    return ShownFigure(
        float(found["value"]), low, high, se, n_positive if isinstance(n_positive, int) else None,
        bool(found.get("few_draws")), str(found.get("no_interval") or ""),
    )  # fmt: skip
