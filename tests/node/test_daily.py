"""The day as a user runs it: the command line, a node with the real contracts, prices from a loopback Binance."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

import data
from data.store.store import Store
from tests.flows.prices.binance_server import DEFAULT, BinanceServer, wave
from tests.node.harness import NodeMarket

pytestmark = pytest.mark.node

DAY = """
import sys
from flows.__main__ import main
from flows.prices import market_prices

market_prices.DAYS = 60  # a year of prices takes most of a day's time
sys.exit(main(sys.argv[1:]))
"""


def test_daily_writes_the_figures_of_the_nodes_market_and_again_the_same(
    node: NodeMarket, httpserver: HTTPServer, own_warehouse: Path
):
    others = {pair: wave(10.0 + i, 2.0 + i) for i, pair in enumerate(("LINKUSDT", "AAVEUSDT", "CRVUSDT"))}
    binance = BinanceServer(httpserver, DEFAULT | others)
    environment = os.environ | {
        "RISK_DB": str(own_warehouse),
        "ETH_RPC_URL": node.url,
        "AAVE_POOL_ADDRESSES_PROVIDER": node.provider,
        "BINANCE_URL": binance.url,
    }

    def rows(sql: str) -> list[tuple]:
        with Store.open(own_warehouse, readonly=True) as store:
            return store.rows(sql)

    def run_day() -> list[tuple]:
        day = subprocess.run(
            [sys.executable, "-c", DAY, "daily", "--paths", "500"],
            env=environment,
            text=True,
            timeout=300,
            capture_output=True,
            check=False,
        )
        assert day.returncode == 0, day.stderr
        return rows("SELECT * FROM fact_risk_scenarios ORDER BY run_id, measure, level")

    first = run_day()

    snapshot = data.load_market(verify=True).snapshot
    assert {row[0] for row in rows("SELECT DISTINCT snapshot_hash FROM fact_risk_scenarios")} == {snapshot.hash}
    assert rows("SELECT DISTINCT block, is_synthetic, n_paths FROM fact_risk_scenarios") == [(snapshot.block, 0, 500)]
    assert run_day() == first
    assert rows("SELECT count(DISTINCT asset) = count(DISTINCT oracle_source) FROM dim_oracle_adapter") == [(1,)]
