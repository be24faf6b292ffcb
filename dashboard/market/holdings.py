"""Accounts of a market: what they hold, which are loops, and how far prices may fall before each is liquidated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import risk_core as rc
from dashboard.market.loaded import LoadedMarket

Array = NDArray[np.float64]

LOOP_SHARE = 0.95
"""An account is a same-asset loop when this share of its collateral and of its debt is worth the same thing."""
TABLE_ROWS = 8
"""Lines of a table of accounts."""
CRYPTO = ("eth", "btc", "other")
"""Drivers that fall together when "all crypto" falls."""


def side_worth(side: rc.Positions, price: Array) -> Array:
    """(nnz,) USD of each entry of one side."""
    return side.amount * price[side.reserve]


def by_account(side: rc.Positions, worth: Array) -> Array:
    """Sum entry values (nnz,) over each account: (n_accounts,)."""
    rows = np.repeat(np.arange(len(side)), np.diff(side.indptr))
    return np.bincount(rows, weights=worth, minlength=len(side))


def largest_reserve(market: rc.Market, side: rc.Positions, rows: NDArray[np.int64], price: Array) -> list[str]:
    """Symbol of the largest holding on one side for each of the given account rows, empty when there is none."""
    names = []
    for row in rows:
        entries = slice(side.indptr[row], side.indptr[row + 1])
        worth = side.amount[entries] * price[side.reserve[entries]]
        names.append(market.reserves.symbol[side.reserve[entries][worth.argmax()]] if len(worth) else "")
    return names


def same_asset_loops(loaded: LoadedMarket) -> NDArray[np.bool_]:
    """(n_accounts,) true where collateral and debt are worth the same thing (staked ETH against ETH, USD against USD).

    Such an account has a low health factor by design and little of it can fall against its debt.
    """
    market = loaded.market
    names = sorted(set(loaded.assets.family))
    family = np.array([names.index(f) for f in loaded.assets.family])
    worth_by_family = []
    for side in (market.collateral, market.debt):
        rows = np.repeat(np.arange(market.n_accounts), np.diff(side.indptr))
        cell = rows * len(names) + family[side.reserve]
        worth = np.bincount(cell, weights=side_worth(side, market.price), minlength=market.n_accounts * len(names))
        worth_by_family.append(worth.reshape(market.n_accounts, len(names)))
    mostly = [(worth >= LOOP_SHARE * worth.sum(axis=1, keepdims=True)) & (worth > 0) for worth in worth_by_family]
    return np.logical_and(*mostly).any(axis=1)


def fall_to_liquidation(loaded: LoadedMarket, keys: tuple[str, ...] = CRYPTO) -> Array:
    """(n_accounts,) by how much the named drivers must fall together until health factor is 1; inf when never.

    Collateral x threshold and debt are both linear in such a fall x, so two health factors give the exact answer:
    weighted(0) - x a = debt(0) - x b. An account below 1 already gets 0.
    """
    market = loaded.market
    shocked = market.shocked(loaded.assets.moves(dict.fromkeys(keys, -0.5)))
    debt = (loaded.debt_usd, by_account(market.debt, side_worth(market.debt, shocked)))
    factor = (loaded.health_factor, rc.health_factor(market, shocked))
    has_debt = loaded.debt_usd > 0
    weighted = [np.where(has_debt, np.where(has_debt, h, 0) * d, 0.0) for h, d in zip(factor, debt, strict=True)]
    slope = 2 * ((weighted[0] - weighted[1]) - (debt[0] - debt[1]))
    with np.errstate(divide="ignore", invalid="ignore"):
        fall = (weighted[0] - debt[0]) / slope
    return np.where(has_debt & (factor[0] < 1), 0.0, np.where(has_debt & (slope > 0) & (fall < 1), fall, np.inf))


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One line of a table of accounts; `fall` is the move of all crypto that makes it liquidatable."""

    address: str
    health_factor: float
    debt_usd: float
    collateral: str
    fall: float = np.nan
    repaid_usd: float = np.nan
    seized_usd: float = np.nan
