"""The command that reproduces published numbers: on the real files where they are at hand, and on a small one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.vectors.__main__ import main

FACTS = Path(__file__).parents[3] / "shared" / "facts"


@pytest.mark.skipif(not FACTS.is_dir(), reason="the published vectors are not at hand")
def test_every_published_number_is_reproduced(capsys):
    assert main([str(FACTS / "addendum.json"), str(FACTS / "test_vectors.json")]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith(", 0 differences")
    assert int(last.split()[0]) > 120


def test_a_wrong_number_is_listed_and_fails(tmp_path, capsys):
    file = tmp_path / "vectors.json"
    file.write_text(json.dumps({"il_v2": {"4": -0.2, "2": -0.06}, "later": {"a": 1}}))
    assert main([str(file)]) == 1
    out = capsys.readouterr().out
    assert "ratio 2" in out
    assert "later: not built" in out
    assert out.endswith("2 checked, 1 differences\n")


@pytest.mark.parametrize("text", ["", "[]", '{"il_v2": {"x": 1}}'])
def test_a_file_that_cannot_be_read_is_named(tmp_path, capsys, text):
    file = tmp_path / "vectors.json"
    file.write_text(text)
    assert main([str(file)]) in (1, 2)
    assert str(file) in capsys.readouterr().err
