"""The book that the engine is measured on: accounts of the sample that borrow, in its 20 most used reserves."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import lru_cache

import numpy as np

import risk_core as rc
from data.sample import book as sample_book

N_RESERVES = 20
ETH_LIKE = {"WETH", "wstETH", "weETH", "cbETH", "rETH", "osETH", "ETHx", "rsETH", "ezETH", "tETH"}
BTC_LIKE = {"WBTC", "cbBTC", "tBTC", "LBTC", "eBTC", "FBTC"}
OTHERS = {"LINK", "AAVE", "CRV", "UNI", "LDO", "ENS", "SNX", "BAL", "1INCH", "MKR", "RPL", "KNC", "FXS", "STG"}


@lru_cache(maxsize=4)
def bench_market(
    n_accounts: int = 100_000, seed: int = 7, harder: bool = False, n_reserves: int = N_RESERVES
) -> rc.Market:
    """`n_accounts` borrowing accounts of the sample that hold only its `n_reserves` most used reserves.

    harder: the same accounts with a third of the distance to health factor 1 taken away.
    """
    whole = sample_book(int(n_accounts * (1.9 if n_reserves >= N_RESERVES else 2.6)) + 2_000, seed)
    used = np.bincount(whole.collateral.reserve, minlength=whole.n_reserves)
    used += np.bincount(whole.debt.reserve, minlength=whole.n_reserves)
    kept = np.sort(np.argsort(-used, kind="stable")[:n_reserves])
    rank = np.full(whole.n_reserves, -1)
    rank[kept] = np.arange(n_reserves)

    fits = np.ones(whole.n_accounts, dtype=bool)
    for side in (whole.collateral, whole.debt):
        owner = np.repeat(np.arange(whole.n_accounts), np.diff(side.indptr))
        fits[owner[rank[side.reserve] < 0]] = False
    fits &= (np.diff(whole.debt.indptr) > 0) & (np.diff(whole.collateral.indptr) > 0)
    rows = np.flatnonzero(fits)[:n_accounts]
    if len(rows) < n_accounts:
        raise ValueError(f"the sample gave {len(rows)} accounts that fit, {n_accounts} wanted: draw more of it")

    def cut(side: rc.Positions, scale: np.ndarray) -> rc.Positions:
        owner = np.repeat(np.arange(whole.n_accounts), np.diff(side.indptr))
        place = np.full(whole.n_accounts, -1)
        place[rows] = np.arange(n_accounts)
        mine = place[owner] >= 0
        amount = side.amount[mine] * scale[place[owner[mine]]]
        return rc.Positions.from_entries(place[owner[mine]], rank[side.reserve[mine]], amount, n_accounts)

    reserves = whole.reserves
    columns = {name: getattr(reserves, name) for name in reserves.__slots__ if name != "__weakref__"}
    few = {
        name: (np.asarray(v)[kept] if isinstance(v, np.ndarray) else [v[i] for i in kept])
        for name, v in columns.items()
    }
    modes = whole.emodes
    emodes = replace(
        modes,
        collateral=modes.collateral[:, kept],
        borrowable=modes.borrowable[:, kept],
        ltvzero=modes.ltvzero[:, kept],
    )
    scale = np.ones(n_accounts)
    if harder:
        health = rc.health_factor(whole)[rows]
        scale = health / (1 + (health - 1) * 0.6)
    return rc.Market(
        reserves=rc.Reserves(**few),
        emodes=emodes,
        accounts=whole.accounts[rows],
        emode=whole.emode[rows],
        collateral=cut(whole.collateral, np.ones(n_accounts)),
        debt=cut(whole.debt, scale),
        price=whole.price[kept],
        snapshot=whole.snapshot,
    )


def bench_scenario(market: rc.Market, n_steps: int, step: timedelta) -> rc.Scenario:
    """Every reserve its own factor: a market factor, one per family, and a basis of 2 % a year for wrapped assets."""
    loads, own = [], []
    for symbol in market.reserves.symbol:
        if symbol in ETH_LIKE:
            loads.append((0.62, 0.45, 0.0))
            own.append(0.0 if symbol == "WETH" else 0.02)
        elif symbol in BTC_LIKE:
            loads.append((0.50, 0.0, 0.25))
            own.append(0.0 if symbol == "WBTC" else 0.01)
        elif symbol in OTHERS:
            loads.append((0.70, 0.15, 0.0))
            own.append(0.70)
        else:
            loads.append((0.002, 0.0, 0.0))
            own.append(0.01)
    loading = np.array(loads)
    covariance = loading @ loading.T + np.diag(np.array(own) ** 2 + 1e-8)
    volatility = np.sqrt(np.diag(covariance))
    return rc.Scenario(
        name="bench",
        horizon=step * n_steps,
        n_steps=n_steps,
        factors=market.reserves.symbol,
        volatility=volatility,
        correlation=covariance / np.outer(volatility, volatility),
        factor=np.arange(market.n_reserves),
    )


def statistics(market: rc.Market) -> str:
    """The shape of the book in one line."""
    health = rc.health_factor(market)
    legs = np.diff(market.collateral.indptr) + np.diff(market.debt.indptr)
    return (
        f"{market.n_accounts:,} accounts, {market.n_reserves} reserves: median HF {np.median(health):.2f}, "
        f"{(health < 1.1).mean():.1%} below 1.1, {(legs >= 3).mean():.0%} with 3 or more legs, "
        f"{legs.mean():.2f} on average"
    )
