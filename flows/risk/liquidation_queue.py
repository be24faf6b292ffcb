"""Flow `liquidation-queue`: how long debt waits where liquidators must earn, depth is finite and so is their capital.

The scenario is that of `risk-scenarios`; the depth is that of the newest quotes, and the capital the most debt that
stored liquidations repaid in a day. All models run on the same paths, so what differs comes from the limit.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import Field

from flows.errors import ConfigurationError, WrongOption
from flows.options import Number, Options, Whole
from flows.pipeline import FlowSpec, recorded
from flows.risk.options import DEFAULT, LAST_SEED, LawName
from flows.risk.report import amount
from flows.risk.risk_scenarios import calibrated, save_calibration

if TYPE_CHECKING:
    from data.quotes import Ladder
    from data.store import Reader
    from flows.risk.calibration import Calibration
    from risk_core import Feeds, Impact, Liquidators, Market, Result, Scenario
    from risk_core.analytics.slippage import SlippageCurve

SOURCE = "liquidation-queue"
LEVEL = 0.99
NAMED = 12
"""Reserves without quotes that the report names."""


class Asked(Options):
    """Options of `liquidation-queue`."""

    market: str | None = Field(None, description="market (default: the newest snapshot's)")
    block: Annotated[int, Whole()] | None = Field(None, description="block of a stored snapshot (default: the newest)")
    paths: Annotated[int, Whole(100, 1_000_000)] = Field(5_000, description="simulated paths of each model")
    seed: Annotated[int, Whole(0, LAST_SEED // 2)] = Field(7, description="seed of the random numbers")
    steps: Annotated[int, Whole(1, 100_000)] = Field(24, description="steps of a path; they divide 24 hours")
    horizon_hours: Annotated[float, Number(0, 24 * 365, "hours", open=True)] = Field(
        24.0, description="length of a path"
    )
    law: LawName = Field(DEFAULT, description="law of the price moves")
    half_life_hours: Annotated[float, Number(0, 24 * 365, "hours", open=True)] = Field(
        2.0, description="time in which the market absorbs half of what was sold; assumed"
    )
    cost: Annotated[float, Number(0, 0.2, "a fraction")] = Field(
        0.0005, description="cost of a call, of the debt repaid: flash loan, least profit, bids"
    )
    gas_usd: Annotated[float, Number(0, 1e6, "USD")] = Field(0.0, description="cost of a call in USD")
    feedback: Annotated[float, Number(0, 1, "a share")] = Field(
        0.0, description="share of a sale's impact that the oracle sees"
    )
    capital_usd: Annotated[float, Number(0, 1e12, "USD")] | None = Field(
        None, description="most debt repaid in 24 h (default: the largest day stored)"
    )
    oracle_lag_minutes: Annotated[float, Number(0, 24 * 60, "minutes")] = Field(
        0.0,
        description="minutes until a feed's answer is read, in whole steps; adds the model `late oracle`",
    )
    oracle_deviation: Annotated[float, Number(0, 0.5, "a fraction")] = Field(
        0.0, description="move at which a feed answers, 0.005 is 0.5 percent; adds the model `late oracle`"
    )
    allow_look_ahead: bool = Field(False, description="use prices later than the block; the figures are marked")


class Model(NamedTuple):
    """One simulation: what sales do to prices, what limits liquidators, and when feeds answer; None, nothing does."""

    name: str
    depth: float
    impact: Impact | None = None
    limits: Liquidators | None = None
    feeds: Feeds | None = None


def run(arguments: Asked) -> str:
    """Simulate, store and report.

    Raises `ConfigurationError` without quotes, `WrongOption` for steps that do not divide 24 hours, and what
    `risk-scenarios` raises of snapshot and prices.
    """
    # Here, not at the top: --help and a wrong option need neither the engine nor the store.
    from data import load_market
    from data.liquidations import largest_day
    from data.quotes import depth_curves
    from data.store import Store

    market = load_market(arguments.block, arguments.market)
    with Store.open() as store:
        ladders = quotes(store, market, look_ahead=arguments.allow_look_ahead)
        curves = depth_curves(market, ladders)
        if all(curve is None for curve in curves):
            raise ConfigurationError(no_quotes(market, look_ahead=arguments.allow_look_ahead))
        record = arguments.capital_usd
        if record is None:
            record = largest_day(store, market.snapshot.market, market.snapshot.block_time)
        calibration = calibrated(store, market, arguments.law, look_ahead=arguments.allow_look_ahead)
        horizon = timedelta(hours=arguments.horizon_hours)
        scenario = calibration.scenario("queue", horizon, arguments.steps, market.snapshot.block_time)
        models = models_of(market, curves, scenario, record, arguments)
        with recorded(store, FLOW.name, dict(arguments)) as handle:
            results = simulated(market, scenario, models, arguments)
            passport = passport_of(market, calibration, ladders, curves, arguments)
            asked = [
                market.snapshot.hash, arguments.gas_usd, record, arguments.oracle_lag_minutes,
                arguments.oracle_deviation, [curve and [curve.size_usd.tolist(), curve.slippage.tolist()]
                                             for curve in curves],
            ]  # fmt: skip
            digest = hashlib.sha256(json.dumps([passport, asked], sort_keys=True).encode()).hexdigest()
            save_calibration(handle, calibration, market)
            rows = [row_of(*one) | passport | {"queue": digest} for one in results]
            handle.write(SOURCE, digest, {"mart_liquidation_queue": frame_of(rows)}, scope={"queue": digest})
    return "\n".join(report(market, results, passport, arguments))


def quotes(store: Reader, market: Market, *, look_ahead: bool) -> tuple[Ladder, ...]:
    """The quotes of the week before the block; the newest of all where a look ahead is allowed."""
    from data.quotes import AGE, ALWAYS, quotes_of

    at = market.snapshot
    first, last = (0, ALWAYS) if look_ahead else (at.block_time - AGE, at.block_time)
    return quotes_of(store, at.market, market.reserves.asset, synthetic=at.synthetic, first=first, last=last)


def no_quotes(market: Market, *, look_ahead: bool) -> str:
    """Why there is no depth, and what to do."""
    at = market.snapshot
    fill = "bring some with `python -m flows sale-quotes --file FILE`"
    if look_ahead:
        return f"liquidation-queue: no usable quotes of {at.market} are stored; {fill}"
    return (
        f"liquidation-queue: no usable quotes of {at.market} from the week before block {at.block:,} "
        f"({datetime.fromtimestamp(at.block_time, UTC):%Y-%m-%d %H:%M} UTC) are stored; {fill}, read a block after the "
        "quotes, or pass --allow-look-ahead, which marks the figures"
    )


def models_of(
    market: Market, curves: tuple[SlippageCurve | None, ...], scenario: Scenario, record: float | None, arguments: Asked
) -> list[Model]:
    """The models that are compared. Raises `WrongOption` where steps do not divide the window of the capital."""
    from risk_core import Feeds, InputError, Liquidators
    from risk_core.analytics.slippage import impact_of

    half_life = timedelta(hours=arguments.half_life_hours)
    quoted = impact_of(curves, half_life=half_life)
    thin = replace(quoted, sold_usd=0.5 * quoted.sold_usd)
    base = Liquidators(cost=arguments.cost, fixed_usd=arguments.gas_usd, feedback=arguments.feedback)
    models = [
        Model("unlimited", 0.0),
        Model("quoted depth", 1.0, quoted, base),
        Model("half depth", 0.5, thin, base),
    ]
    if record is not None:
        capital = replace(base, capital_usd=float(record))
        try:
            capital.steps(scenario.step)
        except InputError:
            raise WrongOption(
                f"--steps: expected steps that divide 24 h, found {scenario.step} a step (--horizon-hours "
                f"{arguments.horizon_hours:g} over --steps {arguments.steps})"
            ) from None
        models.append(Model("record capital", 1.0, quoted, capital))
    lag, deviation = 60.0 * arguments.oracle_lag_minutes, arguments.oracle_deviation
    if lag or deviation:
        late = Feeds.alike(market.n_reserves, deviation=deviation, lag=lag)
        models.append(Model("late oracle", 1.0, quoted, base, late))
    return models


def simulated(market: Market, scenario: Scenario, models: list[Model], arguments: Asked) -> list[tuple[Model, Result]]:
    """Each model on the same paths, with one progress bar on stderr."""
    from tqdm import tqdm

    from risk_core import simulate

    results = []
    with tqdm(total=len(models) * arguments.paths, desc="simulating the queue", unit="path") as bar:
        for model in models:
            before = bar.n

            def told(done: int, _all: int, before: int = before) -> None:
                bar.update(before + done - bar.n)

            result = simulate(
                market, scenario, arguments.paths, arguments.seed, impact=model.impact, liquidators=model.limits,
                feeds=model.feeds, progress=told,
            )  # fmt: skip
            results.append((model, result))
    return results


def passport_of(
    market: Market,
    calibration: Calibration,
    ladders: tuple[Ladder, ...],
    curves: tuple[SlippageCurve | None, ...],
    arguments: Asked,
) -> dict[str, Any]:
    """What the rows of all models have in common."""
    from risk_core import code_version

    at, symbols = market.snapshot, market.reserves.symbol
    held = set(market.collateral.reserve.tolist())
    quoted_later = any(int(ladder.quoted_at.max()) > at.block_time for ladder in ladders)
    return {
        "market": at.market,
        "block": at.block,
        "block_time": at.block_time,
        "cost": arguments.cost,
        "half_life_hours": arguments.half_life_hours,
        "feedback": arguments.feedback,
        "horizon_seconds": round(3_600 * arguments.horizon_hours),
        "n_steps": arguments.steps,
        "n_paths": arguments.paths,
        "seed": arguments.seed,
        "law": arguments.law,
        "calibration_id": calibration.inputs.id,
        "code_version": code_version(),
        "unquoted": json.dumps(sorted(symbols[r] for r in held if curves[r] is None)),
        "is_assumed": int(all(ladder.assumed.all() for ladder in ladders)),
        "looks_ahead": int(calibration.inputs.looks_ahead or quoted_later),
        "is_synthetic": int(at.synthetic),
    }


def row_of(model: Model, result: Result) -> dict[str, Any]:
    """The figures of one model."""
    from data.results.figures import stored_figure
    from risk_core import measures

    def figure(label: str, estimate: Any) -> str:
        found = stored_figure(label, "USD", estimate)
        return json.dumps({field: getattr(found, field) for field in found.__slots__}, sort_keys=True)

    hours = [result.horizon.total_seconds() / 3_600 * (t + 1) / result.n_steps for t in range(result.n_steps)]
    late, limits, cluster = model.feeds, model.limits, result.cluster
    return {
        "model": model.name,
        "depth": model.depth,
        "capital_usd": None if limits is None or limits.capital_usd == float("inf") else limits.capital_usd,
        "oracle_lag_seconds": 0.0 if late is None else float(late.lag[0]),
        "oracle_deviation": 0.0 if late is None else float(late.deviation[0]),
        "lar_repaid": figure("lar_repaid", measures.lar(result, LEVEL)),
        "waiting": figure("waiting", measures.quantile(result.waiting_usd, LEVEL, cluster)),
        "waiting_at_end": figure("waiting_at_end", measures.quantile(result.waiting_at_end_usd, LEVEL, cluster)),
        "shortfall": figure("shortfall", measures.tail_mean(result.shortfall_usd, LEVEL, cluster)),
        "by_hour": json.dumps({"hours": hours, "waiting_usd": result.waiting_steps.tolist()}),
    }


def frame_of(rows: list[dict[str, Any]]) -> Any:
    """Rows of `mart_liquidation_queue`."""
    import pandas as pd

    return pd.DataFrame(rows).astype({"capital_usd": "float64"})


def report(
    market: Market, results: list[tuple[Model, Result]], passport: dict[str, Any], arguments: Asked
) -> list[str]:
    """The models in lines of text."""
    at = market.snapshot
    lines = ["SAMPLE: synthetic accounts and prices"] if at.synthetic else []
    lines.append(f"{at.market}, block {at.block:,} of {datetime.fromtimestamp(at.block_time, UTC):%Y-%m-%d %H:%M} UTC")
    if passport["is_assumed"]:
        lines.append("depth: ASSUMED, nobody quoted it")
    lines += [
        f"{arguments.paths:,} paths over {arguments.horizon_hours:g} h, the same for all; half of a sale is absorbed "
        f"in {arguments.half_life_hours:g} h",
        "",
        f"  {'':<16} {'repaid, 99 %':>16} {'waits, 99 %':>16} {'at the end, 99 %':>18} {'shortfall, worst 1 %':>22}",
    ]
    for model, result in results:
        row = row_of(model, result)
        shown = ("lar_repaid", "waiting", "waiting_at_end", "shortfall")
        repaid, waits, end, short = (amount(json.loads(row[key])["value"], "USD") for key in shown)
        lines.append(f"  {model.name:<16} {repaid:>16} {waits:>16} {end:>18} {short:>22}")
        if row["capital_usd"] is not None:
            lines.append(f"  {'':<16} at most {amount(row['capital_usd'], 'USD')} of debt repaid in 24 h")
    unquoted = json.loads(passport["unquoted"])
    if unquoted:
        more = " .." if len(unquoted) > NAMED else ""
        lines.append(f"  no quotes, taken as endlessly deep: {', '.join(unquoted[:NAMED])}{more}")
    return [*lines, "Stored in mart_liquidation_queue."]


FLOW = FlowSpec(name="liquidation-queue", options=Asked, run=run)
