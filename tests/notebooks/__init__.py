"""Notebooks in pairs: a script that is edited, and the same cells with their outputs, which a code host shows.

`python -m tests.notebooks` runs the scripts of `notebooks/` and writes the `.ipynb` beside them. Running it again
without a change gives the same bytes: no times, no random ids, a picture is drawn anew only when its figure changed,
and what is measured on the machine (cells with the tag "measured") is kept until its code changes or `--measure` asks
for it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import numpy as np
from nbclient import NotebookClient
from nbformat import NotebookNode

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((REPOSITORY / "notebooks").glob("*.py"))
PLOTLY = "application/vnd.plotly.v1+json"
MEASURED = "measured"
FIGURE = "figure_sha256"
"""Key of an output's metadata: the figure that its picture shows."""
SIGNIFICANT = 6
"""Digits of a figure's numbers that its digest reads: the last bits may depend on the processor."""

Draw = Callable[[list[dict[str, Any]]], list[bytes]]
"""PNG of each of some figures."""


def notebook_of(script: Path) -> Path:
    return script.with_suffix(".ipynb")


def read_script(script: Path) -> NotebookNode:
    """The cells of a script, without outputs, named by their place."""
    notebook = jupytext.read(script)
    for number, cell in enumerate(notebook.cells, 1):
        cell["id"] = f"cell-{number:02}"
    return notebook


def run(script: Path, timeout: int = 300) -> NotebookNode:
    """The notebook of a script, executed in its folder, with this checkout's packages."""
    notebook = read_script(script)
    before = os.environ.get("PYTHONPATH")
    # The kernel is a process of its own, and runs this checkout rather than one that is installed.
    os.environ["PYTHONPATH"] = str(REPOSITORY)
    try:
        NotebookClient(
            notebook,
            timeout=timeout,
            kernel_name="python3",
            record_timing=False,
            resources={"metadata": {"path": str(script.parent)}},
        ).execute()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    notebook.metadata.pop("language_info", None)  # names the version of Python that happened to run it
    return notebook


def figures(notebook: NotebookNode) -> Iterator[tuple[NotebookNode, str]]:
    """Every output that is a figure or its picture, with the figure's digest."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if PLOTLY in output.get("data", {}):
                yield output, figure_digest(output["data"][PLOTLY])
            elif FIGURE in output.get("metadata", {}):
                yield output, output["metadata"][FIGURE]


def figure_digest(figure: dict[str, Any]) -> str:
    """SHA-256 of what a figure shows, its numbers to six significant digits; the template is not part of it."""
    layout = {name: value for name, value in figure.get("layout", {}).items() if name != "template"}
    shown = _plain({"data": figure.get("data", []), "layout": layout})
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """A figure's value with packed arrays as lists and rounded numbers."""
    if isinstance(value, dict):
        if "bdata" in value:
            return _plain(np.frombuffer(base64.b64decode(value["bdata"]), dtype=value["dtype"]).tolist())
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return f"{value + 0.0:.{SIGNIFICANT}g}" if isinstance(value, float) else value


def with_pictures(notebook: NotebookNode, old: NotebookNode | None, draw: Draw) -> NotebookNode:
    """The notebook with each figure as a picture: the old one of the same figure, else a new one by `draw`."""
    known = {digest: output for output, digest in figures(old) if "image/png" in output["data"]} if old else {}
    new = [output for output, digest in figures(notebook) if digest not in known]
    drawn = dict(zip(map(id, new), draw([output["data"][PLOTLY] for output in new]) if new else [], strict=True))
    for output, digest in list(figures(notebook)):
        if id(output) in drawn:
            title = output["data"][PLOTLY].get("layout", {}).get("title", {}).get("text", "figure")
            output["data"] = {
                "image/png": base64.b64encode(drawn[id(output)]).decode(),
                "text/plain": f"<figure: {title}>",
            }
            output["metadata"] = {FIGURE: digest}
        else:
            output["data"], output["metadata"] = known[digest]["data"], known[digest]["metadata"]
    return notebook


def keep_measured(notebook: NotebookNode, old: NotebookNode | None) -> NotebookNode:
    """The notebook with the old outputs of its measured cells, as long as the code up to them is the same."""
    for number, cell in enumerate(notebook.cells):
        if old is None or cell.source != (old.cells[number].source if number < len(old.cells) else None):
            break
        if is_measured(cell):
            cell.outputs = old.cells[number].outputs
    return notebook


def is_measured(cell: NotebookNode) -> bool:
    return MEASURED in cell.metadata.get("tags", [])


def text_of(cell: NotebookNode) -> str:
    """What a cell printed, and its last value where that is text."""
    return "".join(
        output.get("text", "")
        or ("" if FIGURE in output.get("metadata", {}) else output.get("data", {}).get("text/plain", ""))
        for output in cell.get("outputs", [])
        if PLOTLY not in output.get("data", {})
    )


LOCAL = re.compile(r"/(home|root|tmp|usr|work|Users|private|var)/|site-packages|[A-Z]:\\")


def complaints(notebook: NotebookNode) -> list[str]:
    """What a committed notebook may not hold: errors, warnings, code that did not run, names of a machine."""
    found = []
    host = socket.gethostname()
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type != "code":
            continue
        if cell.execution_count is None:
            found.append(f"cell {number} did not run")
        for output in cell.outputs:
            if output.output_type == "error" or output.get("name") == "stderr":
                found.append(f"cell {number} says {output.get('text') or output.get('ename')!r:.200}")
            if PLOTLY in output.get("data", {}):
                found.append(f"cell {number} has a figure without its picture")
        text = text_of(cell)
        if LOCAL.search(text) or (len(host) > 3 and re.search(rf"\b{re.escape(host)}\b", text)):
            found.append(f"cell {number} names a path or this machine: {text!r:.200}")
    return found


def read_notebook(script: Path) -> NotebookNode | None:
    """The committed notebook of a script, None where there is none."""
    path = notebook_of(script)
    return nbformat.read(path, as_version=4) if path.exists() else None


def written(notebook: NotebookNode) -> str:
    """The text of a notebook's file."""
    return nbformat.writes(notebook, version=4) + "\n"
