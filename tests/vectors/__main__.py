"""`python -m tests.vectors FILE ...`: hold our functions against published and recomputed numbers.

A file is JSON with vectors under known names, as `checks` lists them. Prints a line for each group, the groups that no
function of ours answers yet as "not built", and a last line `N checked, M differences`. Exit status 0 when M is 0 and
something was checked, 1 otherwise, 2 when a file cannot be read.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.vectors.checks import CHECKS, Tally, Unusable


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks of every file; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.vectors", description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a JSON file of vectors")
    total, unreadable, not_built = Tally(), 0, 0
    for path in parser.parse_args(arguments).files:
        try:
            groups = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(groups, dict):
                raise ValueError("expected an object of groups")
        except (OSError, ValueError) as exc:
            print(f"{path}: {exc}", file=sys.stderr)
            unreadable += 1
            continue
        for name, group in groups.items():
            if not isinstance(group, dict):
                continue
            check = CHECKS.get(name)
            if check is None:
                not_built += 1
                print(f"{path.name} {name}: not built")
                continue
            tally = Tally()
            try:
                check(group, path.parent, tally)
            except (KeyError, TypeError, ValueError, Unusable) as exc:
                print(f"{path}: {name} cannot be read as vectors: {type(exc).__name__} {exc}", file=sys.stderr)
                unreadable += 1
            print(f"{path.name} {name}: {tally.summary()}")
            total.merge(tally)
    for difference in total.differences:
        print(f"  differs: {difference}")
    print(f"{not_built} groups not built")
    print(total.summary())
    return 1 if total.differences or not total.checked else 2 if unreadable else 0


if __name__ == "__main__":
    sys.exit(main())
