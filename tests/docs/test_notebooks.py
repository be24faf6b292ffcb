"""Every notebook runs from its first cell to its last, and the committed copy shows what it says today."""

from __future__ import annotations

import base64

import nbformat
import pytest

from tests import notebooks
from tests.notebooks import SCRIPTS

RENEW = "the committed notebook is not what its script gives: run `make notebooks`"
EACH = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)


@EACH
def test_notebook_runs_and_says_what_the_committed_copy_says(script):
    found, kept = notebooks.run(script), notebooks.read_notebook(script)

    assert len(list(notebooks.figures(found))) >= 1
    assert kept is not None, RENEW
    for now, then in zip(found.cells, kept.cells, strict=True):
        if now.cell_type == "code" and not notebooks.is_measured(now):
            assert notebooks.text_of(now) == notebooks.text_of(then), RENEW
    for cell in (*found.cells, *kept.cells):
        if notebooks.is_measured(cell):
            cell.outputs = []
    assert [d for _, d in notebooks.figures(found)] == [d for _, d in notebooks.figures(kept)], RENEW


@EACH
def test_the_pair_is_in_step(script):
    read, kept = notebooks.read_script(script), notebooks.read_notebook(script)

    assert kept is not None, RENEW
    nbformat.validate(kept)
    cells = [[(cell.cell_type, cell.source, cell.id) for cell in notebook.cells] for notebook in (read, kept)]
    assert cells[0] == cells[1], RENEW
    assert read.metadata.jupytext.formats == "ipynb,py:percent"  # an editor that knows jupytext keeps both
    # What would be written again is the file, to the byte.
    assert notebooks.written(kept) == notebooks.notebook_of(script).read_text(encoding="utf-8")


@EACH
def test_the_committed_copy_has_its_outputs_and_nothing_of_a_machine(script):
    kept = notebooks.read_notebook(script)

    assert kept is not None, RENEW
    assert notebooks.complaints(kept) == []
    pictures = [base64.b64decode(output["data"]["image/png"]) for output, _ in notebooks.figures(kept)]
    assert pictures
    assert all(picture.startswith(b"\x89PNG") and len(picture) > 5_000 for picture in pictures)
    assert notebooks.notebook_of(script).stat().st_size < 1_000_000
    assert "language_info" not in kept.metadata
    assert not any("execution" in cell.metadata for cell in kept.cells)


def test_there_are_notebooks_and_no_copy_without_a_script():
    assert SCRIPTS
    assert sorted(SCRIPTS[0].parent.glob("*.ipynb")) == [notebooks.notebook_of(script) for script in SCRIPTS]


def made(*outputs: dict, source: str = "x", tags: list[str] | None = None) -> nbformat.NotebookNode:
    cell = nbformat.v4.new_code_cell(source, id="cell-01", execution_count=1, metadata={"tags": tags or []})
    cell.outputs = [nbformat.from_dict(output) for output in outputs]
    return nbformat.v4.new_notebook(cells=[cell])


def figure(y: float) -> dict:
    data = {"data": [{"type": "bar", "y": [y]}], "layout": {"title": {"text": "t"}, "template": {"a": y}}}
    return {"output_type": "display_data", "metadata": {}, "data": {notebooks.PLOTLY: data}}


def test_a_picture_is_drawn_only_where_its_figure_changed():
    drawn = []

    def draw(figures):
        drawn.append(len(figures))
        return [b"picture %d" % len(drawn)] * len(figures)

    first = notebooks.with_pictures(made(figure(1.0)), None, draw)
    again = notebooks.with_pictures(made(figure(1.0 + 1e-12)), first, draw)
    other = notebooks.with_pictures(made(figure(1.001)), first, draw)

    assert drawn == [1, 1]
    assert notebooks.written(again) == notebooks.written(first)
    assert base64.b64decode(other.cells[0].outputs[0]["data"]["image/png"]) == b"picture 2"


def test_what_is_measured_stays_until_its_code_changes():
    def said(text: str) -> dict:
        return {"output_type": "stream", "name": "stdout", "text": text}

    old = made(said("12 µs"), tags=["measured"])

    same = notebooks.keep_measured(made(said("13 µs"), tags=["measured"]), old)
    changed = notebooks.keep_measured(made(said("13 µs"), tags=["measured"], source="y"), old)
    plain = notebooks.keep_measured(made(said("13 µs")), old)

    assert [notebooks.text_of(n.cells[0]) for n in (same, changed, plain)] == ["12 µs", "13 µs", "13 µs"]


@pytest.mark.parametrize(
    ("output", "complaint"),
    [
        ({"output_type": "stream", "name": "stderr", "text": "a warning"}, "a warning"),
        ({"output_type": "error", "ename": "KeyError", "evalue": "", "traceback": []}, "KeyError"),
        ({"output_type": "stream", "name": "stdout", "text": "read /home/me/book.csv"}, "names a path"),
        ({"output_type": "stream", "name": "stdout", "text": r"read C:\book.csv"}, "names a path"),
        (figure(1.0), "a figure without its picture"),
    ],
)
def test_what_a_committed_copy_may_not_hold(output, complaint):
    assert complaint in notebooks.complaints(made(output))[0]
