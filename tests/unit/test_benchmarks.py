"""The bench as a command: which parts it runs, and that a memory figure is the job's own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.benchmarks.__main__ import PARTS, parts
from tests.benchmarks.memory import REPOSITORY, main, peak_mb, peak_of


def test_without_arguments_every_part_is_measured():
    assert parts([]) == PARTS


def test_parts_are_measured_in_the_order_named():
    assert parts(["marts", "engine"]) == ("marts", "engine")


def test_an_unknown_part_is_named_with_those_that_exist(capsys):
    with pytest.raises(SystemExit) as refused:
        parts(["engine", "speed"])

    assert refused.value.code == 2
    assert "there is no part 'speed'; the parts are engine, profile" in capsys.readouterr().err


@pytest.mark.parametrize("part", PARTS)
def test_every_part_is_a_module(part):
    assert (REPOSITORY / "tests" / "benchmarks" / f"{part}.py").exists()


def test_no_part_takes_a_memory_mark_that_another_process_left():
    """getrusage and wait4 give the mark of the starting process where that is higher."""
    for path in (REPOSITORY / "tests" / "benchmarks").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert path.stem == "memory" or ("ru_maxrss" not in text and "wait4" not in text), path.name


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="elsewhere the mark is the kernel's own")
def test_memory_of_a_job_is_its_own_whatever_ran_before():
    before = peak_of("")
    held = bytearray(b"x") * (150 * 2**20)  # this process now holds more than the job ever will
    assert peak_mb() > 150

    assert peak_of("") < before + 20
    assert peak_of("a = bytearray(b'x') * (100 * 2**20)") > before + 90
    del held


def test_a_module_reports_its_memory_also_when_it_ends_with_an_exit_code(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["restored after the test"])
    report = tmp_path / "peak_mb"

    with pytest.raises(SystemExit):
        main(str(report), "tests.benchmarks", "--help")

    assert float(report.read_text()) > 1
