"""`python -m data quarantine`: list, show, replay and drop what was refused."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, Namespace
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from data.foreign_text import safe_print
from data.quarantine.replay import content, drop, find, replay
from data.store.store import Store

SHORT = 12
"""Characters of an id that are shown; any beginning that only one batch has is accepted."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the sub-commands; without one, batches that wait are listed."""
    _filters(parser)
    commands = parser.add_subparsers(dest="action", metavar="ACTION")
    # Options given before `list` keep their values unless `list` repeats them.
    _filters(commands.add_parser("list", help="batches that wait, newest first (the default)"), SUPPRESS)
    show = commands.add_parser("show", help="one batch: where it came from, what is wrong, its bad rows")
    show.add_argument("id", help="id of the batch, or its beginning")
    show.add_argument("--last", type=int, default=20, metavar="N", help="bad rows to print (default: %(default)s)")
    again = commands.add_parser("replay", help="judge the waiting rows again and write those that now pass")
    again.add_argument("id", help="id of the batch, or its beginning")
    again.add_argument(
        "--rename",
        type=_renaming,
        action="append",
        default=[],
        metavar="TABLE.OLD=NEW",
        help="take the column OLD for NEW first, where a source renamed a field; may be given again",
    )
    away = commands.add_parser("drop", help="settle a batch without writing it; its rows and the reason are kept")
    away.add_argument("id", help="id of the batch, or its beginning")
    away.add_argument("--reason", required=True, help="why these rows are not wanted")


def run(arguments: Namespace) -> None:
    """Do what `add_arguments` declared. Raises `DataError`."""
    match arguments.action:
        case "show":
            _show(arguments.id, arguments.last)
        case "replay":
            _replay(arguments.id, arguments.rename)
        case "drop":
            _drop(arguments.id, arguments.reason)
        case _:
            _list(arguments)


def _filters(parser: ArgumentParser, default: object = None) -> None:
    parser.add_argument(
        "--last", type=int, default=default or 20, metavar="N", help="how many batches at most (without this: 20)"
    )
    parser.add_argument("--table", default=default, help="only batches with rows for this table")
    parser.add_argument("--source", default=default, help="only batches of this source")
    parser.add_argument("--run", default=default, help="only batches that this run met")
    parser.add_argument(
        "--since", type=_moment, default=default, help="only batches refused at or after this time, UTC: 2026-03-01"
    )
    parser.add_argument(
        "--all", action="store_true", default=default or False, help="batches that were replayed or dropped too"
    )


def _list(arguments: Namespace) -> None:
    with Store.open(readonly=True) as store:
        batches = store.rows(
            "SELECT b.batch_id, datetime(b.quarantined_at, 'unixepoch'), b.source, b.batch_key, b.refused, b.n_rows, "
            "b.n_bad, b.state, b.reason, b.note, (SELECT max(f.batch) FROM fact_batch f WHERE f.source = b.source "
            "AND f.key = b.batch_key AND f.batch > b.newest_batch) FROM quarantine_batch b "
            "WHERE (:all OR b.state = 'open') AND (:source IS NULL OR b.source = :source) "
            "AND (:run IS NULL OR b.run_id = :run) AND (:since IS NULL OR b.quarantined_at >= :since) "
            "AND (:table IS NULL OR b.batch_id IN "
            "(SELECT batch_id FROM quarantine_content WHERE table_name = :table)) "
            "ORDER BY b.quarantined_at DESC, b.batch_id LIMIT :last",
            {name: getattr(arguments, name) for name in ("all", "source", "run", "since", "table", "last")},
        )
        older = store.rows("SELECT count(*) FROM quarantine WHERE batch_id = ''")[0][0]
    for batch_id, when, source, key, refused, n_rows, n_bad, state, reason, note, since in batches:
        what = f"refused, {n_rows:,} rows wait, {n_bad:,} are bad" if refused else f"{n_rows:,} bad rows wait"
        safe_print(f"{batch_id[:SHORT]}  {when} UTC  {source} {key}  {state if state != 'open' else what}")
        safe_print(f"  {reason}")
        if note:
            safe_print(f"  {note}")
        if since and state == "open" and refused:
            safe_print(f"  written since, by batch {since}: drop it")
    if not batches:
        safe_print("nothing is in quarantine")
    if older:
        safe_print(f"{older:,} more rows were kept by an older version, without their batches: run their flows again")


def _show(batch_id: str, last: int) -> None:
    with Store.open(readonly=True) as store:
        kept = find(store, batch_id)
        rows = store.rows(
            "SELECT table_name, row_number, state, reason, row FROM quarantine WHERE batch_id = ? "
            "ORDER BY state, table_name, row_number LIMIT ?",
            (kept.batch_id, last),
        )
        reason = store.rows("SELECT reason FROM quarantine_batch WHERE batch_id = ?", (kept.batch_id,))[0][0]
        frames = content(store, kept.batch_id)
    batch = kept.batch
    safe_print(f"batch    {kept.batch_id}")
    safe_print(f"state    {kept.state}" + (f": {kept.note}" if kept.note else ""))
    safe_print(
        f"from     {batch.source} {batch.key}, run {batch.run_id}, {datetime.fromtimestamp(batch.at, UTC):%F %T} UTC"
    )
    safe_print(
        f"terms    at most {batch.max_bad_share:.1%} bad rows"
        + (f", all of {dict(batch.scope)}" if batch.scope else "")
    )
    safe_print(f"payload  {batch.payload_sha256 or 'no digest'}")
    safe_print(f"reason   {reason}")
    for table, frame in frames.items():
        safe_print(f"kept     {len(frame):,} rows of {table}: {', '.join(map(str, frame.columns))}")
    for table, number, state, why, row in rows:
        safe_print(f"\n{table} row {number}, {state}\n  {why}\n  {row}")


def _replay(batch_id: str, renamings: list[tuple[str, str, str]]) -> None:
    def mend(table: str, frame: pd.DataFrame) -> pd.DataFrame:
        return frame.rename(columns={old: new for meant, old, new in renamings if meant == table})

    params: dict[str, Any] = {"rename": [f"{table}.{old}={new}" for table, old, new in renamings]} if renamings else {}
    with Store.open() as store:
        done = replay(store, batch_id, mend=mend if renamings else None, params=params)
    rows = ", ".join(f"{count:,} of {table}" for table, count in done.rows.items()) or "none"
    safe_print(
        f"{done.batch_id[:SHORT]}: rows written: {rows}; {sum(done.changed.values()):,} new or changed"
        + (f"; {done.superseded:,} left out, later batches have them" if done.superseded else "")
        + (f"; {done.still_bad:,} still bad and kept" if done.still_bad else "")
    )


def _drop(batch_id: str, reason: str) -> None:
    with Store.open() as store:
        kept = drop(store, batch_id, reason)
    safe_print(f"{kept.batch_id[:SHORT]}: dropped; its rows stay in quarantine_content")


def _renaming(text: str) -> tuple[str, str, str]:
    column, _, new = text.partition("=")
    table, _, old = column.partition(".")
    if not (table and old and new):
        raise ArgumentTypeError(f"expected TABLE.OLD=NEW, found {text!r}")
    return table, old, new


def _moment(text: str) -> int:
    if text.isascii() and text.isdecimal():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"expected a date such as 2026-03-01 or UTC seconds, found {text!r}") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
