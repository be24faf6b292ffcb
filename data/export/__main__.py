"""`python -m data.export`: export the tables of the warehouse to Parquet, DuckDB, PostgreSQL or SQLite.

`python -m data.export ddl` writes the definitions of the tables, and the SQL that makes marts of raw tables, in the
dialect of another warehouse.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from data import settings
from data.environment import read_env_file
from data.errors import DataError, ExportFailed
from data.export import export
from data.export.failures import require_packages
from data.export.targets import target
from data.foreign_text import safe_print


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of `python -m data.export`; returns the exit status."""
    read_env_file()
    arguments = _parser().parse_args(argv)
    try:
        if arguments.command == "ddl":
            _ddl(arguments.dialect, arguments.out)
        else:
            _export(arguments)
    except DataError as error:
        safe_print(f"data.export: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m data.export",
        description="Export the tables of the warehouse (RISK_DB).",
        epilog="Without a command the tables are exported.",
    )
    parser.add_argument(
        "--to",
        metavar="TARGET",
        help="folder for Parquet, file.duckdb, or an address: parquet:///, duckdb:///, sqlite:///, postgresql:// "
        "(default: WAREHOUSE_URL; a password belongs there, not on the command line)",
    )
    parser.add_argument("--tables", nargs="+", metavar="TABLE", help="these tables (default: dim_, fact_ and mart_)")
    parser.add_argument("--all", action="store_true", help="also raw_, stg_ and the tables about writes and runs")
    parser.add_argument(
        "--content",
        action="store_true",
        help="leave out who wrote a row and when: two warehouses of the same content give the same files",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    ddl = commands.add_parser("ddl", help="the tables and marts in another dialect of SQL")
    ddl.add_argument(
        "--dialect", required=True, metavar="NAME", help="postgres, duckdb, bigquery, snowflake, clickhouse"
    )
    ddl.add_argument("--out", type=Path, metavar="DIR", help="write files (default: print)")
    return parser


def _export(arguments: argparse.Namespace) -> None:
    to = arguments.to or settings.warehouse_url()
    if not to:
        raise ExportFailed("no target: give --to, or set WAREHOUSE_URL: a folder, file.duckdb, or postgresql://…")
    if arguments.tables and arguments.all:
        raise ExportFailed("--tables and --all exclude each other")
    done = export(to, arguments.tables, arguments.all, content=arguments.content, progress=True)
    for table in done.tables:
        safe_print(f"{table.name:36} {table.n_rows:12,} rows  {table.checksum[:16]}")
    safe_print(f"{sum(t.n_rows for t in done.tables):,} rows of {len(done.tables)} tables in {target(to).name}")


def _ddl(dialect: str, out: Path | None) -> None:
    require_packages("ddl")
    # Imported here, not at the top: SQLGlot need not be installed for an export.
    from data.export.scripts import scripts

    for name, text in scripts(dialect).items():
        if out is None:
            safe_print(f"-- {name}\n{text}")
        else:
            path = out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            safe_print(path)


if __name__ == "__main__":
    sys.exit(main())
