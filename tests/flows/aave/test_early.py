"""What a refresh asks for early is used where it fits, asked for once, and never taken where the chain has changed."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest

from data.store.store import Store
from flows.aave import account_columns
from flows.aave.account_columns import AccountColumns
from flows.aave.holders import ScannedRange, Tokens
from flows.aave.incremental.carry import Base
from flows.aave.incremental.early import Early, Likely
from tests.flows.aave.conftest import run, stored
from tests.flows.aave.fake_node import FakeNode

POOL, A, V = ("0x" + sign * 40 for sign in "123")
TOKENS = Tokens(POOL, {"0xasset": A}, {"0xasset": V})


def later(node: FakeNode, blocks: int = 5) -> None:
    """Blocks in which nothing happens to the market; the newest one keeps its time, as its indices do."""
    node.tip += blocks
    node.log_ranges.clear()
    node.asked.clear()


def test_a_refresh_reads_the_log_once_and_carries_the_rest(node: FakeNode):
    run()
    first = node.tip
    later(node)
    run()

    assert stored("SELECT read_mode, base_block FROM fact_snapshot ORDER BY block") == [
        ("full", None),
        ("incremental", first),
    ]
    assert node.log_ranges == [(first + 1, first + 5)]
    assert node.asked["eth_getCode"] == 1


def test_a_snapshot_whose_block_was_replaced_is_not_carried(node: FakeNode):
    run()
    later(node)
    node.hash_salt = 1
    run()

    assert stored("SELECT read_mode FROM fact_snapshot ORDER BY block DESC LIMIT 1") == [("full",)]


def test_a_base_that_is_replaced_while_the_market_is_opened_stops_the_run(node: FakeNode):
    run()
    base = node.tip
    later(node)

    def replaced(method: str, params: list[Any]) -> None:
        if method == "eth_getBlockByNumber" and params[0] == hex(base):
            node.hash_salt = 1

    node.before = replaced
    with pytest.raises(Exception, match="was replaced while it was read"):
        run()
    assert stored("SELECT count(*) FROM fact_snapshot") == [(1,)]


def test_with_one_request_at_a_time_there_is_never_a_second(node: FakeNode, monkeypatch: pytest.MonkeyPatch):
    run()
    later(node)
    monkeypatch.setenv("RPC_CONCURRENCY", "1")
    lock, crowded = threading.Lock(), []

    def alone(method: str, params: list[Any]) -> None:
        if not lock.acquire(blocking=False):
            crowded.append(method)
            return
        threading.Event().wait(0.002)
        lock.release()

    node.before = alone
    run()
    assert crowded == []


def test_the_log_of_other_tokens_or_another_block_is_not_used():
    log: Future[list[ScannedRange]] = Future()
    log.set_result([ScannedRange(11, 20, {})])
    base = Base(10, 1, AccountColumns.of([]))
    early = Early(base, Likely(10, 1, TOKENS), None, log)

    assert early.log_since(base, TOKENS) == [ScannedRange(11, 20, {})]
    assert early.log_since(base, replace(TOKENS, atoken={"0xasset": A, "0xother": V})) is None
    assert early.log_since(replace(base, block=9), TOKENS) is None
    assert Early(None, None, None, None).log_since(base, TOKENS) is None
    assert Early(None, None, None, None).hashes() == {}


def test_stored_accounts_are_the_same_joined_and_row_by_row(node: FakeNode, monkeypatch: pytest.MonkeyPatch):
    run()
    with Store.open() as store:
        [(market, block)] = store.rows("SELECT market, block FROM fact_snapshot")
        joined = AccountColumns.stored(store, market, block)
        monkeypatch.setattr(account_columns, "_joined", lambda *args: None)
        assert AccountColumns.stored(store, market, block) == joined
    assert len(joined) > 50
    assert sum(joined.debt) > 0


def test_addresses_that_cannot_be_parted_are_read_row_by_row(node: FakeNode):
    run()
    with Store.open() as store:
        [(market, block)] = store.rows("SELECT market, block FROM fact_snapshot")
        with store.transaction() as connection:
            connection.execute("UPDATE raw_aave_account_states SET account = account || 'x'")
        table, names, where, _ = account_columns._ACCOUNTS
        assert account_columns._joined(store, (market, block), table, names, where) is None
        with pytest.raises(KeyError):
            AccountColumns.stored(store, market, block)
