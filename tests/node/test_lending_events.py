"""The flow `lending-events` on the real contracts: everything the pool announced is stored once, under its owner.

The expectation is decoded from the receipts of every block by the compiled contracts' own ABI.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from data.store.store import Store
from tests.flows.running import ran
from tests.node.artifacts import contract
from tests.node.conftest import Ingested
from tests.node.harness import NodeMarket
from tests.node.population import LIQUIDATOR, VARIABLE

pytestmark = pytest.mark.node

KINDS = {
    "Supply": "deposit",
    "Withdraw": "withdraw",
    "Borrow": "borrow",
    "Repay": "repay",
    "LiquidationCall": "liquidation",
    "DeficitCreated": "deficit",
}
OWNER = {"Supply": "onBehalfOf", "Borrow": "onBehalfOf"}
INITIATOR = {
    "Supply": "user",
    "Borrow": "user",
    "Withdraw": "user",
    "Repay": "repayer",
    "LiquidationCall": "liquidator",
}
ASSET = {"LiquidationCall": "collateralAsset", "DeficitCreated": "debtAsset"}
AMOUNT = {"LiquidationCall": "liquidatedCollateralAmount", "DeficitCreated": "amountCreated"}

Told = dict[tuple[int, int], tuple]


def run_flow(node: NodeMarket, db: Path, *arguments: str) -> str:

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ETH_RPC_URL", node.url)
        environment.setenv("AAVE_POOL_ADDRESSES_PROVIDER", node.provider)
        environment.setenv("RISK_DB", str(db))
        return ran("lending-events", *arguments)


def stored(db: Path, table: str = "stg_lending_events") -> Told:
    with Store.open(db, readonly=True) as store:
        rows = store.rows(
            "SELECT block_number, log_index, event_type, wallet, initiator, asset, amount_raw, block_timestamp, "
            f"tx_hash FROM {table}"
        )
    return {row[:2]: row[2:] for row in rows}


def announced(node: NodeMarket) -> Told:
    """Every event of the pool that changes a position, from the receipts."""
    found: Told = {}
    for number in range(node.chain.block + 1):
        moment = int(node.chain.rpc("eth_getBlockByNumber", hex(number), False)["timestamp"], 16)
        for receipt in node.chain.rpc("eth_getBlockReceipts", hex(number)):
            for log in receipt["logs"]:
                event = None
                if log["address"] == node.pool:
                    codes = (contract("PoolInstance"), contract("LiquidationLogic"))
                    event = next((e for code in codes if (e := code.event(log))), None)
                if event and event[0] in KINDS:
                    name, args = event
                    found[number, int(log["logIndex"], 16)] = (
                        KINDS[name],
                        args[OWNER.get(name, "user")].lower(),
                        args[INITIATOR[name]].lower() if name in INITIATOR else None,
                        args[ASSET.get(name, "reserve")].lower(),
                        str(args[AMOUNT.get(name, "amount")]),
                        moment,
                        receipt["transactionHash"],
                    )
    return found


@pytest.fixture(scope="session")
def lending(node: NodeMarket, tmp_path_factory: pytest.TempPathFactory) -> Ingested:
    db = tmp_path_factory.mktemp("lending") / "risk.sqlite"
    return Ingested(node, db, run_flow(node, db, "--oracle-prices"))


def test_every_announcement_of_the_pool_is_stored_once(lending: Ingested):
    told = announced(lending.node)

    assert stored(lending.db) == told
    kinds = Counter(row[0] for row in told.values())
    assert set(kinds) >= {"deposit", "borrow", "repay", "withdraw", "liquidation"}
    assert kinds["liquidation"] == lending.node.happened["liquidated"]
    for kind in kinds:
        of_kind = {key: row for key, row in told.items() if row[0] == kind}
        assert stored(lending.db, f"fact_lending_{kind}_events") == of_kind


def test_the_payer_is_not_the_owner(lending: Ingested):
    """Gifts are supplies the liquidator paid for, delegated borrows are drawn by it; both belong to somebody else."""
    rows = stored(lending.db).values()
    users = {user.address for user in lending.node.users}

    for kind, happened in (("deposit", "gift"), ("borrow", "delegate")):
        foreign = [row for row in rows if row[0] == kind and row[2] == LIQUIDATOR]
        assert len(foreign) <= lending.node.happened[happened]  # some are refused by the pool
        assert foreign, kind
        assert {row[1] for row in foreign} <= users
    assert lending.rows("SELECT count(*) FROM stg_lending_events WHERE self_initiated <> (wallet = initiator)") == [
        (0,)
    ]
    assert lending.rows("SELECT DISTINCT event_type FROM stg_lending_events WHERE self_initiated IS NULL") in (
        [],
        [("deficit",)],
    )


def test_a_repayment_for_somebody_else_belongs_to_the_debtor(lending: Ingested, tmp_path: Path):
    node = lending.node
    with node.chain.undone():
        debtor = next(u for u in node.users if "USDC" in u.debt)
        debt = node.balance(node.deployment.vtoken["USDC"], debtor.address)
        if not debt:
            pytest.skip("this population's first USDC debtor has repaid")
        call = contract("PoolInstance").encode(
            "repay", node.deployment.asset["USDC"], debt // 2, VARIABLE, debtor.address
        )
        node.chain.send(LIQUIDATOR, node.pool, call)
        node.chain.mine(12)
        run_flow(node, tmp_path / "risk.sqlite", "--from-block", str(node.chain.block))

        (row,) = stored(tmp_path / "risk.sqlite").values()
        assert row[:5] == ("repay", debtor.address, LIQUIDATOR, node.deployment.asset["USDC"], str(debt // 2))


def test_values_are_those_of_the_oracle_at_the_time(lending: Ingested):
    """A price of 1e-8 USD and the token's decimals give the value; the node answers for each block itself."""
    node = lending.node
    decimals = {node.deployment.asset[item.symbol]: item.decimals for item in node.configuration.listings}
    rows = lending.rows(
        "SELECT block_number, asset, amount_raw, amount_usd, amount_eth, price_source, price_age "
        "FROM stg_lending_events ORDER BY wallet LIMIT 40"
    )
    oracle = contract("AaveOracle")
    for block, asset, raw, usd, eth, source, age in rows:

        def price(of: str, block: int = block) -> int:
            call = {"to": node.deployment.oracle, "data": oracle.encode("getAssetPrice", of)}
            return oracle.decode("getAssetPrice", node.chain.rpc("eth_call", call, hex(block)))

        assert (source, age) == ("oracle", 0)
        value = int(raw) / 10 ** decimals[asset] * price(asset) / 1e8
        assert usd == pytest.approx(value, rel=1e-12)
        assert eth == pytest.approx(value / (price(node.deployment.asset["WETH"]) / 1e8), rel=1e-12)


