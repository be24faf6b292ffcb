"""Tables that SQL makes of others: an update gives what building anew gives, whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from data import marts
from data.errors import MartFailed
from data.store.store import Store
from tests.data.candles import candles

PRICES = "SELECT symbol, ts, price_usd, usd_proxy, batch FROM stg_prices ORDER BY symbol, ts"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the SQL files that a test may change."""
    return Path(shutil.copytree(marts.target.FOLDER, tmp_path / "marts"))


def write(store: Store, symbol: str, closes: dict[int, object]) -> None:
    store.write_batch("binance", symbol, {"raw_binance_klines": candles(symbol, closes)})


def change(folder: Path, old: str, new: str, file: str = "prices/stg_prices.sql") -> None:
    text = (folder / file).read_text(encoding="utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new), encoding="utf-8")


def test_only_what_is_new_is_looked_at_and_a_re_run_changes_nothing(store):
    write(store, "ETHUSDT", dict.fromkeys(range(20), "2000"))
    assert marts.refresh(store)["stg_prices"].rebuilt
    write(store, "ETHUSDT", {20: "2001"})

    second = marts.refresh(store)["stg_prices"]
    before = store.rows(PRICES), store.rows("SELECT * FROM mart_state")
    third = marts.refresh(store)["stg_prices"]

    assert (second.rebuilt, second.selected, second.changed) == (False, 1, 1)
    assert (third.rebuilt, third.selected, third.changed) == (False, 0, 0)
    assert (store.rows(PRICES), store.rows("SELECT * FROM mart_state")) == before


def test_a_corrected_candle_replaces_the_price(store):
    write(store, "ETHUSDT", {0: "2000", 1: "2010"})
    marts.refresh(store)
    write(store, "ETHUSDT", {1: "1990"})

    marts.refresh(store)

    assert store.rows(PRICES) == [("ETHUSDT", 3_600, 2_000.0, "USDT", 1), ("ETHUSDT", 7_200, 1_990.0, "USDT", 2)]


def test_a_decision_that_comes_later_corrects_the_price_and_a_peg_alone_does_not(store):
    write(store, "ETHUSDT", {0: "2000", 1: "2000", 2: "2000"})
    marts.refresh(store)
    write(store, "USDCUSDT", {0: "1.25", 1: "1.001", 2: "3"})

    marts.refresh(store, ["stg_prices"])
    undecided = store.rows(PRICES)[:3]
    row = {"interval": "1h", "ts": 3_600, "ratio": 1.25, "usd_proxy": "USDC", "decided_by": "a quote"}
    store.write_batch("binance", "dollar", {"dim_dollar": pd.DataFrame([row])})
    marts.refresh(store, ["stg_prices"])

    assert undecided == [
        ("ETHUSDT", 3_600, 2_000.0, "USDT", 2),
        ("ETHUSDT", 7_200, 2_000.0, "USDT", 2),
        ("ETHUSDT", 10_800, 2_000.0, "USDT", 2),
    ]
    assert store.rows(PRICES)[:4] == [
        ("ETHUSDT", 3_600, 1_600.0, "USDC", 3),
        *undecided[1:],
        ("USDCUSDT", 3_600, 1.0, "USDC", 3),
    ]


def test_sql_that_changed_builds_the_table_anew(store, folder):
    write(store, "ETHUSDT", {0: "2000"})
    marts.refresh(store, folder=folder)
    change(folder, "price AS price_usdt", "price * 2 AS price_usdt")

    report = marts.refresh(store, ["stg_prices"], folder=folder)["stg_prices"]

    assert report.rebuilt
    assert store.rows("SELECT price_usdt FROM stg_prices") == [(4_000.0,)]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("FROM judged", "FROM nowhere", "no such table: nowhere"),
        ("  batch\nFROM", "  batch, 1 AS more\nFROM", "not in the schema more"),
        ("price AS price_usdt", "-price AS price_usdt", r"[12] of its rows are refused .*greater_than\(0\)"),
        ("price AS price_usdt", "NULL AS price_usdt", "NOT NULL constraint failed"),
        ("price AS price_usdt", "'x' AS price_usdt", "cannot store TEXT value in REAL column"),
        (
            "FROM judged",
            "FROM judged UNION ALL SELECT symbol, interval, ts, source, 1.0, 1.0, 'USDT', NULL, 1 FROM judged",
            "UNIQUE constraint failed",
        ),
    ],
)
@pytest.mark.parametrize("full", [True, False])
def test_sql_that_fails_leaves_the_old_state_whole(store, folder, old, new, said, full):
    write(store, "ETHUSDT", {0: "2000"})
    marts.refresh(store, folder=folder)
    before = store.rows(PRICES), store.rows("SELECT * FROM mart_state")
    write(store, "ETHUSDT", {1: "2001"})
    change(folder, old, new)
    if not full:  # the same faults met by an update: the digest of the file is made to look known
        changed = marts.targets(folder)["stg_prices"].sha256
        with store.transaction() as connection:
            connection.execute("UPDATE mart_state SET sql_sha256 = ?", (changed,))
        before = before[0], store.rows("SELECT * FROM mart_state")

    with pytest.raises(MartFailed, match=said):
        marts.refresh(store, ["stg_prices"], folder=folder)

    assert (store.rows(PRICES), store.rows("SELECT * FROM mart_state")) == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-- reads: raw_binance_klines\n-- x\nSELECT 1", "lacks -- target"),
        ("-- target: stg_prices\n-- x\nSELECT 1", "lacks -- reads"),
        ("-- target: stg_prices\n-- reads: raw_binance_klines\nSELECT 1", "lacks a comment"),
        ("-- target: stg_prices\n-- reads: raw_binance_klines\n-- x\n", "lacks one SELECT"),
        ("-- target: no_table\n-- reads: raw_binance_klines\n-- x\nSELECT 1", "no_table has no schema"),
        ("-- target: fact_run\n-- reads: raw_binance_klines\n-- x\nSELECT 1", "needs the column batch"),
        ("-- target: stg_prices\n-- reads: raw_binance_klines\n-- scope: all\n-- x\nSELECT 1", "expected `-- scope"),
        (
            "-- target: stg_prices\n-- reads: raw_binance_klines\n-- scope: ts from dim_prices\n-- x\nSELECT 1",
            "one of the tables it reads",
        ),
    ],
)
def test_a_file_that_says_too_little_is_refused(text, said):
    with pytest.raises(MartFailed, match=said):
        marts.target.parse("x.sql", text)


