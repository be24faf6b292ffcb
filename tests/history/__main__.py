"""`python -m tests.history FILE ...`: replay recorded lives of markets and hold every value against the contracts'.

A file is JSON, plain or under xz: the logs of a market, its blocks' times, and what the contracts answered at some
blocks. Prints a line for each file and a last line `N checked, M differences`. Exit status 0 when M is 0 and
something was checked, 1 otherwise, 2 when a file cannot be read.
"""

from __future__ import annotations

import argparse
import lzma
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.history.compare import Tally, check, load

SHOWN = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Check every file; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.history", description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a recorded life (.json or .json.xz)")
    total, unreadable = Tally(), 0
    for path in parser.parse_args(arguments).files:
        try:
            tally = check(load(path))
        except (OSError, ValueError, KeyError, TypeError, lzma.LZMAError) as wrong:
            print(f"{path}: cannot be read as a recorded life: {type(wrong).__name__} {wrong}", file=sys.stderr)
            unreadable += 1
            continue
        print(f"{path.name}: {tally.summary()}")
        for difference in tally.differences[:SHOWN]:
            print(f"  differs: {difference}")
        if len(tally.differences) > SHOWN:
            print(f"  and {len(tally.differences) - SHOWN} more")
        total.merge(tally)
    print(total.summary())
    return 1 if total.differences or not total.checked else 2 if unreadable else 0


if __name__ == "__main__":
    sys.exit(main())
