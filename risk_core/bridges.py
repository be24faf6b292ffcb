"""Paths that end at given prices: how much is liquidated on the way there, and not at once.

A path of normal moves is drawn freely and then pulled to its end in a straight line of log prices: X(t) + (t / T) B
(c - X_K(T)), with B = C_K (C_KK)^-1 of the covariance C of all moves over the horizon and the end c of the factors K.
What comes out has the law of the path given its end (a Brownian bridge; Glasserman, Monte Carlo Methods in Financial
Engineering, 2003, section 3.1.2; for several factors the rule for conditional normal vectors, section 2.3.3).

A Student-t path is a normal one times a factor s on all its moves. Given the end, u = 1 / s^2 has a gamma law with
shape (nu + |K|) / 2 and rate (nu - 2 + q) / 2, q = c' (C_KK)^-1 c with the drift taken off (P. Ding, "On the
conditional distribution of the multivariate t distribution", The American Statistician 70, 2016): a far end means a
wild day, before the end as well.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from risk_core.checks import FloatArray, checked_int, checked_kind, checked_number, checked_text
from risk_core.errors import InputError
from risk_core.laws import GBM, StudentT
from risk_core.price_models import PricePaths, Scenario
from risk_core.types import Market

MOST_NUMBERS = 100_000_000
"""Prices that one set of paths may hold: 800 MB."""
SINGULAR = 1e-12


def bridge(
    market: Market, scenario: Scenario, ends: Mapping[str, float], n_paths: int = 4_096, seed: int = 7
) -> PricePaths:
    """Paths of the scenario's law that end at given prices of some factors; the others go where they then may go.

    ends: {"ETH": -0.3}: relative move of a factor's price from the snapshot to the horizon, above -1; the scenario's
    shock is part of it. Reserves follow their factors, as in `simulate`. The draws are a pure function of the seed.
    Raises `InputError`: for a law that is neither `GBM` nor `StudentT`, an unknown factor, one that does not move, ends
    of factors that always move together, and for paths beyond 800 MB.
    """
    checked_kind("market", market, Market)
    checked_kind("scenario", scenario, Scenario)
    n_paths, seed = checked_int("n_paths", n_paths, 1), checked_int("seed", seed, 0)
    if not isinstance(scenario.law, GBM | StudentT):
        raise InputError(
            f"Scenario.law: expected GBM or StudentT, found {type(scenario.law).__name__}; no closed form is known for "
            "its paths given their end"
        )
    if len(scenario.factor) != market.n_reserves:
        raise InputError(
            f"Scenario.factor: expected {market.n_reserves} entries, one for each reserve, found {len(scenario.factor)}"
        )
    n_steps = scenario.n_steps
    if n_paths * market.n_reserves * (n_steps + 1) > MOST_NUMBERS:
        raise InputError(
            f"n_paths: expected at most {MOST_NUMBERS // (market.n_reserves * (n_steps + 1)):,} paths of {n_steps:,} "
            f"steps for {market.n_reserves} reserves, found {n_paths:,}; take fewer paths or steps"
        )
    pinned, level = _pins(scenario, ends)
    drift, lower, start = scenario.of_one_step()
    level = level - np.log(start[pinned])
    covariance = n_steps * lower @ lower.T
    among = covariance[np.ix_(pinned, pinned)]
    if np.linalg.eigvalsh(among).min() <= SINGULAR * np.diag(among).max():
        names = ", ".join(scenario.factors[k] for k in pinned)
        raise InputError(f"ends: the moves of {names} are not free of each other; leave out one of them")
    to_all = np.linalg.solve(among, covariance[pinned]).T  # (F, K)

    rng = np.random.default_rng([seed, n_steps, len(scenario.factors)])
    moves = rng.standard_normal((n_paths, n_steps, len(scenario.factors))) @ lower.T
    if isinstance(scenario.law, StudentT):
        nu, away = scenario.law.nu, level - n_steps * drift[pinned]
        rate = (nu - 2 + away @ np.linalg.solve(among, away)) / 2
        moves /= np.sqrt(rng.gamma((nu + len(pinned)) / 2, 1 / rate, n_paths))[:, None, None]
    path = np.cumsum(moves + drift, axis=1)
    path += ((level - path[:, -1, pinned]) @ to_all.T)[:, None, :] * (np.arange(1, n_steps + 1) / n_steps)[:, None]

    price = np.repeat(market.price[None, :, None], n_paths, axis=0).repeat(n_steps + 1, axis=2)
    relative = start * np.exp(path)
    for reserve in np.flatnonzero(scenario.factor >= 0):
        price[:, reserve, 1:] *= relative[:, :, scenario.factor[reserve]]
    return PricePaths(name=f"{scenario.name}, to its end", price=price, step=scenario.step)


def _pins(scenario: Scenario, ends: Mapping[str, float]) -> tuple[list[int], FloatArray]:
    """(rows (K,) of the factors with an end, their log moves (K,))."""
    if not isinstance(ends, Mapping) or not ends:
        raise InputError(f"ends: expected a mapping such as {{'ETH': -0.3}}, found {ends!r:.60}")
    pinned, level = [], []
    for name, move in ends.items():
        if checked_text("ends", name) not in scenario.factors:
            raise InputError(f"ends: no factor {name!r:.40} in the scenario; known: {', '.join(scenario.factors)}")
        at = scenario.factors.index(name)
        if scenario.volatility[at] == 0:
            raise InputError(f"ends: the volatility of {name} is 0, so its price cannot get anywhere")
        pinned.append(at)
        level.append(float(np.log1p(checked_number(f"ends[{name!r:.40}]", move, -1 + 1e-9, rule="a move above -1"))))
    return pinned, np.array(level)