def test_running_again_changes_nothing(lending: Ingested):
    before = lending.rows("SELECT max(batch), count(*) FROM fact_batch")
    facts = lending.rows("SELECT * FROM fact_lending_borrow_events")

    said = run_flow(lending.node, lending.db)

    assert " 0 of them new" in said
    assert lending.rows("SELECT max(batch), count(*) FROM fact_batch") == before
    assert lending.rows("SELECT * FROM fact_lending_borrow_events") == facts


def test_a_reorganisation_takes_back_what_it_undid(lending: Ingested, tmp_path: Path):
    """The same height twice, with other transactions: what only the first chain had is gone from every table."""
    node, db = lending.node, tmp_path / "risk.sqlite"
    user = next(u for u in node.users if "WETH" in u.collateral)

    def supply(amount: int, times: int) -> None:
        for _ in range(times):
            call = contract("PoolInstance").encode("supply", node.deployment.asset["WETH"], amount, user.address, 0)
            node.chain.send(LIQUIDATOR, node.pool, call)
        node.chain.mine(12)

    start = str(node.chain.block)
    with node.chain.undone():
        supply(1_000, 2)
        run_flow(node, db, "--from-block", start)
        first = stored(db)
        assert [row[4] for row in first.values()] == ["1000", "1000"]
    with node.chain.undone():
        supply(2_000, 1)
        said = run_flow(node, db, "--from-block", start)
        assert [row[4] for row in stored(db).values()] == ["2000"]
        assert [row[4] for row in stored(db, "fact_lending_deposit_events").values()] == ["2000"]
        assert " 1 of them new" in said
    with node.chain.undone():
        node.chain.mine(12)
        run_flow(node, db, "--from-block", start)
        assert stored(db) == stored(db, "fact_lending_deposit_events") == {}
    with Store.open(db, readonly=True) as store:  # nothing was overwritten on the way
        assert store.rows("SELECT count(*) FROM raw_lending_deposit_events") == [(3,)]
