"""Flow `risk-scenarios`: simulate a stored snapshot under a calibrated scenario, store the figures with their errors.

The newest snapshot, that of one block (`--block`), or the first one of each UTC day (`--every day`). The calibration of
a past block sees no later price. Nothing is computed when the same figures are stored already: same snapshot, scenario
(so same prices), seed, paths, policy and engine. With `--dask` the paths run on a cluster, for the same figures.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import pandas as pd

from data import load_market, results
from data.borrowers import stored_response
from data.errors import DataError, NoPrices, NoSnapshot, WarehouseError
from data.prices import assets
from data.prices.series import load_prices
from data.results import RiskRun
from data.snapshot import available, newest
from data.store import Reader
from flows.errors import ConfigurationError, FlowError, SourceUnavailable
from flows.pipeline import Run, recorded
from flows.risk.calibration import STRESS_IN_WORDS, Calibration, stressed
from flows.risk.calibration_inputs import INTERVAL, inputs_of
from flows.risk.options import RiskScenariosOptions
from flows.risk.report import amount, report
from flows.risk.resampled import fit, from_row
from flows.risk.workers import Simulate, simulator
from risk_core import Market, Result, RiskCoreError, Scenario, Snapshot, code_version

LOOKS_AHEAD = "-look-ahead"
"""End of the name of a scenario whose calibration saw prices later than the block."""
DAY = 86_400


def run(arguments: RiskScenariosOptions) -> str:
    """Calibrate, simulate, measure and store; returns the table of figures, with `every` a line for each day.

    Raises `data.errors.NoSnapshot`, `SnapshotIncomplete`, `SnapshotRefused`, `UnmappedReserve`, `NoPrices`,
    `flows.risk.calibration.InsufficientHistory`, which is `LooksAhead` where only later prices would do, and with a
    cluster `SourceUnavailable` and `ConfigurationError` (`flows.risk.workers.simulator`).
    """
    if arguments.every:
        return every_day(arguments)
    stored, notes, new = forecast_of(arguments)
    ending = (
        "Stored in fact_risk_scenarios." if new else "These figures were stored before; --force computes them again."
    )
    return report(stored, notes, ending)


def every_day(arguments: RiskScenariosOptions) -> str:
    """`run` for the first stored snapshot of each UTC day without a run; returns a line for each, oldest first.

    A day that is refused does not stop the others. Raises the first refusal where every day was refused.
    """
    market = arguments.market or newest().market
    days = first_of_days([at for at in available() if at.market == market])
    if not days:
        raise NoSnapshot(f"no snapshot of {market} is stored; `python -m data snapshots` lists those that are")
    with Reader.open() as store:
        waiting = days if arguments.force else [at for at in days if not is_forecast(store, at, arguments)]
    lines, refused = [], []
    with ExitStack() as opened:
        simulate = opened.enter_context(simulator(arguments.dask)) if waiting else None
        for at in waiting:
            told = f"  block {at.block:,} of {datetime.fromtimestamp(at.block_time, UTC):%Y-%m-%d %H:%M} UTC: "
            of_day = arguments.model_copy(update={"block": at.block, "market": market, "every": None})
            try:
                stored, _, _ = forecast_of(of_day, simulate)
            except (WarehouseError, ConfigurationError, SourceUnavailable):
                raise  # of the file or the cluster, not of the day
            except (DataError, FlowError, RiskCoreError) as error:
                refused.append(error)
                lines.append(f"{told}refused ({type(error).__name__}: {error})")
            else:
                figure = stored.figure("lar_repaid", 0.99)
                lines.append(f"{told}liquidations at risk 99 % {amount(figure.value, figure.unit)}{_marked(stored)}")
    if refused and len(refused) == len(days):
        raise refused[0]
    head = (
        f"{market}: {len(days)} days with a snapshot, {len(days) - len(waiting)} had a run, "
        f"{len(waiting) - len(refused)} computed, {len(refused)} refused"
    )
    return "\n".join([head, *lines])


def _marked(stored: RiskRun) -> str:
    return ", looks ahead: no forecast" if stored.looks_ahead else ""


def first_of_days(snapshots: Sequence[Snapshot]) -> list[Snapshot]:
    """The first snapshot of each UTC day, oldest first."""
    first: dict[int, Snapshot] = {}
    for at in sorted(snapshots, key=lambda at: (at.block_time, at.block)):
        first.setdefault(at.block_time // DAY, at)
    return list(first.values())


def is_forecast(store: Reader, at: Snapshot, arguments: RiskScenariosOptions) -> bool:
    """Whether a run of the snapshot with these options is stored, by whichever version of the engine.

    One that looked ahead counts where that is allowed now.
    """
    name = scenario_name(arguments)
    names = (name, name + LOOKS_AHEAD) if arguments.allow_look_ahead else (name,)
    found = store.rows(
        "SELECT s.value FROM fact_risk_run AS r JOIN fact_risk_series AS s ON s.run_id = r.run_id "
        "AND s.series = 'calibration' WHERE r.snapshot_hash = ? AND r.market = ? AND r.seed = ? AND r.n_paths = ? "
        f"AND r.n_steps = ? AND r.policy = ? AND r.scenario_id IN ({', '.join('?' * len(names))})",
        (at.hash, at.market, arguments.seed, arguments.paths, arguments.steps, arguments.policy, *names),
    )
    return any(json.loads(value).get("law") == arguments.law for (value,) in found)


def scenario_name(arguments: RiskScenariosOptions) -> str:
    """The name of the scenario of a calibration that does not look ahead."""
    return f"baseline-{arguments.horizon_hours:g}h"


def forecast_of(
    arguments: RiskScenariosOptions, simulate: Simulate | None = None
) -> tuple[RiskRun, tuple[str, ...], bool]:
    """(the run of one snapshot as stored, notes for its reader, whether it was computed now).

    simulate: None opens what `arguments` name, once something is to be computed.
    """
    market = load_market(arguments.block, arguments.market)
    with Reader.open() as store:
        calibration = calibrated(store, market, arguments.law, look_ahead=arguments.allow_look_ahead)
    ahead = LOOKS_AHEAD if calibration.inputs.looks_ahead else ""
    name = scenario_name(arguments) + ahead
    horizon = timedelta(hours=arguments.horizon_hours)
    plain = calibration.scenario(name, horizon, arguments.steps, market.snapshot.block_time)
    scenario = replace(plain, sampling=arguments.sampling)
    notes = (*market.notes, *calibration.notes)
    if not arguments.force:
        stored = results.find(
            market.snapshot,
            scenario,
            seed=arguments.seed,
            n_paths=arguments.paths,
            policy=arguments.policy,
            code_version=code_version(),
        )
        # A run of an older version has its figures, and not who makes its tail.
        if stored is not None and "shares" in stored.series:
            return stored, (*notes, *stored.series.get("left_out", [])), False
    # Only when there is something to compute: the writer loads the validation library, and the models the statistics
    # library, about a second together, which a skip does not need.
    from data.results.tail import envelope_series, tail_series
    from data.store import Store
    from flows.risk import depth
    from flows.risk.envelope import models

    parameters = dict(arguments) | {"scenario": name}
    with ExitStack() as opened:
        # Before the store: where no cluster answers, nothing is written.
        simulate = simulate or opened.enter_context(simulator(arguments.dask))
        store = opened.enter_context(Store.open())
        run = opened.enter_context(recorded(store, "risk-scenarios", parameters))
        save_calibration(run, calibration, market)
        result = simulated(market, scenario, arguments, simulate)
        record = {
            "calibration_id": calibration.inputs.id,
            "looks_ahead": calibration.inputs.looks_ahead,
            "law": calibration.inputs.law.name,
            "law_in_words": calibration.inputs.law.words,
        }
        bad_days = stressed(calibration).scenario(
            f"stressed-{arguments.horizon_hours:g}h{ahead}", horizon, arguments.steps, market.snapshot.block_time
        )
        bad_days = replace(bad_days, sampling=arguments.sampling)
        worse = simulated(market, bad_days, arguments, simulate), STRESS_IN_WORDS
        more = tail_series(result, market)
        left_out: list[str] = []
        quoted, assumed = depth.impact(store, market, look_ahead=arguments.allow_look_ahead)
        response = stored_response(store, market.snapshot, look_ahead=arguments.allow_look_ahead)
        beside = depth.models(
            market, scenario, arguments.paths, arguments.seed, arguments.policy, quoted, assumed=assumed,
            response=response,
        )  # fmt: skip
        by_law = models(market, calibration, arguments, result, simulate, left_out)
        more["envelope"] = envelope_series(chain(by_law, beside))
        if left_out:
            more["left_out"] = left_out
        stored = results.save_result(
            store, result, market, calibration=record, stressed=worse, more=more, run_id=run.id
        )
    return stored, (*notes, *stored.series.get("left_out", [])), True


def calibrated(store: Reader, market: Market, law: str, *, look_ahead: bool = False) -> Calibration:
    """The calibration of `market` on the stored prices, for the law of that name; a stored fit is read back.

    `look_ahead`: whether prices later than the block may be used, see `flows.risk.calibration.inputs_of`.
    """
    mapping = assets.asset_map(market.snapshot.market, block=market.snapshot.block)
    inputs = inputs_of(market, mapping, price_reader(market.snapshot.synthetic), law, look_ahead=look_ahead)
    columns = ("volatility", "correlation", "fitted")
    known = store.rows(f"SELECT {', '.join(columns)} FROM fact_calibration WHERE calibration_id = ?", (inputs.id,))
    return from_row(inputs, dict(zip(columns, known[0], strict=True))) if known else fit(inputs)


def save_calibration(run: Run, calibration: Calibration, market: Market) -> None:
    """Store the calibration that a run uses; one that is stored already stays as it is."""
    row = pd.DataFrame([calibration.row(market.snapshot.market)])
    run.write("calibration", calibration.inputs.id, {"fact_calibration": row})


def price_reader(synthetic: bool) -> Any:
    """A function that loads hourly prices for `calibration`: generated ones for a sample, else observed ones."""

    def load(series: Sequence[str], first: int | None, last: int | None) -> pd.DataFrame:
        try:
            return load_prices(series, INTERVAL, first, last, synthetic=synthetic)
        except NoPrices:
            if first is None and last is None:
                raise  # nothing at all is stored: its message says what to run
            return load_prices([])

    return load


def simulated(market: Market, scenario: Scenario, arguments: RiskScenariosOptions, simulate: Simulate) -> Result:
    """The simulation, with a progress bar on stderr."""
    from tqdm import tqdm  # not at the top: a skip shows no bar

    with tqdm(
        total=arguments.paths, desc=f"simulating {scenario.name}", unit="path", unit_scale=True, mininterval=0.5
    ) as bar:
        return simulate(
            market,
            scenario,
            arguments.paths,
            arguments.seed,
            policy=arguments.policy,
            progress=lambda done, total: bar.update(done - bar.n),
        )
