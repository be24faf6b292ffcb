"""A market small enough to check by hand, with a stored run, and a source that serves both from memory."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

import risk_core as rc
from dashboard.market.drivers import AssetMap
from dashboard.market.liquidators import Repaid
from dashboard.market.loaded import LoadedMarket, ShownFigure, ShownRun
from dashboard.market.looking_back import StoredBlock
from dashboard.market.page_data import Status, Unavailable
from dashboard.market.scores import Locked, ShownScore
from dashboard.market.series import Closes
from data.brief import Brief
from data.headroom import Headroom
from data.oracle_adapters import Adapter
from data.postmortem import PostMortem
from data.quotes import Ladder
from data.rates import Rates
from data.snapshot.changes import Changes
from tests.conftest import SampleOf
from tests.flows.running import ran

SYMBOLS = ("WETH", "wstETH", "USDC", "GHO")
PRICES = (1_000.0, 1_200.0, 1.0, 1.0)
LOOP, SAFE, SUPPLIER, WEAK = range(4)
"""Rows of the accounts, in the order of their addresses."""


@pytest.fixture
def market() -> rc.Market:
    """WETH and wstETH with threshold 0.8 and bonus 5 %. Four accounts:

    loop: $12,000 of wstETH against $9,000 of WETH, HF 1.0667. safe: $20,000 of WETH against $8,000 of GHO, HF 2.
    supplier: $5,000 of WETH, no debt. weak: $10,000 of WETH against $7,000 of USDC, HF 1.1429.
    """
    n = len(SYMBOLS)
    reserves = rc.Reserves(
        id=range(n), symbol=SYMBOLS, asset=[f"0x{i:040x}" for i in range(n)], decimals=[18, 18, 6, 18],
        ltv=[0.75, 0.75, 0.75, 0], liquidation_threshold=[0.8, 0.8, 0.78, 0], liquidation_bonus=[0.05, 0.05, 0.045, -1],
        protocol_fee=[0.1] * n, active=[True] * n, paused=[False] * n, grace_until=[0] * n,
    )  # fmt: skip
    return rc.Market(
        reserves=reserves,
        emodes=rc.EModes.none(),
        accounts=[f"0x{i:040x}" for i in range(0xA0, 0xA4)],
        emode=[-1] * 4,
        collateral=rc.Positions.from_entries([LOOP, SAFE, SUPPLIER, WEAK], [1, 0, 0, 0], [10, 20, 5, 10], 4),
        debt=rc.Positions.from_entries([LOOP, SAFE, WEAK], [0, 3, 2], [9, 8_000, 7_000], 4),
        price=PRICES,
        snapshot=rc.Snapshot(
            market="SampleAaveV3Ethereum",
            chain_id=1,
            block=21_400_000,
            block_time=1_787_356_800,
            revision=11,
            hash="9f3c" + "0" * 56 + "a1e0",
            synthetic=True,
        ),
    )


@pytest.fixture
def assets() -> AssetMap:
    return AssetMap.build(
        SYMBOLS,
        ("ETH", "ETH", "USDC", ""),
        ("series", "ratio", "series", "fixed"),
        ("ETHUSDT", "ETHUSDT", "USDCUSDT", ""),
    )


@pytest.fixture
def loaded(market: rc.Market, assets: AssetMap) -> LoadedMarket:
    return LoadedMarket.build(market, assets, {"eth": np.linspace(-0.10, 0.10, 101)})


@pytest.fixture
def scenario() -> rc.Scenario:
    return rc.Scenario(
        name="baseline-24h",
        horizon=timedelta(hours=24),
        n_steps=4,
        factors=("ETH", "USDC"),
        volatility=(1.2, 0.01),
        correlation=np.eye(2),
        factor=(0, 0, 1, -1),
    )


@pytest.fixture
def run(market: rc.Market, scenario: rc.Scenario) -> ShownRun:
    at = market.snapshot
    estimates = {
        ("lar_repaid", 0.95): ShownFigure(51.0e6, 50.0e6, 52.0e6, 0.5e6, 500),
        ("lar_repaid", 0.99): ShownFigure(118.6e6, 114.5e6, 122.7e6, 2.1e6, 100),
        ("es_repaid", 0.99): ShownFigure(140.0e6, 133.0e6, 147.0e6, 3.5e6, 100),
        ("lar_seized", 0.99): ShownFigure(124.9e6, 120.0e6, 129.0e6, 2.3e6, 100),
        ("var_deficit", 0.99): ShownFigure(0.42e6, 0.30e6, 0.55e6, 0.06e6, 100),
        ("es_deficit", 0.99): ShownFigure(2.31e6, 1.93e6, 2.69e6, 0.19e6, 100),
        ("p_deficit", 0.0): ShownFigure(0.062, 0.0575, 0.0667, 0.0024, 620),
    }
    usd = [[0, 0, 0], [1e6, 20e6, 60e6], [3e6, 30e6, 85e6], [5e6, 40e6, 103e6], [7e6, 51e6, 118.6e6]]
    return ShownRun(
        market=at.market,
        block=at.block,
        block_time=at.block_time,
        scenario_id=scenario.name,
        scenario=scenario,
        seed=7,
        n_paths=10_000,
        horizon_hours=24.0,
        policy="largest_legs",
        code_version="0.1.0+engine.1",
        created_at=1_787_360_400,
        synthetic=True,
        estimates=MappingProxyType(estimates),
        fan=MappingProxyType({"hours": [0, 6, 12, 18, 24], "levels": [0.5, 0.95, 0.99], "usd": usd}),
        histogram=MappingProxyType({"edges": [0, 40e6, 80e6, 120e6, 160e6], "count": [9_000, 800, 150, 50]}),
        seized_by_reserve=MappingProxyType({"WETH": 30e6, "wstETH": 10e6}),
    )


class MemorySource:
    """Serves one market and one run; None is an empty warehouse."""

    def __init__(self, loaded: LoadedMarket | None, run: ShownRun | None = None) -> None:
        self._loaded, self._run = loaded, run
        self.score: tuple[ShownScore, ...] = ()
        self.told: Brief | None = None
        self.ladders: tuple[Ladder, ...] = ()
        self.adapter: dict[int, Adapter] = {}

    def status(self) -> Status:
        if self._loaded is None:
            return Status()
        at = self._loaded.market.snapshot
        return Status(at.market, at.block, at.block_time, at.revision, at.hash, at.synthetic, 3_600.0)

    def loaded(self, snapshot_hash: str | None = None) -> LoadedMarket:
        if self._loaded is None:
            raise Unavailable("No snapshot yet", "The warehouse is empty.", "python -m data.sample")
        return self._loaded

    def run(self, snapshot: rc.Snapshot) -> ShownRun | None:
        return self._run

    def blocks(self) -> tuple[StoredBlock, ...]:
        """The one of the market; tests that look back use a warehouse."""
        if self._loaded is None:
            return ()
        at = self._loaded.market.snapshot
        return (StoredBlock(block=at.block, time=at.block_time, hash=at.hash, debt_usd=24_000.0),)

    def changes(self, first: int, second: int) -> Changes:
        """There is no other block to compare with."""
        raise Unavailable("No other snapshot yet", f"{first} to {second}")

    def series(self) -> tuple[str, ...]:
        return ("ETHUSDT",) if self._loaded is not None else ()

    def brief(self) -> Brief | None:
        """None; tests that need one say so."""
        return self.told

    def scores(self) -> tuple[ShownScore, ...]:
        """None; tests that need one say so."""
        return self.score

    def locked(self) -> tuple[Locked, ...]:
        """None."""
        return ()

    def headroom(self, market: rc.Market) -> Headroom:
        """No caps, and a million tokens of each reserve to lend."""
        return Headroom(np.full(market.n_reserves, 1e6), np.full(market.n_reserves, np.inf))

    def queue(self, snapshot: rc.Snapshot) -> None:
        """None is stored."""
        return

    def adapters(self, market: rc.Market) -> dict[int, Adapter]:
        """None; tests that need one say so."""
        return self.adapter

    def peg(self, token: str) -> tuple[Closes, ...]:
        """Ten days around 1 USD by one source; only for USDC."""
        ts = np.arange(240) * 3600
        price = 1 + 2e-4 * np.sin(np.arange(240) / 5)
        found = Closes(symbol="USDC/USD", step=3600, ts=ts, price=price, source="memory", synthetic=True)
        return (found,) if token == "USDC" and self._loaded is not None else ()

    def clusters(self) -> None:
        """No fit is stored."""
        return

    def forecasts(self) -> None:
        """No forecast is tested."""
        return

    def wallet(self, address: str) -> None:
        """No features are stored."""
        return

    def fits(self, portfolio: str) -> tuple[()]:
        """None are stored."""
        return ()

    def protection(self, address: str) -> None:
        """No score is stored."""
        return

    def quotes(self, market: rc.Market) -> tuple[Ladder, ...]:
        return self.ladders

    def repaid(self) -> Repaid:
        return Repaid(np.array([], np.int64), np.array([]), ())

    def rates(self, market: rc.Market) -> Rates:
        """5 % a year on every debt, nothing on supplies."""
        n = market.n_reserves
        return Rates(np.zeros(n), np.full(n, 0.05), np.zeros(n))

    def bands(self) -> None:
        """None are stored."""
        return

    def chain(self) -> None:
        """No block was read."""
        return

    def liquidations(self, wallet: str | None = None, *, largest: bool = False) -> tuple[()]:
        """None are stored."""
        return ()

    def publications(self) -> tuple[()]:
        """Nothing was published."""
        return ()

    def post_mortem(self, transaction: str, log_index: str | None = None) -> PostMortem:
        """None is stored."""
        raise rc.InputError(f"no liquidation of transaction {transaction:.80} is stored")

    def closes(self, symbol: str, step: int) -> Closes:
        """200 days of an ETH that moves 3 % a day, up and down by a seeded coin."""
        steps = 200 * 86_400 // step
        signs = np.where(np.random.default_rng(1).random(steps) < 0.5, -1, 1)
        price = 2000 * np.exp(np.cumsum(0.03 * np.sqrt(step / 86_400) * signs))
        return Closes(
            symbol=symbol, step=step, ts=np.arange(steps) * step, price=price, source="memory", synthetic=True
        )


@pytest.fixture(scope="session")
def sample_warehouse(sample_of: SampleOf, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse with a sample of 300 accounts; tests that change it copy it first."""
    return sample_of(300, 7, tmp_path_factory.mktemp("sample") / "risk.sqlite")


@pytest.fixture
def source(loaded: LoadedMarket, run: ShownRun) -> MemorySource:
    return MemorySource(loaded, run)


@pytest.fixture
def live_source(loaded: LoadedMarket, run: ShownRun) -> MemorySource:
    market = replace(loaded.market, snapshot=replace(loaded.market.snapshot, market="AaveV3Ethereum", synthetic=False))
    return MemorySource(replace(loaded, market=market), run)


@pytest.fixture
def empty_source() -> MemorySource:
    return MemorySource(None)


def words(component: object) -> str:
    """All text of a Dash component, in reading order."""
    if component is None:
        return ""
    if isinstance(component, str | int | float):
        return str(component)
    if isinstance(component, list | tuple):
        return "".join(words(part) for part in component)
    return words(getattr(component, "children", None))


@pytest.fixture(scope="session")
def fitted(sample_warehouse: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample with a stored fit, and a ledger of its forecasts."""
    own = tmp_path_factory.mktemp("fitted") / "risk.sqlite"
    shutil.copy(sample_warehouse, own)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RISK_DB", str(own))
        ran("liquidation-clusters", "--paths", "200", "--past-days", "5")
        ran("forecast-ledger")
    return own
