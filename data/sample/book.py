"""Synthetic accounts on the real configuration: the built-in sample in memory.

    market = book(20_000, seed=7)

Shape after published figures: the 1,000 largest borrowers of Aave v3 Ethereum held 23.78 billion USD of collateral
against 14.81 billion USD of debt on 2025-12-02 (public risk analysis of that date), nearly all of the market. Total
debt is scaled to that figure whatever the number of accounts, so a larger sample has more small accounts. A share of
accounts only supplies. Equal arguments give equal accounts; nothing about any real account is used.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from data.sample import configuration
from data.sample.shapes import SHAPES, Shape
from data.snapshot.identity import snapshot_hash
from risk_core import Market, Positions

TOTAL_DEBT_USD = 14.81e9
LARGEST_SHARE = 0.02
"""No borrower owes more than this share of the debt (of a book large enough to allow it)."""
BORROWER_SHARE = 0.72
MIN_ACCOUNTS = 100
MIN_HEALTH_FACTOR = 1.006
UTILISATION = 0.82
"""Debt over supply that suppliers fill each reserve up to."""
_BLOCK = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """Accounts and what they hold, in whole units so that chain integers and floats agree exactly.

    `account`, `reserve`: (n,) int64 row of each holding, sorted by both; `supply`, `debt`: (n,) int64 in units of
    10**-digits[reserve] tokens, below 2**53; `enabled`: (n,) bool, supply is collateral; `addresses`: (N,) sorted;
    `emode`: (N,) int64 category id, 0 for none.
    """

    addresses: list[str]
    emode: np.ndarray
    account: np.ndarray
    reserve: np.ndarray
    supply: np.ndarray
    debt: np.ndarray
    enabled: np.ndarray
    digits: np.ndarray


def book(n_accounts: int = 20_000, seed: int = 7) -> Market:
    """The sample market with `n_accounts` synthetic accounts, as `load_market` returns it from a filled warehouse.

    Raises `ValueError` below 100 accounts.
    """
    held = holdings(n_accounts, seed)
    reserves, emodes = configuration.reserves(), configuration.emodes()
    # Both operands are exact, so the quotient is the correctly rounded token amount, as units.tokens gives it.
    unit = 10.0 ** held.digits[held.reserve]
    backing = held.enabled & (held.supply > 0)
    row = np.full(int(emodes.id.max()) + 1, -1, dtype=np.int64)
    row[emodes.id] = np.arange(len(emodes))
    market = Market(
        reserves=reserves,
        emodes=emodes,
        accounts=held.addresses,
        emode=row[held.emode],
        collateral=Positions.from_entries(
            held.account[backing], held.reserve[backing], (held.supply / unit)[backing], n_accounts
        ),
        debt=Positions.from_entries(held.account, held.reserve, held.debt / unit, n_accounts),
        price=configuration.prices(),
        snapshot=configuration.snapshot(),
    )
    return replace(market, snapshot=configuration.snapshot(snapshot_hash(market)))


def holdings(n_accounts: int = 20_000, seed: int = 7) -> Holdings:
    """Draw the accounts. Deterministic in (n_accounts, seed). Raises `ValueError` below 100 accounts."""
    if n_accounts < MIN_ACCOUNTS:
        raise ValueError(f"the sample needs at least {MIN_ACCOUNTS} accounts, found {n_accounts}")
    reserves, price = configuration.reserves(), configuration.prices()
    rng = np.random.Generator(np.random.PCG64(seed))
    order = rng.permutation(n_accounts)
    n_borrowers = round(BORROWER_SHARE * n_accounts)
    borrower, supplier = np.sort(order[:n_borrowers]), np.sort(order[n_borrowers:])

    kind = rng.choice(len(SHAPES), size=n_borrowers, p=[shape.share for shape in SHAPES])
    debt_usd = _sizes(rng, kind)
    factor = _health_factors(rng, kind)
    emode = np.zeros(n_accounts, dtype=np.int64)
    emode[borrower] = np.array([shape.emode for shape in SHAPES])[kind]

    parts = []
    for number, shape in enumerate(SHAPES):
        rows = np.flatnonzero(kind == number)
        for start in range(0, len(rows), _BLOCK):  # in blocks: the keys of a million accounts would fill a gigabyte
            part = rows[start : start + _BLOCK]
            parts.append(_legs(rng, shape, borrower[part], debt_usd[part], factor[part]))
    account, reserve, supply_usd, owed_usd, enabled = (np.concatenate(column) for column in zip(*parts, strict=True))
    idle = _idle_supply(rng, borrower, debt_usd)
    only = _suppliers(rng, supplier, reserve, supply_usd, owed_usd)
    account = np.concatenate([account, idle[0], only[0]])
    reserve = np.concatenate([reserve, idle[1], only[1]])
    supply_usd = np.concatenate([supply_usd, idle[2], only[2]])
    owed_usd = np.concatenate([owed_usd, np.zeros(len(idle[0]) + len(only[0]))])
    enabled = np.concatenate([enabled, np.zeros(len(idle[0]), dtype=bool), only[3]])

    # An idle supply may meet a leg of the same account in the same reserve: the leg stays.
    place = account * len(reserves) + reserve
    _, first = np.unique(place, return_index=True)
    account, reserve, supply_usd, owed_usd, enabled = (
        column[first] for column in (account, reserve, supply_usd, owed_usd, enabled)
    )
    # Digits such that the largest holding stays below 2**53 units and the smallest unit is worth next to nothing.
    digits = np.minimum(reserves.decimals, np.where(price > 100, 8, 6))
    unit_usd = price[reserve] / 10.0 ** digits[reserve]
    supply = np.ceil(supply_usd / unit_usd).astype(np.int64)
    debt = np.floor(owed_usd / unit_usd).astype(np.int64)
    debt = np.where((owed_usd > 0) & (debt == 0), 1, debt)
    keep = (supply > 0) | (debt > 0)
    return Holdings(
        addresses=_addresses(n_accounts, seed),
        emode=emode,
        account=account[keep],
        reserve=reserve[keep],
        supply=supply[keep],
        debt=debt[keep],
        enabled=enabled[keep] & (supply[keep] > 0),
        digits=digits,
    )


def _addresses(n: int, seed: int) -> list[str]:
    """Sorted addresses that begin with the letters SAMPLE in ASCII, so nobody takes them for real ones."""
    found = [
        "0x53414d504c45" + hashlib.sha256(f"sample:{seed}:{number}".encode()).hexdigest()[:28] for number in range(n)
    ]
    return sorted(found)


def _sizes(rng: np.random.Generator, kind: np.ndarray) -> np.ndarray:
    """Debt in USD: a lognormal body, a Pareto tail of 3 %, loops larger, scaled to the published total."""
    n = len(kind)
    size = np.exp(rng.normal(np.log(1_000.0), 2.6, n))
    tail = rng.random(n) < 0.03
    size[tail] = 2e5 * (1.0 + rng.pareto(1.1, int(tail.sum())))
    size *= np.array([shape.size for shape in SHAPES])[kind]
    cap = max(LARGEST_SHARE, 20.0 / n)
    for _ in range(30):
        size = np.minimum(size, cap * size.sum())
    # One dollar at least: below that a token unit of wrapped BTC moves a health factor.
    return np.maximum(size * (TOTAL_DEBT_USD / size.sum()), 1.0)


def _health_factors(rng: np.random.Generator, kind: np.ndarray) -> np.ndarray:
    """Health factor wanted for each borrower, above MIN_HEALTH_FACTOR."""
    median = np.array([shape.health_factor[0] for shape in SHAPES])[kind]
    width = np.array([shape.health_factor[1] for shape in SHAPES])[kind]
    loop = np.array([shape.loop for shape in SHAPES])[kind]
    factor = np.exp(np.log(median) + width * rng.normal(size=len(kind))) + loop
    low = factor < 1.02
    return np.where(low, MIN_HEALTH_FACTOR + 0.08 * rng.random(len(kind)), factor)


def _legs(
    rng: np.random.Generator, shape: Shape, account: np.ndarray, debt_usd: np.ndarray, factor: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Collateral and debt legs of accounts of one shape: (account, reserve, supply_usd, debt_usd, enabled)."""
    threshold = _thresholds(shape.emode)
    n = len(account)
    debts, debt_weight = _choice(rng, n, shape.debt, shape.n_debt, None)
    assets, asset_weight = _choice(rng, n, shape.collateral, shape.n_collateral, debts)
    backing = np.where(assets >= 0, threshold[assets], 0.0)
    collateral_usd = factor * debt_usd / (asset_weight * backing).sum(axis=1)
    supply = asset_weight * collateral_usd[:, None]
    owed = debt_weight * debt_usd[:, None]
    who_c, slot_c = np.nonzero(assets >= 0)
    who_d, slot_d = np.nonzero(debts >= 0)
    return (
        np.concatenate([account[who_c], account[who_d]]),
        np.concatenate([assets[who_c, slot_c], debts[who_d, slot_d]]),
        np.concatenate([supply[who_c, slot_c], np.zeros(len(who_d))]),
        np.concatenate([np.zeros(len(who_c)), owed[who_d, slot_d]]),
        np.concatenate([np.ones(len(who_c), dtype=bool), np.zeros(len(who_d), dtype=bool)]),
    )


