"""`publish-metric` on a local chain: a round that others read, and everything that can go wrong on the way to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from data.results import RiskRun
from data.store.store import Store
from flows.clients import transactions
from flows.clients.json_rpc import JsonRpc, RpcError
from flows.clients.signer import Signer
from flows.errors import ConfigurationError, FlowError, SourceUnavailable
from flows.publication.errors import NotPublished
from flows.publication.feed import compiled
from flows.publication.figure import of_run
from tests.flows.publication.runs import stored_run
from tests.flows.running import ran
from tests.node import toolchain
from tests.node.chain import Chain, Reverted, anvil
from tests.node.toolchain import ToolchainMissing

pytestmark = pytest.mark.node

KEY, OTHER_KEY = "11" * 32, "22" * 32
GWEI = 10**9
COIN = 10**18


@pytest.fixture(scope="module")
def node() -> Iterator[Chain]:
    try:
        toolchain.ready()
        with anvil() as chain:
            yield chain
    except ToolchainMissing as reason:
        pytest.skip(str(reason))


@dataclass
class Desk:
    """A publisher at work. Time passes only while the flow sleeps; `steps` are done then, one in each sleep."""

    chain: Chain
    db: Path
    run: RiskRun
    steps: list[Callable[[], Any]] = field(default_factory=list)
    now: float = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.steps:
            self.steps.pop(0)()

    def flow(self, *words: str) -> str:
        return ran("publish-metric", "--attempts", "1", *words)

    def send(self, *words: str) -> str:
        return self.flow("--send", "--chain-id", "31337", "--confirmations", "2", *words)

    def block(self) -> None:
        """One block, with what waits, at a base fee of 1 gwei."""
        self.chain.rpc("anvil_setNextBlockBaseFeePerGas", hex(GWEI))
        self.chain.rpc("evm_mine")

    def wait(self) -> None:
        """Nothing happens."""

    @property
    def address(self) -> str:
        return Signer(KEY, "PUBLISHER_KEY").address

    def rows(self) -> list[tuple]:
        with Store.open(self.db, readonly=True) as store:
            return store.rows(
                "SELECT state, nonce, round_id, mined_block, message FROM fact_metric_publication ORDER BY batch"
            )

    def deployed(self, *words: str) -> str:
        """A feed of the run's metric, in PUBLISHER_CONTRACT; its address."""
        self.steps = [self.block, self.block]
        said = self.send("--deploy", "--highest", "1e12", *words)
        return said.partition("PUBLISHER_CONTRACT=")[2]

    def ask(self, feed: str, signature: str, *args: Any) -> Any:
        from flows.clients.web3_provider import KnownContract

        return KnownContract(JsonRpc(self.chain.url, attempts=1), compiled()["abi"], "", feed).read(
            signature, *args, block=self.chain.block
        )

    def by(self, key: str, feed: str, signature: str, *args: Any) -> None:
        """A transaction of another program, mined at once."""
        self.other(key, feed, signature, *args)
        self.block()

    def other(self, key: str, feed: str, signature: str, *args: Any, fee: int = 3 * GWEI) -> None:
        from flows.clients.web3_provider import KnownContract

        rpc = JsonRpc(self.chain.url, attempts=1)
        data = KnownContract(rpc, compiled()["abi"], "", feed).call_data(signature, *args)
        signer = Signer(key, "PUBLISHER_KEY")
        nonce = int(self.chain.rpc("eth_getTransactionCount", signer.address, "latest"), 16)
        made = transactions.Unsigned(
            chain_id=31337, nonce=nonce, to=feed, data=data, gas=500_000, max_fee=fee, priority_fee=fee
        )
        rpc.call("eth_sendRawTransaction", signer.sign(made).raw)


