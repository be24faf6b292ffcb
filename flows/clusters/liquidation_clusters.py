"""Flow `liquidation-clusters`: fit a Hawkes process to stored liquidations, store it and the chance of a cluster."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pandas as pd
from tqdm import tqdm

from data.liquidations import HOUR, StoredLiquidations, oldest_liquidation, stored_liquidations
from data.snapshot.loading import newest
from data.store.store import Store
from flows.clusters.comparing import comparison_rows, newest_run
from flows.clusters.fitting import (
    METHOD,
    TooFewEvents,
    calibration_row,
    enough,
    fitted,
    probability_rows,
)
from flows.clusters.options import LiquidationClustersOptions
from flows.pipeline import recorded
from risk_core.analytics.hawkes import PRICES, SEEN

if TYPE_CHECKING:
    from data.results import RiskRun
    from data.store.reader import Reader

SOURCE = "clusters"
DAY = 86_400


def run(arguments: LiquidationClustersOptions) -> str:
    """Fit, simulate and store; returns one line. Raises `TooFewEvents`, `data.errors.NoSnapshot`."""
    with Store.open() as store:
        at = newest(arguments.market)
        found = read(store, at.market, at.block_time, arguments.days)
        engine = newest_run(at)
        if arguments.skip_if_stored and _is_stored(store, at.market, found, arguments, engine):
            return f"{at.market}: the newest liquidations are fitted already: nothing to do"
        try:
            enough(found)
        except TooFewEvents as few:
            if arguments.or_nothing:
                return f"{at.market}: {few}: nothing to do"
            raise
        with recorded(store, "liquidation-clusters", arguments.model_dump()) as run:
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
            compared = comparison_rows(
                at, found.last, done, engine, at_least=arguments.at_least, paths=arguments.engine_paths,
                seed=arguments.seed,
            )  # fmt: skip
            row = calibration_row(at.market, found, done, int(time.time()))
            frames = {
                "fact_cluster_calibration": pd.DataFrame([row]),
                "mart_cluster_probability": pd.DataFrame(rows),
                "mart_cluster_comparison": pd.DataFrame(compared),
            }
            run.write(SOURCE, f"{at.market}:{found.last}", frames)
    now = rows[-1]
    stable = "stationary" if done.fit.model.is_stationary else "EXPLOSIVE, no mean rate"
    return (
        f"{at.market}: {len(done.events):,} liquidations fitted ({', '.join(done.names)}), spectral radius "
        f"{done.fit.model.spectral_radius:.2f}, {stable}; {done.gain_out_of_sample:+.2f} nats per event above Poisson "
        f"on days not seen; P({arguments.at_least} within {arguments.within_hours} h, {arguments.horizon_hours} h) "
        f"{now['probability']:.1%} [{now['low']:.1%}, {now['high']:.1%}], Poisson {now['poisson']:.1%}; "
        f"{_dispersions(compared)}"
    )


def _dispersions(rows: list[dict[str, Any]]) -> str:
    """What was seen beside what prices alone bring, in words."""
    seen, prices = (next(row for row in rows if row["of"] == of) for of in (SEEN, PRICES))
    hours = seen["window_seconds"] / HOUR
    told = "not known" if prices["missing"] else f"{prices['dispersion_window']:.1f}"
    return f"dispersion of counts of {hours:g} h: seen {seen['dispersion_window']:.1f}, by prices alone {told}"


def read(store: Reader, market: str, snapshot_time: int, days: int) -> StoredLiquidations:
    """Liquidations of the market in the `days` before the snapshot; the window begins no earlier than they do."""
    # The stored history may begin later than the days asked for: there may have been liquidations before it.
    begun = oldest_liquidation(store, market)
    first = max(snapshot_time - days * DAY, begun - 1 if begun is not None else 0)
    first = first // HOUR * HOUR  # a full hour, so that parts of the window are hours of the day
    return stored_liquidations(store, market, min(first, snapshot_time), snapshot_time)


def _is_stored(
    store: Reader, market: str, found: StoredLiquidations, asked: LiquidationClustersOptions, engine: RiskRun | None
) -> bool:
    """Whether the same liquidations are fitted, the chance asked for is computed, and compared with the newest run."""
    sql = (
        "SELECT count(*) FROM fact_cluster_calibration AS c JOIN mart_cluster_probability AS p "
        "ON p.calibration_id = c.calibration_id WHERE c.market = ? AND c.first_ts = ? AND c.last_ts = ? "
        "AND c.n_events = ? AND c.method = ? AND p.ts = c.last_ts AND p.horizon_seconds = ? AND p.within_seconds = ? "
        "AND p.at_least = ? AND EXISTS (SELECT 1 FROM mart_cluster_comparison AS m WHERE m.calibration_id = "
        "c.calibration_id AND m.at_least = p.at_least AND m.of = ? AND m.run_id IS ?)"
    )
    question = (asked.horizon_hours * HOUR, asked.within_hours * HOUR, asked.at_least)
    fit = (market, found.first, found.last, len(found.seconds), json.dumps(METHOD))
    return bool(store.rows(sql, (*fit, *question, PRICES, engine.run_id if engine else None))[0][0])