def test_an_unknown_table_is_refused_by_name(store):
    with pytest.raises(MartFailed, match="no table mart_x in data/marts; there are "):
        marts.refresh(store, ["mart_x"])


@pytest.mark.parametrize("name", marts.targets())
def test_a_file_reads_exactly_the_tables_it_says(store, name):
    import sqlite3

    target, seen = marts.targets()[name], set()

    def note(action, table, *_):
        if action == sqlite3.SQLITE_READ and table in marts.target.tables():
            seen.add(table)
        return sqlite3.SQLITE_OK

    with store.one_state() as connection:
        marts.functions.register(connection)
        connection.set_authorizer(note)
        connection.execute(f"EXPLAIN {target.sql}", {"since": 0})
        connection.set_authorizer(None)

    assert seen == set(target.reads)


def steps_of_an_update(path: Path, candles_before: int) -> int:
    """Steps of SQLite's machine, in hundreds, to take in the same three candles after so many others."""
    with Store.open(path) as store:
        write(store, "ETHUSDT", dict.fromkeys(range(candles_before), "2000"))
        write(store, "USDCUSDT", dict.fromkeys(range(candles_before), "1.01"))
        marts.refresh(store, ["stg_prices"])
        write(store, "ETHUSDT", dict.fromkeys(range(candles_before, candles_before + 3), "2001"))
        steps = 0

        def count() -> None:
            nonlocal steps
            steps += 1

        with store.one_state() as connection:
            connection.set_progress_handler(count, 100)
        try:
            assert marts.refresh(store, ["stg_prices"])["stg_prices"].changed == 3
        finally:
            with store.one_state() as connection:
                connection.set_progress_handler(None, 0)
    return steps


def test_the_work_of_an_update_follows_the_new_rows_and_not_the_table(tmp_path):
    """Counted in steps, not in seconds: a table eight times as long costs the same update hardly any more."""
    short, long = (steps_of_an_update(tmp_path / f"{n}.sqlite", n) for n in (250, 2_000))

    assert 0 < long < 1.5 * short
