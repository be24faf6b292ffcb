"""SQL written once for several words: what it stands for, and what is left over is refused."""

from __future__ import annotations

import pytest

from data import marts
from data.errors import MartFailed
from data.marts import template
from data.schemas.tables import tables
from data.store.store import Store

HEAD = "-- target: stg_x\n-- reads: raw_{kind}, dim_y\n-- each: kind in a, b\n-- What it is.\n"


def test_a_target_with_the_word_is_a_table_for_each():
    text = "-- target: fact_{kind}\n-- each: kind in a, b\n-- reads: raw\n-- Of {kind}.\nSELECT '{kind}'\n"

    assert template.filled("x.sql", text) == [
        f"-- target: fact_{word}\n-- reads: raw\n-- Of {word}.\nSELECT '{word}'\n" for word in "ab"
    ]


def test_a_part_between_marks_is_repeated_and_each_table_is_read():
    text = HEAD + "SELECT 1 UNION ALL\n  -- each kind, joined by UNION ALL\n  SELECT * FROM raw_{kind}\n  -- end\n"

    assert template.filled("x.sql", text) == [
        "-- target: stg_x\n-- reads: raw_a, raw_b, dim_y\n-- What it is.\n"
        "SELECT 1 UNION ALL\n  SELECT * FROM raw_a\n  UNION ALL\n  SELECT * FROM raw_b\n"
    ]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("SELECT '{kidn}'\n", r"\{kidn\} is not filled in; expected `-- each: WORD"),
        ("SELECT '{kind}'\n", r"\{kind\} is not filled in"),  # outside a repeated part there is no one word
        ("-- each kidn, joined by UNION\nSELECT 1\n-- end\n", "-- each kidn, joined by UNION is not filled in"),
        ("-- each kind, joined by UNION\nSELECT '{kind}'\n", ".*is not filled in"),
        ("SELECT 1\n-- end\n", "-- end is not filled in"),
    ],
)
def test_what_is_left_over_is_refused(body, said):
    with pytest.raises(MartFailed, match=r"data/marts/x\.sql: " + said):
        template.filled("x.sql", HEAD + body)


def test_the_lending_tables_of_all_kinds_come_from_one_file():
    known = marts.targets()
    made = {name for name, target in known.items() if target.file == "lending/fact_lending_events.sql"}
    kinds = ["borrow", "deposit", "liquidation", "repay", "withdraw", "deficit"]

    assert made == {f"fact_lending_{kind}_events" for kind in kinds}
    assert {f"raw_lending_{kind}_events" for kind in kinds} <= set(known["stg_lending_events"].reads)
    for kind in kinds:
        assert known[f"fact_lending_{kind}_events"].sql.endswith(f"event_type = '{kind}'")


def test_what_is_expected_of_a_table_stands_in_its_schema(filled):
    expected = {table.name: table.late_after for table in tables().values() if table.late_after}

    with Store.open() as store:
        marts.refresh(store)
        told = dict(store.rows("SELECT table_name, every_s FROM mart_freshness"))

    assert told["dim_prices"] == told["fact_snapshot"] == 2 * 86_400
    assert told == {name: expected.get(name) for name in told}
