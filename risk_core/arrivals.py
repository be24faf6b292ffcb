"""When liquidation calls come: how many on each path at each step.

A `Result` counts the calls of a path as a whole. What happens up to a step depends on the prices up to it alone, so the
calls of a step are those of the run that ends with it, less those of the run that ends a step earlier, on the same
paths.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from risk_core.checks import IntArray, checked_int, checked_kind
from risk_core.engine import simulate
from risk_core.errors import InputError
from risk_core.price_models import Scenario
from risk_core.types import Market

MOST_STEPS = 400
"""Steps of a scenario: T of them cost as much as (T + 1) / 2 runs of the whole horizon."""


def calls_by_step(
    market: Market,
    scenario: Scenario,
    n_paths: int = 1_000,
    seed: int = 7,
    policy: str = "largest_legs",
    threads: int | None = None,
) -> IntArray:
    """(P, T) int64, liquidation calls of each path at each step; a row adds up to `Result.n_liquidations` of its path.

    The paths are those of `simulate` with the same scenario and seed. `policy`, `threads`: as there. Raises
    `InputError`, also for a scenario that is not sampled plainly: a quasi-random path is drawn as a whole.
    """
    checked_kind("market", market, Market)
    checked_kind("scenario", scenario, Scenario)
    n_paths = checked_int("n_paths", n_paths, 1)
    if scenario.sampling != "plain":
        raise InputError(
            f"scenario: expected sampling 'plain', found {scenario.sampling!r}; take dataclasses.replace(scenario, "
            "sampling='plain')"
        )
    if scenario.n_steps > MOST_STEPS:
        raise InputError(f"scenario: expected at most {MOST_STEPS} steps, found {scenario.n_steps}")
    upto = np.zeros((n_paths, scenario.n_steps + 1), dtype=np.int64)
    for t in range(1, scenario.n_steps + 1):
        begun = replace(scenario, horizon=scenario.step * t, n_steps=t)
        upto[:, t] = simulate(market, begun, n_paths, seed, threads, policy=policy).n_liquidations
    return np.diff(upto, axis=1)
