"""How much the model matters: liquidations at risk by every law, and with one rule of the simulation changed at a time.

The book, the prices that are calibrated on, the seed and the path numbers are those of the run, so what differs comes
from the model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from flows.errors import FlowError
from flows.risk.resampled import fit, steps_of
from risk_core import InputError
from risk_core.laws.from_returns import NAMES, law_called

if TYPE_CHECKING:
    from flows.risk.calibration import Calibration
    from flows.risk.options import RiskScenariosOptions
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
    market: Market,
    calibration: Calibration,
    arguments: RiskScenariosOptions,
    in_use: Result,
    simulate: Simulate,
    left_out: list[str],
) -> Iterator[tuple[str, str, str, bool, Result]]:
    """(name, group, description, whether the run uses it, result) of each model; `in_use` is the run's own result.

    left_out: takes a remark for each law that the prices do not make.
    """
    n = min(arguments.paths, MOST_PATHS)
    name = in_use.scenario.name
    horizon = timedelta(hours=arguments.horizon_hours)

    def result(of: Calibration, n_steps: int, policy: str) -> Result:
        scenario = of.scenario(name, horizon, n_steps, market.snapshot.block_time)
        scenario = replace(scenario, sampling=arguments.sampling)
        return simulate(market, scenario, n, arguments.seed, policy=policy)

    for law in map(law_called, NAMES):
        if law.name == calibration.inputs.law.name:
            yield law.name, LAWS, law.words, True, in_use
            continue
        try:
            fitted = fit(replace(calibration.inputs, law=law))
            steps = steps_of(fitted, horizon, arguments.steps)
            if steps is None:
                raise InputError(f"it takes steps of an hour, and {arguments.horizon_hours:g} h are no whole number")
            found = result(fitted, steps, arguments.policy)
        except (FlowError, InputError) as refused:
            left_out.append(f"{law.name} is not beside the figure: {refused}")
            continue
        yield law.name, LAWS, law.words + _in_hours(steps, arguments.steps), False, found
    for policy, words in POLICIES.items():
        if policy != arguments.policy:
            said = f"liquidators choose the {words}"
            yield policy.replace("_", " "), RULES, said, False, result(calibration, arguments.steps, policy)
    finer_steps = arguments.steps * FINER
    if finer_steps <= MOST_STEPS and steps_of(calibration, horizon, finer_steps) == finer_steps:
        said = f"{finer_steps} steps instead of {arguments.steps}"
        finer = result(calibration, finer_steps, arguments.policy)
        yield f"{FINER} times the steps", RULES, said, False, finer


def _in_hours(steps: int, asked: int) -> str:
    return "" if steps == asked else f", in {steps} steps of an hour"
