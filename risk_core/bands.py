"""Health factors with a meaning: the one at which a liquidation within the horizon has a stated chance.

An account with one collateral c and one debt d has the health factor h0 x_c(t) / x_d(t) after t, with h0 the one at
the snapshot and x the oracle's prices over those of the snapshot. It is liquidated on a path exactly where
h0 < max over t of x_d(t) / x_c(t): a first passage. So the health factor with the chance p is the (1 - p) quantile of
that maximum over simulated paths, and one set of paths serves every pair and every chance. Prices are looked at when
the engine looks at them, at the end of each step, and pass through the same oracles; thresholds, bonuses and sizes have
no part in it. `tests/unit/test_bands.py` holds it against `simulate` on accounts of one pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from risk_core.checks import FloatArray, IntArray, checked_array, checked_kind, require
from risk_core.draws import opening_steps
from risk_core.engine import checked_seed, path_range
from risk_core.errors import InputError
from risk_core.kernels.paths import padded_steps, price_block
from risk_core.measures import FEW_DRAWS, Estimate, quantile
from risk_core.oracles import oracle_rows
from risk_core.plan import NEVER_OPEN
from risk_core.price_models import Scenario
from risk_core.result import drawn_together
from risk_core.types import Market

CHANCES = (0.2, 0.05, 0.01)
"""Chances that a band has a health factor for where nobody asks for others."""
BLOCK = 128
"""Paths drawn at a time: their prices stay in the cache."""
ROUNDING = 1e-12
"""Of a ratio of two prices that are one and the same."""
MOST_DRAWS = 2**28
"""Paths times pairs, 8 bytes each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthBand:
    """The band of one pair: `at` has one health factor for each chance, in the order asked for.

    collateral, debt: reserves. Each estimate has its 95 % interval (binomial ranks) and is 1 or more: below 1 an
    account can be liquidated at once. Fewer than 30 paths beyond it: it says so (`few_draws`) and has no interval.
    reason: why the pair has no band, in words; `at` is then empty.
    """

    collateral: int
    debt: int
    at: tuple[Estimate, ...]
    reason: str = ""


def health_bands(
    market: Market,
    scenario: Scenario,
    collateral: ArrayLike,
    debt: ArrayLike,
    chances: Sequence[float] = CHANCES,
    n_paths: int = 20_000,
    seed: int = 7,
) -> list[HealthBand]:
    """The band of each pair over the scenario's horizon, in the order given.

    collateral, debt: (P,) reserves of each pair. chances: each in (0, 1), such as 0.05 for 5 %. All pairs are read off
    the same paths, so bands differ only where prices do. No band where both have one price, no path lowers the health
    factor, or one of them is barred from liquidations over the whole horizon (paused, inactive, in its grace period).
    Raises `InputError`.
    """
    wanted = checked_array("chances", chances, np.float64, (None,))
    require("chances", wanted, (wanted > 0) & (wanted < 1), "must be a number between 0 and 1; 0.05 is 5 %")
    highest, one_price, barred = highest_ratios(market, scenario, collateral, debt, n_paths, seed)
    cluster = drawn_together(scenario.sampling, np.arange(len(highest)))
    bands = []
    for i, (c, d) in enumerate(zip(_row("collateral", collateral), _row("debt", debt), strict=True)):
        pair = dict(collateral=int(c), debt=int(d))
        if one_price[i]:
            bands.append(HealthBand(**pair, at=(), reason="both follow one price, so no move of it liquidates"))
        elif barred[i]:
            bands.append(HealthBand(**pair, at=(), reason="barred from liquidations over the whole horizon"))
        elif highest[:, i].max() <= 1.0 + ROUNDING:
            bands.append(HealthBand(**pair, at=(), reason="its health factor falls on no path: what moves is capped"))
        else:
            draws = highest[:, i]
            at = tuple(_band(quantile(draws, 1.0 - chance, cluster), chance) for chance in wanted.tolist())
            bands.append(HealthBand(**pair, at=at))
    return bands


def highest_ratios(
    market: Market, scenario: Scenario, collateral: ArrayLike, debt: ArrayLike, n_paths: int, seed: int
) -> tuple[FloatArray, np.ndarray, np.ndarray]:
    """(highest x_debt / x_collateral over the steps (n_paths, P), pairs of one price (P,), barred pairs (P,)).

    Steps before a reserve may take part in a liquidation do not count. Raises `InputError`.
    """
    checked_kind("market", market, Market)
    checked_kind("scenario", scenario, Scenario)
    c, d = _row("collateral", collateral), _row("debt", debt)
    if len(c) != len(d):
        raise InputError(f"debt: expected {len(c)} reserves, one for each collateral, found {len(d)}")
    for name, reserve in (("collateral", c), ("debt", d)):
        ok = (reserve >= 0) & (reserve < market.n_reserves)
        require(name, reserve, ok, f"must be a reserve from 0 to {market.n_reserves - 1}")
    if len(scenario.factor) != market.n_reserves:
        raise InputError(
            f"Scenario.factor: expected {market.n_reserves} entries, one for each reserve, found {len(scenario.factor)}"
        )
    _, n = path_range(scenario, n_paths, None)
    if n * len(c) > MOST_DRAWS:
        raise InputError(f"n_paths: {n:,} paths of {len(c):,} pairs are more than {MOST_DRAWS:,} numbers; take fewer")
    n_factors, n_steps = len(scenario.factors), scenario.n_steps
    rows = oracle_rows(market.reserves.oracle, market.price, scenario.factor, n_factors)
    draw = scenario.draw()._replace(own=rows.own, base=rows.base, feed=rows.feed, plain=rows.plain, most=rows.most)
    row = np.where(rows.row < 0, n_factors, rows.row)
    opening = opening_steps(market, scenario)
    first = np.maximum(opening[c], opening[d])
    barred = (first == NEVER_OPEN) | (first >= n_steps)
    one_price = row[c] == row[d]
    # Reserves that share a row of prices share their pairs: each is looked at once.
    asked = np.stack([row[c], row[d], np.minimum(first, n_steps)], axis=1)
    kinds, of = np.unique(asked, axis=0, return_inverse=True)
    found = np.ones((n, len(kinds)))
    x = np.ones((BLOCK, rows.n_rows + 1, padded_steps(n_steps)))
    z = np.empty((n_factors + 1 + (n_factors + 1) % 2, n_steps))
    number = np.uint64(checked_seed(seed))
    for begin in range(0, n, BLOCK):
        many = min(BLOCK, n - begin)
        price_block(draw, number, begin, many, n_steps, z, x)
        for k, (a, b, start) in enumerate(kinds.tolist()):
            if a != b and start < n_steps:
                ratio = x[:many, b, start:n_steps] / x[:many, a, start:n_steps]
                found[begin : begin + many, k] = ratio.max(axis=1)
    return found[:, of.reshape(-1)], one_price, barred


def _row(label: str, values: ArrayLike) -> IntArray:
    return checked_array(label, values, np.int64, (None,))


def _band(found: Estimate, chance: float) -> Estimate:
    """The quantile as a health factor: 1 at least, without an interval where too few paths lie beyond."""
    at = replace(found, value=max(found.value, 1.0), low=max(found.low, 1.0), high=max(found.high, 1.0))
    if not at.few_draws:
        return at
    reason = f"{at.n_paths * chance:.3g} of {at.n_paths:,} paths are expected beyond it, {FEW_DRAWS} are needed"
    return replace(at, low=0.0, high=float("inf"), se=float("inf"), no_interval=reason)
