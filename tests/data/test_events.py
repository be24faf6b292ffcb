"""The durable channel: one event for each change, in its transaction, given until the consumer says it is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from data import marts
from data.errors import BatchRefused, WarehouseError
from data.events import EVERYTHING, News, announce, commit_offset, offset, read_events
from data.store.store import Store
from tests.data.candles import candles


@pytest.fixture
def store(own_warehouse: Path):
    with Store.open(own_warehouse) as opened:
        yield opened


def put(store: Store, closes: dict[int, object], **options: object) -> None:
    store.write_batch("binance", "ETHUSDT", {"raw_binance_klines": candles("ETHUSDT", closes)}, **options)


def announce_and_fail(store: Store) -> None:
    with store.transaction() as connection:
        announce(connection, [News("x", "new_block", {})], 1)
        raise ZeroDivisionError


def test_a_write_and_a_refresh_say_what_they_changed_and_a_re_run_says_nothing(store):
    for _ in range(2):
        put(store, {0: "2000", 1: "2001"})
        marts.refresh(store, ["stg_prices"])

    first, second = read_events(store, "test")
    assert (first.id, first.type, first.topic) == (1, "new_raw_dataset", "binance")
    assert first.payload == {"batch": 1, "key": "ETHUSDT", "tables": {"raw_binance_klines": 2}}
    assert (second.id, second.type, second.topic) == (2, "updated_aggregated_dataset", "stg_prices")
    assert second.payload == {"batch": 1, "changed": 2, "rebuilt": True, "removed": 0}


def test_what_is_rolled_back_was_never_announced(store):
    with pytest.raises(BatchRefused):
        put(store, {0: "-1"}, news=[News("x", "new_block", {})])
    with pytest.raises(ZeroDivisionError):
        announce_and_fail(store)
    put(store, {0: "2000"}, news=[News("x", "new_block", {})])

    assert [(e.id, e.type) for e in read_events(store, "test")] == [(1, "new_raw_dataset"), (2, "new_block")]


def test_events_are_given_until_they_are_committed_and_each_consumer_has_its_own_place(store):
    for hour in range(5):
        put(store, {hour: "2000"}, news=[News("other", "new_block", {"hour": hour})])

    assert [e.id for e in read_events(store, "a", limit=3)] == [1, 2, 3]
    assert [e.id for e in read_events(store, "a", limit=3)] == [1, 2, 3]
    commit_offset(store, "a", EVERYTHING, 3)
    commit_offset(store, "a", EVERYTHING, 3)
    commit_offset(store, "a", EVERYTHING, 1)
    assert offset(store, "a") == 3
    assert [e.id for e in read_events(store, "a", limit=3)] == [4, 5, 6]
    assert [e.payload["hour"] for e in read_events(store, "b", "other")] == [0, 1, 2, 3, 4]
    commit_offset(store, "b", "other", 6)
    assert [e.id for e in read_events(store, "b", "other")] == [8, 10]
    assert [e.id for e in read_events(store, "b", "binance")] == [1, 3, 5, 7, 9]
    assert offset(store, "c") is None


@pytest.mark.parametrize("last_id", [-1, 2])
def test_an_event_that_does_not_exist_cannot_be_committed(store, last_id):
    put(store, {0: "2000"})
    with pytest.raises(WarehouseError, match="the newest is 1"):
        commit_offset(store, "a", EVERYTHING, last_id)
