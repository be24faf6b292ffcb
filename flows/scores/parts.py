"""The parts of a protocol's score: the measure of each, the ends of its scale, and its weight.

No standard has such a score. Parts, scales and weights are this project's choice, stored and shown with every score;
`--weights` changes the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from risk_core.analytics import scores

AGAIN = "python -m flows aave-market"
RISK = "python -m flows risk-scenarios"
DEPTH = "python -m flows sale-quotes --file FILE"
COVER = "python -m flows umbrella-cover"
"""Commands that bring what a part lacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part: value `none_at` has 0 points, `full_at` has 100, linear in between (log: in the logarithm)."""

    key: str
    title: str
    says: str
    unit: str
    none_at: float
    full_at: float
    weight: float
    log: bool = False


PARTS = (
    Part(
        key="utilisation", title="Use of reserves", unit="points", none_at=0, full_at=100, weight=0.20,
        says="lent out against the kink of each rate curve, mean by debt: 50 at the kink, 100 when nothing is left",
    ),
    Part(
        key="concentration_debt", title="Few borrowers", unit="share", none_at=0, full_at=1, weight=0.10,
        says="debt of the ten largest borrowers",
    ),
    Part(
        key="concentration_collateral", title="Few owners of collateral", unit="share", none_at=0, full_at=1,
        weight=0.05, says="collateral of its ten largest owners",
    ),
    Part(
        key="concentration_supply", title="Few suppliers", unit="share", none_at=0, full_at=1, weight=0.05,
        says="supply of the ten largest suppliers",
    ),
    Part(
        key="oracle_model", title="Prices without a market", unit="share", none_at=0, full_at=0.5, weight=0.10,
        says="debt and collateral whose oracle says a constant or follows another asset",
    ),
    Part(
        key="oracle_staleness", title="Late prices", unit="share", none_at=0, full_at=0.25, weight=0.10,
        says="debt and collateral whose feed is older than its heartbeat or has no price",
    ),
    Part(
        key="tvl_trend", title="Money leaving", unit="change", none_at=0, full_at=-0.5, weight=0.05,
        says="change of the value locked over 30 days",
    ),
    Part(
        key="deficits", title="Past losses", unit="share", none_at=0, full_at=scores.PRINCIPAL, weight=0.05,
        says="bad debt that is booked and not made good yet, of all that is supplied",
    ),
    Part(
        key="cover", title="Losses without cover", unit="share", none_at=0, full_at=scores.PRINCIPAL, weight=0.05,
        says="booked bad debt and the mean loss of the worst 1 % of paths that no offset or stake pays for, "
        "of all that is supplied",
    ),
    Part(
        key="parameters", title="Tight settings", unit="daily sigmas", none_at=6, full_at=1, weight=0.10,
        says="fall from liquidation until debt is uncovered, in daily volatilities; mean by collateral outside e-modes",
    ),
    Part(
        key="depth", title="Largest position to sell", unit="times", none_at=0.1, full_at=10, weight=0.15, log=True,
        says="largest collateral of one account over what its market takes; the worst reserve",
    ),
)  # fmt: skip
BY_KEY = {part.key: part for part in PARTS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The value of one part, NaN with the reason in `missing` where it is not known.

    figures: further figures of it, JSON-ready. tables: those it was read from.
    """

    value: float
    tables: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    missing: str = ""
    command: str = ""


def not_known(missing: str, tables: str, command: str = "") -> Measured:
    """A part without data."""
    return Measured(value=float("nan"), tables=tables, missing=missing, command=command)


def points(part: Part, measured: Measured) -> float:
    """Points of a part, 0 to 100; NaN where the value is not known."""
    return scores.ramp(measured.value, part.none_at, part.full_at, log=part.log)


def scored(measured: Mapping[str, Measured], weights: Mapping[str, float]) -> tuple[scores.Weighted, np.ndarray]:
    """The score, and the points of every part in the order of `PARTS`."""
    each = np.array([points(part, measured[part.key]) for part in PARTS])
    return scores.weighted(each, [weights[part.key] for part in PARTS]), each
