"""Flow `liquidation-queue`: how long debt waits where liquidators must earn, depth is finite and so is their capital.

The scenario is that of `risk-scenarios`; the depth is that of the newest quotes, and the capital the most debt that
stored liquidations repaid in a day. All models run on the same paths, so what differs comes from the limit.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pandas as pd
from tqdm import tqdm

from data import load_market
from data.liquidations import largest_day
from data.quotes import Ladder, depth_curves
from data.results.figures import stored_figure
from data.store import Store
from flows.errors import ConfigurationError, WrongOption
from flows.pipeline import recorded
from flows.risk.calibration import Calibration
from flows.risk.depth import quotes
from flows.risk.options import LiquidationQueueOptions
from flows.risk.report import amount
from flows.risk.risk_scenarios import calibrated, save_calibration
from risk_core import Feeds, Impact, InputError, Liquidators, Market, Result, Scenario, code_version, measures, simulate
from risk_core.analytics.slippage import SlippageCurve, impact_of

SOURCE = "liquidation-queue"
LEVEL = 0.99
NAMED = 12
"""Reserves without quotes that the report names."""


class Model(NamedTuple):
    """One simulation: what sales do to prices, what limits liquidators, and when feeds answer; None, nothing does."""

    name: str
    depth: float
    impact: Impact | None = None
    limits: Liquidators | None = None
    feeds: Feeds | None = None


def run(arguments: LiquidationQueueOptions) -> str:
    """Simulate, store and report.

    Raises `ConfigurationError` without quotes, `WrongOption` for steps that do not divide 24 hours, and what
    `risk-scenarios` raises of snapshot and prices.
    """
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
        with recorded(store, "liquidation-queue", dict(arguments)) as handle:
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
    market: Market,
    curves: tuple[SlippageCurve | None, ...],
    scenario: Scenario,
    record: float | None,
    arguments: LiquidationQueueOptions,
) -> list[Model]:
    """The models that are compared. Raises `WrongOption` where steps do not divide the window of the capital."""
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


def simulated(
    market: Market, scenario: Scenario, models: list[Model], arguments: LiquidationQueueOptions
) -> list[tuple[Model, Result]]:
    """Each model on the same paths, with one progress bar on stderr."""
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
    arguments: LiquidationQueueOptions,
) -> dict[str, Any]:
    """What the rows of all models have in common."""
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
    return pd.DataFrame(rows).astype({"capital_usd": "float64"})


def report(
    market: Market, results: list[tuple[Model, Result]], passport: dict[str, Any], arguments: LiquidationQueueOptions
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
