"""Rows that a schema accepts, made up from the schema itself: a test names only the columns that it is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import pandas as pd

from data.schemas import SCHEMAS
from data.schemas.fields import ADDRESS, HASH32, SHA256, UINT
from data.schemas.tables import BATCH, CONTENT_SHA256, tables

FORMS = {ADDRESS: "0x" + "1" * 40, HASH32: "0x" + "2" * 64, SHA256: "3" * 64, UINT: "1"}


def made_up(table: str, rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """A frame for `table`: the values given, and for every other column the plainest one that passes its checks."""
    return pd.DataFrame([{**_plainest(table), **row} for row in rows])


@cache
def _plainest(table: str) -> Mapping[str, Any]:
    found = {}
    for name, column in SCHEMAS[table].to_schema().columns.items():
        if name in (BATCH, CONTENT_SHA256):
            continue
        said: dict[str, Any] = {}
        for check in column.checks:
            said |= check.statistics or {}
        kind = tables()[table].column(name).type
        if column.nullable:
            found[name] = None
        elif "allowed_values" in said:
            found[name] = sorted(said["allowed_values"])[0]
        elif kind != "TEXT":
            least = said.get("min_value", 0)
            found[name] = least if kind == "INTEGER" else least + 1.0
        else:
            found[name] = FORMS.get(said.get("pattern"), "0x" if "0x" in str(said.get("pattern")) else "1")
    return found
