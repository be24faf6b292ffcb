"""`make notebooks`: run every notebook and write it, with its outputs, beside its script."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from nbclient.exceptions import CellExecutionError

from tests import notebooks
from tests.notebooks.pictures import NoBrowser, draw


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.notebooks", description=__doc__)
    parser.add_argument("--measure", action="store_true", help="measure the speeds anew; kept otherwise")
    parser.add_argument("script", nargs="*", type=Path, default=notebooks.SCRIPTS, help="default: all")
    given = parser.parse_args(arguments)
    for script in given.script:
        try:
            print(f"{script.name}: {renew(script.resolve(), measure=given.measure)}", flush=True)
        except (CellExecutionError, NoBrowser) as error:
            print(f"{script.name}: {error}", file=sys.stderr)
            return 1
    return 0


def renew(script: Path, *, measure: bool = False) -> str:
    """Run one notebook and write it where it changed; says what happened. Raises `CellExecutionError`, `NoBrowser`."""
    old = notebooks.read_notebook(script)
    notebook = notebooks.run(script)
    if not measure:
        notebooks.keep_measured(notebook, old)
    notebooks.with_pictures(notebook, old, draw)
    if found := notebooks.complaints(notebook):
        raise SystemExit(f"{script.name} is not written: " + "; ".join(found))
    path, text = notebooks.notebook_of(script), notebooks.written(notebook)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return "unchanged"
    path.write_text(text, encoding="utf-8", newline="\n")
    return f"written, {len(text.encode()) / 1e3:,.0f} kB"


if __name__ == "__main__":
    sys.exit(main())
