"""The real warehouse behind the pages: the figures are the stored ones, and what is loaded is shared and kept."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

import data
import risk_core as rc
from dashboard.market.page_data import Unavailable
from dashboard.market.warehouse import KEPT, Warehouse
from tests.conftest import SampleOf

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def filled(sample_of: SampleOf, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse with a sample of 300 accounts and no run."""
    return sample_of(300, 7, tmp_path_factory.mktemp("warehouse") / "risk.sqlite")


@pytest.fixture(scope="module")
def with_run(filled: Path) -> Path:
    """The same with one stored run."""
    market = data.load_market(db=filled)
    n = market.n_reserves
    scenario = rc.Scenario(
        name="baseline-24h",
        horizon=timedelta(hours=24),
        n_steps=6,
        factors=("ALL",),
        volatility=[0.9],
        correlation=np.eye(1),
        factor=np.zeros(n, dtype=int),
    )
    with data.store.Store.open(filled) as store:
        data.results.save_result(store, rc.simulate(market, scenario, n_paths=400), market)
    return filled


def test_a_snapshot_becomes_a_book_with_every_reserve_mapped(filled: Path) -> None:
    loaded = Warehouse(filled).loaded()

    assert loaded.market.n_accounts == 300
    assert len(loaded.assets.driver) == loaded.market.n_reserves
    assert "GHO" in loaded.assets.fixed
    assert dict(zip(loaded.assets.symbol, loaded.assets.driver, strict=True))["sUSDe"] == "usdt"
    assert len(loaded.daily_moves["eth"]) >= 90
    assert (np.diff(loaded.daily_moves["eth"]) >= 0).all()


def test_the_book_is_loaded_once_and_kept_by_its_hash(filled: Path) -> None:
    warehouse = Warehouse(filled)
    first = warehouse.loaded()

    assert warehouse.loaded() is first
    assert warehouse.loaded(first.market.snapshot.hash) is first
    assert KEPT >= 2  # an open page keeps its market while the newest is another


def test_a_snapshot_that_is_gone_is_said(filled: Path) -> None:
    with pytest.raises(Unavailable, match="is not in the warehouse any more"):
        Warehouse(filled).loaded("0" * 64)


def test_status_is_the_newest_snapshot(filled: Path) -> None:
    status = Warehouse(filled).status()
    assert status.synthetic
    assert status.market == "SampleAaveV3Ethereum"
    assert status.version == "v3.7"
    assert status.age_seconds > 0


def test_the_run_holds_exactly_what_the_table_holds(with_run: Path) -> None:
    warehouse = Warehouse(with_run)
    run = warehouse.run(warehouse.loaded().market.snapshot)
    with data.store.Store.open(with_run, readonly=True) as store:
        rows = store.rows("SELECT measure, level, value, low, high, se FROM fact_risk_scenarios")

    assert run is not None
    assert len(rows) == len(run.estimates) > 10
    for measure, level, value, low, high, se in rows:
        estimate = run.estimate(measure, level)
        assert (estimate.value, estimate.low, estimate.high, estimate.se) == (value, low, high, se)
    assert len(run.fan["hours"]) == len(run.fan["usd"]) == 7
    assert run.n_paths == 400


def test_the_stored_scenario_is_the_same_object_each_time(with_run: Path) -> None:
    """The baseline of a what-if is kept by scenario; a new object each time would simulate it again."""
    warehouse = Warehouse(with_run)
    snapshot = warehouse.loaded().market.snapshot
    one, two = warehouse.run(snapshot), warehouse.run(snapshot)
    assert one is not None
    assert two is not None
    assert one.scenario is two.scenario


def test_a_measure_that_is_not_stored_is_named(with_run: Path) -> None:
    warehouse = Warehouse(with_run)
    run = warehouse.run(warehouse.loaded().market.snapshot)
    assert run is not None
    with pytest.raises(KeyError, match=r"holds no lar_moon at level 0\.99"):
        run.estimate("lar_moon", 0.99)


def test_a_snapshot_without_a_run_has_none(with_run: Path) -> None:
    warehouse = Warehouse(with_run)
    other = replace(warehouse.loaded().market.snapshot, hash="f" * 64)
    assert warehouse.run(other) is None


def test_pages_are_loaded_without_pandas(with_run: Path) -> None:
    """Dash, writing JSON, looks into `sys.modules` for pandas; a half-imported one fails the page."""
    program = (
        "import sys; from dashboard.__main__ import warm_up; from dashboard.market.warehouse import Warehouse; "
        "from dashboard.pages.overview import page as overview; "
        "from dashboard.pages.what_if import page as what_if, simulation; "
        "w = Warehouse(); warm_up(w); "
        "overview.build(w, ''); what_if.build(w, ''); simulation.simulated(w, {'eth': -10}, None); "
        "assert 'pandas' not in sys.modules"
    )
    environment = os.environ | {"RISK_DB": str(with_run)}
    subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, env=environment, check=True, timeout=120)
