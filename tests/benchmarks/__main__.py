"""`make bench`, or `python -m tests.benchmarks [part ...]`: prints a table and writes build/bench.json."""

from __future__ import annotations

import argparse
import importlib
import os

PARTS = (
    "engine",
    "profile",
    "cascade",
    "scaling",
    "warehouse",
    "writing",
    "workbench",
    "ingest",
    "snapshot",
    "marts",
    "chain",
    "live",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("part", nargs="*", choices=PARTS, default=[], help="measure these parts only")
    chosen = parser.parse_args().part or PARTS
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
