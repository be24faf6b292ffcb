"""Following a chain's head: whatever is announced, and whatever the chain does, the warehouse ends as the chain is.

The witness is a second warehouse that a backfill made of the chain as it was in the end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from data import marts
from data.events import read_events
from data.store.store import Store
from flows.chain.backfill import NotTheStoredChain
from flows.chain.chain_activity import DERIVED
from flows.chain.live import Follower, ReorganisedTooDeep, follow
from flows.chain.node import ChainNode
from flows.clients.json_rpc import JsonRpc
from flows.clients.new_heads import NewHeads
from flows.continuous import Stop
from flows.errors import ConfigurationError, MalformedAnswer
from flows.pipeline import Run
from tests.flows.chain.canonical import canonical, chain_of, chain_told
from tests.flows.chain.fake_chain import FakeChain
from tests.flows.chain.fake_socket import FakeSocket, until

CHAIN = 31337


@pytest.fixture
def store(own_warehouse: Path) -> Iterator[Store]:
    with Store.open(own_warehouse) as opened:
        yield opened


def follower(store: Store, chain: FakeChain, **options: Any) -> Follower:
    rpc = JsonRpc(chain.url, attempts=2, sleep=lambda seconds: None)
    return Follower(Run(store, "test"), ChainNode(rpc), CHAIN, size=4, threads=2, **options)


def assert_as_a_backfill(store: Store, chain: FakeChain, tmp_path: Path, first: int, confirmations: int = 0) -> None:
    marts.refresh(store, list(DERIVED))
    with Store.open(tmp_path / "undisturbed.sqlite") as fresh:
        follower(fresh, chain, start=first, confirmations=confirmations).step()
        marts.refresh(fresh, list(DERIVED))
        assert canonical(store) == canonical(fresh)
        assert canonical(fresh)["mart_token_transfer_hourly"]


def numbers(store: Store, orphaned: int = 0) -> list[int]:
    return [
        n for (n,) in store.rows("SELECT block_number FROM stg_chain_blocks WHERE orphaned = ? ORDER BY 1", (orphaned,))
    ]


# One look after the other


def test_it_begins_at_the_head_and_goes_on_from_what_is_stored(chain: FakeChain, store: Store, tmp_path: Path):
    chain.head = 20
    assert follower(store, chain).step().blocks == 1
    chain.head = 29
    assert follower(store, chain).step().blocks == 9
    assert follower(store, chain).step().blocks == 0
    assert numbers(store) == list(range(20, 30))
    assert_as_a_backfill(store, chain, tmp_path, 20)


@pytest.mark.parametrize("depth", [1, 2, 7, 20])
def test_replaced_blocks_are_marked_and_tables_made_of_them_follow(chain, store, tmp_path, depth):
    live = follower(store, chain, start=10, confirmations=2)
    live.step()
    marts.refresh(store, list(DERIVED))
    chain.reorganise(38 - depth, "fork")
    chain.head += 3
    written = live.step()

    assert written.orphaned == depth
    assert numbers(store, orphaned=1) == list(range(38 - depth, 38))
    assert_as_a_backfill(store, chain, tmp_path, 10, confirmations=2)
    updated = {t: store.rows(f"SELECT * FROM {t} ORDER BY 1, 2, 3") for t in DERIVED}
    marts.refresh(store, list(DERIVED), full=True)
    assert {t: store.rows(f"SELECT * FROM {t} ORDER BY 1, 2, 3") for t in DERIVED} == updated


def test_a_token_that_only_the_lost_blocks_moved_leaves_no_row(chain, store, tmp_path):
    chain.head = 20
    live = follower(store, chain, start=10)
    live.step()
    marts.refresh(store, list(DERIVED))
    assert len(store.rows("SELECT * FROM mart_token_transfer_hourly")) == 3
    chain.reorganise(10, "fork")
    chain.logs = 2
    live.step()
    assert_as_a_backfill(store, chain, tmp_path, 10)
    assert len(store.rows("SELECT * FROM mart_token_transfer_hourly")) == 2


def test_a_chain_that_becomes_shorter_takes_its_blocks_away(chain, store, tmp_path):
    live = follower(store, chain, start=10)
    live.step()
    chain.reorganise(30, "fork")
    chain.head = 33
    live.step()

    assert numbers(store) == list(range(10, 34))
    assert numbers(store, orphaned=1) == list(range(30, 40))
    assert_as_a_backfill(store, chain, tmp_path, 10)


def test_a_node_that_is_behind_takes_nothing_away(chain, store):
    live = follower(store, chain, start=10)
    live.step()
    chain.head = 33
    assert live.step().blocks == 0
    assert numbers(store) == list(range(10, 40))


def test_a_chain_that_comes_back_counts_again(chain, store, tmp_path):
    live = follower(store, chain, start=10)
    live.step()
    for forks in ({35: "b"}, {}, {33: "c"}, {35: "b"}):
        chain.forks = forks
        live.step()
    assert_as_a_backfill(store, chain, tmp_path, 10)
    assert chain_told(store, CHAIN) == chain_of(store, CHAIN)
    assert store.rows("SELECT count(*) FROM raw_chain_blocks") == [(30 + 5 + 7,)]


def test_beyond_the_bound_nothing_is_replaced_and_the_reason_is_said(chain, store):
    live = follower(store, chain, start=10, max_reorg=8)
    live.step()
    before = canonical(store)
    chain.reorganise(31, "fork")
    with pytest.raises(ReorganisedTooDeep, match=r"down to 31 and further: more than 8 .* --max-reorg"):
        live.step()
    assert canonical(store) == before
    chain.forks = {32: "fork"}
    assert live.step().orphaned == 8


def test_a_reorganisation_below_everything_stored_replaces_all_of_it(chain, store, tmp_path):
    follower(store, chain, start=30).step()
    chain.reorganise(12, "fork")
    assert follower(store, chain).step().orphaned == 10
    assert_as_a_backfill(store, chain, tmp_path, 30)


def test_too_many_missed_blocks_are_asked_about(chain, store):
    chain.head = 10
    follower(store, chain).step()
    chain.head = 39
    with pytest.raises(ConfigurationError, match=r"29 blocks were missed.*--start-block 11 .*--start-block 39"):
        follower(store, chain, most_missed=20).step()
    follower(store, chain, most_missed=20, start=39).step()
    assert numbers(store) == [10, 39]
    assert follower(store, chain, start=5).step().blocks == 33
    assert numbers(store) == list(range(5, 40))


def test_every_block_is_announced_once_with_what_it_replaces(chain, store):
    chain.head = 20
    live = follower(store, chain, start=18)
    live.step()
    chain.reorganise(20, "fork")
    chain.head = 21
    old = store.rows("SELECT block_hash FROM stg_chain_blocks WHERE block_number = 20")[0][0]
    live.step()
    live.step()

    events = read_events(store, "test", f"chain-{CHAIN}")
    assert [(e.type, e.payload["number"], e.payload["orphaned"]) for e in events] == [
        ("new_block", 18, []),
        ("new_block", 19, []),
        ("new_block", 20, []),
        ("new_block", 20, [old]),
        ("new_block", 21, []),
    ]
    assert events[-1].payload["hash"] == chain.hash(21)
    assert events[-1].payload["parent_hash"] == events[-2].payload["hash"] == chain.hash(20)
    raw = read_events(store, "test", "chain")
    assert {e.type for e in raw} == {"new_raw_dataset"}
    assert raw[0].payload["tables"]["raw_chain_logs"] == 9


# Behind a subscription


class Running:
    """`follow` in a thread, with a warehouse connection of its own."""

    def __init__(self, path: Path, chain: FakeChain, url: str, **options: Any) -> None:
        self.stop, self.error, self.said = Stop(), None, []
        loop = {"poll": 60.0, "patience": 60.0} | {k: options.pop(k) for k in ("poll", "patience") if k in options}
        silence = options.pop("silence", 60.0)

        def run() -> None:
            try:
                with Store.open(path) as store, NewHeads(url, silence=silence) as self.heads:
                    follow(follower(store, chain, **options), self.heads, self.stop, say=self.said.append, **loop)
            except Exception as exc:
                self.error = exc

        self.thread = threading.Thread(target=run)
        self.thread.start()

    def end(self) -> None:
        self.stop.ask("the test")
        self.thread.join(20)
        assert not self.thread.is_alive()


@pytest.fixture
def socket() -> Iterator[FakeSocket]:
    with FakeSocket() as made:
        yield made


@pytest.fixture
def live(chain: FakeChain, socket: FakeSocket, store: Store, own_warehouse: Path) -> Iterator[Callable[..., Running]]:
    """Starts following at block 20, and waits for the subscription."""
    chain.head = 20
    running: list[Running] = []

    def start(subscribed: bool = True, **options: Any) -> Running:
        running.append(Running(own_warehouse, chain, socket.url, **{"start": 20} | options))
        until(lambda: numbers(store))
        if subscribed:
            until(lambda: socket.subscriptions)
        return running[-1]

    yield start
    for one in running:
        one.end()


def test_announced_blocks_are_stored_and_repetitions_and_omissions_change_nothing(chain, socket, store, live, tmp_path):
    one = live()
    for head in (21, 22, 25, 25, 25, 24, 29):  # 23 and 26 to 28 are never announced, 24 too late
        chain.head = max(chain.head, head)
        socket.announce(head, chain.hash(head))
        until(lambda: max(numbers(store)) == chain.head)
    one.end()
    assert one.error is None
    assert numbers(store) == list(range(20, 30))
    assert len(read_events(store, "test", f"chain-{CHAIN}")) == 10
    assert_as_a_backfill(store, chain, tmp_path, 20)


def test_a_lie_about_the_head_and_babble_cost_a_look_and_nothing_else(chain, socket, store, live):
    one = live()
    for lie in (10**9, 2**63 - 1, 23, 3):
        socket.announce(lie)
    for babble in ("", "{", "[]", '{"params": 7}', b"\x00\xff", '{"params": {"result": {"number": "many"}}}', "null"):
        socket.say(babble)
    until(lambda: one.heads.ignored == 7)
    assert numbers(store) == [20]
    chain.head = 21
    socket.announce(21)
    until(lambda: numbers(store) == [20, 21])
    assert one.thread.is_alive()


def test_a_head_that_the_node_does_not_have_is_waited_for(chain, socket, store, live):
    chain.alter = lambda method, params, answer: hex(chain.head + 5) if method == "eth_blockNumber" else answer
    one = Running(store.path, chain, socket.url, start=20)
    until(lambda: any("does not have that block" in line for line in one.said))
    chain.alter = lambda method, params, answer: answer
    until(lambda: numbers(store))
    one.end()
    assert one.error is None


def test_a_head_that_stays_a_lie_is_said_when_patience_ends(chain, socket, store):
    chain.alter = lambda method, params, answer: hex(chain.head + 5) if method == "eth_blockNumber" else answer
    one = Running(store.path, chain, socket.url, start=20, patience=0.2)
    one.thread.join(20)
    assert isinstance(one.error, MalformedAnswer)
    assert "does not have that block" in str(one.error)


def test_a_time_that_goes_backwards_is_not_stored(chain, socket, store, live):
    one = live(patience=0.2)
    chain.alter = lambda method, params, answer: (
        answer | {"timestamp": "0x1"}
        if method == "eth_getBlockByNumber" and answer and answer["number"] == "0x16"
        else answer
    )
    chain.head = 21
    socket.announce(21)
    until(lambda: numbers(store) == [20, 21])
    chain.head = 22
    socket.announce(22)
    one.thread.join(20)
    assert "do not go backwards" in str(one.error)
    assert isinstance(one.error, NotTheStoredChain)
    assert numbers(store) == [20, 21]


@pytest.mark.parametrize("half_a_message", [False, True])
def test_a_connection_that_dies_is_opened_again_and_what_was_missed_is_filled(
    chain, socket, store, live, half_a_message
):
    one = live()
    for turn in range(1, 4):
        chain.head += 2
        socket.cut(half_a_message)
        until(lambda: socket.subscriptions == turn + 1)  # noqa: B023
        until(lambda: max(numbers(store)) == chain.head)
    assert one.heads.heads == 0


def test_silence_ends_a_connection(chain, socket, store, live):
    one = live(silence=0.2)
    until(lambda: socket.subscriptions >= 2)
    until(lambda: "nothing was heard for 0.2 s" in one.heads.trouble)


def test_without_a_subscription_blocks_are_looked_for(chain, socket, store, live):
    socket.refuse = True
    one = live(subscribed=False, poll=0.05)
    until(lambda: "notifications not supported" in one.heads.trouble)
    chain.head = 23
    until(lambda: max(numbers(store)) == 23)


def test_an_address_of_another_scheme_is_refused():
    with pytest.raises(ConfigurationError, match="ETH_WS_URL"):
        NewHeads("http://127.0.0.1:1")