def _choice(
    rng: np.random.Generator, n: int, weights: dict[str, float], legs: tuple[float, ...], taken: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Reserves without repetition and their shares of the value: (n, slots) int64 (-1 for none) and float64.

    The largest of log weight + Gumbel noise are a draw without replacement. `taken`: reserves that are not chosen.
    """
    reserves = configuration.reserves()
    known = {symbol: weight for symbol, weight in weights.items() if weight > 0}
    index = np.array([reserves.index(symbol) for symbol in known])
    key = np.log(np.array(list(known.values()), dtype=float)) - np.log(-np.log(rng.random((n, len(index)))))
    if taken is not None:
        for slot in range(taken.shape[1]):
            key[index[None, :] == taken[:, slot, None]] = -np.inf
    slots = min(len(legs), len(index))
    best = np.argsort(-key, axis=1)[:, :slots]
    count = 1 + rng.choice(len(legs), size=n, p=legs)
    used = (np.arange(slots) < count[:, None]) & (np.take_along_axis(key, best, axis=1) > -np.inf)
    share = np.where(used, rng.exponential(size=(n, slots)) + 0.05, 0.0)
    return np.where(used, index[best], -1), share / share.sum(axis=1, keepdims=True)


def _thresholds(emode: int) -> np.ndarray:
    """Liquidation threshold of each reserve for an account in a category (0 for none), shape (R,)."""
    threshold = configuration.reserves().liquidation_threshold
    if emode == 0:
        return threshold
    emodes = configuration.emodes()
    row = int(np.flatnonzero(emodes.id == emode)[0])
    return np.where(emodes.collateral[row], emodes.liquidation_threshold[row], threshold)


def _idle_supply(rng: np.random.Generator, borrower: np.ndarray, debt_usd: np.ndarray) -> tuple[np.ndarray, ...]:
    """Some borrowers also supply what is not enabled as collateral: (account, reserve, supply_usd)."""
    rows = np.flatnonzero(rng.random(len(borrower)) < 0.04)
    choices = np.array([configuration.reserves().index(symbol) for symbol in ("USDC", "USDT", "LINK", "GHO", "DAI")])
    return borrower[rows], rng.choice(choices, len(rows)), 0.1 * debt_usd[rows] * rng.random(len(rows))


def _suppliers(
    rng: np.random.Generator, supplier: np.ndarray, reserve: np.ndarray, supply_usd: np.ndarray, owed_usd: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Accounts without debt fill each borrowed reserve until utilisation is plausible: debt needs somebody's supply."""
    n_reserves = len(configuration.reserves())
    supplied = np.bincount(reserve, weights=supply_usd, minlength=n_reserves)
    owed = np.bincount(reserve, weights=owed_usd, minlength=n_reserves)
    lacking = np.maximum(owed / UTILISATION - supplied, 0.0)
    needed = np.flatnonzero(lacking > 0)
    needed = needed[np.argsort(-lacking[needed], kind="stable")][: len(supplier)]
    weight = np.sqrt(lacking[needed])
    chosen = rng.choice(needed, size=len(supplier), p=weight / weight.sum())
    chosen[: len(needed)] = needed  # each has at least one supplier
    size = np.exp(rng.normal(0.0, 2.2, len(supplier)))
    size *= lacking[chosen] / np.bincount(chosen, weights=size, minlength=n_reserves)[chosen]
    return supplier, chosen, size, rng.random(len(supplier)) < 0.6
