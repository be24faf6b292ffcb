"""Cells of a caller's table: read strictly, every fault kept with its table, row label and column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from numbers import Real

import numpy as np

from risk_core.checks import BoolArray, FloatArray, IntArray
from risk_core.errors import InputError

LISTED = 20
"""Faults that one message lists; the others are counted."""


class Faults:
    """All faults of the tables of one call, to be reported in one error."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.count = 0

    def add(self, line: str) -> None:
        """Count a fault; the first few are kept for the message."""
        self.count += 1
        if len(self.lines) < LISTED:
            self.lines.append(line)

    def settle(self) -> None:
        """Raise `InputError` that lists the faults, the first `LISTED` of them, if there are any."""
        if self.count == 1:
            raise InputError(self.lines[0])
        if self.count:
            rest = [f"and {self.count - LISTED:,} more"] if self.count > LISTED else []
            raise InputError("\n  ".join([f"{self.count:,} faults:", *self.lines, *rest]))


class Rows:
    """One table.

    columns: by name, each a sequence with None for a missing cell, or an array of numbers or truth values with NaN for
    one. labels: the caller's names of the rows.
    """

    def __init__(
        self, name: str, labels: Sequence[object], columns: Mapping[str, Sequence[object] | np.ndarray], faults: Faults
    ) -> None:
        self.name, self.labels, self.columns, self.faults = name, labels, columns, faults
        self._distinct = len(set(map(repr, labels))) == len(labels)

    def __len__(self) -> int:
        return len(self.labels)

    def has(self, column: str) -> bool:
        """Whether the table has this column."""
        return column in self.columns

    def row(self, i: int) -> str:
        """The caller's name of a row: its label, and its place too where labels are not unique."""
        label = f"row {self.labels[i]!r}"
        return label if self._distinct else f"{label} ({i + 1} from the top)"

    def say(self, rows: Iterable[int] | BoolArray, column: str, rule: str | Callable[[int], str]) -> None:
        """A fault for each of `rows` (indices, or a mask)."""
        at = np.flatnonzero(rows) if isinstance(rows, np.ndarray) and rows.dtype == np.bool_ else rows
        for i in map(int, at):  # type: ignore[arg-type]
            self.faults.add(f"{self.name}, {self.row(i)}, {column}: {rule if isinstance(rule, str) else rule(i)}")

    def expect(self, required: Iterable[str], known: Iterable[str]) -> None:
        """A fault for each missing and each unknown column."""
        known = list(known)
        for column in required:
            if column not in self.columns:
                self.faults.add(
                    f"{self.name}: no column {column!r}; found {', '.join(map(repr, self.columns)) or 'none'}"
                )
        for found in self.columns:
            if found not in known:
                close = get_close_matches(str(found), known, n=1)
                advice = (
                    f"did you mean {close[0]!r}?" if close else f"drop it, or rename it to one of {', '.join(known)}"
                )
                self.faults.add(f"{self.name}: unknown column {found!r}; {advice}")

    def numbers(
        self, column: str, rule: str, good: Callable[[FloatArray], BoolArray], need: bool = False
    ) -> FloatArray:
        """(n,) float64, NaN for a missing cell and for one with a fault; `rule` says what `good` allows."""
        if column not in self.columns:
            return np.full(len(self), np.nan)
        cells = self.columns[column]
        out, missing, wrong = np.full(len(self), np.nan), np.zeros(len(self), bool), np.zeros(len(self), bool)
        if isinstance(cells, np.ndarray) and cells.dtype.kind in "iuf":
            out = cells.astype(np.float64)
            missing = np.isnan(out)
        else:
            for i, cell in enumerate(cells):
                missing[i] = cell is None
                wrong[i] = not missing[i] and (not isinstance(cell, Real) or isinstance(cell, bool | np.bool_))
                if not missing[i] and not wrong[i]:
                    out[i] = _float(cell)
        with np.errstate(invalid="ignore"):
            wrong |= ~missing & ~good(out)
        self.say(wrong, column, lambda i: f"found {_shown(cells[i])}; expected {rule}{_number_advice(cells[i])}")
        if need:
            self.say(missing, column, f"nothing here; expected {rule}")
        out[wrong] = np.nan
        return out

    def missing(self, column: str) -> BoolArray:
        """(n,) where a cell is empty; everywhere where there is no such column."""
        if column not in self.columns:
            return np.ones(len(self), dtype=np.bool_)
        return np.array([cell is None or cell != cell for cell in self.columns[column]], dtype=np.bool_)

    def texts(self, column: str, rule: str, *, any_text: bool = False) -> list[str | None]:
        """(n,) texts, None for a missing cell and for one with a fault.

        any_text: empty cells and texts with white space around them are no fault.
        """
        if column not in self.columns:
            return [None] * len(self)
        # pandas reads a column without any text as numbers, all of them missing.
        cells = [None if cell is None or cell != cell else cell for cell in self.columns[column]]
        good = [isinstance(cell, str) and (any_text or cell == cell.strip() != "") for cell in cells]
        for i, cell in enumerate(cells):
            if cell is None and not any_text:
                self.say(
                    [i],
                    column,
                    f"nothing here; expected {rule}. pandas reads texts such as NA as missing: "
                    "read_csv(..., keep_default_na=False, na_values=[''])",
                )
            elif cell is not None and not good[i]:
                hint = "; it begins or ends with white space" if isinstance(cell, str) and cell.strip() else ""
                self.say([i], column, f"found {_shown(cell)}; expected {rule}{hint}")
        return [str(cell) if ok else None for cell, ok in zip(cells, good, strict=True)]

    def flags(self, column: str, default: bool, need: BoolArray | None = None) -> BoolArray:
        """(n,) truth values, `default` where the table has no such column; a missing cell is a fault where `need`."""
        if column not in self.columns:
            return np.full(len(self), default)
        cells = self.columns[column]
        out = np.full(len(self), default)
        for i, cell in enumerate(cells):
            if cell is None or cell != cell:
                if need is None or need[i]:
                    self.say([i], column, "nothing here; expected True or False")
            elif isinstance(cell, bool | np.bool_ | Real) and cell in (0, 1):
                out[i] = bool(cell)
            else:
                advice = "; as text even 'False' would be true" if isinstance(cell, str) else ""
                self.say([i], column, f"found {_shown(cell)}; expected True or False{advice}")
        return out

    def once(self, keys: Sequence[object], column: str, advice: str) -> IntArray:
        """Rows whose key has not occurred before; a repeated key is a fault. Rows with the key None are skipped."""
        first: dict[object, int] = {}
        kept = []
        for i, key in enumerate(keys):
            if key is None:
                continue
            if key in first:
                self.say([i], column, f"the same as {self.row(first[key])}; {advice}")
            else:
                first[key] = i
                kept.append(i)
        return np.array(kept, dtype=np.int64)


def _float(cell: object) -> float:
    try:
        return float(cell)  # type: ignore[arg-type]
    except OverflowError:
        return np.inf


def _shown(cell: object) -> str:
    """A cell in quotes if it is text, as a number if it is one."""
    value = cell.item() if isinstance(cell, np.generic) else cell
    return f"{value!r:.60}"


def _number_advice(cell: object) -> str:
    hint = ". It is text: read_csv(..., thousands=',') and pandas.to_numeric make numbers"
    return hint if isinstance(cell, str) else ""
