"""`chain-activity --live` on a real node: killed, cut off and reorganised, it ends as a backfill that saw none of it.

The witness is a second warehouse, filled at the end by `chain-activity` from the chain that won; and the chain as a
consumer of the events knows it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from eth_abi import encode
from eth_utils import keccak

from data.store.store import Store
from tests.flows.chain.canonical import canonical, chain_of, chain_told
from tests.node import log_writer, toolchain
from tests.node.chain import Chain, anvil
from tests.node.cutting_proxy import CuttingProxy
from tests.node.live_process import LiveProcess
from tests.node.test_chain_activity import backfill
from tests.node.toolchain import ToolchainMissing

pytestmark = pytest.mark.node

CHAIN = 31337
TRANSFER = keccak(text="Transfer(address,address,uint256)").hex()
SWAP = keccak(text="Swap(address,address,int256,int256,uint160,uint128,int24)").hex()
BLOCKS, REORGS, CUTS, KILLS = 200, 20, 10, 5


class Traffic:
    """Blocks with a few token transfers and swaps, drawn from a seed; never two of the same content."""

    def __init__(self, chain: Chain, seed: int) -> None:
        self.chain, self.draw, self.blocks = chain, random.Random(seed), 0
        self._writers = []
        for _ in range(3):
            chain.send(chain.admin, None, log_writer.creation(3))
            self._writers.append(chain.mine(seconds=1)[-1]["contractAddress"])
        for _ in range(7):  # deeper than any reorganisation, so that the contracts stay
            self.block()

    def block(self) -> None:
        for _ in range(self.draw.randrange(4)):
            people = [f"{self.draw.randrange(1, 6):064x}" for _ in range(2)]
            if self.draw.random() < 0.7:
                words, values = [TRANSFER, *people], encode(["uint256"], [self.draw.randrange(10**24)])
            else:
                paid = self.draw.randrange(1, 10**20)
                kinds = ["int256", "int256", "uint160", "uint128", "int24"]
                words, values = [SWAP, *people], encode(kinds, [paid, -paid, 2**96, 10**18, 7])
            self.chain.send(
                self.chain.admin, self.draw.choice(self._writers), "0x" + "".join(words) + values.hex(), gas=300_000
            )
        self.chain.mine(seconds=self.draw.choice([1, 60, 400]))
        self.blocks += 1

    def reorganise(self, depth: int) -> None:
        self.chain.rpc("anvil_reorg", depth, [])
        self.chain._nonces.clear()  # the transactions of the blocks that are gone are gone with them


@pytest.fixture
def chain() -> Iterator[Chain]:
    try:
        toolchain.ready()
    except ToolchainMissing as reason:
        pytest.skip(str(reason))
    with anvil() as node:
        yield node


@pytest.fixture
def proxy(chain: Chain) -> Iterator[CuttingProxy]:
    with CuttingProxy(urlsplit(chain.url).port) as made:
        yield made


@pytest.fixture
def live(chain: Chain, proxy: CuttingProxy, tmp_path: Path) -> Iterator[LiveProcess]:
    one = LiveProcess(tmp_path / "live.sqlite", chain.url, f"ws://127.0.0.1:{proxy.port}", "--start-block", "0",
                      "--marts-every", "0.5", "--poll", "5")  # fmt: skip
    yield one
    one.end()


def is_caught_up(live: LiveProcess, chain: Chain) -> bool:
    head = chain.rpc("eth_getBlockByNumber", "latest", False)["hash"]
    return bool(live.rows(f"SELECT 1 FROM stg_chain_blocks WHERE block_hash = '{head}' AND orphaned = 0"))


def assert_caught_up(live: LiveProcess, chain: Chain) -> None:
    live.until(lambda: is_caught_up(live, chain))
    assert live.end() == 0, live.said()


def assert_as_undisturbed(live: LiveProcess, chain: Chain, tmp_path: Path) -> None:
    fresh = tmp_path / "undisturbed.sqlite"
    backfill(chain, fresh, 0, "latest")
    with Store.open(live.db, readonly=True) as ours, Store.open(fresh, readonly=True) as theirs:
        found, expected = canonical(ours), canonical(theirs)
        for table, rows in expected.items():
            assert found[table] == rows, table
            assert rows, table
        assert chain_told(ours, CHAIN) == chain_of(ours, CHAIN) == chain_of(theirs, CHAIN)
        assert ours.rows("PRAGMA integrity_check") == [("ok",)]
        assert (
            ours.rows(
                "SELECT count(*), max(event_id) FROM fact_pipeline_event GROUP BY 1 = 1 HAVING "
                "count(*) <> max(event_id)"
            )
            == []
        )


def test_killed_in_the_middle_and_started_again_nothing_is_lost_or_doubled(chain, live, tmp_path):
    traffic = Traffic(chain, seed=1)
    live.start()
    for _ in range(2):
        live.until(lambda: live.has_written)
        for _ in range(3):
            traffic.block()
            time.sleep(0.03)
        live.kill()
        traffic.block()
        traffic.reorganise(2)  # while nobody looks
        live.start()
    assert_caught_up(live, chain)
    assert_as_undisturbed(live, chain, tmp_path)


@pytest.mark.slow
def test_a_storm_ends_as_a_backfill_of_the_chain_that_won(chain, proxy, live, tmp_path):
    """200 blocks, 20 reorganisations of 1 to 6 blocks, 10 cut connections (5 in mid-message), 5 times SIGKILL."""
    traffic = Traffic(chain, seed=2)
    draw = random.Random(3)
    script = ["block"] * BLOCKS + ["reorganise"] * REORGS + ["cut"] * (CUTS // 2) + ["cut in mid-message"] * (CUTS // 2)
    draw.shuffle(script)
    for place in range(KILLS):  # with time between them to do something worth killing
        script.insert((place + 1) * len(script) // (KILLS + 1) + place, "kill")
    live.start()
    done: dict[str, int] = dict.fromkeys(script, 0)
    for step in script:
        match step:
            case "block":
                traffic.block()
            case "reorganise":
                if draw.random() < 0.6:
                    live.until(lambda: is_caught_up(live, chain))
                traffic.reorganise(draw.randint(1, 6))
            case "cut":
                live.until(lambda: proxy.subscribed)
                proxy.cut()
            case "cut in mid-message":
                live.until(lambda: proxy.subscribed)
                cuts = proxy.cuts
                proxy.cut_in_the_middle()
                traffic.block()
                live.until(lambda: proxy.cuts > cuts)  # noqa: B023
            case "kill":
                live.until(lambda: live.has_written)
                traffic.block()
                time.sleep(draw.uniform(0, 0.1))
                live.kill()
                with Store.open(live.db, readonly=True) as store:
                    chain_of(store, CHAIN)
                live.start()
        done[step] += 1
        time.sleep(draw.uniform(0, 0.15))
    assert_caught_up(live, chain)

    assert (done["block"], done["reorganise"], done["kill"]) == (BLOCKS, REORGS, KILLS)
    assert live.said().count("reorganisation: ") > REORGS // 2
    assert proxy.cuts >= CUTS
    assert live.rows("SELECT count(*) > 20 FROM stg_chain_blocks WHERE orphaned = 1") == [(1,)]
    assert_as_undisturbed(live, chain, tmp_path)
