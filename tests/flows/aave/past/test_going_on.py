"""A run that was killed, at whatever moment, goes on where it stopped and stores the same rows; once."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

import data
from flows.aave.history.decoding import TOPICS
from flows.aave.history.keeping import rules_digest
from flows.aave.past import checkpoint, replaying, saving
from flows.clients.json_rpc import JsonRpc
from tests.flows.aave.fake_node import serving
from tests.flows.aave.killing import killed_at
from tests.flows.aave.life_node import LifeNode
from tests.flows.aave.past.conftest import blocks, contents, kept, run

ASKED = ("--store", "--every", "9")


class Killed(BaseException):
    """Stands for kill -9: nothing in the flow catches it."""


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """The rows of a run that nothing disturbed, in a warehouse of its own."""
    node = LifeNode()
    with pytest.MonkeyPatch.context() as patch, serving(node) as url:
        patch.setenv("RISK_DB", str(tmp_path_factory.mktemp("undisturbed") / "risk.sqlite"))
        patch.setenv("ETH_RPC_URL", url)
        patch.setenv("AAVE_POOL_ADDRESSES_PROVIDER", node.provider)
        run(*ASKED)
        assert len(blocks()) == 16
        return contents()


@pytest.fixture
def undisturbed(whole_run):
    """Those rows, while the test's own warehouse is empty."""
    assert blocks() == []
    return whole_run


class Deaths:
    """Ends the process, as far as the flow can see, at a step to come: a request, a file, or a snapshot."""

    def __init__(self, monkeypatch):
        self.left = 0
        for holder, name in (
            (JsonRpc, "call"), (JsonRpc, "batch"), (checkpoint.os, "fsync"), (saving, "to_frames"), (replaying, "kept")
        ):  # fmt: skip
            monkeypatch.setattr(holder, name, self._counted(getattr(holder, name)))

    def _counted(self, function):
        def step(*args, **kwargs):
            self.left -= 1
            if self.left == 0:
                raise Killed
            return function(*args, **kwargs)

        return step


@pytest.mark.parametrize("seed", range(3))
def test_a_run_killed_again_and_again_ends_as_an_undisturbed_one(life, undisturbed, monkeypatch, seed):
    monkeypatch.setattr(replaying, "KEEP_EVERY", 0.0)
    monkeypatch.setattr(replaying, "SHARE", 0)
    draw, deaths, died = random.Random(seed), Deaths(monkeypatch), 0
    while True:
        # Each life is longer than the one before, so that the last is long enough.
        deaths.left = draw.randint(1, 20 + 30 * died)
        try:
            run(*ASKED)
        except Killed:
            died += 1
        else:
            break
        stored = blocks()
        if stored:  # the comparison at the tip has passed, so what is there is whole and in order
            assert all(data.load_market(block=block).n_accounts for block in stored)
    assert died > 2
    deaths.left = 0
    assert contents() == undisturbed
    assert "0 blocks stored" in run(*ASKED)
    assert contents() == undisturbed


def test_nothing_that_was_kept_is_read_again(life, undisturbed, monkeypatch):
    with monkeypatch.context() as dying:
        dying.setattr(replaying, "compare_with_node", killed)
        with pytest.raises(Killed):
            run(*ASKED)
    assert blocks() == []
    life.log_ranges.clear()
    run(*ASKED)
    assert min(first for first, _ in life.log_ranges) == 235
    assert contents() == undisturbed


def killed(*_):
    raise Killed


def test_a_kept_replay_without_the_books_that_are_wanted_begins_again(life, undisturbed, capsys):
    run("--store", "--every", "100")
    capsys.readouterr()
    run(*ASKED)
    assert "block 162 lies before block 234, from where the replay could go on" in capsys.readouterr().err
    run("--store", "--at", "200", "--anew")
    assert set(blocks()) == {200, *range(162, 299, 9)}


def test_books_of_an_older_choice_are_taken_and_the_others_dropped(life, undisturbed, monkeypatch, tmp_path):
    with monkeypatch.context() as dying:
        dying.setattr(replaying, "compare_with_node", killed)
        with pytest.raises(Killed):
            run("--store", "--every", "3")
    life.log_ranges.clear()
    run(*ASKED)
    assert min(first for first, _ in life.log_ranges) == 235
    assert contents() == undisturbed


