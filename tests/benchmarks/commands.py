"""How long a command takes to answer, process start included.

first_run_s, from a clone to the page, is not measured here, since it downloads packages. By
hand, in a fresh clone: `time make run`, up to the line "Workbench on".
"""

from __future__ import annotations

import subprocess
import sys

from tests.benchmarks.memory import REPOSITORY
from tests.benchmarks.table import Table
from tests.benchmarks.timing import seconds


def run(table: Table) -> None:
    table.title("commands, each in a process of its own")
    taken = seconds({name: lambda name=name: answer(name) for name in ("list", "--help")})
    table.add("cli_list_s", max(taken.values()), "s", "`python -m flows list` or `--help`, the slower", 0.5, True)


def answer(argument: str) -> None:
    """Run `python -m flows` with one argument; raises `CalledProcessError` where it fails."""
    command = [sys.executable, "-m", "flows", argument]
    subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, check=True)