@pytest.fixture
def desk(node: Chain, own_warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("PUBLISHER_RPC_URL", node.url)
    monkeypatch.setenv("PUBLISHER_KEY", KEY)
    made = Desk(node, own_warehouse, stored_run(own_warehouse))
    monkeypatch.setattr(transactions, "sleep", made.sleep)
    monkeypatch.setattr(transactions, "monotonic", lambda: made.now)
    with node.undone():
        for key in (KEY, OTHER_KEY):
            node.rpc("anvil_setBalance", Signer(key, "PUBLISHER_KEY").address, hex(COIN))
        made.block()
        yield made


@pytest.fixture
def feed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> str:
    address = desk.deployed()
    monkeypatch.setenv("PUBLISHER_CONTRACT", address)
    return address


def test_what_is_published_is_what_the_run_says_and_a_contract_that_knows_price_feeds_reads_it(desk: Desk, feed: str):
    desk.steps = [desk.block, desk.block]
    said = desk.send()

    figure = desk.run.figure("lar_repaid", 0.99)
    answer = desk.ask(feed, "latestRoundData()")
    assert figure.value > 0
    assert answer == [1, round(figure.value * 1e8), desk.run.block_time, desk.run.block_time, 1]
    reader = desk.chain.create("MetricReader", feed, 10**9)
    stale = desk.chain.create("MetricReader", feed, 3_600)
    read = desk.chain.call(reader, "MetricReader", "fresh")
    assert read == (answer[1], 8, "SAMPLE SampleAaveV3Ethereum lar_repaid 99 % 24 h USD test-law largest_legs")
    assert desk.chain.call(reader, "MetricReader", "answerOf", 1) == answer[1]
    with pytest.raises(Reverted, match="too old"):  # of a figure as old as the sample, whenever it was published
        desk.chain.call(stale, "MetricReader", "fresh")
    with pytest.raises(Reverted, match="no data present"):
        desk.chain.call(reader, "MetricReader", "answerOf", 2)

    [(state, _, round_id, block, message)] = desk.rows()
    assert (state, round_id, message) == ("confirmed", 1, "")
    assert f"block {block:,}" in said
    with Store.open(desk.db, readonly=True) as store:
        [(inputs, value, answer_text)] = store.rows("SELECT inputs_hash, value, answer FROM fact_metric_publication")
    assert (inputs, value, int(answer_text)) == (desk.run.run_id, figure.value, answer[1])
    assert desk.ask(feed, "rounds(bytes32,uint80)", desk.ask(feed, "first_metric()"), 1)[3].hex() == desk.run.run_id


def test_nothing_is_sent_or_stored_without_send(desk: Desk, feed: str):
    before = desk.chain.rpc("eth_getTransactionCount", desk.address, "pending")
    said = desk.flow()
    assert said.startswith("dry run: ")
    assert "round 1 of" in said
    assert "--send --chain-id 31337 does it" in said
    assert desk.chain.rpc("eth_getTransactionCount", desk.address, "pending") == before
    assert desk.rows() == []


def test_the_same_figure_is_published_once(desk: Desk, feed: str, own_warehouse: Path, monkeypatch, tmp_path):
    desk.steps = [desk.block, desk.block]
    desk.send()
    rows, block = desk.rows(), desk.chain.block
    assert desk.send().startswith("published before: ")
    assert desk.flow().startswith("published before: ")

    # The feed knows as well: another warehouse, or the same one restored from a copy of yesterday.
    other = tmp_path / "other.sqlite"
    stored_run(other)
    monkeypatch.setenv("RISK_DB", str(other))
    assert "is round 1 of" in desk.send()
    assert (desk.rows(), desk.chain.block) == (rows, block)


def test_a_newer_figure_is_the_next_round_and_an_older_one_is_refused(desk: Desk, feed: str, monkeypatch, tmp_path):
    newer = stored_run(desk.db, hours=1)
    desk.steps = [desk.block, desk.block]
    desk.send()
    assert desk.ask(feed, "latestRoundData()")[2] == newer.block_time

    old = tmp_path / "old.sqlite"
    stored_run(old)
    monkeypatch.setenv("RISK_DB", str(old))
    with pytest.raises(NotPublished, match=r"^old timestamp: .* must be newer than the one before; nothing was sent$"):
        desk.send()
    of = of_run(desk.run, "lar_repaid", None)
    arguments = (bytes.fromhex(of.metric_id[2:]), of.answer(8), of.as_of, bytes.fromhex(of.inputs_hash))
    with pytest.raises(RpcError, match="not newer than the last round"):  # nor would the feed take it
        transactions.Sender(JsonRpc(desk.chain.url, attempts=1), Signer(KEY, "PUBLISHER_KEY"), 31337).gas(
            feed, _data(desk, feed, "publish(bytes32,int256,uint64,bytes32)", *arguments)
        )


def _data(desk: Desk, feed: str, signature: str, *args: Any) -> str:
    from flows.clients.web3_provider import KnownContract

    return KnownContract(JsonRpc(desk.chain.url, attempts=1), compiled()["abi"], "", feed).call_data(signature, *args)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"PUBLISHER_KEY": OTHER_KEY}, NotPublished, r"^wrong key: 0x[0-9a-f]{40} is not the feed's publisher"),
        ({"PUBLISHER_CONTRACT": "0x" + "12" * 20}, ConfigurationError, r"^no contract at 0x1212.* on chain 31337;"),
        ({"PUBLISHER_CONTRACT": "0x12"}, ConfigurationError, r"^--contract or PUBLISHER_CONTRACT: expected 0x and 40"),
        ({"PUBLISHER_KEY": ""}, ConfigurationError, r"^PUBLISHER_KEY is not set \(nor PUBLISHER_KEY_FILE\)"),
    ],
    ids=["wrong key", "no code", "no address", "no key"],
)
def test_a_wrong_setting_is_one_line_and_nothing_is_sent(desk: Desk, feed: str, monkeypatch, change, error, said):
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(error, match=said) as refused:
        desk.send()
    assert "\n" not in str(refused.value)
    assert desk.rows() == []


