"""Questions to the models that take seconds: a backtest of every law, and the nearest move to a loss."""

from __future__ import annotations

from contextlib import redirect_stderr
from datetime import timedelta
from io import StringIO
from time import perf_counter

import numpy as np
import pandas as pd

import risk_core as rc
from flows.risk.backtest import WARM_UP, Prices, backtest
from flows.risk.calibration_inputs import HOUR
from risk_core.laws.from_returns import NAMES
from tests.benchmarks.book import bench_market, bench_scenario, statistics
from tests.benchmarks.table import Table
from tests.benchmarks.timing import median

DAYS = 500


def run(table: Table) -> None:
    """Every row."""
    prices = made_up(DAYS + WARM_UP)
    table.title(f"models: {len(NAMES)} laws on {DAYS} days of hourly prices, after {WARM_UP} days to begin with")
    with redirect_stderr(StringIO()):  # the progress bar
        start = perf_counter()
        found = backtest(prices, WARM_UP)
        taken = perf_counter() - start
    n = len(found["day_begins"])
    what = f"1-day value at risk of ETH, BTC and both on {n} days by {len(found['laws'])} laws, one run"
    table.add("backtest_s", taken, "s", what, 300, True)

    market = bench_market()
    scenario = bench_scenario(market, 24, timedelta(hours=1))
    owed = float((market.debt.amount * market.price[market.debt.reserve]).sum())
    table.title(f"reverse stress: {statistics(market)}")
    for name, target in (("liquidated", {"liquidated_usd": 0.1 * owed}), ("deficit", {"deficit_usd": 0.001 * owed})):
        taken = median(lambda target=target: rc.reverse_stress(market, scenario, **target), 1)  # type: ignore[misc]
        (value,) = target.values()
        what = f"nearest move to {value / 1e6:,.0f} M USD of debt repaid" if name == "liquidated" else (
            f"nearest move to a deficit of {value / 1e6:,.0f} M USD"
        )  # fmt: skip
        key = "reverse_stress_s" if name == "liquidated" else "reverse_stress_deficit_s"
        table.add(key, taken, "s", what, 30, True)


def made_up(days: int) -> Prices:
    """Hours of two assets that move together and whose volatility comes in waves. Generated."""
    rng, n = np.random.default_rng(7), days * 24
    level = np.zeros(n)
    for t in range(1, n):
        level[t] = 0.999 * level[t - 1] + 0.02 * rng.standard_normal()
    common, own = rng.standard_t(5, (n, 1)), rng.standard_t(5, (n, 2))
    moves = np.array([0.006, 0.004]) * np.exp(level)[:, None] * (0.9 * common + 0.4 * own)
    levels = np.array([2_000.0, 30_000.0]) * np.exp(np.vstack([np.zeros((1, 2)), np.cumsum(moves, axis=0)]))
    first = 1_609_718_400  # 2021-01-04 00:00 UTC
    frame = pd.DataFrame(levels, index=first + HOUR * np.arange(n + 1), columns=["ETH", "BTC"])
    return Prices(frame, {"ETH": 0, "BTC": 0}, "bench", synthetic=True)
