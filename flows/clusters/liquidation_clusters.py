"""Flow `liquidation-clusters`: fit a Hawkes process to stored liquidations, store it and the chance of a cluster."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated

import pandas as pd
from pydantic import Field
from tqdm import tqdm

from data.liquidations import HOUR, StoredLiquidations, oldest_liquidation, stored_liquidations
from data.snapshot.loading import newest
from data.store.store import Store
from flows.clusters.fitting import (
    METHOD,
    TooFewEvents,
    calibration_row,
    enough,
    fitted,
    probability_rows,
)
from flows.options import Options, Whole
from flows.pipeline import FlowSpec, recorded

if TYPE_CHECKING:
    from data.store.reader import Reader

SOURCE = "clusters"
DAY = 86_400


class Asked(Options):
    """Options of the flow."""

    market: str | None = Field(None, description="market to fit (default: the newest snapshot's)")
    days: Annotated[int, Whole(7, 3_650)] = Field(90, description="days of liquidations before the newest")
    horizon_hours: Annotated[int, Whole(1, 24 * 30)] = Field(24, description="hours that are forecast")
    within_hours: Annotated[int, Whole(1, 24 * 30)] = Field(1, description="hours within which a cluster's events come")
    at_least: Annotated[int, Whole(2, 10_000)] = Field(8, description="liquidations that make a cluster")
    past_days: Annotated[int, Whole(0, 365)] = Field(30, description="days before the newest to compute as well")
    paths: Annotated[int, Whole(100, 10_000_000)] = Field(4_000, description="simulated paths of each forecast")
    seed: Annotated[int, Whole(0, 2**63 - 1)] = Field(7, description="seed of the random numbers")
    or_nothing: bool = Field(False, description="end without an error where the liquidations are too few to fit")
    skip_if_stored: bool = Field(False, description="do nothing where the newest liquidations are fitted already")


def run(arguments: Asked) -> str:
    """Fit, simulate and store; returns one line. Raises `TooFewEvents`, `data.errors.NoSnapshot`."""
    with Store.open() as store:
        at = newest(arguments.market)
        found = read(store, at.market, at.block_time, arguments.days)
        if arguments.skip_if_stored and _is_stored(store, at.market, found, arguments):
            return f"{at.market}: the newest liquidations are fitted already: nothing to do"
        try:
            enough(found)
        except TooFewEvents as few:
            if arguments.or_nothing:
                return f"{at.market}: {few}: nothing to do"
            raise
        with recorded(store, FLOW.name, arguments.model_dump()) as run:
            done = fitted(found)
            starts = [found.last - day * DAY for day in range(arguments.past_days, -1, -1)]
            # At its first second the window has no past to forecast from.
            starts = [start for start in starts if start > found.first]
            rows = probability_rows(
                at.market,
                found,
                done,
                tqdm(starts, desc="forecasts", unit="day", disable=None),
                horizon=arguments.horizon_hours * HOUR,
                within=arguments.within_hours * HOUR,
                at_least=arguments.at_least,
                paths=arguments.paths,
                seed=arguments.seed,
            )
            row = calibration_row(at.market, found, done, int(time.time()))
            frames = {
                "fact_cluster_calibration": pd.DataFrame([row]),
                "mart_cluster_probability": pd.DataFrame(rows),
            }
            run.write(SOURCE, f"{at.market}:{found.last}", frames)
    now = rows[-1]
    stable = "stationary" if done.fit.model.is_stationary else "EXPLOSIVE, no mean rate"
    return (
        f"{at.market}: {len(done.events):,} liquidations fitted ({', '.join(done.names)}), spectral radius "
        f"{done.fit.model.spectral_radius:.2f}, {stable}; {done.gain_out_of_sample:+.2f} nats per event above Poisson "
        f"on days not seen; P({arguments.at_least} within {arguments.within_hours} h, {arguments.horizon_hours} h) "
        f"{now['probability']:.1%} [{now['low']:.1%}, {now['high']:.1%}], Poisson {now['poisson']:.1%}"
    )


def read(store: Reader, market: str, snapshot_time: int, days: int) -> StoredLiquidations:
    """Liquidations of the market in the `days` before the snapshot; the window begins no earlier than they do."""
    # The stored history may begin later than the days asked for: there may have been liquidations before it.
    begun = oldest_liquidation(store, market)
    first = max(snapshot_time - days * DAY, begun - 1 if begun is not None else 0)
    return stored_liquidations(store, market, min(first, snapshot_time), snapshot_time)


def _is_stored(store: Reader, market: str, found: StoredLiquidations, asked: Asked) -> bool:
    """Whether the same liquidations are fitted, and the chance that is asked for is computed from the fit."""
    sql = (
        "SELECT count(*) FROM fact_cluster_calibration AS c JOIN mart_cluster_probability AS p "
        "ON p.calibration_id = c.calibration_id WHERE c.market = ? AND c.first_ts = ? AND c.last_ts = ? "
        "AND c.n_events = ? AND c.method = ? AND p.ts = c.last_ts AND p.horizon_seconds = ? AND p.within_seconds = ? "
        "AND p.at_least = ?"
    )
    question = (asked.horizon_hours * HOUR, asked.within_hours * HOUR, asked.at_least)
    fit = (market, found.first, found.last, len(found.seconds), json.dumps(METHOD))
    return bool(store.rows(sql, (*fit, *question))[0][0])


FLOW = FlowSpec(name="liquidation-clusters", options=Asked, run=run)
