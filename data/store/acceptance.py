"""Quick validation for frames without faults.

The checks are read from the pandera schema and applied to whole columns at once. A frame with a type that must be
coerced, or with a failed check, goes to the slow validation (`data.store.validation`), where pandera names every bad
cell. Nothing is accepted here that pandera refuses; a test compares the two.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from data.schemas import SCHEMAS, fields, prices
from data.schemas.tables import Column, Table

INT64_MAX = 2**63 - 1


def _digits(values: list[str]) -> bool:
    """Each value is 1 to 78 digits; checks all of them joined, as a regular expression takes a second for a million."""
    joined = "".join(values)
    lengths = set(map(len, values))
    return joined.isascii() and joined.isdigit() and min(lengths) >= 1 and max(lengths) <= 78


def _hexadecimal(prefix: str, digits: int, values: list[str]) -> bool:
    """Each value is `prefix` and `digits` lower-case hexadecimal digits."""
    length = len(prefix) + digits
    if set(map(len, values)) != {length}:
        return False
    joined = "".join(values)
    if not joined.isascii() or any(set(joined[place::length]) != {sign} for place, sign in enumerate(prefix)):
        return False
    odd = joined.encode("ascii").translate(None, b"0123456789abcdef")
    return odd == prefix.replace("0", "").encode("ascii") * len(values)


def _decimals(values: list[str]) -> bool:
    """Each value is digits, or digits around one point, at most 40 characters, so at most 40 on each side."""
    lines = "\n" + "\n".join(values) + "\n"
    if not lines.isascii() or any(odd in lines for odd in ("\n.", ".\n", "\n\n")) or max(map(len, values)) > 40:
        return False
    if lines.count("\n") != len(values) + 1:
        return False
    points = lines.encode("ascii").translate(None, b"0123456789")
    return b".." not in points and not points.translate(None, b".\n")


def _positive_decimals(values: list[str]) -> bool:
    nonzero = ("\n" + "\n".join(values) + "\n").encode("ascii", "replace").translate(None, b"0.")
    return b"\n\n" not in nonzero and _decimals(values)


QUICK: dict[str, Callable[[list[str]], bool]] = {
    fields.UINT: _digits,
    fields.ADDRESS: partial(_hexadecimal, "0x", 40),
    fields.HASH32: partial(_hexadecimal, "0x", 64),
    fields.SHA256: partial(_hexadecimal, "", 64),
    prices.DECIMAL: _decimals,
    r"(?=.*[1-9])" + prices.DECIMAL: _positive_decimals,
}
"""Pattern of a schema -> a quicker test; where the test fails, the pattern itself decides."""


@dataclass(frozen=True, slots=True)
class _Plan:
    model: type[pa.DataFrameModel]
    checks: dict[str, list[pa.Check]]
    whole: list[pa.Check]


_plans: dict[str, _Plan] = {}


def accepted(table: Table, frame: pd.DataFrame) -> pd.DataFrame | None:
    """`frame` with every value as it is stored, when all values pass the quick checks; else None.

    `frame` has the columns of the table in their order.
    """
    plan = _plan(table.name)
    columns: dict[str, Any] = {}
    for column in table.columns:
        found = _column(column, frame[column.name], plan.checks[column.name])
        if found is None:
            return None
        columns[column.name] = found
    good = pd.DataFrame(columns, index=frame.index, copy=False)
    if good.duplicated(subset=list(plan.model.to_schema().unique)).any():
        return None
    return good if all(check(good).check_passed for check in plan.whole) else None


def storable(values: Collection[str]) -> bool:
    """Whether no text in `values` has a NUL (where readers of C strings stop) or half a surrogate pair."""
    joined = "".join(values)
    if "\0" in joined:
        return False
    if not joined.isascii():
        try:
            joined.encode()
        except UnicodeEncodeError:
            return False
    return True


def plainly_text(series: pd.Series) -> bool:
    """Whether every value is text that can be stored."""
    values = series.tolist()
    return pd.api.types.infer_dtype(values, skipna=False) == "string" and storable(values)


def _plan(name: str) -> _Plan:
    model = SCHEMAS[name]
    plan = _plans.get(name)
    if plan is None or plan.model is not model:
        schema = model.to_schema()
        checks = {column: list(spec.checks) for column, spec in schema.columns.items()}
        plan = _plans[name] = _Plan(model, checks, list(schema.checks))
    return plan


def _column(column: Column, series: pd.Series, checks: Sequence[pa.Check]) -> Any | None:
    if column.type == "TEXT":
        return _text(column, series, checks)
    if column.type == "INTEGER":
        return _integer(column, series, checks)
    return _real(column, series, checks)


def _integer(column: Column, series: pd.Series, checks: Sequence[pa.Check]) -> Any | None:
    gaps = None
    if isinstance(series.dtype, pd.Int64Dtype):
        gaps = series.isna().to_numpy()
        values = series[~gaps].to_numpy(dtype=np.int64)
    elif isinstance(series.dtype, np.dtype) and series.dtype.kind in "iu":
        if series.dtype == np.uint64 and len(series) and series.max() > INT64_MAX:
            return None
        values = series.to_numpy(dtype=np.int64)
    elif column.nullable and series.isna().all():
        return pd.array([pd.NA] * len(series), dtype="Int64")
    elif not len(series):  # a frame without rows has no types
        values = np.empty(0, dtype=np.int64)
    elif series.dtype == np.float64:  # what pandas makes of whole numbers with gaps
        gaps = series.isna().to_numpy()
        numbers = series[~gaps].to_numpy()
        if not (np.abs(numbers) < 2.0**63).all() or (numbers != np.floor(numbers)).any():
            return None
        values = numbers.astype(np.int64)
    else:
        return None
    if (gaps is not None and gaps.any() and not column.nullable) or not _numbers_pass(values, checks):
        return None
    if not column.nullable:
        return values
    if isinstance(series.dtype, pd.Int64Dtype):
        return series.array
    filled = np.ones(len(series), dtype=np.int64)
    filled[~gaps if gaps is not None else slice(None)] = values
    return pd.arrays.IntegerArray(filled, np.zeros(len(series), dtype=bool) if gaps is None else gaps)


def _real(column: Column, series: pd.Series, checks: Sequence[pa.Check]) -> Any | None:
    if isinstance(series.dtype, np.dtype) and series.dtype.kind in "fiu":
        values = series.to_numpy(dtype=np.float64)
    elif not len(series) or (column.nullable and series.isna().all()):
        return np.full(len(series), np.nan)
    else:
        return None
    gaps = np.isnan(values)
    if gaps.any():
        return values if column.nullable and _numbers_pass(values[~gaps], checks) else None
    return values if _numbers_pass(values, checks) else None


def _numbers_pass(values: np.ndarray, checks: Sequence[pa.Check]) -> bool:
    if not len(values):
        return True
    low, high = values.min(), values.max()
    for check in checks:
        limits: dict[str, Any] = check.statistics or {}
        match check.name:
            case "greater_than_or_equal_to":
                passed = low >= limits["min_value"]
            case "greater_than":
                passed = low > limits["min_value"]
            case "less_than_or_equal_to":
                passed = high <= limits["max_value"]
            case "less_than":
                passed = high < limits["max_value"]
            case "in_range" if limits.get("include_min", True) and limits.get("include_max", True):
                passed = low >= limits["min_value"] and high <= limits["max_value"]
            case "is_finite":
                passed = not limits["finite"] or bool(np.isfinite(low) and np.isfinite(high))
            case "isin":
                passed = set(np.unique(values).tolist()) <= set(limits["allowed_values"])
            case _:
                passed = bool(check(pd.Series(values)).check_passed)
        if not passed:
            return False
    return True


def _text(column: Column, series: pd.Series, checks: Sequence[pa.Check]) -> Any | None:
    values = series.tolist()
    distinct = _distinct(values)
    if distinct is None:
        return None
    gaps = bool(distinct) and pd.api.types.infer_dtype(distinct, skipna=False) != "string"
    if gaps:
        if not column.nullable:
            return None
        distinct = [value for value in distinct if value is not None and value is not pd.NA and value == value]
        if not all(isinstance(value, str) for value in distinct):
            return None
    if not storable(distinct) or not all(_texts_pass(distinct, check) for check in checks):
        return None
    return series.array


def _distinct(values: list[Any]) -> list[Any] | None:
    """Each value once where many repeat, else all values; None for values that are not hashable."""
    try:
        return list(set(values)) if mostly_repeated(values) else values
    except TypeError:
        return None


def mostly_repeated(values: Sequence[Any]) -> bool:
    """Whether most values repeat, by a sample: a set of half a million different texts is slower than to check each."""
    sample = values[:: max(1, len(values) // 512)]
    return 2 * len(set(sample)) < len(sample) or len(values) < 512


def _texts_pass(values: list[str], check: pa.Check) -> bool:
    if not values:
        return True
    limits: dict[str, Any] = check.statistics or {}
    match check.name:
        case "whole_text_matches":
            quick = QUICK.get(limits["pattern"])
            return (quick is not None and quick(values)) or all(map(re.compile(limits["pattern"]).fullmatch, values))
        case "fits_bits":
            limit = str(2 ** limits["bits"])
            return all(int(value) < 2 ** limits["bits"] for value in values if len(value) >= len(limit))
        case "str_length" if limits.get("exact_value") is None:
            least, most = limits.get("min_value"), limits.get("max_value")
            return (least is None or min(map(len, values)) >= least) and (most is None or max(map(len, values)) <= most)
        case "isin":
            return set(values) <= set(limits["allowed_values"])
    return bool(check(pd.Series(values, dtype="str")).check_passed)
