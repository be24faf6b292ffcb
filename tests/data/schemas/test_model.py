"""How a table is declared: columns of a base stand at its end, and what a table says of itself is its own."""

from __future__ import annotations

import numpy as np
import pytest
from pandera.typing import Series

from data import schemas
from data.schemas import fields
from data.schemas.model import DAY, Numbered, ReceivedFrom, TableModel
from data.schemas.tables import tables


class Tickers(ReceivedFrom, key=["symbol", "at"], indexes=[["price"]], late_after=2 * DAY):
    """A table as a source would declare it."""

    symbol: Series[str] = fields.name("symbol")
    price: Series[np.float64] = fields.real("price", "USD")
    at: Series[np.int64] = fields.seconds("when")


class Copies(Tickers):
    """The same columns once more."""


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(schemas, "SCHEMAS", schemas.SCHEMAS)
    monkeypatch.setitem(schemas.SCHEMAS, "raw_toy", Tickers)
    monkeypatch.setitem(schemas.SCHEMAS, "raw_copy", Copies)
    tables.cache_clear()
    yield tables()
    tables.cache_clear()


def test_key_first_then_the_tables_own_columns_then_how_a_row_arrived(toys):
    assert toys["raw_toy"].names == (
        *("symbol", "at", "batch"),
        "price",
        *("ingested_at", "source", "payload_sha256", "run_id", "content_sha256"),
    )
    assert toys["raw_toy"].natural_key == ("symbol", "at")
    assert toys["raw_toy"].indexes == (("price",), ("batch",))


def test_a_table_on_another_one_has_its_key_and_indexes_and_is_late_by_its_own_measure(toys):
    copy, toy = toys["raw_copy"], toys["raw_toy"]

    assert (copy.columns, copy.key, copy.append, copy.indexes) == (toy.columns, toy.key, True, toy.indexes)
    assert (toy.late_after, copy.late_after) == (2 * 86_400, None)


def test_a_word_that_no_table_knows_is_refused():
    with pytest.raises(TypeError, match="keys"):

        class Wrong(TableModel, keys=["symbol"]):
            """`keys` for `key`."""


def test_only_the_bases_bring_columns():
    assert Numbered.arrival() == ["batch"]
    assert schemas.SCHEMAS["fact_snapshot"].arrival() == ["batch"]
    assert schemas.SCHEMAS["fact_run"].arrival() == []
