"""The flow `chain-activity` on a real node: logs of every token standard, a creation, a failure, a reorganisation.

What is expected comes from what was sent, from the node's own eth_getLogs, and from a second warehouse that saw only
the chain that won.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_abi import encode
from eth_utils import keccak

from data.store.store import Store
from tests.flows.running import ran
from tests.node import log_writer, toolchain
from tests.node.chain import GENESIS, Chain, anvil
from tests.node.toolchain import ToolchainMissing

pytestmark = pytest.mark.node

ALICE, BOB, CAROL = ("0x" + byte * 20 for byte in ("a1", "b0", "ca"))
MOST = 2**256 - 1
TRANSFER = keccak(text="Transfer(address,address,uint256)").hex()
SINGLE = keccak(text="TransferSingle(address,address,address,uint256,uint256)").hex()
BATCH = keccak(text="TransferBatch(address,address,address,uint256[],uint256[])").hex()


@pytest.fixture
def chain() -> Iterator[Chain]:
    try:
        toolchain.ready()
    except ToolchainMissing as reason:
        pytest.skip(str(reason))
    with anvil() as node:
        yield node


class Writers:
    """Contracts that write logs with one to four topics."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.at: dict[int, str] = {}
        for topics in range(5):
            chain.send(chain.admin, None, log_writer.creation(topics))
            self.at[topics] = chain.mine(seconds=1)[-1]["contractAddress"].lower()

    def write(self, topics: list[str], kinds: list[str], values: list[Any]) -> str:
        """Queue a log; `topics` and the values of ABI types `kinds`. Returns the contract."""
        to = self.at[len(topics)]
        data = "0x" + "".join(t.rjust(64, "0") for t in topics) + encode(kinds, values).hex()
        self.chain.send(self.chain.admin, to, data, gas=300_000)
        return to


def backfill(chain: Chain, db: Path, start: int, end: int | str, *arguments: str) -> str:

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ETH_RPC_URL", chain.url)
        environment.setenv("RISK_DB", str(db))
        words = ["--start-block", str(start), "--end-block", str(end), "--network", "31337", *arguments]
        return ran("chain-activity", *words)


def held(db: Path, sql: str) -> list[tuple]:
    with Store.open(db, readonly=True) as store:
        return store.rows(sql)


def topic(address: str) -> str:
    return address[2:].rjust(64, "0")