def test_another_contract_is_not_taken_for_a_feed(desk: Desk, feed: str):
    other = desk.chain.create("TestFeed", "ETH / USD", 1)
    with pytest.raises(ConfigurationError, match=r"is not flows/publication/metric_feed\.vy of this version"):
        desk.send("--contract", other)


def test_the_chain_must_be_the_one_that_was_named(desk: Desk, feed: str):
    with pytest.raises(ConfigurationError, match=r"^wrong chain: --chain-id says 1, the node at .* is on chain 31337;"):
        desk.flow("--send", "--chain-id", "1")


def test_low_funds_are_noticed_before_anything_is_sent(desk: Desk, feed: str):
    desk.chain.rpc("anvil_setBalance", desk.address, hex(10**12))
    with pytest.raises(transactions.LowFunds, match=r"^low funds: 0x.* has 1e-06 coins, and this may cost "):
        desk.send()
    assert desk.rows() == []


def test_a_price_of_gas_above_the_limit_is_not_paid(desk: Desk, feed: str):
    with pytest.raises(transactions.FeeTooHigh, match=r"more than the 0\.1 that are allowed; nothing was sent"):
        desk.send("--max-fee-gwei", "0.1")


def test_a_figure_outside_its_bounds_is_not_published(desk: Desk, feed: str):
    metric = desk.ask(feed, "first_metric()")
    desk.by(KEY, feed, "set_bounds(bytes32,int256,int256)", metric, 0, 10**8)
    with pytest.raises(
        NotPublished, match=r"outside the bounds of its metric in the feed: 0 to 1 USD; nothing was sent"
    ):
        desk.send()
    assert desk.rows() == []


def test_a_metric_that_the_feed_does_not_have_is_added_by_its_owner_alone(desk: Desk, feed: str, monkeypatch):
    seized = ("--measure", "lar_seized")
    with pytest.raises(NotPublished, match=r"the feed has no metric .*; its owner 0x[0-9a-f]{40} adds it with"):
        desk.send(*seized)
    monkeypatch.setenv("PUBLISHER_KEY", OTHER_KEY)
    with pytest.raises(NotPublished, match=r"^wrong key: .* is not the feed's owner"):
        desk.send(*seized, "--declare", "--highest", "1e12")
    monkeypatch.setenv("PUBLISHER_KEY", KEY)
    desk.steps = [desk.block, desk.block]
    assert desk.send(*seized, "--declare", "--highest", "1e12").startswith("added ")
    desk.steps = [desk.block, desk.block]
    desk.send(*seized)
    of = of_run(desk.run, "lar_seized", None)
    assert desk.ask(feed, "latestRoundData(bytes32)", bytes.fromhex(of.metric_id[2:]))[1] == of.answer(8)
    with pytest.raises(RpcError, match="no data present"):
        desk.ask(feed, "latestRoundData()")  # of the first metric