def test_feeds_and_tokens_that_are_new_since_then_give_the_same_prices(life, undisturbed, monkeypatch):
    # A feed that had answered before an oracle named it, and before the block up to which the replay is kept.
    asset = life.life["truth"][-1]["reserves"][-1]["asset"]
    named = [log for log in life.logs if log["topics"][0] == TOPICS["AssetSourceUpdated"]]
    feed = next(log["topics"][2] for log in named if log["topics"][1].endswith(asset[2:]))
    answer = next(log for log in life.logs if log["address"].lower() == "0x" + feed[-40:])
    assert int(answer["blockNumber"], 16) == 40
    life.logs[life.logs.index(answer)] = {**answer, "blockNumber": hex(20), "logIndex": hex(10_000)}
    tip = life.tip
    life.lives_until(27)
    monkeypatch.setattr(replaying, "REORG_WINDOW", 5)
    run()
    monkeypatch.setattr(replaying, "REORG_WINDOW", 64)
    life.lives_until(tip)
    life.log_ranges.clear()
    run(*ASKED)
    # The rest begins after block 22; only what new feeds logged before is read from the beginning.
    assert {last for first, last in life.log_ranges if first <= 22} == {22}
    assert contents() == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("count", [200, 350, 500])
def test_after_kill_9_the_next_run_ends_as_an_undisturbed_one(life, undisturbed, count):
    killed_at(life, "before", count, "aave-history", *ASKED, RPC_CONCURRENCY="1")
    assert blocks() == []
    run(*ASKED)
    assert contents() == undisturbed


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda raw: raw[:-1], "is cut off or was altered"),
        (lambda raw: raw[:40], "its first line has digest"),
        (lambda raw: b"", "its first line has digest"),
        (lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]), "has digest [0-9a-f]{16}, the file says"),
        (lambda raw: raw + b"more", "found .*: it is cut off or was altered"),
        (lambda raw: raw.replace(b'"block": 234', b'"block": 233'), "its first line has digest"),
    ],
)
def test_a_damaged_replay_is_refused_and_nothing_is_written(life, damage, told):
    run("--store", "--at", "245")
    path, before = kept(), contents()
    path.write_bytes(damage(path.read_bytes()))
    damaged = path.read_bytes()
    with pytest.raises(checkpoint.CheckpointRefused, match=f"{told}.*--anew reads the logs from the first block"):
        run("--store", "--at", "290")
    assert (contents(), path.read_bytes()) == (before, damaged)
    assert "1 blocks stored" in run("--store", "--at", "290", "--anew")
    assert blocks() == [245, 290]


def test_the_replay_of_another_market_is_refused(life, monkeypatch):
    run("--store", "--at", "245")
    path = kept()
    monkeypatch.setenv("AAVE_MARKET", "Another")
    path.rename(path.with_name(path.name.replace("AaveV3-at-0x5fbdb231", "Another")))
    with pytest.raises(checkpoint.CheckpointRefused, match=r"is the replay of market AaveV3 at .*, expected Another"):
        run("--store", "--at", "245")


def test_a_state_of_another_shape_is_refused(life):
    run("--store", "--at", "245")
    path = kept()
    raw = path.read_bytes()
    whose = checkpoint.Whose("AaveV3 at 0x5fbdb231", life.chain_id, life.provider, rules_digest())
    found = checkpoint.read(path, whose)
    assert found is not None
    checkpoint.write(path, replace(found, state=checkpoint.packed({"made": []})))
    assert path.read_bytes() != raw
    with pytest.raises(checkpoint.CheckpointRefused, match="does not hold the state of this market's replay"):
        run("--store", "--at", "290")


def test_blocks_that_the_chain_replaced_are_refused(life):
    run("--store", "--at", "245")
    life.hash_salt = 1
    with pytest.raises(checkpoint.CheckpointRefused, match=r"ends at block 234 with hash 0x.*the node says 0x.*--anew"):
        run("--store", "--at", "290")
    assert blocks() == [245]


def test_a_replay_that_ends_after_the_tip_is_refused(life):
    run("--store", "--at", "245")
    life.lives_until(191)
    with pytest.raises(checkpoint.CheckpointRefused, match="ends at block 234, after block 191; give a later --block"):
        run("--at", "180")


def test_a_replay_by_other_rules_is_not_gone_on_from(life, monkeypatch):
    run("--store", "--at", "245")
    monkeypatch.setattr("flows.aave.aave_history.rules_digest", lambda: "0" * 64)
    life.log_ranges.clear()
    run("--store", "--at", "245")
    assert min(first for first, _ in life.log_ranges) == 0


def test_blocks_that_are_too_new_are_not_kept(life):
    life.lives_until(27)
    run()
    assert not list(data.settings.risk_db().parent.glob("*.replay"))


def test_a_replaced_block_is_stored_anew(life):
    run("--store", "--at", "290")
    life.hash_salt = 1
    assert "1 blocks stored" in run("--store", "--at", "290", "--anew")
