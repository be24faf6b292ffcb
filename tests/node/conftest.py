"""A node for the session, and what the real flow made of it. `pytest -m node` runs these tests alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import data
from data.store.store import Store
from risk_core import Market
from tests.flows.running import ran
from tests.node.harness import NodeMarket, running_market
from tests.node.toolchain import ToolchainMissing


@dataclass(frozen=True)
class Ingested:
    """A node's market, the warehouse that the flow `aave-market` filled from it, and what came out of that."""

    node: NodeMarket
    db: Path
    said: str

    @property
    def market(self) -> Market:
        return data.load_market(db=self.db, verify=True)

    def rows(self, sql: str) -> list[tuple]:
        with Store.open(self.db, readonly=True) as store:
            return store.rows(sql)


def run_flow(node: NodeMarket, db: Path, *arguments: str) -> str:
    """`python -m flows aave-market …` against a node, in this process, then `stg_positions`; returns its line."""
    from data import marts
    from data.store.store import Store

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ETH_RPC_URL", node.url)
        environment.setenv("AAVE_POOL_ADDRESSES_PROVIDER", node.provider)
        environment.setenv("RISK_DB", str(db))
        said = ran("aave-market", *arguments)
    with Store.open(db) as store:
        marts.refresh(store, ["stg_positions"])
    return said


def run_history(url: str, provider: str, db: Path, *arguments: str) -> str:
    """`python -m flows aave-history …` against a node, in this process; returns its line."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ETH_RPC_URL", url)
        environment.setenv("AAVE_POOL_ADDRESSES_PROVIDER", provider)
        environment.setenv("RISK_DB", str(db))
        return ran("aave-history", *arguments)


@pytest.fixture(scope="session", params=[("standard", False), ("varied", True)], ids=lambda p: p[0])
def node(request: pytest.FixtureRequest) -> Iterator[NodeMarket]:
    """A populated market: one with the standard parameters, one with parameters and prices drawn from a seed."""
    seed, vary = request.param
    try:
        with running_market(users=70, seed=seed, vary=vary) as market:
            yield market
    except ToolchainMissing as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def ingested(node: NodeMarket, tmp_path_factory: pytest.TempPathFactory) -> Ingested:
    db = tmp_path_factory.mktemp("node") / "risk.sqlite"
    return Ingested(node, db, run_flow(node, db))


def assert_same_health(account: str, found: float, row: tuple[int, ...]) -> None:
    """Floats against the pool's integers: values are rounded to 1e-8 USD for each of at most 22 legs."""
    collateral, debt, _, _, _, expected = row
    if not debt:
        assert math.isinf(found), account
    elif collateral:
        assert found == pytest.approx(expected / 1e18, rel=1e-12 + 22 / min(collateral, debt)), account
