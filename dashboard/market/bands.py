"""The stored health-factor bands of a market: for each pair, the health factor with a given chance of liquidation."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

import data
from dashboard.market.checks import Damaged
from dashboard.market.series import YEAR_10000

HEADLINE = (0.2, 0.05, 0.01)
"""The chances of a band, largest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """The health factor with a `chance` of liquidation, with its 95 % interval; None where there are too few paths."""

    chance: float
    health_factor: float
    low: float | None
    high: float | None
    few_draws: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PairBand:
    """The band of one pair: levels, largest chance first; empty where there is no band, with the `reason`."""

    collateral: str
    debt: str
    collateral_symbol: str
    debt_symbol: str
    n_accounts: int
    debt_usd: float
    levels: tuple[Level, ...]
    reason: str

    def level(self, chance: float) -> Level | None:
        """The level of a chance, or None."""
        return next((one for one in self.levels if abs(one.chance - chance) < 1e-12), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bands:
    """All pairs of one computation, most debt first, and its inputs."""

    market: str
    block: int
    block_time: int
    horizon_seconds: int
    n_steps: int
    n_paths: int
    seed: int
    law: str
    code_version: str
    looks_ahead: bool
    synthetic: bool
    pairs: tuple[PairBand, ...]

    def pair(self, collateral: str, debt: str) -> PairBand | None:
        """The pair of two assets, by their addresses, or None."""
        return next((one for one in self.pairs if (one.collateral, one.debt) == (collateral, debt)), None)


_HEAD = (
    "block", "block_time", "horizon_seconds", "n_steps", "n_paths", "seed", "law", "code_version", "looks_ahead",
    "is_synthetic",
)  # fmt: skip
_PAIR = ("collateral", "debt", "collateral_symbol", "debt_symbol", "n_accounts", "debt_usd")
_LEVEL = ("chance", "health_factor", "low", "high", "few_draws", "reason")


def load_bands(market: str, path: Path | str | None) -> Bands | None:
    """The bands of a market at its newest block with bands, or None. Raises `Damaged`."""
    sql = (
        f"SELECT {', '.join((*_HEAD, *_PAIR, *_LEVEL))} FROM mart_health_factor_bands WHERE market = ? AND block = "
        "(SELECT block FROM mart_health_factor_bands WHERE market = ? ORDER BY block_time DESC, block DESC LIMIT 1) "
        "ORDER BY debt_usd DESC, collateral, debt, chance DESC"
    )
    with data.store.Reader.open(path) as store:
        rows = store.rows(sql, (market, market))
    if not rows:
        return None
    head = dict(zip(_HEAD, rows[0], strict=False))
    end = len(_HEAD) + len(_PAIR)
    pairs = [
        _pair(dict(zip(_PAIR, key, strict=True)), [row[end:] for row in mine])
        for key, mine in groupby(rows, key=lambda row: row[len(_HEAD) : end])
    ]
    if not 0 <= head["block_time"] < YEAR_10000 or min(head["horizon_seconds"], head["n_paths"], head["n_steps"]) < 1:
        raise Damaged("mart_health_factor_bands: expected a time, and a horizon, paths and steps of at least 1")
    flags = {"synthetic": bool(head.pop("is_synthetic")), "looks_ahead": bool(head.pop("looks_ahead"))}
    return Bands(market=market, pairs=tuple(pairs), **flags, **head)


def _pair(of: dict[str, Any], rows: list[tuple[Any, ...]]) -> PairBand:
    where = f"mart_health_factor_bands: {of['collateral_symbol']!r:.40} against {of['debt_symbol']!r:.40}"
    levels = []
    for chance, health_factor, low, high, few_draws, reason in rows:
        if health_factor is None:
            continue
        known = low is not None and high is not None
        ends = (low, health_factor, high) if known else (health_factor,)
        if not all(isinstance(end, float) and np.isfinite(end) for end in ends) or list(ends) != sorted(ends):
            raise Damaged(
                f"{where}, chance {chance}: expected low <= health factor <= high, found {low}, {health_factor}, {high}"
            )
        if not 0 < chance < 1 or health_factor < 1:
            raise Damaged(f"{where}: expected a chance between 0 and 1 and a health factor of 1 or more")
        levels.append(
            Level(
                chance=chance,
                health_factor=health_factor,
                low=low if known else None,
                high=high if known else None,
                few_draws=bool(few_draws),
                reason=reason or "",
            )
        )
    return PairBand(**of, levels=tuple(levels), reason="" if levels else str(rows[0][5] or "no band"))
