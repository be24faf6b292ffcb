"""Counting: what was checked, what differed, what one judge left to the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Difference:
    """One case that differs, with every number of it that does."""

    where: str
    detail: str

    def __str__(self) -> str:
        return f"{self.where}: {self.detail}"


@dataclass(slots=True)
class Tally:
    """One case is one check, however many numbers it has; a case that differs in any of them is one difference."""

    checked: int = 0
    differences: list[Difference] = field(default_factory=list)
    aside: list[tuple[str, str]] = field(default_factory=list)
    """(reason, where) of cases that the float layer leaves to the integer model alone."""

    def equal(self, where: str, expected: Mapping[str, object], found: Mapping[str, object]) -> bool:
        """One check: `found` has the keys of `expected` with equal values."""
        wrong = [
            f"{key}: expected {value}, found {found.get(key, 'nothing')}"
            for key, value in expected.items()
            if key not in found or found[key] != value
        ]
        wrong += [f"{key}: expected nothing, found {found[key]}" for key in found if key not in expected]
        return self.judge(where, wrong)

    def judge(self, where: str, wrong: list[str]) -> bool:
        """One check that went wrong in the ways listed; none means it went right."""
        self.checked += 1
        if wrong:
            self.differences.append(Difference(where, "; ".join(wrong)))
        return not wrong

    def stand_aside(self, where: str, reason: str) -> None:
        self.aside.append((reason, where))

    def merge(self, other: Tally) -> None:
        self.checked += other.checked
        self.differences += other.differences
        self.aside += other.aside

    def summary(self) -> str:
        return f"{self.checked} checked, {len(self.differences)} differences"

    def reasons(self) -> Counter[str]:
        return Counter(reason for reason, _ in self.aside)
