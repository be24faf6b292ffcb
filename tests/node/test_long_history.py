"""Two months of life and reorganisations, read from a node without old states: past blocks are as the contracts say.

The node that prunes is `ForgetfulNode`; the one behind it keeps every state, and is asked about the same blocks.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from data.store.holding import HOLDS
from data.store.store import Store
from flows.aave import aave_history
from flows.aave.history import MarketBook
from flows.aave.history.decoding import TOPICS
from flows.aave.holder_scan import REORG_WINDOW
from flows.clients.json_rpc import JsonRpc, RpcError
from tests.history.compare import Tally, compare
from tests.node.artifacts import contract
from tests.node.chain import Chain
from tests.node.conftest import run_history
from tests.node.deployment import POOL
from tests.node.forgetful_node import KEPT, ForgetfulNode
from tests.node.harness import NodeMarket, running_market
from tests.node.long_life import DAY, LongLife
from tests.node.past_truth import PastTruth
from tests.node.toolchain import ToolchainMissing

pytestmark = pytest.mark.node

HAPPENS = (
    "Supply", "Withdraw", "Borrow", "Repay", "Mint", "Burn", "BalanceTransfer", "UserEModeSet",
    "ReserveUsedAsCollateralEnabled", "ReserveUsedAsCollateralDisabled", "LiquidationCall", "DeficitCreated",
    "DeficitCovered", "MintedToTreasury", "IsolationModeTotalDebtUpdated", "ReserveFactorChanged",
    "CollateralConfigurationChanged", "PendingLtvChanged", "ReserveFrozen", "ReservePaused", "SupplyCapChanged",
    "BorrowCapChanged", "DebtCeilingChanged", "LiquidationProtocolFeeChanged", "LiquidationGracePeriodChanged",
    "EModeCategoryAdded", "AssetCollateralInEModeChanged", "AssetLtvzeroInEModeChanged",
    "ReserveInterestRateDataChanged", "ReserveInitialized", "ReserveDropped", "FlashloanPremiumTotalUpdated",
    "AssetSourceUpdated", "AnswerUpdated",
)  # fmt: skip
"""Events that a life must have, lest the test says less than it should."""


@dataclass
class Told:
    """What two runs of the flow made of one life. `books`: block -> the book of the last run that made one."""

    market: NodeMarket
    life: LongLife
    node: ForgetfulNode
    db: Path
    first: int
    began: int
    first_tip: int = 0
    said: list[str] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)
    books: dict[int, MarketBook] = field(default_factory=dict)
    replaced: list[int] = field(default_factory=list)

    def run(self, blocks: list[int]) -> None:
        """`aave-history --store` against the node that forgets."""
        save = aave_history.save

        def saving(run: Any, rpc: Any, done: Any, *rest: Any) -> Any:
            self.books |= {book.block: book for book, _ in done.books()}
            return save(run, rpc, done, *rest)

        at = map(str, sorted(blocks))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(aave_history, "save", saving)
            arguments = ("--from-block", str(self.first), "--store", "--at", *at)
            self.said.append(run_history(self.node.url, self.market.provider, self.db, *arguments))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """A life of two months with three reorganisations; history is read after one of them, and again at the end."""
    draw, db = random.Random("fifty blocks"), tmp_path_factory.mktemp("history") / "risk.sqlite"
    try:
        with (
            running_market(users=30, seed="history", multicall=True) as market,
            ForgetfulNode(market.url).serving() as node,
        ):
            chain, life = market.chain, LongLife(market, "two months")
            told = Told(market, life, node, db, first=1, began=chain.block)
            life.go_on(20)
            with life.orphaned():  # seen by nobody
                life.go_on(2)
            life.go_on(10)
            stands = chain.block
            with life.orphaned():  # read and stored
                life.go_on(3)
                told.replaced = [*range(stands + 1, chain.block + 1, 3)]
                told.first_tip = chain.block
                told.blocks = draw.sample(range(told.began, stands + 1), 20)
                told.run([*told.blocks, *told.replaced])
            life.list_asset("NEW")
            life.go_on(34)
            with life.orphaned():
                life.crash()
            life.go_on(0.5)
            left = sorted({*range(stands + 1, chain.block + 1)} - {*told.replaced})
            told.blocks += [*told.replaced, *draw.sample(left, 30 - len(told.replaced))]
            told.run(told.blocks)
            yield told
    except ToolchainMissing as reason:
        pytest.skip(str(reason))


def test_the_life_has_everything_that_moves_books(told: Told):
    chain = told.market.chain
    assert time_of(chain, chain.block) - time_of(chain, told.began) > 60 * DAY
    assert chain.block > 2 * KEPT
    logs = chain.rpc("eth_getLogs", {"fromBlock": hex(told.began + 1), "toBlock": "latest"})
    found = Counter(log["topics"][0] for log in logs)
    assert [name for name in HAPPENS if not found[TOPICS[name]]] == []
    calls = [contract(POOL).event(log) for log in logs if log["topics"][0] == TOPICS["LiquidationCall"]]
    kinds = {
        (event["collateralAsset"] == event["debtAsset"], event["receiveAToken"]) for _, event in filter(None, calls)
    }
    assert kinds == {(same, as_atoken) for same in (False, True) for as_atoken in (False, True)}


def test_no_state_was_asked_for_that_the_node_had_forgotten(told: Told):
    assert told.node.refused == []
    rpc, block = JsonRpc(told.node.url, attempts=1), told.market.chain.block
    for number in (block, block - KEPT + 1):
        assert rpc.call("eth_getCode", told.market.pool, hex(number)) != "0x"
    with pytest.raises(RpcError, match="missing trie node"):
        rpc.call("eth_getCode", told.market.pool, hex(block - KEPT))
    assert told.node.refused == [("eth_getCode", hex(block - KEPT))]
    told.node.refused.clear()


def test_who_does_not_say_where_the_logs_begin_is_refused_one_state_and_reads_from_the_first_block(
    told: Told, tmp_path: Path
):
    said = run_history(told.node.url, told.market.provider, tmp_path / "risk.sqlite", "--attempts", "1")
    assert f"from block 0 to {told.market.chain.block}" in said
    assert [method for method, _ in told.node.refused] == ["eth_getCode"]
    told.node.refused.clear()


def test_every_value_of_fifty_past_blocks_is_what_the_contracts_answer(told: Told):
    assert len({*told.blocks}) == 50
    truth = PastTruth(told.market.chain, told.market.deployment, told.life.accounts, (1, 2, 3, 9))
    tally = Tally()
    with Store.open(told.db, readonly=True) as store:
        for block in sorted(told.blocks):
            said = truth.at(block)
            compare(said, told.books[block], tally)
            compare_stored(said, store, tally)
    print(tally.summary())
    assert not tally.differences, tally.differences[:10]
    assert tally.checked > 50 * 500


def test_the_second_run_goes_on_and_replaces_what_the_chain_replaced(told: Told):
    first, second = told.said
    assert f"{20 + len(told.replaced)} blocks stored" in first
    # The last blocks before the first run's tip were made and compared again: the chain could replace them.
    again = sum(block > told.first_tip - REORG_WINDOW for block in told.blocks[:20])
    assert (
        f"30 blocks stored, {again} were stored and are equal, {20 - again} were dealt with by an earlier run" in second
    )
    with Store.open(told.db, readonly=True) as store:
        stored = dict(store.rows("SELECT block, block_hash FROM fact_snapshot"))
    headers = {block: told.market.chain.rpc("eth_getBlockByNumber", hex(block), False) for block in told.blocks}
    assert stored == {block: header["hash"] for block, header in headers.items()}


def time_of(chain: Chain, block: int) -> int:
    return int(chain.rpc("eth_getBlockByNumber", hex(block), False)["timestamp"], 16)


def compare_stored(truth: dict[str, Any], store: Store, tally: Tally) -> None:
    """What the warehouse has of a block beside what the contracts said: accounts, and reserves' indices and totals."""
    block = truth["block"]
    ((market,),) = store.rows("SELECT DISTINCT market FROM fact_snapshot")
    held: dict[str, dict[str, list[str]]] = {}
    for account, number, supply, debt in store.rows(
        f"SELECT account, reserve_id, scaled_supply, scaled_debt FROM raw_aave_balances WHERE {HOLDS}", (market, block)
    ):
        held.setdefault(account, {})[str(number)] = [supply, debt]
    states = {
        account: (hex(int(bits)), category)
        for account, bits, category in store.rows(
            f"SELECT account, config_bitmap, emode_id FROM raw_aave_account_states WHERE {HOLDS}", (market, block)
        )
    }
    expected = {account: user for account, user in truth["users"].items() if user[2]}
    tally.same(f"block {block} stored accounts", sorted(held), sorted(expected))
    for account, (bits, category, amounts) in expected.items():
        tally.same(f"block {block} stored balances of {account}", held.get(account), amounts)
        tally.same(f"block {block} stored flags and e-mode of {account}", states.get(account), (bits, category))
    names = {
        "liquidityIndex": "liquidity_index", "variableBorrowIndex": "variable_borrow_index",
        "currentLiquidityRate": "liquidity_rate", "currentVariableBorrowRate": "variable_borrow_rate",
        "lastUpdateTimestamp": "last_update_timestamp", "aTokenScaledTotalSupply": "scaled_atoken_supply",
        "vTokenScaledTotalSupply": "scaled_debt_supply", "virtualUnderlyingBalance": "virtual_balance",
        "deficit": "deficit", "price": "price_raw",
    }  # fmt: skip
    rows = store.rows(
        f"SELECT asset, {', '.join(names.values())} FROM raw_aave_reserves WHERE market = ? AND block = ?",
        (market, block),
    )
    found = {asset: [*map(int, values)] for asset, *values in rows}
    tally.same(f"block {block} stored reserves", sorted(found), sorted(r["asset"] for r in truth["reserves"]))
    for r in truth["reserves"]:
        tally.same(f"block {block} stored reserve {r['id']}", found.get(r["asset"]), [int(r[name]) for name in names])
