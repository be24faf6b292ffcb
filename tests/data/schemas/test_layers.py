"""Laws and checks for every table that SQL makes: the same module for all, so a new one is held to them at once."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data import marts
from data.schemas import SCHEMAS
from data.schemas.tables import tables
from data.schemas.views import views
from data.store.store import Store
from data.store.validation import judge
from tests.data.feeding import FEEDERS

TARGETS = list(marts.targets())

RELATIONSHIPS = [
    ("stg_aave_terms", "market, block", "fact_snapshot"),
    ("stg_aave_terms", "market, block, asset", "raw_aave_reserves"),
    ("stg_account_health", "market, block", "fact_snapshot"),
    ("stg_account_health", "market, block, account", "raw_aave_user_accounts"),
    ("stg_positions", "market, account, asset", "raw_aave_balances"),
    ("stg_positions", "market, block, account", "raw_aave_user_accounts"),
    ("stg_wallet_now", "market", "dim_market"),
    ("stg_wallet_daily", "market, block", "fact_snapshot"),
    ("dim_market", "market", "fact_snapshot"),
    ("mart_current_collateral_positions", "market, wallet", "stg_wallet_now"),
    ("mart_current_collateral_positions", "market, block, asset", "raw_aave_reserves"),
    ("mart_position_risk", "market, wallet", "stg_wallet_now"),
    ("stg_wallet_now", "market, wallet", "mart_position_risk"),
    ("stg_prices", "batch", "fact_batch"),
    ("fact_feed_update", "chain_id, feed", "dim_feed"),
    ("fact_feed_update", "chain_id, feed, phase_id, round_id", "stg_chainlink_prices"),
    ("mart_feed_staleness", "chain_id, feed", "dim_feed"),
    *((table, "batch", "fact_batch") for table in TARGETS),
]
"""(table, columns, the table in which each of their values must be found)."""

ROUNDS = 6


@pytest.fixture(scope="module")
def fed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse after a random sequence of writes, brought up to date after each."""
    path = tmp_path_factory.mktemp("fed") / "risk.sqlite"
    random = np.random.default_rng(1)
    with Store.open(path) as store:
        for _ in range(3):
            for _ in range(3):
                for feed in FEEDERS:
                    feed(store, random)
            marts.refresh(store)
    return path


@pytest.fixture
def fed(fed_once: Path, own_warehouse: Path) -> Iterator[Store]:
    shutil.copy(fed_once, own_warehouse)
    with Store.open() as store:
        yield store


def content(store: Store, name: str) -> list[tuple]:
    return store.rows(f'SELECT * FROM "{name}" ORDER BY {", ".join(tables()[name].key)}')


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_updates_after_any_writes_give_what_building_anew_gives(store, seed):
    """New, repeated, corrected and lost rows in random order, with an update now and then, of some tables or of all."""
    random = np.random.default_rng(seed)
    for _ in range(ROUNDS):
        for feed in FEEDERS:
            if random.random() < 0.7:
                feed(store, random)
        if random.random() < 0.6:
            marts.refresh(store, None if random.random() < 0.5 else [str(random.choice(TARGETS))])
    marts.refresh(store)
    updated = {name: content(store, name) for name in TARGETS}

    rebuilt = marts.refresh(store, full=True)

    assert all(report.rebuilt for report in rebuilt.values())
    for name in TARGETS:
        assert updated[name] == content(store, name), name


def test_a_re_run_changes_nothing_at_all(fed):
    before = {name: content(fed, name) for name in (*TARGETS, "mart_state", "fact_batch")}

    reports = marts.refresh(fed)

    assert all(not report.selected and not report.rebuilt for report in reports.values())
    assert {name: content(fed, name) for name in before} == before


@pytest.mark.parametrize("name", TARGETS)
def test_a_feeder_brings_rows_to_it(fed, name):
    """Without rows the other tests of this module would say nothing: add a feeder to tests/data/feeding.py."""
    assert content(fed, name)


@pytest.mark.parametrize("name", TARGETS)
def test_its_key_is_unique_and_never_empty(fed, name):
    key = tables()[name].key
    marks = ", ".join(key)

    assert fed.rows(f"SELECT {marks}, count(*) FROM {name} GROUP BY {marks} HAVING count(*) > 1") == []
    assert fed.rows(f"SELECT count(*) FROM {name} WHERE " + " OR ".join(f"{k} IS NULL" for k in key)) == [(0,)]


@pytest.mark.parametrize("name", TARGETS)
def test_its_values_are_those_its_schema_accepts(fed, name):
    frame = pd.DataFrame(content(fed, name), columns=list(tables()[name].names))

    verdict = judge(name, frame)

    assert verdict.bad == {}
    assert verdict.problems == []


@pytest.mark.parametrize("name", TARGETS)
def test_its_columns_of_named_values_hold_no_other(fed, name):
    """Accepted values, asked of the table in SQL and not of what a frame made of it."""
    for column in SCHEMAS[name].to_schema().columns.values():
        for check in column.checks:
            if check.name == "isin":
                allowed = set(check.statistics["allowed_values"])
                found = {value for (value,) in fed.rows(f"SELECT DISTINCT {column.name} FROM {name}")}
                assert found <= allowed | ({None} if column.nullable else set()), column.name


@pytest.mark.parametrize(("name", "columns", "parent"), RELATIONSHIPS, ids=lambda value: value.replace(", ", "+"))
def test_what_it_refers_to_is_there(fed, name, columns, parent):
    lost = f"SELECT {columns} FROM {name} EXCEPT SELECT {columns} FROM {parent}"

    assert fed.rows(lost) == []


@pytest.mark.parametrize("name", TARGETS)
def test_it_is_as_fresh_as_what_it_is_made_from(fed, name):
    """No write to any of its inputs is newer than what it has seen."""
    known = marts.targets()
    sources = {t for each in marts.target.with_inputs([name], known) for t in known[each].reads}
    marks = ", ".join("?" * len(sources))
    newest = fed.rows(f"SELECT max(batch) FROM fact_batch_rows WHERE table_name IN ({marks})", sorted(sources))[0][0]

    assert fed.rows("SELECT watermark FROM mart_state WHERE target = ?", (name,))[0][0] >= (newest or 0)


@pytest.mark.parametrize("name", views())
def test_a_view_can_be_read_and_reads_what_it_says(fed, name):
    view = views()[name]

    fed.rows(f"SELECT * FROM {name} LIMIT 5")

    assert all(re.search(rf"\b{table}\b", view.sql) for table in view.reads)


def test_the_warehouse_has_exactly_the_views_that_are_declared(store):
    assert {name for (name,) in store.rows("SELECT name FROM sqlite_schema WHERE type = 'view'")} == set(views())
