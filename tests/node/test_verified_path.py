"""The fast verified path on the real contracts: the accounts come from a subgraph, every figure from the chain.

The subgraph is a loopback one; its rows are what a scan of the log stored of the same block.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import data
from data.schemas.tables import tables
from data.store.store import Store
from flows.aave.candidates.agreement import AccountsMissing, RoutesDisagree
from risk_core import health_factor
from tests.flows.aave.candidates.book import ORACLE, put_holding, put_reserve
from tests.flows.aave.candidates.schemas import AAVE_V3
from tests.flows.aave.candidates.server import Book, Gateway, Subgraph, serving
from tests.node.conftest import run_flow
from tests.node.harness import NodeMarket, running_market
from tests.node.toolchain import ToolchainMissing

pytestmark = pytest.mark.node

TABLES = ("raw_aave_reserves", "raw_aave_emodes", "raw_aave_user_accounts", "stg_positions")
VIEWS = {
    "raw_aave_user_accounts": (
        "market", "block", "account", "emode_id", "config_bitmap", "total_collateral_base", "total_debt_base",
        "health_factor_raw",
    )
}  # fmt: skip
"""Columns of a view, all of them."""


@pytest.fixture(scope="module")
def node() -> Iterator[NodeMarket]:
    try:
        with running_market(users=40, seed="verified", multicall=True) as market:
            yield market
    except ToolchainMissing as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def by_log(node: NodeMarket, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The market as a scan of the log finds it."""
    db = tmp_path_factory.mktemp("log") / "risk.sqlite"
    run_flow(node, db)
    return db


@pytest.fixture
def subgraph(node: NodeMarket, by_log: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Subgraph]:
    """What an indexer has of that block; the chain goes on by five blocks."""
    book = Book()
    book.put("Pool", {"id": node.provider.lower(), "pool": node.pool, "active": True})
    book.put("PriceOracle", {"id": ORACLE, "usdPriceEth": 0, "baseCurrency": "0x", "baseCurrencyUnit": 10**8})
    with Store.open(by_log, readonly=True) as store:
        ((block, time),) = store.rows("SELECT block, block_time FROM fact_snapshot")
        for r in store.read("SELECT * FROM raw_aave_reserves").to_dict("records"):
            put_reserve(book, node.provider.lower(), {
                "underlyingAsset": r["asset"], "isActive": bool(r["is_active"]), "isFrozen": bool(r["is_frozen"]),
                "borrowingEnabled": bool(r["borrowing_enabled"]), "baseLTVasCollateral": r["ltv_bps"],
                "reserveLiquidationThreshold": r["liquidation_threshold_bps"], "symbol": r["symbol"],
                "reserveLiquidationBonus": r["liquidation_bonus_bps"], "reserveFactor": r["reserve_factor_bps"],
                "liquidityIndex": r["liquidity_index"], "variableBorrowIndex": r["variable_borrow_index"],
                "liquidityRate": r["liquidity_rate"], "variableBorrowRate": r["variable_borrow_rate"],
                "lastUpdateTimestamp": r["last_update_timestamp"], "decimals": r["decimals"],
                "totalScaledVariableDebt": r["scaled_debt_supply"], "priceInMarketReferenceCurrency": r["price_raw"],
                "priceOracle": r["price_source"], "aTokenAddress": r["atoken"], "variableDebtTokenAddress": r["vtoken"],
            })  # fmt: skip
        for number, label in store.rows("SELECT emode_id, label FROM raw_aave_emodes"):
            book.put("EModeCategory", {"id": str(number), "label": label, "ltv": 0, "liquidationThreshold": 0,
                                       "liquidationBonus": 0, "oracle": "0x"})  # fmt: skip
        for account, emode in store.rows("SELECT account, emode_id FROM raw_aave_user_accounts"):
            book.put(
                "User", {"id": account, "borrowedReservesCount": 0, "eModeCategoryId": str(emode) if emode else None}
            )
        held = "SELECT account, asset, scaled_supply, scaled_debt, is_collateral FROM stg_positions"
        for account, asset, supply, debt, enabled in store.rows(held):
            put_holding(book, account, asset, node.provider.lower(), int(supply), int(debt), bool(enabled))
    made = Subgraph(AAVE_V3, book, head=block, head_time=time)
    with node.chain.undone(), serving(Gateway({"REAL": made}, key="k")) as url:
        monkeypatch.setenv("GRAPH_URL", url)
        monkeypatch.setenv("GRAPH_API_KEY", "k")
        monkeypatch.setenv("AAVE_SUBGRAPH_ID", "REAL")
        for _ in range(5):
            node.chain.mine()
        yield made


