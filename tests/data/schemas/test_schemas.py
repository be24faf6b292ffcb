"""Every column says what it is and in which unit, and the SQL tables are what the schemas say."""

from __future__ import annotations

import sqlite3

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.schemas import SCHEMAS, fields
from data.schemas.tables import tables
from data.store.store import Store
from data.store.validation import judge

FIELDS = [(table, column.name) for table in tables().values() for column in table.columns]


@pytest.mark.parametrize(("table", "name"), FIELDS, ids=lambda value: getattr(value, "name", value))
def test_every_field_has_a_description_and_a_unit(table, name):
    column = SCHEMAS[table.name].to_schema().columns[name]

    assert column.description
    assert column.metadata["unit"]


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_table_is_strict_and_keyed_by_columns_that_are_never_empty(store, name):
    table = tables()[name]
    sql = store.rows("SELECT sql FROM sqlite_schema WHERE name = ?", (name,))[0][0]

    assert sql.endswith("STRICT, WITHOUT ROWID")
    assert table.key
    assert not any(table.column(key).nullable for key in table.key)


def test_a_table_refuses_a_value_of_another_type(store):
    with (
        pytest.raises(sqlite3.IntegrityError, match="cannot store TEXT value in INTEGER column"),
        store.transaction() as c,
    ):
        c.execute("INSERT INTO raw_aave_holders VALUES ('m', '0x', '0x', 'not a block')")


@given(value=st.integers(0, 2**256 - 1))
def test_every_uint256_is_accepted_as_text(value):
    assert bool(fields.whole_text_matches(pd.Series([str(value)]), pattern=fields.UINT).all())
    assert bool(fields.fits_bits(pd.Series([str(value)]), bits=256).all())


@pytest.mark.parametrize("text", [str(2**256), "-1", "1.5", "1e18", "", " 1", "1\n", "0x10", "9" * 79])
def test_what_is_no_uint256_is_refused(text):
    row = {"market": "m", "block": 1, "emode_id": 1, "label": "", "ltv_bps": 9000, "liquidation_threshold_bps": 9300,
           "liquidation_bonus_bps": 10100, "borrowable_bitmap": "1", "ltvzero_bitmap": "0", "isolated": 0}  # fmt: skip

    assert not judge("raw_aave_emodes", pd.DataFrame([row | {"collateral_bitmap": str(2**256 - 1)}])).bad
    assert judge("raw_aave_emodes", pd.DataFrame([row | {"collateral_bitmap": text}])).bad


@pytest.mark.parametrize(
    "account", ["0x" + "A" * 40, "0x" + "a" * 39, "0x" + "a" * 41, "a" * 42, "0x" + "a" * 40 + "\n", ""]
)
def test_what_is_no_lower_case_address_is_refused(account):
    row = {"market": "m", "token": "0x" + "b" * 40, "account": account, "first_seen_block": 1}

    assert judge("raw_aave_holders", pd.DataFrame([row])).bad
    assert not judge("raw_aave_holders", pd.DataFrame([row | {"account": "0x" + "a" * 40}])).bad


def test_milliseconds_are_no_seconds():
    row = {"source": "s", "key": "k", "value": "{}", "updated_at": 1_700_000_000_000}

    assert judge("ingest_checkpoint", pd.DataFrame([row])).bad


def test_an_empty_frame_is_good():
    verdict = judge("raw_aave_holders", pd.DataFrame())

    assert not verdict.problems
    assert len(verdict.good) == 0


def test_a_market_without_positive_prices_cannot_be_written(filled):
    with Store.open() as opened:
        reserves = opened.read("SELECT * FROM raw_aave_reserves")
    for price in ("0", "000", "-5", ""):
        verdict = judge("raw_aave_reserves", reserves.assign(price_raw=price))
        assert len(verdict.bad) == len(reserves)
