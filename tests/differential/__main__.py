"""`python -m tests.differential FILE ...`: hold our rules against truth files.

Prints a line for each file and a last line `N checked, M differences`. Exit status 0 when M is 0, 1 when it is not,
2 when a file cannot be read as a truth file or its revision has no rules.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tests.differential import float_layer, integer_layer, simulate_layer
from tests.differential.tally import Tally
from tests.reference.aave_records import UnknownRevision
from tests.reference.truth import Truth, TruthError


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    total, unreadable = Tally(), 0
    for path in options.files:
        try:
            truth = Truth.load(path)
        except (TruthError, UnknownRevision) as exc:
            print(f"{path}: {exc}", file=sys.stderr)
            unreadable += 1
            continue
        for layer, check in LAYERS.items():
            if options.layer in (layer, "all"):
                tally = check(truth)
                print(f"{truth.name} (POOL_REVISION {truth.revision}), {layer}: {tally.summary()}", flush=True)
                total.merge(tally)
    _list(total, options.list)
    print(total.summary())
    return 1 if total.differences else 2 if unreadable else 0


LAYERS = {"integers": integer_layer.check, "engine": float_layer.check, "simulate": simulate_layer.check}


def _list(total: Tally, limit: int) -> None:
    for difference in total.differences[:limit]:
        print(f"  differs: {difference}")
    if len(total.differences) > limit:
        print(f"  ... and {len(total.differences) - limit} more (--list N shows more)")
    if total.aside:
        print(f"stood aside, judged by the integer model alone: {len(total.aside)}")
        for reason, count in total.reasons().most_common():
            print(f"  {reason}: {count}")
            for where in [where for why, where in total.aside if why == reason]:
                print(f"    {where}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", metavar="FILE", help="a truth file, X.json.xz")
    parser.add_argument("--layer", choices=[*LAYERS, "all"], default="all", help="which judge to hear")
    parser.add_argument("--list", type=int, default=20, metavar="N", help="how many differences to list")
    return parser


if __name__ == "__main__":
    sys.exit(main())
