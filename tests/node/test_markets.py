"""Two chains with the real contracts, at the same addresses, read into one warehouse: side by side, never mixed."""

from __future__ import annotations

from pathlib import Path

import pytest

import data
import risk_core as rc
from data import snapshot
from data.schemas.tables import tables
from data.store.store import Store
from flows.errors import ConfigurationError
from tests.flows.running import ran
from tests.node.conftest import assert_same_health, run_flow
from tests.node.harness import NodeMarket, running_market
from tests.node.toolchain import ToolchainMissing

pytestmark = pytest.mark.node

TABLES = ("raw_aave_reserves", "raw_aave_emodes", "raw_aave_account_states", "raw_aave_balances", "raw_aave_holders")
ONE, OTHER = 31337, 1_338


@pytest.fixture(scope="module")
def chains():
    """Two markets with other users each; the addresses of the contracts are the same on both."""
    try:
        with running_market(users=12, seed="one") as one, running_market(12, "other", chain_id=OTHER) as other:
            yield one, other
    except ToolchainMissing as reason:
        pytest.skip(str(reason))


def rows(db: Path, table: str, market: str) -> list[tuple]:
    names = ", ".join(column.name for column in tables()[table].columns if not column.provenance)
    with Store.open(db, readonly=True) as store:
        return store.rows(f"SELECT {names} FROM {table} WHERE market = ? ORDER BY {names}", (market,))


def test_two_chains_stand_side_by_side_in_one_warehouse(
    chains: tuple[NodeMarket, NodeMarket], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    both = dict(zip(("Here", "There"), chains, strict=True))
    assert chains[0].provider == chains[1].provider  # nothing but the chain id tells them apart
    for market, node in both.items():
        monkeypatch.setenv("AAVE_MARKET", market)
        run_flow(node, tmp_path / "both.sqlite")
        run_flow(node, tmp_path / f"{market}.sqlite")

    for market, node in both.items():
        loaded = data.load_market(market=market, db=tmp_path / "both.sqlite", verify=True)
        assert loaded.snapshot.chain_id == {"Here": ONE, "There": OTHER}[market]
        for table in TABLES:
            assert rows(tmp_path / "both.sqlite", table, market) == rows(tmp_path / f"{market}.sqlite", table, market)
        found, said = rc.health_factor(loaded), node.account_data(list(loaded.accounts))
        for account, health, row in zip(loaded.accounts, found, said, strict=True):
            assert_same_health(account, health, row)
    here, there = (data.load_market(market=m, db=tmp_path / "both.sqlite") for m in both)
    assert set(here.accounts) != set(there.accounts)
    assert here.snapshot.hash != there.snapshot.hash


def test_a_second_chain_under_the_name_of_the_first_is_refused(chains: tuple[NodeMarket, NodeMarket], tmp_path: Path):
    """Without AAVE_MARKET the name is made of the provider's address, which is the same on both."""
    db = tmp_path / "risk.sqlite"
    run_flow(chains[0], db)
    before = data.load_market(db=db).snapshot

    with pytest.raises(ConfigurationError, match=f"stored for chain {ONE}, the node is on chain {OTHER}.*AAVE_MARKET"):
        run_flow(chains[1], db)

    assert snapshot.available(db=db) == [before]


def test_a_chain_by_its_id_is_found_among_several_nodes(
    chains: tuple[NodeMarket, NodeMarket], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from flows.aave import aave_market, address_book

    here, there = chains
    known = address_book.by_name("AaveV3Base")
    books = {name: address_book.KnownMarket(
        name=name, protocol="aave_v3", chain_id=chain, provider=here.provider, pool="", oracle="", first_block=0,
        multicall3=known.multicall3, own_implementation=name == "Second",
    ) for name, chain in (("First", ONE), ("Second", OTHER))}  # fmt: skip
    monkeypatch.setattr(aave_market.address_book, "markets", lambda: tuple(books.values()))
    monkeypatch.setenv("RISK_DB", str(tmp_path / "risk.sqlite"))
    monkeypatch.setenv("RPC_URLS", f"{ONE}={here.url}  {OTHER}={there.url}")
    said = {name: ran("aave-market", "--market", name) for name in books}

    stored = {found.market: found.chain_id for found in snapshot.available(db=tmp_path / "risk.sqlite")}
    assert stored == {"First": ONE, "Second": OTHER}
    assert "a pool of its own" in said["Second"]
    assert "a pool of its own" not in said["First"]
    assert "Aave v4 is not read" in said["First"]
