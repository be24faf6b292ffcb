"""How much the model matters: liquidations at risk by every law, and with one rule of the simulation changed at a time.

The book, the prices that are calibrated on, the seed and the path numbers are those of the run, so what differs comes
from the model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from flows.risk.calibration import fit
from risk_core.laws.calibrated import CALIBRATED

if TYPE_CHECKING:
    from flows.risk.calibration import Calibration
    from flows.risk.options import Asked
    from flows.risk.workers import Simulate
    from risk_core import Market, Result

MOST_PATHS = 20_000
"""Paths of each model, at most: the envelope need not be as sharp as the figure."""
FINER = 4
MOST_STEPS = 2_000
POLICIES = {"largest_legs": "largest pair of legs", "most_profitable": "most profitable pair"}
LAWS, RULES = "Price law", "Simulation"
"""Groups of models."""


def models(
    market: Market, calibration: Calibration, arguments: Asked, in_use: Result, simulate: Simulate
) -> Iterator[tuple[str, str, str, bool, Result]]:
    """(name, group, description, whether the run uses it, result) of each model; `in_use` is the run's own result."""
    n = min(arguments.paths, MOST_PATHS)
    name = in_use.scenario.name
    horizon = timedelta(hours=arguments.horizon_hours)

    def result(of: Calibration, n_steps: int, policy: str) -> Result:
        scenario = of.scenario(name, horizon, n_steps, market.snapshot.block_time)
        return simulate(market, scenario, n, arguments.seed, policy=policy)

    for law in CALIBRATED.values():
        if law.name == calibration.inputs.law.name:
            yield law.name, LAWS, law.words, True, in_use
        else:
            fitted = fit(replace(calibration.inputs, law=law))
            yield law.name, LAWS, law.words, False, result(fitted, arguments.steps, arguments.policy)
    for policy, words in POLICIES.items():
        if policy != arguments.policy:
            said = f"liquidators choose the {words}"
            yield policy.replace("_", " "), RULES, said, False, result(calibration, arguments.steps, policy)
    if arguments.steps * FINER <= MOST_STEPS:
        said = f"{arguments.steps * FINER} steps instead of {arguments.steps}"
        finer = result(calibration, arguments.steps * FINER, arguments.policy)
        yield f"{FINER} times the steps", RULES, said, False, finer
