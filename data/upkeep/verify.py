"""Check a warehouse file: every check that the stored rows allow, one line for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from data.errors import DataError
from data.results import forecasts, runs
from data.snapshot.choosing import OF_THE_ENGINE, PARTS, WHERE
from data.snapshot.loading import load_market, missing_rows
from data.store.holding import HOLDS
from data.store.reader import Reader
from risk_core.errors import InputError

MOST = 3
"""Most examples in one line."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what was checked, what was found, and whether that is a fault."""

    subject: str
    found: str
    is_fault: bool = False


def checks(store: Reader) -> Iterator[Check]:
    """Yield the checks on the file of `store` one by one: pages, references, owners, snapshots, runs, forecasts."""
    yield _pages(store)
    yield _references(store)
    yield from _owners(store)
    for market, block, protocol, accounts, stated in store.rows(
        "SELECT market, block, coalesce(protocol, ?), n_accounts, snapshot_hash FROM fact_snapshot "
        "ORDER BY market, block",
        (OF_THE_ENGINE,),
    ):
        yield _snapshot(store, market, block, protocol, accounts, stated)
    for run_id, market, block in store.rows(
        "SELECT run_id, market, block FROM fact_risk_run ORDER BY market, block, run_id"
    ):
        yield _run(store, run_id, market, block)
    yield _forecasts(store)


def _pages(store: Reader) -> Check:
    found = [str(row[0]) for row in store.rows(f"PRAGMA integrity_check({MOST})")]
    return Check("pages of the file", "; ".join(found), found != ["ok"])


def _references(store: Reader) -> Check:
    found = store.rows("PRAGMA foreign_key_check")
    examples = ", ".join(f"{table} (row {row})" for table, row, *_ in found[:MOST])
    return Check("foreign keys", f"{len(found)} rows point to nothing: {examples}" if found else "ok", bool(found))


def _owners(store: Reader) -> Iterator[Check]:
    """Check for rows of snapshots and runs that are not stored."""
    for table in (*PARTS, "raw_aave_account_data"):
        of = f"SELECT market, block FROM {table}"
        if WHERE.get(table) == HOLDS:
            of = f"SELECT market, valid_from AS block FROM {table} UNION SELECT market, valid_to FROM {table}"
        found = store.rows(
            f"SELECT market, block FROM ({of}) WHERE block IS NOT NULL EXCEPT SELECT market, block FROM fact_snapshot"
        )
        examples = ", ".join(f"{market} at block {block}" for market, block in found[:MOST])
        what = f"belong to {len(found)} snapshots that are not stored: {examples}" if found else "ok"
        yield Check(f"rows of {table}", what, bool(found))
    for table in ("fact_risk_scenarios", "fact_risk_series", "fact_forecast"):
        found = store.rows(f"SELECT DISTINCT run_id FROM {table} EXCEPT SELECT run_id FROM fact_risk_run")
        examples = ", ".join(run_id[:12] for (run_id,) in found[:MOST])
        what = f"belong to {len(found)} runs that are not stored: {examples}" if found else "ok"
        yield Check(f"rows of {table}", what, bool(found))


def _snapshot(store: Reader, market: str, block: int, protocol: str, accounts: int, stated: str) -> Check:
    subject = f"snapshot {market} at block {block}"
    try:
        if protocol != OF_THE_ENGINE:
            missing = missing_rows(store, market, block)
            return Check(
                subject,
                missing
                or f"ok, {accounts} accounts, no row is missing; rows of {protocol} have no "
                "digest that can be computed again",
                bool(missing),
            )
        load_market(block, market, store.path, verify=True)
    except (DataError, InputError) as error:
        return Check(subject, str(error), True)
    return Check(subject, f"ok, {accounts} accounts, digest {stated[:16]}")


def _run(store: Reader, run_id: str, market: str, block: int) -> Check:
    subject = f"risk run {run_id[:12]} of {market} at block {block}"
    try:
        run = runs.read(store, run_id)
    except (DataError, InputError, ValueError, TypeError, KeyError) as error:
        return Check(subject, str(error), True)
    kept = store.rows("SELECT 1 FROM fact_snapshot WHERE snapshot_hash = ?", (run.snapshot_hash,))
    return Check(subject, f"ok, {len(run.figures)} figures" + ("" if kept else "; its snapshot is no longer stored"))


def _forecasts(store: Reader) -> Check:
    sound = 0
    changed: list[dict[str, Any]] = []
    for (run_id,) in store.rows("SELECT DISTINCT run_id FROM fact_forecast ORDER BY run_id"):
        good, bad = forecasts.stored(store, run_id)
        sound, changed = sound + len(good), changed + bad
    examples = ", ".join(f"{row['run_id'][:12]} {row['measure']} at {row['level']}" for row in changed[:MOST])
    if changed:
        return Check(
            "forecasts",
            f"{len(changed)} of {sound + len(changed)} were changed after they were written: {examples}",
            True,
        )
    return Check("forecasts", f"ok, {sound} match their seals")
