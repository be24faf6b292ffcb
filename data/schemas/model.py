"""What the schemas of all tables have in common: how a table is declared, and how its rows arrived.

    class Tickers(ReceivedFrom, key=["symbol", "fetched_at"]):
        \"""`raw_tickers`: last traded prices.\"""

        symbol: Series[str] = name("exchange symbol")
        fetched_at: Series[np.int64] = seconds("when it was asked for")
        price: Series[np.float64] = real("price", "USD", gt=0)

Columns of a base come after the table's own, in the order of `ARRIVAL`.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from data.schemas import fields

DAY = 86_400
"""Seconds."""

ARRIVAL = ("valid_to", "ingested_at", "source", "payload_sha256", "run_id", "content_sha256", "batch")
"""Columns that the bases below bring, in the order in which a table has them."""


class TableModel(pa.DataFrameModel):
    """The rows of one table: no column but those declared, values brought to the type of their column."""

    class Config:
        strict = True
        coerce = True

    def __init_subclass__(
        cls,
        *,
        key: Sequence[str] | None = None,
        optional: Sequence[str] | None = None,
        indexes: Sequence[Sequence[str]] | None = None,
        sealed: bool | None = None,
        append: bool | None = None,
        time: str | None = None,
        late_after: int | None = None,
        validity: bool | None = None,
    ) -> None:
        """Declare a table's properties other than its columns; what is left out is as in its base.

        `key`: columns of the primary key. `optional`: nullable columns that a frame may leave out. `indexes`: further
        indexes, each a list of columns. `sealed`: rows are written once and never changed. `append`: rows are only
        ever added; `key` is then what a row is about, the primary key is that and `batch`. The newest row again is
        nothing, a row with other content is a further row; staging takes the newest batch of a key. `time`: column with
        the time a row speaks of; left out, the first of `data.schemas.tables.TIMES` that the table has. `late_after`:
        seconds after which it is late, twice the time between two runs of the flow that feeds it. `validity`: a row
        holds from one block that was read until another one (`Valid`); the key ends in `valid_from`.
        """
        given = {
            "optional": optional,
            "indexes": indexes,
            "sealed": sealed,
            "append": append,
            "time": time,
            "late_after": late_after,
            "validity": validity,
        }
        # A table that inherits the columns of another is still a table of its own, with its own `late_after`.
        inherited = {name: value for name, value in getattr(cls.Config, "metadata", {}).items() if name != "late_after"}
        metadata: dict[str, Any] = {
            "metadata": inherited | {name: value for name, value in given.items() if value is not None}
        }
        if key is not None:
            metadata["unique"] = list(key)
        cls.Config = type("Config", (cls.Config,), {"name": cls.__name__, **metadata})  # type: ignore[misc,assignment]
        super().__init_subclass__()

    @classmethod
    def arrival(cls) -> list[str]:
        """The columns that come from a base below, in their order."""
        brought = {
            name for base in cls.__mro__ if base.__module__ == __name__ for name in inspect.get_annotations(base)
        }
        return [name for name in ARRIVAL if name in brought]


class Numbered(TableModel):
    """Rows with the write that brought them."""

    batch: Series[np.int64] = fields.batch()


class Read(Numbered):
    """Rows of an answer: when they first arrived, and its digest."""

    ingested_at: Series[np.int64] = fields.ingested_at()
    payload_sha256: Series[str] = fields.payload_sha256()


class AppendOnly(Numbered, append=True):
    """Rows that are only ever added: when, by which run, and a digest by which a corrected row is recognised."""

    ingested_at: Series[np.int64] = fields.ingested_at()
    run_id: Series[str] = fields.written_by()
    content_sha256: Series[str] = fields.content_sha256()


class Received(AppendOnly):
    """Append-only rows of an answer, with its digest."""

    payload_sha256: Series[str] = fields.payload_sha256()


class ReceivedFrom(Received):
    """The same, for a table that several sources fill: with the source."""

    source: Series[str] = fields.name("where it was read")


class Valid(Numbered, validity=True, optional=["valid_to"]):
    """Rows that hold from `valid_from` until just before `valid_to`, both of them blocks that were read.

    A snapshot at block B has the rows with `valid_from` <= B and B < `valid_to`, or no `valid_to`. Of one key at most
    one row holds at a block (a trigger refuses another), and two rows that follow one another differ.
    """

    valid_to: Series[pd.Int64Dtype] = pa.Field(
        description="first block that was read at which the row no longer held; empty while it holds",
        metadata={"unit": "block"},
        nullable=True,
        ge=0,
    )
