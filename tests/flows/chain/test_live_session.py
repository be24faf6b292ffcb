"""`chain-activity --live` as a user runs it: what it says, how it ends, and what a kill leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.store.store import Store
from flows.errors import ConfigurationError
from tests.flows.chain.canonical import canonical, chain_of, chain_told
from tests.flows.chain.fake_chain import FakeChain
from tests.flows.chain.fake_socket import FakeSocket
from tests.flows.running import ran
from tests.node.live_process import LiveProcess


def run(*words: str) -> str:
    return ran("chain-activity", "--network", "31337", *words)


def test_killed_and_started_again_it_ends_as_a_backfill(chain: FakeChain, tmp_path: Path, backfill, monkeypatch):
    chain.head = 12
    head = "SELECT max(block_number) FROM stg_chain_blocks WHERE orphaned = 0"
    with FakeSocket() as socket:
        live = LiveProcess(tmp_path / "live.sqlite", chain.url, socket.url, "--start-block", "10")
        try:
            live.start()
            live.until(lambda: live.has_written and socket.subscriptions)
            chain.head = 20
            socket.announce(20)
            live.until(lambda: live.rows(head) == [(20,)])
            live.kill()  # before the tables made of the blocks were brought up to date: that is every ten seconds
            chain.reorganise(18, "fork")
            chain.head = 21
            live.start()
            live.until(lambda: live.rows(head) == [(21,)])
            assert live.end() == 0
        finally:
            live.end()
    said = live.said()
    assert "reorganisation: 3 stored blocks were replaced" in said
    assert "chain 31337: 4 blocks, 12 logs, 12 token transfers; 3 stored blocks were replaced" in said
    assert "stopped by SIGTERM" in said
    assert live.rows("SELECT state FROM fact_run ORDER BY started_at, state DESC") == [("running",), ("completed",)]
    monkeypatch.setenv("RISK_DB", str(tmp_path / "undisturbed.sqlite"))
    backfill(10, 21)
    with Store.open(live.db, readonly=True) as ours, Store.open(readonly=True) as theirs:
        assert canonical(ours) == canonical(theirs)
        assert chain_told(ours, 31337) == chain_of(theirs, 31337)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--live"], "ETH_WS_URL is not set"),
        (["--live", "--reread"], "leave out --parquet and --reread"),
        (["--live", "--parquet", "x"], "leave out --parquet and --reread"),
        ([], "--start-block is missing"),
    ],
)
def test_what_cannot_be_run_is_said(chain: FakeChain, words: list[str], said: str):
    with pytest.raises(ConfigurationError, match=said):
        run(*words)


def test_another_chain_is_refused_before_anything_is_written(chain: FakeChain, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ETH_WS_URL", "ws://127.0.0.1:1")
    chain.chain_id = 1
    with pytest.raises(ConfigurationError, match="is on chain 1"):
        run("--live")
    with Store.open(readonly=True) as store:
        assert store.rows("SELECT count(*) FROM fact_batch") == [(0,)]
