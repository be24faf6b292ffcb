"""Flow `risk-scenarios`: simulate the newest snapshot under a calibrated scenario, store the figures with their errors.

Nothing is computed when the same figures are stored already: same snapshot, scenario (so same prices), seed, paths,
policy and engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from flows.pipeline import FlowSpec, Run, recorded
from flows.risk.options import Asked

if TYPE_CHECKING:
    import pandas as pd

    from data.store import Reader
    from flows.risk.calibration import Calibration
    from risk_core import Market, Result, Scenario


def run(arguments: Asked) -> str:
    """Calibrate, simulate, measure and store; returns the table of figures.

    Raises `data.errors.NoSnapshot`, `SnapshotIncomplete`, `SnapshotRefused`, `UnmappedReserve`, `NoPrices`, and
    `flows.risk.calibration.InsufficientHistory`.
    """
    from data import load_market, results
    from data.store import Reader
    from flows.risk.calibration import STRESS_IN_WORDS, stressed
    from flows.risk.report import report
    from risk_core import code_version

    market = load_market(arguments.block, arguments.market)
    with Reader.open() as store:
        calibration = calibrated(store, market, arguments.law)
    name = f"baseline-{arguments.horizon_hours:g}h"
    horizon = timedelta(hours=arguments.horizon_hours)
    scenario = calibration.scenario(name, horizon, arguments.steps, market.snapshot.block_time)
    notes = (*market.notes, *calibration.inputs.notes)
    if not arguments.force:
        stored = results.find(
            market.snapshot,
            scenario,
            seed=arguments.seed,
            n_paths=arguments.paths,
            policy=arguments.policy,
            code_version=code_version(),
        )
        if stored is not None:
            return report(stored, notes, "These figures were stored before; --force computes them again.")
    # Opened only when there is something to write: the writer loads the validation library, which a skip does not need.
    from data.store import Store

    parameters = dict(arguments) | {"scenario": name}
    with Store.open() as store, recorded(store, FLOW.name, parameters) as run:
        save_calibration(run, calibration, market)
        result = simulated(market, scenario, arguments)
        record = {
            "calibration_id": calibration.inputs.id,
            "looks_ahead": calibration.inputs.looks_ahead,
            "law": calibration.inputs.law.name,
            "law_in_words": calibration.inputs.law.words,
        }
        bad_days = stressed(calibration).scenario(
            f"stressed-{arguments.horizon_hours:g}h", horizon, arguments.steps, market.snapshot.block_time
        )
        worse = simulated(market, bad_days, arguments), STRESS_IN_WORDS
        stored = results.save_result(store, result, market, calibration=record, stressed=worse, run_id=run.id)
    return report(stored, notes, "Stored in fact_risk_scenarios.")


def calibrated(store: Reader, market: Market, law: str) -> Calibration:
    """The calibration of `market` on the stored prices, for the law of that name; a stored fit is read back."""
    from data.prices import assets
    from flows.risk.calibration import Calibration, fit, inputs_of

    mapping = assets.asset_map(market.snapshot.market)
    inputs = inputs_of(market, mapping, price_reader(market.snapshot.synthetic), law)
    known = store.rows("SELECT volatility, correlation FROM fact_calibration WHERE calibration_id = ?", (inputs.id,))
    if not known:
        return fit(inputs)
    return Calibration.from_row(inputs, dict(zip(("volatility", "correlation"), known[0], strict=True)))


def save_calibration(run: Run, calibration: Calibration, market: Market) -> None:
    """Store the calibration that a run uses; one that is stored already stays as it is."""
    import pandas as pd

    row = pd.DataFrame([calibration.row(market.snapshot.market)])
    run.write("calibration", calibration.inputs.id, {"fact_calibration": row})


def price_reader(synthetic: bool) -> Any:
    """A function that loads hourly prices for `calibration`: generated ones for a sample, else observed ones."""
    from data.errors import NoPrices
    from data.prices.series import load_prices
    from flows.risk.calibration import INTERVAL

    def load(series: Sequence[str], first: int | None, last: int | None) -> pd.DataFrame:
        try:
            return load_prices(series, INTERVAL, first, last, synthetic=synthetic)
        except NoPrices:
            if first is None and last is None:
                raise  # nothing at all is stored: its message says what to run
            return load_prices([])

    return load


def simulated(market: Market, scenario: Scenario, arguments: Asked) -> Result:
    """The simulation, with a progress bar on stderr."""
    from tqdm import tqdm

    from risk_core import simulate

    with tqdm(
        total=arguments.paths, desc=f"simulating {scenario.name}", unit="path", unit_scale=True, mininterval=0.5
    ) as bar:
        return simulate(
            market,
            scenario,
            n_paths=arguments.paths,
            seed=arguments.seed,
            policy=arguments.policy,
            progress=lambda done, total: bar.update(done - bar.n),
        )


FLOW = FlowSpec(
    name="risk-scenarios",
    options=Asked,
    run=run,
)
