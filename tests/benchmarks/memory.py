"""Memory of a job, in a process of its own: what ran before it has no part in the figure.

`python -m tests.benchmarks.memory REPORT MODULE [argument ...]` runs a module as `python -m` does and writes the most
memory that it held, in MB, to the file REPORT.
"""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def peak_mb() -> float:
    """The most memory this process has held since its program began, in MB (2**20 bytes)."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: on Linux its high-water mark starts at that of the process which started this one.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024


def alone(script: str) -> float:
    """The number that a script prints last, run in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ, cwd=REPOSITORY
    )
    return float(json.loads(done.stdout.splitlines()[-1]))


def peak_of(script: str) -> float:
    """MB at most of a script, run in a process of its own."""
    return alone(f"{script}\nfrom tests.benchmarks.memory import peak_mb\nprint(peak_mb())\n")


def main(report: str, module: str, *arguments: str) -> None:
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        Path(report).write_text(f"{peak_mb()}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
