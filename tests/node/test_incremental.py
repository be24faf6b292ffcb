"""Carrying forward against reading everything, on the real contracts: row by row the same, whatever users did between.

Only what tells how a row arrived may differ (`provenance` in the schemas).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import data
from data import marts
from data.schemas.tables import tables
from data.store.store import Store
from flows.clients import abis
from flows.errors import CrossCheckFailed
from tests.node import population
from tests.node.artifacts import contract
from tests.node.chain import Reverted
from tests.node.conftest import run_flow
from tests.node.deployment import POOL
from tests.node.harness import NodeMarket, running_market
from tests.node.population import LIQUIDATOR
from tests.node.toolchain import ToolchainMissing

pytestmark = pytest.mark.node

TABLES = ("fact_snapshot", "raw_aave_reserves", "raw_aave_emodes", "raw_aave_user_accounts", "stg_positions")
VIEWS = {
    "raw_aave_user_accounts": (
        "market", "block", "account", "emode_id", "config_bitmap", "total_collateral_base", "total_debt_base",
        "health_factor_raw",
    )
}  # fmt: skip
"""Columns of a view, all of them."""
NEVER = ("--full-every", "1e9")


@pytest.fixture(scope="module")
def lived_in() -> Iterator[NodeMarket]:
    try:
        with running_market(users=40, seed="incremental", multicall=True) as market:
            yield market
    except ToolchainMissing as reason:
        pytest.skip(str(reason))


@pytest.fixture
def node(lived_in: NodeMarket) -> Iterator[NodeMarket]:
    with lived_in.chain.undone():
        yield lived_in


def rows(db: Path, table: str, block: int) -> list[tuple]:
    names = ", ".join(VIEWS.get(table) or tables()[table].content)
    with Store.open(db, readonly=True) as store:
        return store.rows(f"SELECT {names} FROM {table} WHERE block = ? ORDER BY {names}", (block,))


def assert_same_snapshot(one: Path, other: Path, block: int) -> None:
    for db in (one, other):
        with Store.open(db) as store:
            marts.refresh(store, ["stg_positions"])
    for table in TABLES:
        assert rows(one, table, block) == rows(other, table, block), table
    assert rows(one, "stg_positions", block)


def how(db: Path) -> list[tuple]:
    with Store.open(db, readonly=True) as store:
        return store.rows("SELECT block, read_mode, base_block FROM fact_snapshot ORDER BY block")


def life_goes_on(node: NodeMarket, draw: random.Random) -> None:
    """A block of random acts of a few users: repaying, withdrawing, gifts, transfers, delegation, toggles, e-modes."""
    chain, market = node.chain, node.deployment
    pool = contract(POOL)
    acts = (
        population._repay,
        population._withdraw,
        population._gift,
        population._bequeath,
        population._repay_with_atokens,
        population._delegate,
    )
    for act in acts:
        for user in draw.sample(node.users, 2):
            act(chain, market, user, draw)
    giver, taker, switcher = draw.sample(node.users, 3)
    symbol, amount = draw.choice([*giver.collateral.items()])
    transfer = contract("ATokenInstance").encode("transfer", taker.address, amount // 1000 + 1)
    chain.send(giver.address, market.atoken[symbol], transfer)
    for symbol in switcher.collateral | switcher.idle:
        call = pool.encode("setUserUseReserveAsCollateral", market.asset[symbol], draw.random() < 0.5)
        chain.send(switcher.address, market.pool, call)
    free = [user for user in node.users if not user.debt] or node.users
    chain.send(draw.choice(free).address, market.pool, pool.encode("setUserEMode", draw.choice([0, 1, 2])))
    newcomer = population.named_address(f"newcomer {draw.random()}")
    population._mint(chain, market, [("USDC", LIQUIDATOR, 10**12)])
    chain.send(LIQUIDATOR, market.pool, pool.encode("supply", market.asset["USDC"], 5 * 10**9, newcomer, 0))
    chain.send(newcomer, market.pool, pool.encode("setUserEMode", 2))
    chain.send(newcomer, market.pool, pool.encode("borrow", market.asset["USDT"], 10**9, 2, 0, newcomer))
    chain.mine(draw.randrange(12, 5 * 86_400), must_succeed=False)


def liquidation_with_deficit(node: NodeMarket) -> None:
    """Prices fall so far that a user's only collateral does not cover the debt; it is seized whole."""
    symbols = ("WETH", "wstETH", "weETH", "WBTC", "LINK", "DAI")
    for user in node.users:
        if len(user.collateral) != 1 or not user.debt or next(iter(user.collateral)) in user.debt:
            continue
        ((collateral, _),) = user.collateral.items()
        debts = [symbol for symbol in user.debt if symbol not in symbols]
        if collateral not in symbols[:4] or not debts:
            continue
        for symbol in symbols[:4]:
            node.set_price(symbol, node.configuration.by_symbol[symbol].price // 20)
        try:
            events = node.liquidate(user.address, collateral, debts[0])
        except Reverted:
            continue
        if any(name == "DeficitCreated" for name, _ in events):
            return
    raise AssertionError("no user of this population can be liquidated into a deficit")


def events_between(node: NodeMarket, first: int, last: int) -> Counter[str]:
    logs = node.chain.rpc("eth_getLogs", {"fromBlock": hex(first), "toBlock": hex(last)})
    return Counter(log["topics"][0] for log in logs)


@pytest.mark.parametrize("seed", ["a", "b", "c"])
def test_random_life_is_carried_as_a_full_read_finds_it(node: NodeMarket, tmp_path: Path, seed: str):
    draw = random.Random(f"incremental {seed}")
    db = tmp_path / "carried.sqlite"
    run_flow(node, db)
    begun = node.chain.block

    for turn in range(3):
        life_goes_on(node, draw)
        if turn == 1:
            liquidation_with_deficit(node)
        said = run_flow(node, db, *NEVER)
        block = node.chain.block
        run_flow(node, tmp_path / f"{turn}.sqlite", "--full")

        assert "read, the others carried from" in said
        assert_same_snapshot(db, tmp_path / f"{turn}.sqlite", block)
        assert data.load_market(db=db, verify=True).snapshot.block == block

    assert [row[1] for row in how(db)] == ["full", "incremental", "incremental", "incremental"]
    assert [row[2] for row in how(db)[1:]] == [row[0] for row in how(db)[:-1]]
    happened = events_between(node, begun + 1, node.chain.block)
    for event in (abis.BALANCE_TRANSFER, abis.USER_EMODE_SET, abis.COLLATERAL_ENABLED, abis.COLLATERAL_DISABLED,
                  abis.LIQUIDATION_CALL, abis.DEFICIT_CREATED, abis.REPAY, abis.WITHDRAW, abis.BORROW):  # fmt: skip
        assert happened[event], f"this seed has no event {event}: the test says less than it should"


def test_a_quiet_block_reads_nobody_again(node: NodeMarket, tmp_path: Path):
    db = tmp_path / "carried.sqlite"
    run_flow(node, db)
    node.chain.mine(3600)

    said = run_flow(node, db, *NEVER)

    run_flow(node, tmp_path / "full.sqlite", "--full")
    assert "(0 read, the others carried" in said
    assert_same_snapshot(db, tmp_path / "full.sqlite", node.chain.block)


def test_a_replaced_block_is_read_again_from_the_last_one_that_stands(node: NodeMarket, tmp_path: Path):
    db, chain = tmp_path / "carried.sqlite", node.chain
    run_flow(node, db)
    standing = chain.block
    with chain.undone():
        life_goes_on(node, random.Random("orphaned"))
        run_flow(node, db, *NEVER)
        orphan = chain.block
    life_goes_on(node, random.Random("canonical"))
    life_goes_on(node, random.Random("canonical too"))

    run_flow(node, db, *NEVER)

    assert orphan == standing + 1
    assert how(db)[-1] == (chain.block, "incremental", standing)
    run_flow(node, tmp_path / "full.sqlite", "--full")
    assert_same_snapshot(db, tmp_path / "full.sqlite", chain.block)


def test_a_wrong_figure_that_sums_hide_is_found_by_the_full_read_and_reported(node: NodeMarket, tmp_path: Path):
    """Two accounts' balances are exchanged in the stored snapshot: no sum changes."""
    db = tmp_path / "carried.sqlite"
    run_flow(node, db)
    with Store.open(db) as store:
        (a, x), (b, y) = store.rows(
            "SELECT account, scaled_supply FROM raw_aave_balances WHERE reserve_id = 0 AND scaled_supply != '0' LIMIT 2"
        )
        with store.transaction() as connection:
            for account, value in ((a, y), (b, x)):
                connection.execute(
                    "UPDATE raw_aave_balances SET scaled_supply = ? WHERE account = ? AND reserve_id = 0",
                    (value, account),
                )
    node.chain.mine(12)

    with pytest.raises(CrossCheckFailed, match=r": 2 of \d+ accounts, carried forward .*supply carried as .*, read as"):
        run_flow(node, db, "--full")

    run_flow(node, tmp_path / "full.sqlite", "--full")
    assert_same_snapshot(db, tmp_path / "full.sqlite", node.chain.block)
    with Store.open(db, readonly=True) as store:
        found = store.rows("SELECT check_name, n_failed, example FROM fact_validation")
        state = store.rows("SELECT state FROM fact_run ORDER BY started_at DESC, state DESC")
    assert found[0][:2] == ("carried forward equals read in full", 2)
    assert found[0][2].startswith(min(a, b))
    assert ("failed",) in state


def test_a_carried_state_that_the_pool_contradicts_is_read_in_full_at_once(node: NodeMarket, tmp_path: Path):
    db = tmp_path / "carried.sqlite"
    run_flow(node, db)
    with Store.open(db) as store, store.transaction() as connection:
        connection.execute("DELETE FROM ingest_checkpoint WHERE source = 'aave_holders'")
        connection.execute(
            "UPDATE raw_aave_account_states SET emode_id = 1 - emode_id WHERE account = "
            "(SELECT account FROM raw_aave_user_accounts WHERE emode_id < 2 AND total_debt_base != '0' "
            "AND total_collateral_base != '0' LIMIT 1)"
        )
    node.chain.mine(12)

    with pytest.raises(CrossCheckFailed, match=r"1 of \d+ accounts, carried forward .*emode carried as"):
        run_flow(node, db, *NEVER)

    assert how(db)[-1][:2] == (node.chain.block, "full")
    assert data.load_market(db=db, verify=True).snapshot.block == node.chain.block


def test_the_full_read_comes_round_by_the_hours_of_the_chain(node: NodeMarket, tmp_path: Path):
    db, chain = tmp_path / "carried.sqlite", node.chain
    run_flow(node, db)
    modes = []
    for hours in (5, 5, 5, 5):
        chain.mine(hours * 3600)
        run_flow(node, db, "--full-every", "10")
        modes.append(how(db)[-1][1])

    assert modes == ["incremental", "full", "incremental", "full"]


def test_a_snapshot_that_lacks_a_holder_is_not_carried(node: NodeMarket, tmp_path: Path):
    """As a route may store it that knows its accounts from elsewhere, and allows a few to be missing."""
    db = tmp_path / "carried.sqlite"
    run_flow(node, db)
    with Store.open(db) as store, store.transaction() as connection:
        [(one,)] = connection.execute("SELECT max(account) FROM raw_aave_balances WHERE scaled_debt = '0'").fetchall()
        for table in ("raw_aave_account_states", "raw_aave_balances"):
            connection.execute(f"DELETE FROM {table} WHERE account = ?", (one,))
        for table, count in (("raw_aave_account_states", "n_accounts"), ("raw_aave_balances", "n_positions")):
            connection.execute(f"UPDATE fact_snapshot SET {count} = (SELECT count(*) FROM {table})")
    node.chain.mine(12)

    run_flow(node, db, *NEVER)

    assert how(db)[-1][1] == "full"
    run_flow(node, tmp_path / "full.sqlite", "--full")
    assert_same_snapshot(db, tmp_path / "full.sqlite", node.chain.block)


def test_everything_is_read_where_a_token_changed(node: NodeMarket, tmp_path: Path):
    db = tmp_path / "carried.sqlite"
    run_flow(node, db)
    with Store.open(db) as store, store.transaction() as connection:  # as if a reserve had another aToken then
        connection.execute("UPDATE raw_aave_reserves SET atoken = asset WHERE reserve_id = 0")
    node.chain.mine(12)

    run_flow(node, db, *NEVER)

    assert how(db)[-1][1] == "full"
