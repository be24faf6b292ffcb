"""Check the rows of a batch by their schema: which are good, which are bad and why. Nothing is written here."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from data.schemas import SCHEMAS
from data.schemas.tables import BATCH, CONTENT_SHA256, Table, tables
from data.store.acceptance import accepted, plainly_text, storable

PLACES = {BATCH: 0, CONTENT_SHA256: "0" * 64}
"""Values for columns that are only known at the write; they are replaced there."""


@dataclass(slots=True)
class Judgement:
    """The outcome for one table.

    `good`: coerced rows that may be written. `bad`: row number in the frame as it came -> reasons.
    `problems`: faults of the frame as a whole (a missing column), which refuse all its rows.
    `failed`: (check, column) -> (number of rows, one example), for `fact_validation`.
    """

    table: str
    n_rows: int
    good: pd.DataFrame
    bad: dict[int, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    failed: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)

    @property
    def bad_share(self) -> float:
        """Share of bad rows; 1 when the frame as a whole is at fault."""
        if self.problems:
            return 1.0
        return len(self.bad) / self.n_rows if self.n_rows else 0.0

    def _add(self, row: int | None, column: str, check: str, value: Any) -> None:
        shown = f"{value!r:.120}" if isinstance(value, str) else f"{value!s:.120}"
        where = f"{column}: " if column else ""
        if row is None:
            self.problems.append(f"{where}{check} ({shown})")
        else:
            self.bad.setdefault(row, []).append(f"{where}{check}, found {shown}")
        count, example = self.failed.get((check, column), (0, shown))
        self.failed[check, column] = (count + 1, example)


def judge(table: str, frame: pd.DataFrame, filled_in: dict[str, Any] | None = None) -> Judgement:
    """Validate `frame` for `table`, every check on every row.

    Columns that are missing are taken from `filled_in` (a value for all rows) or, where the schema calls them
    optional, left empty. Raises `KeyError` for a table that has no schema.
    """
    layout = tables()[table]
    frame = pd.DataFrame(frame).reset_index(drop=True)
    if not len(frame) and not len(frame.columns):
        frame = pd.DataFrame({column.name: [] for column in layout.columns})
    verdict = Judgement(table=table, n_rows=len(frame), good=frame)
    frame = _completed(layout, frame, PLACES | (filled_in or {}))
    if not _columns_fit(layout, frame, verdict):
        verdict.good = frame.iloc[:0]
        return verdict
    frame = frame[[column.name for column in layout.columns]]
    good = accepted(layout, frame)
    if good is not None:
        verdict.good = good
        return verdict
    remaining = frame.drop(index=sorted(_not_whole(layout, frame, verdict) | _not_text(layout, frame, verdict)))
    # A value that cannot be coerced makes the other checks of its column meaningless: check again without it.
    # Each pass drops at least one row or returns.
    while True:
        verdict.good, cases = _checked(table, remaining)
        if cases is None:
            return verdict
        uncoerced = cases[cases["check"].astype(str).str.startswith("coerce_dtype") & cases["index"].notna()]
        if len(uncoerced):
            cases = uncoerced
        _record(cases, verdict)
        remaining = remaining.drop(index=[row for row in verdict.bad if row in remaining.index])
        if verdict.problems:
            verdict.good = frame.iloc[:0]
            return verdict


def _completed(layout: Table, frame: pd.DataFrame, filled_in: dict[str, Any]) -> pd.DataFrame:
    missing = {}
    for column in layout.columns:
        if column.name in frame.columns:
            continue
        if column.provenance and filled_in.get(column.name) is not None:
            missing[column.name] = filled_in[column.name]
        elif column.optional:
            missing[column.name] = None
    return frame.assign(**missing) if missing else frame


def _columns_fit(layout: Table, frame: pd.DataFrame, verdict: Judgement) -> bool:
    expected = [column.name for column in layout.columns]
    for name in expected:
        if name not in frame.columns:
            verdict._add(None, name, "column is missing", "the frame has " + ", ".join(map(str, frame.columns)))
    for name in frame.columns:
        if name not in expected:
            verdict._add(None, str(name), "column is not in the schema", "expected " + ", ".join(expected))
    return not verdict.problems


def _not_whole(layout: Table, frame: pd.DataFrame, verdict: Judgement) -> set[int]:
    """Rows with 1.5 (or an infinity) where an integer is expected: pandas would cut it to 1 without an error.

    An integer beyond 64 bits is bad too: the column cannot hold it, and as a float it would become negative.
    """
    rows: set[int] = set()
    for column in layout.columns:
        series = frame[column.name]
        if column.type != "TEXT" and series.dtype == object:
            for row, value in series.items():  # pandas fails on a list, and reads bytes as digits
                if not (value is None or isinstance(value, str | Number) or value is pd.NA or value is pd.NaT):
                    verdict._add(int(row), column.name, "number", value)
                    rows.add(int(row))
            series = series.drop(index=sorted(rows))
        if column.type != "INTEGER" or pd.api.types.is_integer_dtype(series) or pd.api.types.is_bool_dtype(series):
            continue
        number = pd.to_numeric(series, errors="coerce").astype(float)
        with np.errstate(invalid="ignore"):
            odd = (number.abs() >= 2.0**63) | ((number != np.floor(number)) & number.notna())
        for row in series.index[odd]:
            verdict._add(int(row), column.name, "whole number", series[row])
            rows.add(int(row))
    return rows


def _not_text(layout: Table, frame: pd.DataFrame, verdict: Judgement) -> set[int]:
    """Rows with a value that is not text where text is expected (pandas would store `b'ETH'` or `nan` as text).

    Text that cannot be stored is bad too: half a surrogate pair, or a NUL, where readers of C strings stop. An integer
    is accepted as its digits.
    """
    rows: set[int] = set()
    for column in layout.columns:
        if column.type != "TEXT" or plainly_text(frame[column.name]):
            continue
        for row, value in frame[column.name].items():
            if isinstance(value, str):
                fault = "" if storable([value]) else "text without NUL and surrogates"
            elif value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value):
                fault = "" if column.nullable else "not_nullable"
            else:
                fault = "" if isinstance(value, int | np.integer) and not isinstance(value, bool) else "text"
            if fault:
                verdict._add(int(row), column.name, fault, value)
                rows.add(int(row))
    return rows


def _checked(table: str, frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """(coerced rows, None) when every row is good, else (the rows as they came, their failures)."""
    try:
        return SCHEMAS[table].validate(frame, lazy=True), None
    except pa.errors.SchemaErrors as errors:
        cases = errors.failure_cases
        # A check of whole rows reports a row once for each column.
        whole = cases["schema_context"] == "DataFrameSchema"
        cases.loc[whole & cases["check"].eq("multiple_fields_uniqueness"), "check"] = "duplicate key in the batch"
        return frame, pd.concat([cases[whole].drop_duplicates(["index", "check"]), cases[~whole]])


def _record(cases: pd.DataFrame, verdict: Judgement) -> None:
    for case in cases.to_dict("records"):
        index = case["index"]
        row = None if index is None or pd.isna(index) else int(index)
        column = "" if case["schema_context"] == "DataFrameSchema" else str(case["column"])
        verdict._add(row, column, str(case["check"]), case["failure_case"])
