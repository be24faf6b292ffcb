"""The scan of the log: small ranges, interruptions, and chains that are not the one of last time."""

from __future__ import annotations

import re

import pytest

import data
from flows.aave import holder_scan
from flows.errors import (
    SourceRefused,
    SourceUnavailable,
)
from tests.flows.aave.conftest import nothing_is_stored, run, stored
from tests.flows.aave.fake_node import FakeNode, Refused


def test_a_node_with_a_small_log_range_is_read_in_small_ranges(node: FakeNode):
    node.max_log_range = 3

    run()

    assert max(last - first + 1 for first, last in node.log_ranges) == 3
    covered = [block for first, last in node.log_ranges for block in range(first, last + 1)]
    assert covered == sorted(set(covered))
    assert covered[-1] == node.tip


def test_an_interrupted_scan_goes_on_where_it_stopped(node: FakeNode, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(holder_scan, "REORG_WINDOW", 2)
    node.max_log_range = 4

    def fail_late(method: str, params: list) -> None:
        if method == "eth_getLogs" and int(params[0]["fromBlock"], 16) >= 12:
            raise Refused(-32000, "backend is being upgraded")

    node.before = fail_late
    with pytest.raises(
        SourceRefused, match=r"refuses the logs of the single block 1.: backend is being upgraded"
    ) as end:
        run()
    refused = int(re.findall(r"single block (\d+)", str(end.value))[0])
    assert nothing_is_stored()
    assert stored("SELECT count(*) FROM raw_aave_holders")[0][0] > 0
    node.before = lambda method, params: None
    node.log_ranges.clear()

    run()

    assert node.log_ranges[0][0] == refused >= 12
    node.log_ranges.clear()
    run("--full")
    assert node.log_ranges == [(node.tip - 1, node.tip)]  # the last two blocks may still be replaced


def test_a_scan_of_another_chain_is_not_gone_on_with(node: FakeNode, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(holder_scan, "REORG_WINDOW", 2)
    run()
    node.hash_salt = 1
    node.log_ranges.clear()

    run()

    assert node.log_ranges[0][0] <= 4  # from the pool's first block again
    assert data.load_market(verify=True).snapshot.block == node.tip


def test_a_shorter_chain_under_the_same_addresses_is_read_again(node: FakeNode, monkeypatch: pytest.MonkeyPatch):
    """A local node that was started anew deploys to the same addresses."""
    monkeypatch.setattr(holder_scan, "REORG_WINDOW", 2)
    node.tip = 40
    run()
    node.tip, node.hash_salt = 21, 1
    node.log_ranges.clear()

    run()

    assert node.log_ranges[0][0] <= 4
    assert data.load_market().snapshot.block == 40  # the later one by number, both at the same time


def test_an_older_block_needs_no_new_scan(node: FakeNode, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(holder_scan, "REORG_WINDOW", 2)
    node.tip = 40
    run()
    node.log_ranges.clear()
    node.time += 12 * 10  # so that block 30 is at the recording's time

    run("--block", "30")

    assert node.log_ranges == []
    assert data.load_market(block=30, verify=True).n_accounts == data.load_market(block=40).n_accounts


def test_a_machine_that_lags_is_not_believed_to_have_all_logs(node: FakeNode):
    """It answers eth_getLogs up to a block that it does not have, with what it has."""
    lagging = 2

    def lag(method: str, params: list) -> None:
        nonlocal lagging
        if method == "eth_getLogs" and lagging:
            lagging, node.tip = lagging - 1, 20
        elif method == "eth_getLogs":
            node.tip = 21

    node.before = lag
    run()

    assert [last for _, last in node.log_ranges] == [21, 21, 21]
    assert data.load_market(verify=True).snapshot.block == 21


def test_a_node_that_goes_on_lagging_is_given_up(node: FakeNode):
    def lag(method: str, params: list) -> None:
        if method == "eth_getLogs":
            node.tip = 20

    node.before = lag
    with pytest.raises(SourceUnavailable, match=r"announced block 21, .* does not have that block"):
        run()

    assert nothing_is_stored()
