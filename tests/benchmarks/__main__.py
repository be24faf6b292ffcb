"""`make bench`, or `python -m tests.benchmarks [part ...]`: prints a table and writes build/bench.json."""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Sequence

PARTS = (
    "engine",
    "profile",
    "cascade",
    "scaling",
    "dask",
    "warehouse",
    "writing",
    "workbench",
    "browser",
    "ingest",
    "snapshot",
    "history",
    "lookback",
    "first_figure",
    "marts",
    "chain",
    "live",
    "commands",
    "coverage",
    "sampling",
    "analytics",
    "models",
)


def parts(argv: Sequence[str] | None = None) -> tuple[str, ...]:
    """The parts that a command line names, in its order; all of them where it names none."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    # Not `choices`: before Python 3.12, argparse holds the empty list of no argument against them and refuses it.
    parser.add_argument("part", nargs="*", help=f"measure these parts only: {', '.join(PARTS)}")
    chosen = parser.parse_args(argv).part
    for part in chosen:
        if part not in PARTS:
            parser.error(f"there is no part {part!r}; the parts are {', '.join(PARTS)}")
    return tuple(chosen) or PARTS


def main() -> None:
    chosen = parts()
    # Baselines use BLAS; one thread, as the engine's rows say.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")

    from tests.benchmarks.table import Table, machine

    table = Table()
    print(f"medians of interleaved rounds; {machine()}")
    for part in chosen:
        importlib.import_module(f"tests.benchmarks.{part}").run(table)
        table.save()
    print("\nwritten to build/bench.json")


if __name__ == "__main__":
    main()
