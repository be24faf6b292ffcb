"""The ingest: a whole market from the real contracts on a local node, and how the time grows with its users."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import data
from tests.benchmarks.table import Table
from tests.node.harness import NodeMarket, running_market
from tests.node.toolchain import ToolchainMissing

REPOSITORY = Path(__file__).resolve().parents[2]
USERS = (250, 500, 1_000)
ROUNDS = 3


def run(table: Table) -> None:
    """`python -m flows aave-market` as a user runs it, process start and cross-checks of every account included."""
    table.title("ingest: real contracts on a local node, no multicall contract")
    taken = {}
    try:
        for users in USERS:
            with running_market(users) as node:
                ingest(node, users)  # what the system keeps of files is warm from here on
                taken[users] = statistics.median(ingest(node, users) for _ in range(ROUNDS))
    except ToolchainMissing as reason:
        table.note(f"not measured: {reason}")
        return
    few, middle, many = USERS
    first, second = (taken[middle] - taken[few]) / (middle - few), (taken[many] - taken[middle]) / (many - middle)
    table.add("ingest_250_s", taken[few], "s", "aave-market for 250 users")
    table.add("ingest_500_s", taken[middle], "s", "aave-market for 500 users")
    table.add("ingest_1k_s", taken[many], "s", "aave-market for 1,000 users", 20, True)
    table.add(
        "ingest_ms_a_user",
        1e3 * (taken[many] - taken[few]) / (many - few),
        "ms",
        (f"each further user; {1e3 * first:.1f} from {few} to {middle}, {1e3 * second:.1f} from there"),
    )


def ingest(node: NodeMarket, users: int) -> float:
    """Seconds for one ingest into a new warehouse."""
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "risk.sqlite"
        environment = os.environ | {
            "ETH_RPC_URL": node.url,
            "AAVE_POOL_ADDRESSES_PROVIDER": node.provider,
            "RISK_DB": str(db),
        }
        command = [sys.executable, "-m", "flows", "aave-market"]
        start = time.perf_counter()
        subprocess.run(command, cwd=REPOSITORY, env=environment, check=True, capture_output=True)
        taken = time.perf_counter() - start
        held = data.load_market(db=db).n_accounts
    assert held >= users, f"{users} users were made, {held} accounts were read"
    return taken
