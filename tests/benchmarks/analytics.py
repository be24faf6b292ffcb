"""Functions of arrays: seconds for a stated number of rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pandas as pd

from flows.risk.calibration_inputs import HOUR, Inputs
from flows.risk.resampled import fit, garch_of
from risk_core.analytics import hawkes, mev, pegs, wallets
from risk_core.laws.from_returns import NAMES, law_called
from tests.benchmarks import beside_tick
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
    following = one_more_day(*made_up(100_000))
    taken = median(lambda: wallets.features(*following()), 3)
    what = "one more day of 100,000 wallets, 100,000 events and days joined to the stored ones, all features anew"
    table.add("wallet_day_s", taken, "s", what, 2, lower=True)
    taken = median(calibrated_by_every_law(20, 2 * 365), 3)
    table.add("calibrate_s", taken, "s", f"20 assets on two years of hours, {len(NAMES)} laws", 20, lower=True)
    for n, key in ((10_000, "mev_tx_1e4_s"), (100_000, "mev_tx_1e5_s"), (1_000_000, "mev_tx_s")):
        blocks, swaps, paid = trades(n)
        taken = median(lambda b=blocks, s=swaps, p=paid: mev.scores(b, s, **p), 3)  # type: ignore[misc]
        floor = 20_000 if key == "mev_tx_s" else None
        table.add(key, n / taken, "tx/s", f"MEV labels and scores of {n:,} transactions, one swap each", floor)
    excited(table)
    beside_tick.run(table)
    n = 5_000_000
    times = np.cumsum(np.random.default_rng(7).integers(1, 60, n))
    price = 1 + 1e-4 * np.sin(np.arange(n) / 1_000)
    taken = median(lambda: pegs.rolling(times, price), 3)
    table.add("peg_z_s", taken, "s", f"time-weighted z-scores of a day, {n:,} observations", 3, lower=True)


def excited(table: Table) -> None:
    """A process of three kinds of events that excite each other: its likelihood with the gradient, and a fit."""
    share = np.array([[0.3, 0.1, 0.05], [0.1, 0.25, 0.05], [0.05, 0.1, 0.2]])
    beta = np.full((3, 3), 2.0)
    model = hawkes.Hawkes(mu=np.array([0.5, 0.3, 0.2]), alpha=share * beta, beta=beta)
    rate = float(model.mean_rates.sum())
    pairs = share.size
    for n, key in ((10_000, "hawkes_1e4_ns"), (100_000, "hawkes_1e5_ns"), (1_000_000, "hawkes_ns")):
        events = hawkes.simulate(model, n / rate, seed=7, most=2 * n)
        taken = median(lambda events=events: hawkes.log_likelihood(model, events), 3)  # type: ignore[misc]
        what = f"log-likelihood and whole gradient, {len(events):,} events, {pairs} pairs: ns per event and pair"
        spent = 1e9 * taken / (len(events) * pairs)
        table.add(key, spent, "ns", what, 60 if key == "hawkes_ns" else None, lower=True)
    events = hawkes.simulate(model, 100_000 / rate, seed=8, most=200_000)
    taken = median(lambda: hawkes.fit(events), 1)
    table.add("hawkes_fit_s", taken, "s", f"fit of {len(events):,} events of 3 kinds, from 3 starts", 30, lower=True)


def calibrated_by_every_law(n_assets: int, days: int) -> Callable[[], object]:
    """A function that fits every law to hourly prices of so many assets, whose variances follow their moves."""
    rng, n = np.random.default_rng(7), days * 24
    common, own = rng.standard_t(5, (n, 1)), rng.standard_t(5, (n, n_assets))
    moves, variance = np.empty((n, n_assets)), np.full(n_assets, 5e-5)
    for t in range(n):
        moves[t] = np.sqrt(0.6 * variance) * (0.7 * common[t] + 0.7 * own[t])
        variance = 1e-6 + 0.05 * moves[t] ** 2 + 0.93 * variance
    names = [f"A{i}USDT" for i in range(n_assets)]
    levels = np.exp(np.vstack([np.zeros((1, n_assets)), np.cumsum(moves, axis=0)]))
    prices = pd.DataFrame(levels, [1_700_000_000 // HOUR * HOUR + HOUR * t for t in range(n + 1)], names)
    asked = [
        Inputs(
            series={name[:-4]: name for name in names}, factor=np.arange(n_assets), prices=prices.iloc[-90 * 24 :],
            history={name: prices[name] for name in names}, law=law_called(law), looks_ahead=False, notes=(),
        )
        for law in NAMES
    ]  # fmt: skip

    def run() -> None:
        garch_of.cache_clear()
        for inputs in asked:
            fit(inputs).scenario("bench", timedelta(days=1), 24, 1_800_000_000)

    return run


def trades(n: int) -> tuple[np.ndarray, mev.Swaps, dict[str, np.ndarray]]:
    """Arguments of `mev.scores`: n transactions, 200 a block, one swap each, in 20 pools by 150 accounts."""
    rng = np.random.default_rng(7)
    block, place = np.divmod(np.arange(n), 200)
    amount = rng.lognormal(size=n) * rng.choice([-1.0, 1.0], n)
    swaps = mev.Swaps(
        block=block, transaction=place, log=place, pool=rng.integers(0, 20, n), sender=rng.integers(0, 150, n),
        contract=rng.integers(0, 50, n), token0=np.zeros(n, int), token1=np.ones(n, int), amount0=amount,
        amount1=-2_000 * amount,
    )  # fmt: skip
    blocks = np.unique(block)
    price = rng.lognormal(size=n)
    paid = {"tx_block": block, "gas_price": price, "priority_fee": price / 10, "liquidations": np.zeros_like(blocks)}
    return blocks, swaps, paid


def one_more_day(
    n: int, now: wallets.States, days: wallets.States, events: wallets.Events, as_of: int
) -> Callable[[], tuple[int, wallets.States, wallets.States, wallets.Events, int]]:
    """A function that joins a day of n states and n events to those before it: arguments of `wallets.features`."""
    rng = np.random.default_rng(8)
    new = {"wallet": rng.permutation(n), "kind": rng.integers(0, len(wallets.KINDS), n), "eth": rng.random(n),
           "time": rng.integers(as_of, as_of + wallets.DAY, n), "protocol": rng.integers(0, 5, n)}  # fmt: skip

    def joined() -> tuple[int, wallets.States, wallets.States, wallets.Events, int]:
        state = {name: getattr(now, name) for name in ("wallet", "collateral", "available", "borrow", "risk")}
        # In order of wallet and day, as the warehouse gives them.
        at = np.arange(1, n + 1) * DAYS
        history = {name: np.insert(getattr(days, name), at, values) for name, values in state.items()}
        history["day"] = np.insert(days.day, at, DAYS)
        told = {name: np.concatenate([getattr(events, name), values]) for name, values in new.items()}
        return n, now, wallets.States(**history), wallets.Events(**told), as_of + wallets.DAY

    return joined


def made_up(n: int) -> tuple[int, wallets.States, wallets.States, wallets.Events, int]:
    """Arguments of `wallets.features`: n wallets, ten days and ten events each on average."""
    rng = np.random.default_rng(7)
    m = n * DAYS

    def state(rows: int) -> dict[str, np.ndarray]:
        return {name: rng.random(rows) for name in ("collateral", "available", "borrow", "risk")}

    now = wallets.States(wallet=np.arange(n), **state(n))
    days = wallets.States(wallet=np.repeat(np.arange(n), DAYS), day=np.tile(np.arange(DAYS), n), **state(m))
    events = wallets.Events(
        wallet=rng.integers(0, n, m),
        kind=rng.integers(0, len(wallets.KINDS), m),
        eth=rng.random(m),
        time=rng.integers(0, DAYS * wallets.DAY, m),
        protocol=rng.integers(0, 5, m),
    )
    return n, now, days, events, DAYS * wallets.DAY
