"""A replay that is put down as JSON and taken up again is the replay that never stopped."""

from __future__ import annotations

import json

import pytest

from flows.aave.history import HistoryError, decode
from flows.aave.history.decoding import TOPICS
from flows.aave.history.keeping import after_changes, changes, kept, restored, rules_digest
from tests.history.compare import load, replay_of
from tests.history.test_lives import COMMITTED, LIVES


def through_json(values):
    return json.loads(json.dumps(values))


@pytest.mark.parametrize("name", LIVES)
def test_a_replay_stopped_at_every_block_is_the_one_that_never_stopped(name):
    told = load(COMMITTED / f"{name}.json.xz")
    happenings = decode(told["logs"], dict(told["blocks"]))
    one, other, at = replay_of(told), replay_of(told), 0
    before = again = None
    for block, time in told["blocks"]:
        upto = at
        while upto < len(happenings) and happenings[upto].block <= block:
            upto += 1
        one.feed(happenings[at:upto])
        other.feed(happenings[at:upto])
        at = upto
        other = restored(through_json(kept(other)))
        assert kept(other) == kept(one)
        if one.revision:
            book = one.book(block, time)
            assert other.book(block, time) == book
            # Books, each as what differs from the one before.
            again = after_changes(again, through_json(changes(before, book)))
            assert again == book
            before = book
    assert (other.handled, other.checks) == (one.handled, one.checks)


def test_a_book_after_a_like_one_takes_little_room():
    told = load(COMMITTED / "history_small.json.xz")
    replay = replay_of(told)
    replay.feed(decode(told["logs"], dict(told["blocks"])))
    book = replay.book()
    values = changes(book, book)
    assert values["holdings"] == values["flags"] == values["categories"] == {}


def test_a_state_that_would_be_lost_is_refused():
    told = load(COMMITTED / "history_small.json.xz")
    replay = replay_of(told)
    replay.something_new = 1
    with pytest.raises(TypeError, match="something_new"):
        kept(replay)


def test_a_replay_that_waits_for_a_log_cannot_be_kept():
    told = load(COMMITTED / "history_small.json.xz")
    happenings = decode(told["logs"], dict(told["blocks"]))
    replay = replay_of(told)
    listed = {"0x" + log["topics"][2][-40:] for log in told["logs"] if log["topics"][0] == TOPICS["ReserveInitialized"]}
    at = next(n for n, here in enumerate(happenings) if here.kind == "Transfer" and here.emitter in listed)
    replay.feed(happenings[: at + 1])
    with pytest.raises(HistoryError, match="has no event of the token after it"):
        kept(replay)


def test_the_digest_of_the_rules_is_of_their_source():
    assert len(rules_digest()) == 64
