"""Rows of a refused batch as text and back, exactly: a replay checks the same rows that were refused.

A part is a JSON line with the column names, then one JSON line for each row, compressed. JSON has no bytes, decimals
or times; these are tagged, so that a replay never reads the text `b'ETH'` as a symbol.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

ROWS_PER_PART = 20_000
"""Rows of one stored part: some megabytes before compression, far below SQLite's limit for a value."""


def pack(frame: pd.DataFrame) -> Iterator[str]:
    """The rows of `frame` in parts of at most `ROWS_PER_PART`, each ASCII text; an empty frame is one part."""
    for start in range(0, max(len(frame), 1), ROWS_PER_PART):
        text = "\n".join(lines(frame.iloc[start : start + ROWS_PER_PART]))
        yield base64.b64encode(zlib.compress(text.encode("ascii"), 6)).decode("ascii")


def lines(frame: pd.DataFrame) -> Iterator[str]:
    """The column names as one line of JSON, then one line for each row."""
    yield as_json([str(name) for name in frame.columns])
    yield from map(as_json, zip(*(frame.iloc[:, place].tolist() for place in range(frame.shape[1])), strict=True))


def unpack(parts: Iterable[str]) -> pd.DataFrame:
    """The frame that `pack` split, columns of dtype object: an integer beside a gap stays an integer."""
    names: list[str] = []
    rows: list[list[Any]] = []
    for part in parts:
        head, *lines = zlib.decompress(base64.b64decode(part)).decode("ascii").split("\n")
        names = json.loads(head)
        rows += [json.loads(line, object_hook=_untagged) for line in lines]
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    series = [pd.Series(list(values), dtype=object) for values in columns]
    return pd.concat(series, axis=1, keys=range(len(names))).set_axis(names, axis=1) if series else pd.DataFrame()


def as_json(value: Any) -> str:
    """One value or row as ASCII JSON; control characters and halves of surrogate pairs are escaped."""
    text = json.dumps(value, default=_tagged)
    if "\\ud" not in text:
        return text
    # Two halves side by side would be read back as one character.
    if isinstance(value, dict):
        return json.dumps({name: _whole(item) for name, item in value.items()}, default=_tagged)
    return json.dumps(
        [_whole(item) for item in value] if isinstance(value, list | tuple) else _whole(value), default=_tagged
    )


def _whole(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return {"$codes": [ord(item) for item in value]}
    return value


def _tagged(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, bytes | bytearray):
        return {"$bytes": value.hex()}
    if isinstance(value, Decimal):
        return {"$decimal": str(value)}
    if isinstance(value, pd.Timestamp):
        return {"$time": value.isoformat()}
    return {"$object": repr(value)}


def _untagged(found: dict[str, Any]) -> Any:
    match found:
        case {"$bytes": text}:
            return bytes.fromhex(text)
        case {"$codes": codes}:
            return "".join(map(chr, codes))
        case {"$decimal": text}:
            return Decimal(text)
        case {"$time": text}:
            return pd.Timestamp(text)
    return found
