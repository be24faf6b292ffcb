"""Fill the warehouse with the sample, by the same functions as live data."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from data import marts
from data.environment import read_env_file
from data.errors import DataError, NoSnapshot, SnapshotIncomplete, WarehouseError, WarehouseMissing
from data.foreign_text import safe_print
from data.prices import assets
from data.sample import (
    activity,
    cover,
    forecasts,
    frames,
    liquidations,
    prices,
    protocols,
    publications,
    quotes,
    wallet_events,
)
from data.sample.book import Holdings, book, holdings
from data.sample.planted import planted
from data.sample.statistics import statistics
from data.settings import SAMPLE_CHAIN, SAMPLE_MARKET, risk_db
from data.snapshot.loading import newest
from data.snapshot.saving import save_snapshot
from data.store.store import Store
from risk_core import RiskCoreError

SOURCE = "sample"
FLOW = "sample"
"""`flow` of the sample's runs in `fact_run`."""

_WHOLE = """
SELECT EXISTS (
  SELECT 1 FROM fact_run AS done
  WHERE done.flow = 'sample' AND done.state = 'completed' AND NOT EXISTS (
    SELECT 1 FROM fact_run AS later
    WHERE later.flow = 'sample' AND later.state <> 'completed' AND later.started_at >= done.started_at)
)
"""


def fill(n_accounts: int = 20_000, seed: int = 7, db: Path | str | None = None) -> str:
    """Write the sample's snapshot, prices and asset map to `db` (`RISK_DB` when None); returns one line of summary.

    A sample stored before is replaced; writing the same one again changes nothing. Raises `WarehouseError`.
    """
    held = holdings(n_accounts, seed)
    with Store.open(db) as store:
        run = store.start_run(FLOW, {"accounts": n_accounts, "seed": seed})
        with _failure_noted(store, run):
            report = save_snapshot(store, SOURCE, frames.in_numbers(frames.frames(held)), run)
            n_prices = _write_prices(store, seed, run)
            n_liquidations, n_others = _write_events(store, held, seed, run)
            n_forecasts = _write_forecasts(store, seed, run)
            n_blocks = _write_activity(store, seed, run)
            _write_protocol(store, held, seed, run)
            n_quotes = _write_quotes(store, held, seed, run)
            store.write_batch(SOURCE, f"cover:{seed}", cover.frames(held), run, scope=cover.SCOPE)
            store.write_batch(SOURCE, f"publications:{seed}", publications.frames(seed), run, scope=publications.SCOPE)
        done = (
            f"sample of {n_accounts:,} accounts, {report.rows['raw_aave_balances']:,} positions, {n_prices:,} "
            f"synthetic prices, {n_liquidations:,} synthetic liquidations, {n_others:,} other events, "
            f"{n_forecasts:,} synthetic forecasts of past days, {n_quotes:,} assumed quotes and {n_blocks:,} synthetic "
            f"blocks in {store.path}"
        )
        store.finish_run(run, "completed", done)
    return done


def renew_prices(db: Path | str | None = None) -> str:
    """Write the prices and the map of this version to a sample that an older one made; its accounts stay.

    Prices are those of the sample's own seed. Raises `WarehouseError`.
    """
    with Store.open(db) as store:
        made = store.rows(
            "SELECT params FROM fact_run WHERE flow = ? AND state = 'completed' ORDER BY started_at DESC LIMIT 1",
            (FLOW,),
        )
        parameters = json.loads(made[0][0]) if made else {}
        run = store.start_run(FLOW, parameters)
        with _failure_noted(store, run):
            n_prices = _write_prices(store, int(parameters.get("seed", 7)), run)
        done = (
            f"{n_prices:,} synthetic prices of this version for the sample in {store.path}; its accounts are as before"
        )
        store.finish_run(run, "completed", done)
    return done


@contextmanager
def _failure_noted(store: Store, run: str) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        with suppress(WarehouseError):  # a full disk has no room for this note either
            store.finish_run(run, "failed", f"{type(error).__name__}: {error}")
        raise


def _write_prices(store: Store, seed: int, run: str) -> int:
    """Write the synthetic series and the map of which reserve follows which; returns the number of prices."""
    series = prices.frame(seed)
    store.write_batch(
        SOURCE,
        f"prices:{seed}",
        {"dim_prices": series},
        run,
        scope={"source": prices.SYNTHETIC},
    )
    assets.save_map(store, assets.asset_map(SAMPLE_MARKET, store.path), run)
    return len(series)


