"""`python -m data`: look after the warehouse file.

migrate      create it, or bring it to the layout of this version
tables       every table with its rows, columns and units
quarantine   batches that were refused, with the reason: list, show, replay, drop
refresh      bring the tables that SQL makes of others (data/marts) up to date
lineage      where a row came from: write, run, received rows
freshness    how old each table is, and which are late
post-mortem  a stored liquidation in full: prices, loss, health factor, what waiting would have brought
find         accounts, tokens, markets and price series by a part of their names
about        what the file is: layout, code, markets and blocks, rows, size, content digest
backup       a copy of it, taken while it is in use
verify       every row against its digest or seal; exit code 1 on a fault
snapshots    the stored snapshots
changes      what changed in a market between two stored blocks: accounts, and debt by action, interest and price
retain       which snapshots may go; --yes removes them
vacuum       how much room the file would give back; --yes rewrites it
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from data import lineage, look_up, marts
from data.environment import read_env_file
from data.errors import DataError
from data.foreign_text import safe_print
from data.quarantine import commands as quarantine_commands
from data.schemas.tables import tables
from data.schemas.views import views
from data.store.layout import SCHEMA_VERSION
from data.store.shape import database, key_of
from data.store.store import Store
from data.upkeep import commands as upkeep_commands


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of `python -m data`; returns the exit status."""
    read_env_file()
    parser = argparse.ArgumentParser(prog="python -m data", description="Look after the warehouse file (RISK_DB).")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("migrate", help="create the file, or bring it to the layout of this version")
    commands.add_parser("tables", help="every table with its rows, columns and units")
    quarantine = commands.add_parser("quarantine", help="batches that were refused: list, show, replay, drop")
    quarantine_commands.add_arguments(quarantine)
    made = commands.add_parser("refresh", help="bring the tables that SQL makes of others up to date")
    made.add_argument("target", nargs="*", help="tables of data/marts (default: all); their inputs come first")
    made.add_argument("--full", action="store_true", help="build them anew")
    origin = commands.add_parser("lineage", help="where a row came from: write, run, received rows")
    origin.add_argument("table")
    origin.add_argument("key", nargs="*", help="values in the order of the table's key; the last may be left out")
    commands.add_parser("freshness", help="how old each table is, and which are late")
    looked_for = commands.add_parser("find", help="accounts, tokens, markets and price series by a part of their names")
    looked_for.add_argument("text", nargs="+", help="beginnings of words: 0xabc, weth, sample")
    looked_for.add_argument("--kind", choices=look_up.KINDS, help="only names of this kind")
    looked_for.add_argument("--limit", type=int, default=20, metavar="N", help="at most N names (default 20)")
    told = commands.add_parser("post-mortem", help="a stored liquidation in full, by the hash of its transaction")
    told.add_argument("transaction", help="hash of the transaction, 0x and 64 hex digits")
    told.add_argument("--log-index", metavar="N", help="index of its log, where the transaction holds several")
    told.add_argument("--json", action="store_true", help="everything, unrounded, as JSON")
    upkeep_commands.add_arguments(commands)
    arguments = parser.parse_args(argv)
    try:
        if arguments.command == "migrate":
            _migrate()
        elif arguments.command == "tables":
            _tables()
        elif arguments.command == "refresh":
            _refresh(arguments.target or None, arguments.full)
        elif arguments.command == "lineage":
            _lineage(arguments.table, arguments.key)
        elif arguments.command == "freshness":
            _freshness()
        elif arguments.command == "find":
            _find(" ".join(arguments.text), arguments.kind, arguments.limit)
        elif arguments.command == "post-mortem":
            _post_mortem(arguments.transaction, arguments.log_index, arguments.json)
        elif arguments.command == "quarantine":
            quarantine_commands.run(arguments)
        else:
            return upkeep_commands.run(arguments, _age)
    except DataError as error:
        safe_print(f"data: {error}", file=sys.stderr)
        return 1
    return 0


def _migrate() -> None:
    with Store.open() as store:
        safe_print(f"{store.path}: layout {SCHEMA_VERSION}")


