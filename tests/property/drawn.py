"""What the laws of the engine, of cascades and of queues draw, and how their results are compared."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np

import risk_core as rc
from risk_core.liquidators import Liquidators

PLAIN = ("path", "by_step", "fan", "hits")
"""Arrays of every result."""
CASCADE = (*PLAIN, "multiplier", "unsettled")
"""And of one with an impact."""
QUEUE = (*CASCADE, "waiting", "waiting_by_step")
"""And of one with limited liquidators."""


def random_impact(market: rc.Market, seed: int, depth: float) -> rc.Impact:
    """Curves of two to four points; `depth` in all the collateral there is; some reserves without impact."""
    rng = np.random.default_rng([seed, 99])
    r = market.n_reserves
    worth = (market.collateral.amount * market.price[market.collateral.reserve]).sum() + 1.0
    n_points = int(rng.integers(1, 4))
    sold = np.cumsum(rng.exponential(worth * depth, (r, n_points)), axis=1)
    price = np.exp(-np.cumsum(rng.exponential(0.5, (r, n_points)), axis=1))
    price[rng.random(r) < 0.2] = 1.0
    market_of = None if rng.random() < 0.4 else rng.integers(-1, 3, r)
    half_life = None if rng.random() < 0.2 else timedelta(hours=float(rng.uniform(0.1, 20)))
    return rc.Impact(
        sold_usd=np.column_stack([np.zeros(r), sold]),
        price=np.column_stack([np.ones(r), price]),
        half_life=half_life,
        market=market_of,
    )


def random_limits(book: rc.Market, seed: int) -> Liquidators:
    rng = np.random.default_rng([seed, 55])
    owed = float((book.debt.amount * book.price[book.debt.reserve]).sum()) + 1.0
    return Liquidators(
        cost=float(rng.choice([-0.5, 0.0, 0.0005, 0.01, 0.03])),
        fixed_usd=float(rng.choice([0.0, 0.0, 5.0, 50.0])),
        capital_usd=float(rng.choice([np.inf, 0.001, 0.05, 0.5]) * owed),
        window=timedelta(hours=24),
        feedback=float(rng.choice([0.0, 0.5, 1.0])),
    )


def random_paths(market: rc.Market, seed: int, n_paths: int, n_steps: int, step: timedelta) -> rc.PricePaths:
    """Paths with moves of 8 % a step, which begin at the market's prices."""
    rng = np.random.default_rng(seed)
    relative = np.exp(rng.normal(0, 0.08, (n_paths, market.n_reserves, n_steps)).cumsum(axis=2))
    price = np.concatenate([np.ones((n_paths, market.n_reserves, 1)), relative], axis=2) * market.price[:, None]
    return rc.PricePaths(name="random", price=price, step=step)


def same(one: rc.Result, other: rc.Result, names: Sequence[str] = PLAIN) -> None:
    """Assert that two results are equal, bit for bit, in these arrays."""
    for name in names:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def amounts(result: rc.Result) -> np.ndarray:
    """(paths, 4) USD: repaid, seized, fee, deficit."""
    return np.column_stack([result.repaid_usd, result.seized_usd, result.fee_usd, result.deficit_usd])