def _write_events(store: Store, held: Holdings, seed: int, run: str) -> tuple[int, int]:
    """Write the synthetic lending events and what SQL makes of them; returns (liquidations, other events)."""
    oracle = prices.Oracle(prices.frame(seed))
    known = planted(held, oracle)
    tables = liquidations.frames(held.addresses, oracle, known, seed)
    tables |= wallet_events.frames(held, seed, {one.account for one in known})
    n_events = [len(table) for table in tables.values()]
    made = hashlib.sha256(f"sample:events:{seed}:{len(held.addresses)}".encode()).hexdigest()
    tables |= liquidations.blocks_and_assets(tables, oracle, known)
    store.write_batch(SOURCE, f"events:{seed}", tables, run, payload_sha256=made)
    marts.refresh(store, ["fact_lending_liquidation_events"], run_id=run)
    return n_events[0], sum(n_events[1:])


def _write_forecasts(store: Store, seed: int, run: str) -> int:
    """Forecasts of the sample's past days, and what came beside them; how many runs they were."""
    tables = forecasts.frames(seed)
    store.write_batch(SOURCE, f"forecasts:{seed}", tables, run)
    marts.refresh(store, ["mart_forecast_outcome"], run_id=run)
    return len(tables["fact_risk_run"])


def _write_activity(store: Store, seed: int, run: str) -> int:
    """Write the blocks of the made-up chain and what SQL makes of them; returns the number of blocks."""
    tables = activity.frames(seed)
    made = hashlib.sha256(f"sample:activity:{seed}".encode()).hexdigest()
    # Another seed has other blocks: blocks of an older sample are removed.
    store.write_batch(SOURCE, f"activity:{seed}", tables, run, payload_sha256=made, scope={"chain_id": SAMPLE_CHAIN})
    marts.refresh(store, ["mart_token_transfer_hourly", "mart_address_activity"], run_id=run)
    return len(tables["stg_chain_blocks"])


def _write_protocol(store: Store, held: Holdings, seed: int, run: str) -> None:
    """The made-up history of what the market holds and has lent, and what SQL makes of it."""
    tables = protocols.frames(held, seed)
    # Another sample has another history, and a point that changed would be a further row of it.
    store.write_batch(SOURCE, f"protocol:{seed}", tables, run, scope={"slug": protocols.SLUG})
    marts.refresh(store, ["fact_protocol_snapshot"], run_id=run)


def _write_quotes(store: Store, held: Holdings, seed: int, run: str) -> int:
    """Write what sales are assumed to bring in; returns the number of quotes."""
    tables = quotes.frames(held, seed)
    store.write_batch(SOURCE, f"quotes:{seed}", tables, run, scope=quotes.SCOPE)
    return len(tables["dim_quote_ladder"])


def lacks_series(db: Path | str | None = None) -> bool:
    """True for a sample of an older version, without a price series that its reserves follow now."""
    if newest(db=db).market != SAMPLE_MARKET:
        return False
    with Store.open(db, readonly=True) as store:
        stored = {row[0] for row in store.rows("SELECT DISTINCT symbol FROM dim_prices WHERE is_synthetic = 1")}
    return not stored.issuperset(prices.series_needed())


def is_filled(db: Path | str | None = None) -> bool:
    """True when the warehouse holds a live snapshot, or a sample that was written to its end.

    The sample is written in several steps: a stored snapshot does not mean that its prices and map are stored, too.
    """
    try:
        found = newest(db=db)
    except (WarehouseMissing, NoSnapshot, SnapshotIncomplete):
        return False
    if not found.synthetic or found.market != SAMPLE_MARKET:
        return True
    with Store.open(db, readonly=True) as store:
        [(whole,)] = store.rows(_WHOLE)
    return bool(whole)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of `python -m data.sample`; returns the exit status."""
    read_env_file()
    parser = argparse.ArgumentParser(
        prog="python -m data.sample",
        description="Fill the warehouse (RISK_DB) with the built-in sample: real configuration, synthetic accounts.",
    )
    parser.add_argument("--accounts", type=int, default=20_000, metavar="N", help="accounts, 100 to 1,000,000 or more")
    parser.add_argument("--seed", type=int, default=7, metavar="S", help="seed of the accounts and prices")
    parser.add_argument("--if-empty", action="store_true", help="do nothing when the warehouse has a whole snapshot")
    parser.add_argument("--statistics", action="store_true", help="print the sample's statistics and write nothing")
    arguments = parser.parse_args(argv)
    try:
        if arguments.statistics:
            safe_print("\n".join(statistics(book(arguments.accounts, arguments.seed)).lines()))
        elif arguments.if_empty and is_filled():
            safe_print(renew_prices() if lacks_series() else f"{risk_db()} has a snapshot: nothing to do")
        else:
            safe_print(fill(arguments.accounts, arguments.seed))
    except (DataError, RiskCoreError, ValueError) as error:
        safe_print(f"data.sample: {error}", file=sys.stderr)
        return 1
    return 0