def _tables() -> None:
    with Store.open(readonly=True) as store, store.one_state() as connection:
        db = database(connection)
        for table in tables().values():
            safe_print(f"\n{table.name}: {db.table(table.name).count:,} rows, key {', '.join(key_of(db, table.name))}")
            for column in table.columns:
                empty = ", may be empty" if column.nullable else ""
                safe_print(f"  {column.name:28} {column.type:8} {column.description} [{column.unit}]{empty}")
    for view in views().values():
        safe_print(f"\n{view.name}: a view of {', '.join(view.reads)}\n  {view.about}")


def _refresh(names: Sequence[str] | None, full: bool) -> None:
    with Store.open() as store:
        for report in marts.refresh(store, names, full).values():
            how = "built anew" if report.rebuilt else "up to date" if not report.selected else "brought up to date"
            safe_print(
                f"{report.target}: {how}, {report.changed:,} new or changed, {report.removed:,} removed, "
                f"{report.checked:,} checked, up to batch {report.watermark}, {report.seconds:.2f} s"
            )


def _lineage(table: str, key: Sequence[str]) -> None:
    with Store.open(readonly=True) as store:
        for found in lineage.of(store, table, key):
            safe_print(f"\n{table}: " + ", ".join(f"{name} {value}" for name, value in found.row.items()))
            if found.write:
                write = found.write
                safe_print(f"  write {write.batch}: {write.source} {write.key}, {_moment(write.written_at)}")
                safe_print(f"  run {write.run_id}" + (f": {write.flow} {write.params}" if write.flow else ""))
                if write.payload_sha256:
                    safe_print(f"  answer {write.payload_sha256}")
            if found.made_by:
                safe_print(f"  made by {' > '.join(found.made_by)}")
            for rows in found.received:
                agree = ", ".join(f"{name} {value}" for name, value in rows.agree_in.items())
                came = f"; write {rows.write.batch}: {rows.write.source} {rows.write.key}" if rows.write else ""
                safe_print(
                    f"  {rows.table}: {rows.n_rows:,} {'row' if rows.n_rows == 1 else 'rows'} with {agree}{came}"
                )
                for sha256 in rows.payload_sha256:
                    safe_print(f"    of answer {sha256}")


def _freshness() -> None:
    with Store.open() as store:
        marts.refresh(store, ["mart_freshness"])
        rows = store.rows(
            "SELECT table_name, newest_at, written_at, age_s, written_age_s, every_s, is_late FROM freshness "
            "ORDER BY is_late DESC, table_name"
        )
    for table, newest, written, age, written_age, every, late in rows:
        newest_row = f"newest row {_moment(newest)} ({_age(age)} old), " if newest is not None else ""
        verdict = f"; LATE, expected within {_age(every)}" if late else ""
        safe_print(f"{table:36} {newest_row}last written {_moment(written)} ({_age(written_age)} ago){verdict}")
    if not rows:
        safe_print("nothing was written yet")


def _find(text: str, kind: str | None, limit: int) -> None:
    with Store.open() as store:
        found = look_up.find(store, text, kind=kind, limit=limit)
    for match in found:
        name = f"{match.name} {match.address}".strip()
        safe_print(
            f"{match.kind:8} {name}  {match.place}" + (f", {_moment(match.newest_at)}" if match.newest_at else "")
        )
    if not found:
        safe_print(f"nothing has a word that begins with {text}")


def _post_mortem(transaction: str, log_index: str | None, as_json: bool) -> None:
    from data import postmortem  # the engine, which no other command needs

    found = postmortem.post_mortem(transaction, log_index)
    if as_json:
        safe_print(json.dumps(postmortem.as_json(found), indent=1))
    else:
        safe_print("\n".join(postmortem.lines(found)))


def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _age(seconds: int) -> str:
    """Two units at most: 3 d 4 h, 12 min 5 s.

    >>> _age(376 * 86_400 + 73_558), _age(725), _age(0)
    ('376 d 20 h', '12 min 5 s', '0 s')
    """
    parts: list[str] = []
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, length)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2])


if __name__ == "__main__":
    sys.exit(main())