def rows(db: Path, table: str) -> list[tuple]:
    names = ", ".join(VIEWS.get(table) or tables()[table].content)
    with Store.open(db, readonly=True) as store:
        return store.rows(f"SELECT {names} FROM {table} ORDER BY {names}")


def test_the_fast_way_and_the_log_find_the_same_market(
    node: NodeMarket, subgraph: Subgraph, by_log: Path, tmp_path: Path
):
    said = run_flow(node, tmp_path / "fast.sqlite", "--candidates", "subgraph")

    for table in TABLES:
        assert rows(tmp_path / "fast.sqlite", table) == rows(by_log, table), table
    assert "their balances are every token's whole supply" in said
    assert "the subgraph differs in 0 of" in said
    market = data.load_market(db=tmp_path / "fast.sqlite", verify=True)
    assert market.snapshot.block == subgraph.head == node.chain.block - 5


def test_a_file_of_accounts_finds_what_they_hold_without_being_told(node: NodeMarket, by_log: Path, tmp_path: Path):
    with Store.open(by_log, readonly=True) as store:
        accounts = [account for (account,) in store.rows("SELECT account FROM raw_aave_user_accounts")]
        ((block,),) = store.rows("SELECT block FROM fact_snapshot")
    path = tmp_path / "accounts.txt"
    path.write_text("\n".join(accounts), encoding="utf-8")

    said = run_flow(node, tmp_path / "file.sqlite", "--candidates", str(path), "--block", str(block))

    assert "their balances are every token's whole supply" in said
    for table in TABLES:
        assert rows(tmp_path / "file.sqlite", table) == rows(by_log, table), table


def test_the_borrow_events_name_everybody_who_owes_delegators_included(
    node: NodeMarket, by_log: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    with Store.open(by_log, readonly=True) as store:
        ((block, n_accounts),) = store.rows("SELECT block, n_accounts FROM fact_snapshot")
    db = tmp_path / "borrowers.sqlite"

    run_flow(node, db, "--borrowers", "--block", str(block))

    whole, few = data.load_market(db=by_log), data.load_market(db=db)
    held = "SELECT account, asset, {} FROM stg_positions WHERE {} ORDER BY account, asset"
    with Store.open(by_log, readonly=True) as all_of_them, Store.open(db, readonly=True) as those:
        for columns, where in (
            ("scaled_debt, debt_raw", "scaled_debt != '0'"),
            (
                "scaled_supply, supply_raw",
                "is_collateral AND account IN (SELECT account FROM stg_positions WHERE scaled_debt != '0')",
            ),
        ):
            assert those.rows(held.format(columns, where)) == all_of_them.rows(held.format(columns, where)) != []
    assert 0 < few.n_accounts < n_accounts
    at = [whole.index(str(account)) for account in few.accounts]
    assert (health_factor(few) == health_factor(whole)[at]).all()
    assert not np.isfinite(np.delete(health_factor(whole), at)).any()  # nobody else owes anything
    assert "is owed; below health factor 1.1:" in capsys.readouterr().out


def test_an_account_that_is_not_named_and_a_balance_that_is_wrong_are_caught(
    node: NodeMarket, subgraph: Subgraph, by_log: Path, tmp_path: Path
):
    with Store.open(by_log, readonly=True) as store:
        account, asset, supply, debt = store.rows(
            "SELECT account, asset, scaled_supply, scaled_debt FROM stg_positions WHERE supply > 0 "
            "ORDER BY length(supply_raw) DESC, supply_raw DESC LIMIT 1"
        )[0]
    put_holding(subgraph.book, account, asset, node.provider.lower(), int(supply) * 3 // 2, int(debt), True)
    with pytest.raises(RoutesDisagree, match=account):
        run_flow(node, tmp_path / "risk.sqlite", "--candidates", "subgraph", "--max-disagreement", "0")

    for key in [key for key in subgraph.book.at("UserReserve", subgraph.head) if key.startswith(account)]:
        subgraph.book.put("UserReserve", None, id=key)
    with pytest.raises(AccountsMissing, match="supply"):
        run_flow(node, tmp_path / "risk.sqlite", "--candidates", "subgraph")
    assert rows(tmp_path / "risk.sqlite", "fact_snapshot") == []
