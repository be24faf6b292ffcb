"""The stored simulation of liquidators with limits: what is repaid, and what waits, by each of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dashboard.market.checks import Damaged, is_number
from dashboard.market.loaded import ShownFigure
from dashboard.market.stored_json import figure_of, list_of, numbers_of, parsed, record_of, text_of
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
    where = "mart_liquidation_queue.unquoted"
    names = [text_of(where, name) for name in list_of(where, parsed(where, unquoted))]
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
    curve = record_of(f"{name}: by_hour", parsed(f"{name}: by_hour", by_hour))
    hours, usd = (numbers_of(f"{name}: {key}", curve.get(key), 0) for key in ("hours", "waiting_usd"))
    if len(hours) != len(usd) or not hours:
        raise Damaged(f"{name}: expected an amount for each hour, found {len(usd)} for {len(hours)}")
    repaid, waiting, at_end, shortfall = (
        figure_of(name, parsed(name, text)) for text in (repaid, waiting, at_end, shortfall)
    )
    return QueueModel(
        name=name, depth=float(depth), capital_usd=capital, repaid=repaid, waiting=waiting, waiting_at_end=at_end,
        shortfall=shortfall, hours=hours, waiting_usd=usd,
    )  # fmt: skip
