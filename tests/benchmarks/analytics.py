"""Functions of arrays: seconds for a stated number of rows."""

from __future__ import annotations

import numpy as np

from risk_core.analytics import wallets
from tests.benchmarks.table import Table
from tests.benchmarks.timing import median

DAYS = 10


def run(table: Table) -> None:
    """Every row."""
    table.title("analytics")
    for n, key in ((1_000, "wallet_features_1e4_s"), (10_000, "wallet_features_1e5_s"), (100_000, "wallet_features_s")):
        asked = made_up(n)
        taken = median(lambda asked=asked: wallets.features(*asked), 3)  # type: ignore[misc]
        floor = 30 if key == "wallet_features_s" else None
        table.add(key, taken, "s", f"26 features of {n:,} wallets over {10 * n:,} events and days", floor, lower=True)


def made_up(n: int) -> tuple[int, wallets.States, wallets.States, wallets.Events, int]:
    """Arguments of `wallets.features`: n wallets, ten days and ten events each on average."""
    rng = np.random.default_rng(7)
    m = n * DAYS

    def state(rows: int) -> dict[str, np.ndarray]:
        return {name: rng.random(rows) for name in ("collateral", "available", "borrow", "risk")}

    now = wallets.States(wallet=np.arange(n), **state(n))
    days = wallets.States(wallet=np.repeat(np.arange(n), DAYS), day=np.tile(np.arange(DAYS), n), **state(m))
    events = wallets.Events(
        wallet=rng.integers(0, n, m), kind=rng.integers(0, len(wallets.KINDS), m), eth=rng.random(m),
        time=rng.integers(0, DAYS * wallets.DAY, m), protocol=rng.integers(0, 5, m),
    )  # fmt: skip
    return n, now, days, events, DAYS * wallets.DAY
