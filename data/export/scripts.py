"""The SQL files of one dialect: tables, functions, and how each mart is built from its inputs."""

from __future__ import annotations

from data.errors import ExportFailed
from data.export import marts
from data.export.ddl import DIALECTS, EXECUTED, ddl
from data.export.failures import require_packages
from data.export.functions import FUNCTIONS
from data.marts.target import targets
from data.schemas.tables import tables


def scripts(dialect: str) -> dict[str, str]:
    """File name to text, in the order of use: tables, functions, marts. Raises `ExportFailed`.

    The marts are numbered, because one may read another; each fills its empty table anew.
    """
    if dialect not in DIALECTS:
        raise ExportFailed(f"--dialect: expected one of {', '.join(DIALECTS)}, found {dialect!r}")
    require_packages("ddl")
    run = "" if dialect in EXECUTED else f"-- Written and parsed back, never run on {dialect} itself.\n"
    files = {
        "1_tables.sql": run + "\n\n".join(ddl(table, dialect) + ";" for table in tables().values()) + "\n",
        "2_functions.sql": run + FUNCTIONS[dialect],
    }
    for n, target in enumerate(targets().values(), 1):
        about = f"-- {target.about}\n-- Made of {', '.join(target.reads)}.\n"
        if not target.everywhere:
            files[f"3_marts/{n:02}_{target.name}.sql"] = (
                run + about + "-- Needs 256-bit integers: its rows come with the export, as those of a raw table.\n"
            )
            continue
        files[f"3_marts/{n:02}_{target.name}.sql"] = run + about + marts.build(target, dialect) + ";\n"
    return files
