"""Checks of arguments: nothing is guessed, and an error names the argument and the rule that it breaks.

What the records of `risk_core.types` and every public function check their arguments with. A check returns the value as
the caller may use it (read-only arrays, plain numbers) or raises `InputError` with field, entry, expected and found.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

import numpy as np
from numpy.typing import ArrayLike, NDArray

from risk_core.errors import InputError

FloatArray = NDArray[np.float64]

IntArray = NDArray[np.int64]

BoolArray = NDArray[np.bool_]

SMALLEST = 5e-324
"""The lowest positive float: the lower bound of what must be above 0."""

LARGEST = float(np.finfo(np.float64).max)

BELOW_ONE = 1.0 - 2.0**-53
"""The highest float below 1: the upper bound of what must be below 1."""


def checked_array(label: str, value: ArrayLike, dtype: type, shape: tuple[int | None, ...]) -> np.ndarray:
    """A read-only C-contiguous copy of `value` as `dtype`; `None` in `shape` matches any length.

    Nothing is guessed: text is not a number or a truth value, 1.5 is not an integer, 2 and NaN are neither true nor
    false. Conversions that lose nothing are made: integers to floats, whole floats to integers, 0 and 1 to truth
    values. Raises `InputError` that names `label`, and the first entry that does not fit where there is one.
    """
    try:
        mixed = isinstance(value, list | tuple) and len({type(entry) for entry in value}) > 1
        found = np.asarray(value, dtype=object) if mixed else np.asarray(value)
    except (TypeError, ValueError) as exc:
        raise InputError(f"{label}: expected an array of {_WORDS[dtype]}, found {value!r:.80}") from exc
    good = _exact(found, dtype)
    if found.size and not good.all():
        wrong = int(np.argmax(~good.reshape(-1)))
        entry = found.reshape(-1).tolist()[wrong] if found.ndim else value
        where = ", ".join(str(int(i)) for i in np.unravel_index(wrong, found.shape)) if found.ndim else ""
        at = f"entry {where} is " if where else ""
        raise InputError(f"{label}: expected {_WORDS[dtype]}, found {at}{entry!r:.60} ({type(entry).__name__})")
    if found.ndim != len(shape) or any(want not in (None, got) for want, got in zip(shape, found.shape, strict=True)):
        want = "(" + ", ".join("any" if n is None else str(n) for n in shape) + ")"
        raise InputError(f"{label}: expected shape {want}, found {found.shape}")
    array = np.array(found, dtype=dtype, order="C")
    array.setflags(write=False)
    return array


_WORDS = {np.bool_: "true or false", np.int64: "integers", np.float64: "numbers", np.str_: "text"}


def n_axes(values: object) -> int:
    """Axes of what may be an array; 1 for rows of different lengths, which `checked_array` then refuses."""
    try:
        return np.ndim(values)  # type: ignore[arg-type]
    except ValueError:
        return 1


def _exact(found: np.ndarray, dtype: type) -> np.ndarray:
    """Which entries of `found` are values of `dtype` as they stand, bool of its shape."""
    kind = found.dtype.kind
    if kind == "O" or (kind in "US" and dtype is not np.str_):
        # numpy turns mixed entries into text or objects, so each is checked by itself.
        entries = [np.asarray(entry) for entry in found.reshape(-1).tolist()]
        good = [
            e.ndim == 0 and e.dtype.kind in ("U" if dtype is np.str_ else "biuf") and bool(_exact(e, dtype))
            for e in entries
        ]
        return np.array(good, dtype=np.bool_).reshape(found.shape)
    if dtype is np.str_ or kind not in "biuf":
        return np.full(found.shape, kind == "U" and dtype is np.str_)
    if dtype is np.bool_:
        return np.ones(found.shape, dtype=np.bool_) if kind == "b" else (found == 0) | (found == 1)
    if dtype is np.float64 or kind == "b":
        return np.full(found.shape, kind != "b")
    if kind == "f":
        return (found == np.floor(found)) & (np.abs(found) < 2.0**53)
    return np.full(found.shape, True) if kind == "i" else found < np.uint64(2**63)


def frozen(owner: object, name: str, value: ArrayLike, dtype: type, shape: tuple[int | None, ...]) -> np.ndarray:
    """`checked_array`, set as the attribute `name` of a frozen record."""
    array = checked_array(f"{type(owner).__name__}.{name}", value, dtype, shape)
    object.__setattr__(owner, name, array)
    return array


def checked_int(label: str, value: object, low: int, high: int = 2**63 - 1, hint: str = "") -> int:
    """`value` as an int in [low, high]. Raises `InputError` for another type (a bool, 24.0, text) or another range."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise InputError(f"{label}: expected an integer, found {value!r:.60} ({type(value).__name__})")
    if not low <= value <= high:
        limit = f"at least {low}" if high == 2**63 - 1 else f"an integer in [{low}, {high}]"
        raise InputError(f"{label}: expected {limit}, found {value!r:.60}{hint}")
    return int(value)


