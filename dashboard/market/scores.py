"""Read the stored scores of lending markets and the value locked over time, for pages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import data
from dashboard.market.checks import Damaged
from dashboard.market.series import DAY, YEAR_10000
from data.prices.series import SYNTHETIC

LOCKED_DAYS = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorePart:
    """One part of a score. value and points are None where the part is not known; `missing` then has the reason.

    points: 0 to 100, linear from `none_at` to `full_at`, which are in `unit`. used_weight: with the shared weight of
    unknown parts.
    """

    part: str
    title: str
    says: str
    value: float | None
    unit: str
    points: float | None
    none_at: float
    full_at: float
    weight: float
    used_weight: float
    missing: str
    command: str
    figures: Mapping[str, Any]
    tables: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LossChance:
    """The chance of losing more than 1 % of the principal in a year, under one assumption, with its 95 % interval."""

    assumption: str
    says: str
    method: str
    horizon_seconds: int
    threshold_usd: float
    n_paths: int
    n_hits: int
    few_draws: bool
    probability_horizon: float
    high_horizon: float
    probability_year: float
    low_year: float
    high_year: float
    letter: str
    letter_low: str
    letter_high: str
    small_losses_year: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownScore:
    """The newest score of a market. chances: that of the letter first; empty where no risk run was stored."""

    market: str
    block: int
    block_time: int
    score: float | None
    weight_known: float
    supplied_usd: float
    borrowed_usd: float
    n_accounts: int
    synthetic: bool
    options: Mapping[str, Any]
    parts: tuple[ScorePart, ...]
    chances: tuple[LossChance, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """Value locked of a protocol over time; `slug`: its name at the source. ts (n,) UTC seconds, usd (n,)."""

    slug: str
    source: str
    ts: np.ndarray
    usd: np.ndarray


_HEAD = (
    "market", "block", "block_time", "score", "weight_known", "supplied_usd", "borrowed_usd", "n_accounts", "options",
    "is_synthetic",
)  # fmt: skip


def load_scores(synthetic: bool, path: Path | str | None) -> tuple[ShownScore, ...]:
    """The newest score of each market, the lowest (least risky) first; those of the sample or those of live markets.

    Raises `Damaged`.
    """
    with data.store.Reader.open(path) as store, store.one_state():
        heads = store.rows(
            f"SELECT {', '.join(_HEAD)} FROM mart_protocol_score AS s WHERE is_synthetic = ? AND block = "
            "(SELECT max(block) FROM mart_protocol_score WHERE market = s.market) "
            "ORDER BY score IS NULL, score, market",
            (int(synthetic),),
        )
        found = [_score(store, dict(zip(_HEAD, head, strict=True))) for head in heads]
    return tuple(found)


def _score(store: Any, head: dict[str, Any]) -> ShownScore:
    at = (head["market"], head["block"])
    part_names, chance_names = tuple(ScorePart.__slots__), tuple(LossChance.__slots__)
    parts = store.rows(
        f"SELECT {', '.join(part_names)} FROM mart_protocol_score_part WHERE market = ? AND block = ? ORDER BY place",
        at,
    )
    chances = store.rows(
        f"SELECT {', '.join(chance_names)} FROM mart_principal_loss WHERE market = ? AND block = ? ORDER BY place", at
    )
    rows = [dict(zip(part_names, row, strict=True)) for row in parts]
    lost = [dict(zip(chance_names, row, strict=True)) for row in chances]
    synthetic = bool(head.pop("is_synthetic"))
    return check_score(
        ShownScore(
            **head | {"options": json.loads(head["options"])},
            synthetic=synthetic,
            parts=tuple(ScorePart(**row | {"figures": json.loads(row["figures"])}) for row in rows),
            chances=tuple(LossChance(**row | {"few_draws": bool(row["few_draws"])}) for row in lost),
        )
    )


def check_score(score: ShownScore) -> ShownScore:
    """Return the score when every figure in it can be shown. Raises `Damaged`, which names the first that cannot."""
    name = f"mart_protocol_score of {score.market} at block {score.block}"
    if not score.parts:
        raise Damaged(f"{name}: expected its parts in mart_protocol_score_part, found none; compute it again")
    if not isinstance(score.block_time, int) or not 0 <= score.block_time < YEAR_10000:
        raise Damaged(f"{name}: block_time: expected seconds since 1970, found {score.block_time!r:.60}")
    _within(f"{name}: score", score.score, 0, 100, empty=True)
    for part in score.parts:
        where = f"mart_protocol_score_part: {part.part}"
        if (part.value is None) != (part.points is None) or (part.value is None) != bool(part.missing):
            raise Damaged(f"{where}: expected a value with its points, or a reason why there is none")
        _within(f"{where}: value", part.value, -np.inf, np.inf, empty=True)
        _within(f"{where}: points", part.points, 0, 100, empty=True)
        for field in ("weight", "used_weight"):
            _within(f"{where}: {field}", getattr(part, field), 0, 1)
        if not isinstance(part.figures, dict):
            raise Damaged(f"{where}: figures: expected names and values, found {part.figures!r:.60}")
    if score.score is not None and abs(sum(part.used_weight for part in score.parts) - 1) > 1e-6:
        raise Damaged(f"{name}: the weights in use do not sum to 1; compute it again")
    for one in score.chances:
        where = f"mart_principal_loss: {one.assumption}"
        if not 0 <= one.low_year <= one.probability_year <= one.high_year <= 1:
            raise Damaged(f"{where}: expected 0 <= low <= probability <= high <= 1 a year")
        if one.n_paths < 1 or one.horizon_seconds < 1:
            raise Damaged(f"{where}: expected paths and a horizon above 0")
    return score


def _within(what: str, value: object, low: float, high: float, *, empty: bool = False) -> None:
    number = isinstance(value, int | float) and np.isfinite(value) and low <= value <= high
    if not number and not (empty and value is None):
        raise Damaged(f"{what}: expected a number from {low:g} to {high:g}, found {value!r:.60}")


def load_locked(synthetic: bool, path: Path | str | None) -> tuple[Locked, ...]:
    """Value locked of each protocol over the `LOCKED_DAYS` up to its newest point, largest first. Raises `Damaged`."""
    kind = "=" if synthetic else "<>"
    with data.store.Reader.open(path) as store, store.one_state():
        rows = store.rows(
            "SELECT p.slug, p.source, p.snapshot_ts, p.tvl_usd FROM fact_protocol_snapshot AS p JOIN "
            "(SELECT slug, max(snapshot_ts) AS last FROM fact_protocol_snapshot GROUP BY slug) AS n ON n.slug = p.slug "
            f"WHERE p.source {kind} ? AND p.snapshot_ts >= n.last - ? ORDER BY p.slug, p.snapshot_ts",
            (SYNTHETIC, LOCKED_DAYS * DAY),
        )
    by_slug: dict[str, list[tuple]] = {}
    for row in rows:
        _within("fact_protocol_snapshot: tvl_usd", row[3], -np.inf, np.inf)
        _within("fact_protocol_snapshot: snapshot_ts", row[2], 0, YEAR_10000)
        by_slug.setdefault(row[0], []).append(row)
    found = [
        Locked(slug=slug, source=own[0][1], ts=np.array([r[2] for r in own]), usd=np.array([r[3] for r in own]))
        for slug, own in by_slug.items()
    ]
    return tuple(sorted(found, key=lambda one: -one.usd[-1]))
