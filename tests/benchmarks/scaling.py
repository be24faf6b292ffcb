"""How the engine grows: threads, the default job, a cold start, memory, and cost against N, T, P and A."""

from __future__ import annotations

from datetime import timedelta

import risk_core as rc
from tests.benchmarks.book import bench_market, bench_scenario, statistics
from tests.benchmarks.memory import alone, peak_of
from tests.benchmarks.table import Table
from tests.benchmarks.timing import median, seconds

HOUR = timedelta(hours=1)

PLAN_MEMORY = """
import json
from tests.benchmarks.book import bench_market
from risk_core.plan import plan_of
market = bench_market(1_000_000)
plan = plan_of(market)
arrays = [getattr(plan, name) for name in plan.__slots__ if hasattr(getattr(plan, name), "nbytes")]
print(json.dumps(sum(array.nbytes for array in arrays) / 2**20))
"""
PEAK_MEMORY = """
from datetime import timedelta
import risk_core as rc
from tests.benchmarks.book import bench_market, bench_scenario
market = bench_market()
scenario = bench_scenario(market, 288, timedelta(minutes=5))
rc.simulate(market, scenario, 100_000)
"""
COLD_START = """
import time
start = time.perf_counter()
import json
from datetime import timedelta
import numpy as np
import risk_core as rc
book = rc.Reserves(
    id=[0, 1], symbol=["ETH", "USDC"], asset=["0x0", "0x1"], decimals=[18, 6], ltv=[0.8, 0.75],
    liquidation_threshold=[0.83, 0.78], liquidation_bonus=[0.05, 0.045], protocol_fee=[0.1, 0.1], active=[1, 1],
    paused=[0, 0], grace_until=[0, 0],
)
market = rc.Market(
    reserves=book, emodes=rc.EModes.none(), accounts=["0x2"], emode=[-1],
    collateral=rc.Positions(indptr=[0, 1], reserve=[0], amount=[10.0]),
    debt=rc.Positions(indptr=[0, 1], reserve=[1], amount=[15_000.0]), price=[1_900.0, 1.0],
    snapshot=rc.Snapshot(market="cold", chain_id=1, block=1, block_time=1, revision=11),
)
scenario = rc.Scenario(
    name="cold", horizon=timedelta(days=1), n_steps=24, factors=["ETH"], volatility=[0.8], correlation=[[1.0]],
    factor=[0, -1],
)
rc.simulate(market, scenario, 64, threads=1)
print(json.dumps(time.perf_counter() - start))
"""
COMPILE = """
import contextlib, io, json, os, tempfile, time
with tempfile.TemporaryDirectory() as empty:
    os.environ["NUMBA_CACHE_DIR"] = empty
    from risk_core import warmup
    with contextlib.redirect_stdout(io.StringIO()):
        warmup.main([])
print(json.dumps(time.process_time()))
"""


def run(table: Table) -> None:
    """Every row on growth."""
    market = bench_market()
    day = bench_scenario(market, 24, HOUR)
    table.title("threads and the default job: 100,000 accounts, 10,000 paths, 24 hourly steps")
    taken = seconds({n: lambda n=n: rc.simulate(market, day, 10_000, threads=n) for n in (1, 2)})
    table.add("threads_2", taken[1] / taken[2], "x", "two threads over one", 1.7)
    table.add("default_job_s", median(lambda: rc.simulate(market, day, 10_000), 5), "s", "all cores", 2, True)

    table.title("cold start and memory")
    alone(COLD_START)
    cold = sorted(alone(COLD_START) for _ in range(5))[2]
    table.add("cold_cached_s", cold, "s", "import and first run, kernels in the cache", 1.0, True)
    what = "every kernel from nothing: processor time, start of the process included"
    table.add("compile_cpu_s", alone(COMPILE), "s", what, 40, True)
    table.add("plan_mb_1m", alone(PLAN_MEMORY), "MB", "1,000,000 accounts prepared", 500, True)
    table.add("peak_mb", peak_of(PEAK_MEMORY), "MB", "100,000 paths x 288 steps, whole process", 1500, True)

    table.title("growth, one thread, microseconds a path")
    for n in (50_000, 100_000, 500_000, 1_000_000):
        book = bench_market(n)
        scenario = bench_scenario(book, 24, HOUR)
        table.add(f"us_path_n_{n}", cost(book, scenario), "us", f"{n:,} accounts, 24 hourly steps")
    for steps in (1, 24, 96, 288):
        scenario = bench_scenario(market, steps, timedelta(days=1) / steps)
        table.add(f"us_path_t_{steps}", cost(market, scenario), "us", f"{steps} steps of one day, 100,000 accounts")
    for paths in (1_000, 4_000, 16_000):
        table.add(f"us_path_p_{paths}", cost(market, day, paths), "us", f"{paths:,} paths")
    few = bench_market(100_000, n_reserves=12)
    table.add("us_path_a_12", cost(few, bench_scenario(few, 24, HOUR)), "us", "12 reserves instead of 20")

    hard = bench_market(harder=True)
    table.title(f"a harder book: {statistics(hard)}")
    for name, n_steps, step in (("24h", 24, HOUR), ("30d", 30, timedelta(days=1))):
        scenario = bench_scenario(hard, n_steps, step)
        both = seconds(
            {
                "engine": lambda s=scenario: rc.simulate(hard, s, 500, threads=1),
                "brute": lambda s=scenario: rc.simulate(hard, s, 16, threads=1, brute_force="simd"),
            }
        )
        ratio = both["brute"] / 16 / (both["engine"] / 500)
        table.add(f"hard_engine_vs_brute_{name}", ratio, "x", f"{1e6 * both['engine'] / 500:,.0f} us a path")


def cost(market: rc.Market, scenario: rc.Scenario, n_paths: int = 2_000) -> float:
    """Microseconds a path, one thread."""
    return 1e6 * median(lambda: rc.simulate(market, scenario, n_paths, threads=1), 3) / n_paths
