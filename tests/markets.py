"""Markets for tests: one account worked out by hand, or a random book of a chosen oddness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import numpy as np

import risk_core as rc
from risk_core.kernels.paths import padded_steps, price_block

KINDS = ("plain", "already_liquidatable", "one_account", "zero_debt", "loops", "many_legs", "dust", "whales", "barred")
"""Kinds of random book; each is legal, and each has broken some engine before."""


def reserves(n: int, **columns) -> rc.Reserves:
    """`n` reserves T0..; any column may be given."""
    values = dict(
        id=np.arange(n), symbol=[f"T{i}" for i in range(n)], asset=[f"0x{i + 1:040x}" for i in range(n)],
        decimals=np.full(n, 18), ltv=np.full(n, 0.75), liquidation_threshold=np.full(n, 0.83),
        liquidation_bonus=np.full(n, 0.05), protocol_fee=np.full(n, 0.1), active=np.ones(n), paused=np.zeros(n),
        grace_until=np.zeros(n),
    )  # fmt: skip
    return rc.Reserves(**(values | columns))


def market(
    book: rc.Reserves,
    price,
    collateral: list[Mapping[int, float]],
    debt: list[Mapping[int, float]],
    emodes: rc.EModes | None = None,
    emode=None,
    revision: int = 11,
    block_time: int = 1_750_000_000,
) -> rc.Market:
    """A market from {reserve: tokens} of each account."""
    n = len(collateral)

    def side(rows: list[Mapping[int, float]]) -> rc.Positions:
        entries = [(i, r, amount) for i, row in enumerate(rows) for r, amount in row.items()]
        columns = list(zip(*entries, strict=True)) if entries else [[], [], []]
        return rc.Positions.from_entries(*columns, n_accounts=n)

    return rc.Market(
        reserves=book,
        emodes=emodes or rc.EModes.none(),
        accounts=[f"0x{i + 1:040x}" for i in range(n)],
        emode=np.full(n, -1) if emode is None else emode,
        collateral=side(collateral),
        debt=side(debt),
        price=price,
        snapshot=rc.Snapshot(
            market="test", chain_id=1, block=1, block_time=block_time, revision=revision, hash="test", synthetic=True
        ),
    )


def one_account(
    collateral: float = 10.0,
    debt: float = 16_000.0,
    price: float = 1_900.0,
    threshold: float = 0.83,
    bonus: float = 0.05,
    fee: float = 0.0,
    revision: int = 11,
) -> rc.Market:
    """ETH (reserve 0) against USDC (reserve 1): tokens, and ETH's price in USD."""
    book = reserves(
        2,
        symbol=["ETH", "USDC"],
        liquidation_threshold=[threshold, 0.78],
        liquidation_bonus=[bonus, 0.045],
        protocol_fee=[fee, fee],
    )
    return market(book, [price, 1.0], [{0: collateral}], [{1: debt}], revision=revision)


