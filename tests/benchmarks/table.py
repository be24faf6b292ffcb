"""The rows of the bench: a key, a figure, what it means, and the bar it is held against."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass, field
from pathlib import Path

RESULT = Path(__file__).resolve().parents[2] / "build" / "bench.json"


@dataclass(frozen=True, slots=True)
class Row:
    """One measured figure. `floor`: what it must reach; `lower` says whether less is better."""

    key: str
    value: float
    unit: str
    what: str
    floor: float | None = None
    lower: bool = False

    @property
    def verdict(self) -> str:
        if self.floor is None:
            return ""
        met = self.value <= self.floor if self.lower else self.value >= self.floor
        return f"{'meets' if met else 'MISSES'} {'<=' if self.lower else '>='} {self.floor:g}"


@dataclass(slots=True)
class Table:
    """Rows in the order measured; printed as they come, so that a long run shows where it is."""

    rows: list[Row] = field(default_factory=list)

    def title(self, text: str) -> None:
        print(f"\n{text}", flush=True)

    def note(self, text: str) -> None:
        print(f"    {text}", flush=True)

    def add(
        self, key: str, value: float, unit: str, what: str, floor: float | None = None, lower: bool = False
    ) -> None:
        row = Row(key, value, unit, what, floor, lower)
        self.rows.append(row)
        shown = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
        print(f"  {key:28s} {shown:>10s} {unit:14s} {what:64s} {row.verdict}", flush=True)

    def save(self) -> None:
        """Write `build/bench.json`, flat: key to number; rows of an earlier run of other parts are kept."""
        RESULT.parent.mkdir(exist_ok=True)
        old = json.loads(RESULT.read_text()) if RESULT.exists() else {}
        RESULT.write_text(json.dumps(old | {row.key: row.value for row in self.rows}, indent=1, sort_keys=True) + "\n")


def machine() -> str:
    return f"{platform.machine()}, Python {platform.python_version()}"