def test_who_publishes_may_be_another_than_the_owner_and_changes_in_two_steps(desk: Desk, monkeypatch):
    other = Signer(OTHER_KEY, "PUBLISHER_KEY").address
    feed = desk.deployed("--publisher", other)
    monkeypatch.setenv("PUBLISHER_CONTRACT", feed)
    with pytest.raises(NotPublished, match="wrong key"):
        desk.send()
    monkeypatch.setenv("PUBLISHER_KEY", OTHER_KEY)
    desk.steps = [desk.block, desk.block]
    assert desk.send().startswith("published: ")

    from eth_utils import to_checksum_address

    desk.by(KEY, feed, "transfer_ownership(address)", to_checksum_address(other))
    assert desk.ask(feed, "owner()").lower() == desk.address
    desk.by(OTHER_KEY, feed, "accept_ownership()")
    assert desk.ask(feed, "owner()").lower() == other


def test_a_transaction_that_nobody_mines_is_replaced_by_one_with_a_higher_fee(desk: Desk, feed: str):
    sent: list[dict[str, Any]] = []

    def look() -> None:
        for queue in desk.chain.rpc("txpool_content")["pending"].values():
            sent.extend(queue.values())

    desk.steps = [look, desk.wait, desk.wait, look, desk.block, desk.block]
    said = desk.send("--raise-after", "5")
    first, second = sent
    assert first["nonce"] == second["nonce"]
    assert int(second["maxFeePerGas"], 16) * 100 >= int(first["maxFeePerGas"], 16) * 125
    assert second["hash"] in said
    states = {row[0]: row for row in desk.rows()}
    assert set(states) == {"confirmed", "replaced"}
    assert states["replaced"][4] == f"{second['hash']} was mined instead"
    assert desk.ask(feed, "latestRoundData()")[0] == 1


def _checksum(address: str) -> str:
    from eth_utils import to_checksum_address

    return to_checksum_address(address)


def test_a_transaction_that_the_node_lost_is_sent_again(desk: Desk, feed: str):
    desk.steps = [lambda: desk.chain.rpc("anvil_dropAllTransactions"), desk.block, desk.block]
    assert desk.send().startswith("published: ")
    assert [row[:3] for row in desk.rows()] == [("confirmed", desk.rows()[0][1], 1)]


def test_a_nonce_that_another_program_used_is_not_waited_for(desk: Desk, feed: str):
    def overtaken() -> None:
        desk.other(KEY, feed, "set_publisher(address)", _checksum(desk.address), fee=40 * GWEI)
        desk.block()

    desk.steps = [overtaken, desk.wait, desk.block, desk.block]
    assert desk.send().startswith("published: ")
    (replaced, nonce, *_), (confirmed, next_nonce, *_) = desk.rows()
    assert (replaced, confirmed, next_nonce) == ("replaced", "confirmed", nonce + 1)


def test_a_run_that_was_ended_is_taken_up_and_sends_no_second_transaction(desk: Desk, feed: str):
    nonce = int(desk.chain.rpc("eth_getTransactionCount", desk.address, "latest"), 16)
    with pytest.raises(SourceUnavailable, match=r"is not mined after 5 s; it stays sent\. Run again"):
        desk.send("--timeout", "5")
    assert [row[:2] for row in desk.rows()] == [("sent", nonce)]
    desk.steps = [desk.block, desk.block]
    assert desk.send().startswith("published: ")
    assert [row[:3] for row in desk.rows()] == [("confirmed", nonce, 1)]
    assert int(desk.chain.rpc("eth_getTransactionCount", desk.address, "pending"), 16) == nonce + 1

    # Mined while nobody looked: it is noted, and nothing is sent.
    later = stored_run(desk.db, hours=1)
    with pytest.raises(SourceUnavailable):
        desk.send("--timeout", "5")
    desk.block()
    desk.block()
    assert desk.send().startswith("published: ")
    assert desk.ask(feed, "latestRoundData()")[2] == later.block_time
    assert [row[0] for row in desk.rows()] == ["confirmed", "confirmed"]