def checked_number(
    label: str, value: object, low: float = -np.inf, high: float = np.inf, rule: str = "a finite number"
) -> float:
    """`value` as a finite float in [low, high]; raises `InputError` that states `rule`.

    Text, a truth value or an array is not a number.
    """
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if isinstance(value, np.floating):
        value = float(value)  # a bound that a float32 cannot hold would be compared with a warning
    # Compared, not converted: an int beyond the largest float cannot become one.
    if not number or not -LARGEST <= value <= LARGEST or not low <= value <= high:  # type: ignore[operator]
        raise InputError(f"{label}: expected {rule}, found {value!r:.60} ({type(value).__name__})")
    return float(value)  # type: ignore[arg-type]


def checked_choice(label: str, value: object, choices: Iterable[str]) -> str:
    """`value`, one of the texts `choices`, or `InputError` that lists them."""
    known = tuple(choices)
    if not isinstance(value, str) or value not in known:
        raise InputError(f"{label}: expected one of {', '.join(known)}, found {value!r:.60}")
    return value


def checked_kind(label: str, value: object, kind: type) -> None:
    """Raise `InputError` where `value` is not a `kind`; a row, a name or a path of one is not accepted."""
    if not isinstance(value, kind):
        raise InputError(f"{label}: expected a risk_core.{kind.__name__}, found {value!r:.60} ({type(value).__name__})")


def checked_text(label: str, value: object, *, empty: bool = False) -> str:
    """`value` as a str, not empty unless `empty`. Raises `InputError`."""
    if not isinstance(value, str) or not (value or empty):
        raise InputError(f"{label}: expected text, found {value!r:.60} ({type(value).__name__})")
    return str(value)


def checked_duration(label: str, value: object) -> timedelta:
    """`value`, a positive `timedelta`. Raises `InputError`, also for a number, which has no unit."""
    if not isinstance(value, timedelta):
        raise InputError(
            f"{label}: expected a datetime.timedelta, such as timedelta(hours=1), found {value!r:.60} "
            f"({type(value).__name__})"
        )
    if value <= timedelta(0):
        raise InputError(f"{label}: expected a positive time, found {value}")
    return value


def checked_names(owner: object, name: str, *, lower: bool = False, distinct: bool = False) -> tuple[str, ...]:
    """A tuple of texts, set as the attribute `name`; `lower` for addresses, which are compared without case."""
    label, value = f"{type(owner).__name__}.{name}", getattr(owner, name)
    if isinstance(value, str | bytes):
        raise InputError(f"{label}: expected a sequence of texts, found one text {value!r:.60}")
    try:
        entries = tuple(value)
    except TypeError as exc:
        raise InputError(f"{label}: expected a sequence of texts, found {value!r:.60}") from exc
    for i, entry in enumerate(entries):
        checked_text(f"{label}: entry {i}", entry, empty=not lower)
    texts = tuple(str(entry).lower() if lower else str(entry) for entry in entries)
    if distinct:
        require_distinct(label, texts)
    object.__setattr__(owner, name, texts)
    return texts


def require_distinct(label: str, values: Sequence[str | int]) -> None:
    """Raise `InputError` for the first text or number that stands twice."""
    if len(set(values)) != len(values):
        seen: dict[str | int, int] = {}
        for i, value in enumerate(values):
            if value in seen:
                raise InputError(f"{label}: entry {i} is {value}, as entry {seen[value]} is; each may appear once")
            seen[value] = i


def require(label: str, values: np.ndarray, good: np.ndarray, rule: str, names: tuple[str, ...] = ()) -> None:
    """Raise `InputError` that names the first index at which `good` is false."""
    if good.all():
        return
    index = tuple(int(i) for i in np.argwhere(~good)[0])
    name = f" ({names[index[-1]]})" if names and index[-1] < len(names) else ""
    where = ", ".join(map(str, index))
    raise InputError(f"{label}: entry {where}{name} is {values[index]}; {rule}")


def require_rising(label: str, values: np.ndarray, *, strictly: bool) -> None:
    """Raise `InputError` that names the first entry of `values` (n,) below the one before; `strictly`: or equal to it.

    NaN is in no order and is refused beside any other entry; a single one is not.
    """
    before, after = values[:-1], values[1:]
    good = after > before if strictly else after >= before
    if good.all():
        return
    wrong = int(np.argmin(good)) + 1
    rule = "numbers that rise strictly" if strictly else "numbers that do not fall"
    raise InputError(f"{label}: expected {rule}, found {values[wrong]} after {values[wrong - 1]} at entry {wrong}")
