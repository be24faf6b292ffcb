"""Two synthetic liquidations for full post-mortems: one caused by an oracle's error, one by market prices.

The sample's accounts are in the state *after* them. Each liquidation is computed backwards, so that the health factor
before it was a stated value below 1 at the synthetic prices of that time. Amounts and fees follow the protocol's rules,
to the last unit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from data.sample import configuration
from data.sample.book import Holdings
from data.sample.prices import Oracle
from risk_core.analytics.postmortem import owed_collateral, seizure
from risk_core.units import BPS

HOUR = 3_600
WRONG_PRICE = 0.9715
"""Price factor of a rate cap that is 2.85 % too low."""
WRONG_AT = configuration.BLOCK_TIME - 26 * HOUR + 47 * 60 + 12
"""A day and two hours before the sample's end: prices are stored for a day after it."""
CORRECTED = 52 * 60
"""Seconds after which that oracle reports the right price again."""
FALLS_AT = 2 * 60
"""Time of the other liquidation: seconds after the hour with the largest fall from the day before."""
LARGEST_USD = 4e5
HEALTH_FACTORS = (0.988, 0.997, 0.975, 0.96)
"""Health factors before a liquidation, at the oracle's prices; the first that is possible for some account is used."""
REPAID = (0.05, 1.0)
"""Least and largest repaid amount, as a share of the remaining debt: one call repays at most half of a debt."""
ETHER = ("wstETH", "weETH", "rETH", "cbETH", "osETH", "ETHx")
COINS = ("WETH", "wstETH", "weETH", "WBTC", "cbBTC")
DOLLARS = ("USDC", "USDT", "DAI")
ETHER_MODE = 1
"""E-mode of the staked ether tokens."""


class Planted(NamedTuple):
    """One liquidation: account (its row), time in UTC seconds, amounts in token units, oracle prices in 1e-8 USD."""

    account: int
    time: int
    collateral: int
    debt: int
    seized: int
    repaid: int
    collateral_price: int
    debt_price: int


class _Pairs(NamedTuple):
    """Accounts with exactly one collateral and one debt: rows of accounts, reserves and tokens, (n,)."""

    account: np.ndarray
    collateral: np.ndarray
    debt: np.ndarray
    supplied: np.ndarray
    owed: np.ndarray


def planted(held: Holdings, oracle: Oracle) -> list[Planted]:
    """The liquidations for a sample; a small sample may have no suitable account."""
    hours = np.arange(configuration.BLOCK_TIME - 96 * HOUR, configuration.BLOCK_TIME - 25 * HOUR, HOUR)
    weth = configuration.reserves().index("WETH")
    ether = np.array([oracle.price_raw(weth, int(hour)) for hour in hours], dtype=np.float64)
    below = [ether[i] / ether[i - 24 : i].max() for i in range(24, len(hours))]
    deepest = int(hours[24 + int(np.argmin(below))])
    pairs = _pairs(held)
    found = [
        _plant(held, pairs, oracle, WRONG_AT, (ETHER, ("WETH",)), ETHER_MODE, WRONG_PRICE),
        _plant(held, pairs, oracle, deepest + FALLS_AT, (COINS, DOLLARS), 0, 1.0),
    ]
    return [one for one in found if one is not None]


def _plant(
    held: Holdings,
    pairs: _Pairs,
    oracle: Oracle,
    time: int,
    symbols: tuple[tuple[str, ...], tuple[str, ...]],
    emode: int,
    wrong: float,
) -> Planted | None:
    """A liquidation of the largest suitable account, with debt up to `LARGEST_USD`, or None.

    wrong: the oracle's price of the collateral over its true price.
    """
    reserves = configuration.reserves()
    price = np.array([oracle.price_raw(reserve, time) for reserve in range(len(reserves))], dtype=np.int64)
    seen = (price * wrong).astype(np.int64)
    threshold, bonus = _terms(emode)
    c, d = pairs.collateral, pairs.debt
    named = np.array(reserves.symbol)
    fits = np.isin(named[c], symbols[0]) & np.isin(named[d], symbols[1]) & (held.emode[pairs.account] == emode)
    backing = pairs.supplied * (seen[c] / 1e8) * threshold[c]
    debt_usd = pairs.owed * (price[d] / 1e8)
    fits &= (debt_usd > 4_000) & (debt_usd < LARGEST_USD)
    for factor in HEALTH_FACTORS:
        # (backing + threshold * bonus * x) / (debt + x) is the health factor before x was repaid.
        repaid_usd = (backing - factor * debt_usd) / (factor - threshold[c] * bonus[c] / BPS)
        legal = fits & (repaid_usd > REPAID[0] * debt_usd) & (repaid_usd < REPAID[1] * debt_usd)
        if not legal.any():
            continue
        at = int(np.argmax(np.where(legal, debt_usd, -1.0)))
        return _made(pairs, at, time, seen, price, int(bonus[c[at]]), float(repaid_usd[at]))
    return None


def _made(
    pairs: _Pairs,
    at: int,
    time: int,
    seen: np.ndarray,
    price: np.ndarray,
    bonus: int,
    repaid_usd: float,
) -> Planted:
    """Amounts by the pool's rules, to the last unit."""
    reserves = configuration.reserves()
    c, d = int(pairs.collateral[at]), int(pairs.debt[at])
    price_c, price_d = int(seen[c]), int(price[d])
    repaid = int(repaid_usd / (price_d / 1e8) * 10 ** int(reserves.decimals[d]))
    gross = owed_collateral(
        repaid, debt_price=price_d, collateral_price=price_c, debt_decimals=int(reserves.decimals[d]),
        collateral_decimals=int(reserves.decimals[c]), bonus_bps=bonus, revision=configuration.REVISION,
    )  # fmt: skip
    seized = seizure(gross, bonus, round(float(reserves.protocol_fee[c]) * BPS), configuration.REVISION)
    return Planted(int(pairs.account[at]), time, c, d, seized.net, repaid, price_c, price_d)


def _pairs(held: Holdings) -> _Pairs:
    first = np.flatnonzero(np.diff(held.account, prepend=-1))
    two = first[np.diff(np.append(first, len(held.account))) == 2]
    backs = np.where(held.debt[two] > 0, two + 1, two)
    owes = 2 * two + 1 - backs
    good = held.enabled[backs] & (held.debt[backs] == 0) & (held.debt[owes] > 0) & (held.supply[owes] == 0)
    backs, owes = backs[good], owes[good]
    c, d = held.reserve[backs], held.reserve[owes]
    return _Pairs(
        held.account[backs], c, d, held.supply[backs] / 10.0 ** held.digits[c], held.debt[owes] / 10.0 ** held.digits[d]
    )


def _terms(emode: int) -> tuple[np.ndarray, np.ndarray]:
    """(R,) thresholds, and 100 % plus the bonus in basis points, for an account in an e-mode (0 for none)."""
    reserves, emodes = configuration.reserves(), configuration.emodes()
    threshold, bonus = np.array(reserves.liquidation_threshold), np.array(reserves.liquidation_bonus)
    if emode:
        row = int(np.flatnonzero(emodes.id == emode)[0])
        inside = emodes.collateral[row]
        threshold[inside], bonus[inside] = emodes.liquidation_threshold[row], emodes.liquidation_bonus[row]
    return threshold, BPS + np.round(bonus * BPS).astype(np.int64)
