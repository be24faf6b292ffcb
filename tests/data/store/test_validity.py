"""Rows that hold from block to block: any order of writes gives, at every block, what a plain dictionary gives."""

from __future__ import annotations

import sqlite3

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import WarehouseError
from data.schemas.tables import tables
from data.store import validity
from data.store.validity import Moment

LAYOUT = tables()["raw_aave_balances"]
MARKET = "M"
ACCOUNTS, ASSETS = ("a", "b", "c"), ("x", "y")
KEYS = [(MARKET, account, asset) for account in ACCOUNTS for asset in ASSETS]

books = st.dictionaries(st.sampled_from(KEYS), st.integers(1, 3).map(lambda n: (0, str(n), "0", None)), max_size=6)
blocks = st.integers(1, 6).map(lambda n: 10 * n)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("read"), blocks, books),
        st.tuples(st.just("refresh"), blocks, books),
        st.tuples(st.just("forget"), blocks, st.just({})),
    ),
    max_size=12,
)


def fresh() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE fact_snapshot (market TEXT, block INTEGER, batch INTEGER DEFAULT 1, "
                       "PRIMARY KEY (market, block))")  # fmt: skip
    for statement in (LAYOUT.ddl, *LAYOUT.trigger_ddl):
        connection.execute(statement)
    return connection


def note(connection: sqlite3.Connection, block: int) -> None:
    connection.execute("INSERT OR IGNORE INTO fact_snapshot (market, block) VALUES (?, ?)", (MARKET, block))


def stored(connection: sqlite3.Connection) -> list[tuple]:
    return connection.execute(
        "SELECT account, asset, valid_from, valid_to, scaled_supply FROM raw_aave_balances ORDER BY 1, 2, 3"
    ).fetchall()


def at(connection: sqlite3.Connection, block: int) -> dict:
    rows = connection.execute(
        "SELECT market, account, asset, reserve_id, scaled_supply, scaled_debt, stable_debt FROM raw_aave_balances "
        f"WHERE {validity.HOLDS}",
        (MARKET, block),
    ).fetchall()
    assert len({row[:3] for row in rows}) == len(rows)
    return {row[:3]: row[3:] for row in rows}


def in_order(past: dict[int, dict]) -> list[tuple]:
    connection = fresh()
    for block in sorted(past):
        validity.put(connection, LAYOUT, past[block].items(), 1, Moment(MARKET, block))
        note(connection, block)
    return stored(connection)


@pytest.mark.property
@settings(max_examples=400, deadline=None)
@given(steps=steps)
def test_any_order_of_reads_refreshes_and_removals_gives_every_block_its_book(steps):
    connection, past = fresh(), {}
    for what, block, book in steps:
        before = max((b for b in past if b < block), default=None)
        if what == "forget":
            if block in past:
                validity.drop(connection, LAYOUT, MARKET, block, 1)
                connection.execute("DELETE FROM fact_snapshot WHERE block = ?", (block,))
                del past[block]
        elif what == "refresh" and before is not None and block not in past:
            touched = frozenset(key[1] for key in book) | {"a"}
            new = {key: value for key, value in past[before].items() if key[1] not in touched} | book
            given_rows = {key: value for key, value in new.items() if key[1] in touched}
            validity.put(connection, LAYOUT, given_rows.items(), 1, Moment(MARKET, block, touched, before, 1))
            note(connection, block)
            past[block] = new
        else:
            changed, ended = validity.put(connection, LAYOUT, book.items(), 1, Moment(MARKET, block))
            held = past.get(block, past.get(before, {}) if before is not None else {})
            assert changed == sum(held.get(key) != value for key, value in book.items())
            assert ended == len(held.keys() - book.keys())
            note(connection, block)
            past[block] = book
        for each, expected in past.items():
            assert at(connection, each) == expected
    # One history, one way to store it: no two rows that follow one another are equal, no end is a block nobody read.
    assert stored(connection) == in_order(past)


def test_a_balance_that_comes_back_is_three_rows_and_one_that_stays_is_one():
    connection = fresh()
    key, other = KEYS[0], KEYS[1]
    for block, supply in ((10, "5"), (20, "6"), (30, "5")):
        book = {key: (0, supply, "0", None), other: (1, "9", "0", None)}
        validity.put(connection, LAYOUT, book.items(), block, Moment(MARKET, block))
        note(connection, block)

    assert stored(connection) == [
        ("a", "x", 10, 20, "5"),
        ("a", "x", 20, 30, "6"),
        ("a", "x", 30, None, "5"),
        ("a", "y", 10, None, "9"),
    ]


def test_the_database_itself_refuses_two_rows_at_one_block():
    connection = fresh()
    validity.put(connection, LAYOUT, {KEYS[0]: (0, "5", "0", None)}.items(), 1, Moment(MARKET, 10))
    insert = (
        "INSERT INTO raw_aave_balances (market, account, asset, valid_from, valid_to, reserve_id, scaled_supply, "
        "scaled_debt, batch) VALUES ('M', 'a', 'x', {}, {}, 0, '6', '0', 1)"
    )
    for since, to in ((20, "NULL"), (5, "NULL"), (5, 11), (3, 3), (3, 2)):
        with pytest.raises(sqlite3.IntegrityError, match="would hold at one block"):
            connection.execute(insert.format(since, to))
    connection.execute(insert.format(5, 10))
    with pytest.raises(sqlite3.IntegrityError, match="would hold at one block"):
        connection.execute("UPDATE raw_aave_balances SET valid_to = 12 WHERE valid_from = 5")


def test_a_refresh_on_another_block_than_the_last_is_refused():
    connection = fresh()
    for block in (10, 20):
        validity.put(connection, LAYOUT, [], 1, Moment(MARKET, block))
        note(connection, block)

    with pytest.raises(WarehouseError, match=r"block 20 was stored by another process before block 30, .* on block 10"):
        validity.put(connection, LAYOUT, [], 1, Moment(MARKET, 30, frozenset(), 10, 1))

    connection.execute("UPDATE fact_snapshot SET batch = 2 WHERE block = 20")
    with pytest.raises(WarehouseError, match="at block 20, which block 30 was built on, was changed"):
        validity.put(connection, LAYOUT, [], 1, Moment(MARKET, 30, frozenset(), 20, 1))


def test_rows_of_another_block_are_no_part_of_a_snapshot():
    frame = pd.DataFrame({"market": ["M", "M"], "valid_from": [10, 11], "valid_to": [None, None]})
    with pytest.raises(ValueError, match="expected rows that hold from block 10 of M on"):
        validity.of_frame(LAYOUT, frame, Moment("M", 10))