def random_market(seed: int, kind: str = "plain", n_accounts: int = 60, n_reserves: int = 5) -> rc.Market:
    """A random book of `kind` (see KINDS), most of it close enough to liquidation to be interesting."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    n = 1 if kind == "one_account" else n_accounts
    r = max(n_reserves, 12) if kind == "many_legs" else n_reserves
    threshold = np.round(rng.uniform(0.5, 0.85, r), 4)
    bonus = np.round(rng.uniform(0.01, np.minimum(0.15, 0.98 / threshold - 1)), 4)
    if r > 2 and rng.random() < 0.3:
        threshold[-1], bonus[-1] = 0.0, -1.0  # never configured as collateral outside e-modes
    grace, paused, active = np.zeros(r), np.zeros(r), np.ones(r)
    if kind == "barred":
        paused[0] = 1
        grace[1] = 1_750_000_000 + rng.integers(0, 40_000)
        active[-1] = rng.random() < 0.5
    book = reserves(
        r,
        liquidation_threshold=threshold,
        liquidation_bonus=bonus,
        protocol_fee=np.round(rng.uniform(0, 0.3, r), 3),
        grace_until=grace,
        paused=paused,
        active=active,
    )
    emodes = rc.EModes(
        id=[1, 7],
        label=["one", "seven"],
        ltv=[0.9, 0.9],
        liquidation_threshold=[0.95, 0.93],
        liquidation_bonus=[0.01, 0.02],
        collateral=rng.random((2, r)) < 0.6,
        borrowable=np.ones((2, r)),
        ltvzero=np.zeros((2, r)),
        isolated=[0, 0],
    )
    price = np.exp(rng.normal(1, 3, r))
    emode = rng.choice([0, 1] if kind == "loops" else [-1, -1, 0, 1], n)
    size = np.exp(rng.normal(*{"dust": (-2, 5), "whales": (16, 1)}.get(kind, (8.5, 1.5)), n))
    health = 1 + rng.exponential(0.15, n) if kind != "already_liquidatable" else rng.uniform(0.5, 1.1, n)
    collateral, debt = [], []
    for i in range(n):
        most = 9 if kind == "many_legs" else 3
        held = rng.choice(r, rng.integers(1, most + 1), replace=False)
        owed = rng.choice(r, rng.integers(1, min(most, 3) + 1 if kind != "many_legs" else 5), replace=False)
        if kind == "loops":
            held, owed = held[:1], owed[:1]
        weight = rng.dirichlet(np.ones(len(held)))
        terms = np.where(
            (emode[i] >= 0) & emodes.collateral[emode[i], held],
            emodes.liquidation_threshold[emode[i]],
            threshold[held],
        )
        backing = weight @ terms
        worth = size[i] * health[i] / backing if backing > 0 else size[i]
        collateral.append({int(a): worth * w / price[a] for a, w in zip(held, weight, strict=True) if w > 0})
        share = rng.dirichlet(np.ones(len(owed)))
        debt.append({int(d): size[i] * s / price[d] for d, s in zip(owed, share, strict=True)})
        if kind == "zero_debt" and rng.random() < 0.5:
            debt[-1] = {}
        if kind == "zero_debt" and rng.random() < 0.2:
            collateral[-1] = {}
    return market(book, price, collateral, debt, emodes=emodes, emode=emode)


def scenario(
    n_reserves: int,
    n_steps: int = 24,
    seed: int = 0,
    volatility: float = 0.9,
    n_factors: int | None = None,
    horizon: timedelta = timedelta(days=1),
) -> rc.Scenario:
    """A random correlation matrix; with fewer factors than reserves the rest follow one, or are fixed."""
    rng = np.random.default_rng(seed)
    f = n_reserves if n_factors is None else n_factors
    root = rng.normal(size=(f, f + 2))
    covariance = root @ root.T
    deviation = np.sqrt(np.diag(covariance))
    factor = np.arange(n_reserves) if f == n_reserves else rng.integers(-1, f, n_reserves)
    return rc.Scenario(
        name="test",
        horizon=horizon,
        n_steps=n_steps,
        factors=[f"F{i}" for i in range(f)],
        volatility=volatility * rng.uniform(0.5, 1.5, f),
        correlation=covariance / np.outer(deviation, deviation),
        factor=factor,
    )


def prices(plan: rc.Scenario, n: int, seed: int = 7, first: int = 0) -> np.ndarray:
    """(n, F, T) relative prices as the engine draws them."""
    f = len(plan.factors)
    out = np.empty((n, f + 1, padded_steps(plan.n_steps)))
    z = np.empty((f + 2, plan.n_steps))
    price_block(plan.draw(), np.uint64(seed), first, n, plan.n_steps, z, out)
    return out[:, :f, : plan.n_steps]


def with_oracles(book: rc.Market, seed: int, *, caps_only: bool = False) -> rc.Market:
    """`book` with a random oracle model for each reserve: caps close to today's price, ratios, links, fixed prices."""
    rng = np.random.default_rng([seed, 99])
    n = book.n_reserves
    kind = rng.choice(["feed", "cap"] if caps_only else ["feed", "cap", "ratio", "capped ratio", "link", "fixed"], n)
    earlier = np.array([rng.integers(0, max(r, 1)) for r in range(n)])
    kind[0] = "feed" if kind[0] not in ("cap", "fixed") else kind[0]
    order = rng.permutation(n)  # so that what a reserve depends on may stand before or after it
    price_cap, ratio_cap = np.full(n, np.inf), np.full(n, np.inf)
    ratio_of, linked_to, fixed = np.full(n, -1), np.full(n, -1), np.zeros(n, dtype=bool)
    for k, r in enumerate(order):
        on = order[earlier[k]]
        room = 1 + rng.choice([0.0, 0.01, 0.1])
        if kind[k] in ("cap", "capped ratio"):
            price_cap[r] = book.price[r] * room
        if kind[k] in ("ratio", "capped ratio"):
            ratio_of[r] = on
            ratio_cap[r] = book.price[r] / book.price[on] * (1 + rng.choice([0.0, 0.02, np.inf]))
        if kind[k] == "link":
            linked_to[r] = on
        fixed[r] = kind[k] == "fixed"
    models = dict(price_cap=price_cap, ratio_cap=ratio_cap, ratio_of=ratio_of, linked_to=linked_to, fixed_price=fixed)
    return replace(book, reserves=replace(book.reserves, **models))