def test_what_was_sent_is_what_is_stored(chain: Chain, tmp_path: Path):
    writers = Writers(chain)
    token = chain.create("TestToken", "Token", "TKN", 18, chain.admin, False)
    chain.do(token, "TestToken", "mint", ALICE, 10**30)
    nft = writers.write([TRANSFER, topic(ALICE), topic(BOB), f"{MOST:064x}"], [], [])
    old = writers.write([TRANSFER], ["address", "address", "uint256"], [ALICE, BOB, 7])
    multi = writers.write([SINGLE, topic(CAROL), topic(ALICE), topic(BOB)], ["uint256", "uint256"], [5, 2**200])
    writers.write(
        [BATCH, topic(CAROL), topic(ALICE), topic(BOB)], ["uint256[]", "uint256[]"], [[1, 2, 3], [10, 0, MOST]]
    )
    writers.write([TRANSFER, topic(ALICE), topic(BOB)], ["uint256", "uint256"], [1, 2])
    writers.write([], ["uint256"], [1])
    receipts = chain.mine()
    chain.send(chain.admin, writers.at[4], "0x", gas=21_001)  # too little gas: mined, and fails
    chain.mine(must_succeed=False)
    db = tmp_path / "risk.sqlite"
    said = backfill(chain, db, 0, chain.block)

    block = int(receipts[0]["blockNumber"], 16)
    assert "1 logs could not be decoded" in said
    nobody = "0x" + "00" * 20
    names = "standard, token, operator, from_address, to_address, token_id, amount, item, indexed_arguments"
    assert held(
        db, f"SELECT {names} FROM stg_token_transfers WHERE block_number = {block} ORDER BY log_index, item"
    ) == [
        ("ERC20", token, None, nobody, ALICE, None, str(10**30), 0, 2),
        ("ERC721", nft, None, ALICE, BOB, str(MOST), "1", 0, 3),
        ("ERC20", old, None, ALICE, BOB, None, "7", 0, 0),
        ("ERC1155", multi, CAROL, ALICE, BOB, "5", str(2**200), 0, 3),
        ("ERC1155", multi, CAROL, ALICE, BOB, "1", "10", 0, 3),
        ("ERC1155", multi, CAROL, ALICE, BOB, "2", "0", 1, 3),
        ("ERC1155", multi, CAROL, ALICE, BOB, "3", str(MOST), 2, 3),
    ]
    assert held(db, "SELECT reason FROM quarantine") == [
        ("Transfer with 3 topics and 64 bytes of data: not three arguments",)
    ]
    # The node's own list of logs, of which the receipts made no use.
    theirs = chain.rpc("eth_getLogs", {"fromBlock": "0x0", "toBlock": hex(chain.block)})
    ours = held(
        db,
        "SELECT block_number, block_hash, log_index, transaction_hash, address, data, topic0, topic1, "
        "topic2, topic3 FROM raw_chain_logs ORDER BY block_number, log_index",
    )
    assert ours == [
        (int(log["blockNumber"], 16), log["blockHash"], int(log["logIndex"], 16), log["transactionHash"],
         log["address"], log["data"], *(log["topics"] + [None] * 4)[:4]) for log in theirs
    ]  # fmt: skip
    assert held(db, "SELECT count(*) FROM raw_chain_receipts WHERE contract_address IS NOT NULL") == [(6,)]
    assert held(db, "SELECT count(*) FROM raw_chain_transactions WHERE to_address IS NULL") == [(6,)]
    assert held(db, "SELECT status, count(*) FROM raw_chain_receipts GROUP BY 1") == [(0, 1), (1, 13)]
    assert held(db, "SELECT timestamp FROM stg_chain_blocks WHERE block_number = 0") == [(GENESIS,)]
    hours = held(db, "SELECT token, transfers, senders, largest FROM mart_token_transfer_hourly WHERE transfers > 1")
    assert multi == nft  # both logs have four topics, so one contract wrote them
    assert hours == [(multi, 5, 1, float(MOST))]


def test_after_a_reorganisation_only_the_winning_chain_counts(chain: Chain, tmp_path: Path):
    writers = Writers(chain)
    for value in range(8):
        writers.write([TRANSFER, topic(ALICE), topic(BOB)], ["uint256"], [value])
        chain.mine()
    db, fresh = tmp_path / "risk.sqlite", tmp_path / "fresh.sqlite"
    backfill(chain, db, 0, "latest")
    head = chain.block
    chain.rpc("anvil_reorg", 4, [])
    assert chain.block == head
    backfill(chain, db, 0, "latest", "--reread")
    backfill(chain, fresh, 0, "latest")

    for table in ("stg_chain_blocks", "stg_token_transfers", "mart_address_activity"):
        known = [row[1] for row in held(db, f"PRAGMA table_info({table})") if row[1] not in ("batch", "orphaned")]
        counts = "WHERE orphaned = 0" if table.startswith("stg") else ""
        sql = f"SELECT {', '.join(known)} FROM {table} {counts} ORDER BY 1, 2, 3, 4"
        assert held(db, sql) == held(fresh, sql), table
    assert held(db, "SELECT count(*) FROM stg_chain_blocks WHERE orphaned = 1") == [(4,)]
    assert held(db, "SELECT count(*) FROM stg_token_transfers WHERE orphaned = 1") == [(4,)]
    assert held(fresh, "SELECT count(*) FROM stg_token_transfers") == [(4,)]
    sums = (
        "SELECT token, sum(transfers), sum(amount) FROM mart_token_transfer_hourly GROUP BY 1 HAVING sum(transfers) > 0"
    )
    assert held(db, sums) == held(fresh, sums)
