"""`python -m data`: look after the warehouse file.

migrate      create it, or bring it to the layout of this version
tables       every table with its rows, columns and units
quarantine   batches that were refused, with the reason: list, show, replay, drop
refresh      bring the tables that SQL makes of others (data/marts) up to date
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from data.errors import DataError
from data.quarantine import commands as quarantine_commands
from data.store import Store


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of `python -m data`; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m data", description="Look after the warehouse file (RISK_DB).")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("migrate", help="create the file, or bring it to the layout of this version")
    commands.add_parser("tables", help="every table with its rows, columns and units")
    quarantine = commands.add_parser("quarantine", help="batches that were refused: list, show, replay, drop")
    quarantine_commands.add_arguments(quarantine)
    made = commands.add_parser("refresh", help="bring the tables that SQL makes of others up to date")
    made.add_argument("target", nargs="*", help="tables of data/marts (default: all); their inputs come first")
    made.add_argument("--full", action="store_true", help="build them anew")
    arguments = parser.parse_args(argv)
    try:
        if arguments.command == "migrate":
            _migrate()
        elif arguments.command == "tables":
            _tables()
        elif arguments.command == "refresh":
            _refresh(arguments.target or None, arguments.full)
        else:
            quarantine_commands.run(arguments)
    except DataError as error:
        print(f"data: {error}", file=sys.stderr)
        return 1
    return 0


def _migrate() -> None:
    from data.migrations import SCHEMA_VERSION

    with Store.open() as store:
        print(f"{store.path}: layout {SCHEMA_VERSION}")


def _tables() -> None:
    from data.tables import tables
    from data.views import views

    with Store.open(readonly=True) as store:
        for table in tables().values():
            rows = store.rows(f'SELECT count(*) FROM "{table.name}"')[0][0]
            print(f"\n{table.name}: {rows:,} rows, key {', '.join(table.key)}")
            for column in table.columns:
                empty = ", may be empty" if column.nullable else ""
                print(f"  {column.name:28} {column.type:8} {column.description} [{column.unit}]{empty}")
    for view in views().values():
        print(f"\n{view.name}: a view of {', '.join(view.reads)}\n  {view.about}")


def _refresh(names: Sequence[str] | None, full: bool) -> None:
    from data import marts

    with Store.open() as store:
        for report in marts.refresh(store, names, full).values():
            how = "built anew" if report.rebuilt else "up to date" if not report.selected else "brought up to date"
            print(
                f"{report.target}: {how}, {report.changed:,} new or changed, {report.removed:,} removed, "
                f"{report.checked:,} checked, up to batch {report.watermark}, {report.seconds:.2f} s"
            )


if __name__ == "__main__":
    sys.exit(main())