def test_an_older_figure_that_still_waits_gives_its_place_to_the_newer_one(desk: Desk, feed: str):
    with pytest.raises(SourceUnavailable):
        desk.send("--timeout", "5")
    newer = stored_run(desk.db, hours=1)
    desk.steps = [desk.block, desk.block]
    assert desk.send().startswith("published: ")
    assert desk.ask(feed, "latestRoundData()")[:3] == [1, of_run(newer, "lar_repaid", None).answer(8), newer.block_time]
    (old, nonce, *_), (new, same_nonce, *_) = sorted(desk.rows(), key=lambda row: row[0], reverse=True)
    assert (old, new, nonce) == ("replaced", "confirmed", same_nonce)


def test_a_block_that_is_replaced_while_it_is_waited_for_is_noticed(desk: Desk, feed: str):
    marks: list[str] = []

    def mine() -> None:
        marks.append(desk.chain.rpc("evm_snapshot"))
        desk.block()

    def replace() -> None:
        desk.chain.rpc("evm_revert", marks[0])
        desk.chain.rpc("anvil_dropAllTransactions")
        desk.block()  # another block of the same number, without it

    desk.steps = [mine, replace, desk.block, desk.block]
    assert desk.send().startswith("published: ")
    assert desk.ask(feed, "latestRoundData()")[0] == 1
    assert [row[:3] for row in desk.rows()] == [("confirmed", desk.rows()[0][1], 1)]


def test_a_round_that_a_reorganisation_took_away_is_published_again(desk: Desk, feed: str):
    mark = desk.chain.rpc("evm_snapshot")
    desk.steps = [desk.block, desk.block]
    desk.send()
    [(_, nonce, _, block, _)] = desk.rows()

    desk.chain.rpc("evm_revert", mark)
    desk.chain.rpc("anvil_dropAllTransactions")
    desk.block()
    with pytest.raises(RpcError, match="no data present"):
        desk.ask(feed, "latestRoundData()")
    assert desk.flow().startswith("dry run: ")
    desk.steps = [desk.block, desk.block]
    said = desk.send()
    assert said.startswith(f"published again (block {block:,}, which had it, was replaced): ")
    assert desk.ask(feed, "latestRoundData()")[0] == 1
    assert [row[:3] for row in desk.rows()] == [("confirmed", nonce, 1)]


def test_after_a_reorganisation_in_which_its_nonce_was_used_it_gets_a_new_one(desk: Desk, feed: str):
    mark = desk.chain.rpc("evm_snapshot")
    desk.steps = [desk.block, desk.block]
    desk.send()
    desk.chain.rpc("evm_revert", mark)
    desk.chain.rpc("anvil_dropAllTransactions")
    desk.by(KEY, feed, "set_publisher(address)", _checksum(desk.address))
    desk.steps = [desk.block, desk.block]
    assert desk.send().startswith("published again (block ")
    (replaced, nonce, *_), (confirmed, next_nonce, round_id, *_) = desk.rows()
    assert (replaced, confirmed, next_nonce, round_id) == ("replaced", "confirmed", nonce + 1, 1)


def test_a_main_network_must_be_named_as_one_and_never_gets_a_sample(own_warehouse: Path, monkeypatch):
    try:
        toolchain.ready()
    except ToolchainMissing as reason:
        pytest.skip(str(reason))
    stored_run(own_warehouse)
    with anvil(chain_id=1) as chain:
        monkeypatch.setenv("PUBLISHER_RPC_URL", chain.url)
        monkeypatch.setenv("PUBLISHER_KEY", KEY)
        chain.rpc("anvil_setBalance", Signer(KEY, "PUBLISHER_KEY").address, hex(COIN))

        def flow(*words: str) -> str:
            return ran("publish-metric", "--deploy", "--highest", "1e12", *words)

        with pytest.raises(FlowError, match=r"is a sample, .* not published on chain 1 \(mainnet\)"):
            flow()  # a dry run refuses what the real one would
        with pytest.raises(FlowError, match=r"is a sample, .* not published on chain 1 \(mainnet\)"):
            flow("--send", "--chain-id", "1", "--main-network")
        assert int(chain.rpc("eth_getTransactionCount", Signer(KEY, "PUBLISHER_KEY").address, "pending"), 16) == 0
