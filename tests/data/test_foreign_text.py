"""What somebody else wrote reaches a terminal, a log and a spreadsheet without power over them."""

from __future__ import annotations

import ast
import csv
import io
import logging
import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.__main__ import main
from data.foreign_text import PlainFormatter, csv_text, marked, printed, safe_print, spreadsheet_cell
from data.schemas import SCHEMAS
from data.schemas.fields import LONGEST_NAME, LONGEST_TEXT
from data.store.validation import judge
from tests.conftest import REPOSITORY
from tests.data.conftest import price_rows
from tests.data.made_up_rows import made_up

HOSTILE = "a\x1b[2Jb\x9b31mc\u202ed\u2066e\x07f\rg\x00h\u200bi\u2028j"
STEERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def test_a_terminal_is_not_steered(capsys):
    safe_print("answer:", HOSTILE + "\nsecond\tline", 7)

    assert capsys.readouterr().out == (
        "answer: a\\x1b[2Jb\\x9b31mc\\u202ed\\u2066e\\x07f\\x0dg\\x00h\\u200bi\\u2028j\nsecond\tline 7\n"
    )


@given(st.text())
def test_any_text_comes_out_plain_and_twice_is_once(text):
    out = printed(text)

    assert not STEERS.search(out)
    assert printed(out) == out
    assert not STEERS.search(marked(text, 50))
    if text.isprintable():
        assert out == text


def test_a_log_is_not_steered_by_a_traceback_either():
    try:
        raise ValueError(HOSTILE)
    except ValueError as error:
        record = logging.LogRecord("n", 40, "f", 1, "said %s", (HOSTILE,), (type(error), error, error.__traceback__))

    text = PlainFormatter().format(record)

    assert "ValueError: a\\x1b[2Jb" in text
    assert not STEERS.search(text)


@pytest.mark.parametrize(
    "cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "=cmd|' /C calc'!A0", "\uff1d1"]
)
def test_a_spreadsheet_computes_nothing_of_a_symbol(cell):
    out = csv_text(pd.DataFrame({"symbol": [cell, "WETH", "a=b"], "=x": [-1.5, 2.0, None]}))

    rows = list(csv.reader(io.StringIO(out, newline="")))
    assert rows == [["symbol", "'=x"], ["'" + cell, "-1.5"], ["WETH", "2.0"], ["a=b", ""]]


@given(st.one_of(st.text(), st.floats(), st.integers(), st.none()))
def test_a_cell_keeps_its_value_behind_at_most_one_sign(value):
    out = spreadsheet_cell(value)

    if isinstance(value, str):
        assert out in (value, "'" + value)
        assert not out.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r"))
    else:
        assert out is value


def test_stored_text_is_listed_without_power(own_warehouse, store_of_rows, capsys):
    store_of_rows(HOSTILE)

    assert main(["quarantine"]) == 0
    first = capsys.readouterr().out
    batch = re.search(r"^[0-9a-f]{12}", first, re.MULTILINE).group()
    assert main(["quarantine", "show", batch]) == 0

    shown = first + capsys.readouterr().out
    assert "\\x1b[2J" in shown
    assert not STEERS.search(shown)


@pytest.fixture
def store_of_rows(own_warehouse):
    """Put a row with this symbol into the quarantine of the user's own warehouse."""
    from data.errors import BatchRefused
    from data.store import Store

    def put(symbol: str) -> None:
        row = {"market": symbol, "holder": symbol, "account": symbol, "updated_block": 1}
        frames = {"raw_aave_holders": pd.DataFrame([row])}
        with Store.open(own_warehouse) as store, pytest.raises(BatchRefused):
            store.write_batch(symbol.replace("\x00", ""), "key", frames)

    return put


LONG = [
    (table, name, limit)
    for table, model in SCHEMAS.items()
    for name, column in model.to_schema().columns.items()
    for check in column.checks
    if table not in ("fact_batch", "fact_batch_rows")  # which only the store writes
    and check.name == "str_length"
    and (limit := check.statistics["max_value"]) is not None
]
OURS = {
    "fact_run", "fact_batch", "fact_validation", "quarantine", "quarantine_batch", "quarantine_content",
    "mart_daily_brief",
}  # fmt: skip
"""Tables in which this project speaks of its own work: errors and lists may be long."""


def test_every_free_text_has_a_longest_length():
    open_ended = [
        f"{table}.{name}"
        for table, model in SCHEMAS.items()
        for name, column in model.to_schema().columns.items()
        if str(column.dtype).startswith(("str", "string"))
        and column.metadata["unit"] != "JSON"
        and table not in OURS
        and not any(
            check.name in ("isin", "whole_text_matches") or check.statistics.get("max_value") for check in column.checks
        )
        and not column.metadata["provenance"]
    ]

    assert open_ended == []
    assert {limit for _, _, limit in LONG} == {LONGEST_NAME, LONGEST_TEXT}


@pytest.mark.parametrize("table", sorted({table for table, _, _ in LONG}))
def test_text_that_is_too_long_is_no_good_row(table):
    """Of each column two rows, one of the longest text and one a sign longer."""
    texts = [(name, limit + more, limit) for of, name, limit in LONG if of == table for more in (0, 1)]
    found = judge(table, made_up(table, [{column: "S" * length} for column, length, _ in texts]))
    assert found.problems == []
    for row, (column, length, limit) in enumerate(texts):
        reasons = " ".join(found.bad.get(row, []))
        assert (f"{column}: str_length(" in reasons) == (length > limit), (column, length, reasons)


def test_a_symbol_of_20_000_characters_is_put_aside_with_its_reason(store):
    prices = price_rows(200)
    prices.loc[7, "symbol"] = "S" * 20_000

    store.write_batch("binance", "k", {"dim_prices": prices}, max_bad_share=0.01)

    assert store.rows("SELECT count(*), max(length(symbol)) FROM dim_prices") == [(199, 7)]
    ((reason,),) = store.rows("SELECT reason FROM quarantine")
    assert reason.startswith(f"symbol: str_length(1, {LONGEST_NAME}), found 'SSS")
    assert len(reason) < 300


@pytest.mark.parametrize("package", ["flows", "data", "dashboard"])
def test_nothing_else_prints_or_writes_csv(package):
    found = []
    for path in sorted((REPOSITORY / package).rglob("*.py")):
        where = path.relative_to(REPOSITORY).as_posix()
        if where == "data/foreign_text.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called == "print" or re.search(
                    r"(\.to_csv|csv\.(Dict)?[wW]riter|send_data_frame|\.print_exc|(stdout|stderr)\.write)$", called
                ):
                    found.append(f"{where}:{node.lineno} {called}; use data.foreign_text")
    assert found == []
