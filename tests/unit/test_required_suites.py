"""RISK_REQUIRE: a skip of a suite that must run fails the run, in one process and on every core."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.side_by_side import LONG, ONE_PROCESS

REPOSITORY = Path(__file__).resolve().parents[2]

CONFTEST = 'pytest_plugins = ["tests.required_suites", "tests.side_by_side"]\n'
HEAD = "import os\nimport pytest\n"


@pytest.fixture(params=[(), ("-p", "xdist", "-n", "2", "--dist", "loadfile")], ids=["one process", "two workers"])
def run(request, tmp_path):
    """Run files, by name, as a suite of their own; returns exit code and output."""

    def run(files: dict[str, str], required: str = "node") -> tuple[int, str]:
        (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    node\n    browser\n    slow\n")
        (tmp_path / "conftest.py").write_text(CONFTEST)
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(HEAD + text)
        left = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *request.param],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            env=left
            | {
                "RISK_REQUIRE": required,
                "PYTHONPATH": str(REPOSITORY),
                # Other plugins take three quarters of the time, and none of them is asked about here.
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            },
        )
        return done.returncode, done.stdout + done.stderr

    return run


RAN = "@pytest.mark.node\ndef test_it():\n    pass\n"
SKIPPED = "@pytest.mark.node\ndef test_other():\n    pytest.skip('no npm')\n"


def test_what_ran_passes(run):
    code, said = run({"test_a.py": RAN, "test_b.py": "def test_plain(): pass\n"})

    assert code == 0, said
    assert "2 passed" in said.splitlines()[-1]


def test_a_skipped_test_fails_the_run(run):
    code, said = run({"test_a.py": RAN + SKIPPED})

    assert code == 1
    assert "RISK_REQUIRE lists 'node', so this may not be skipped" in said
    assert "no npm" in said


def test_a_skipped_module_fails_the_run(run):
    code, said = run({"test_a.py": RAN, "node/test_b.py": "pytest.skip('no npm', allow_module_level=True)\n"})

    assert code != 0
    assert "RISK_REQUIRE lists 'node', so this may not be skipped" in said


def test_an_absent_suite_fails_the_run(run):
    code, said = run({"test_a.py": RAN}, "node,browser")

    assert code == 1
    assert "RISK_REQUIRE lists 'browser', but no such test ran to its end." in said
    assert "'node', but" not in said


def test_without_it_a_skip_is_a_skip(run):
    code, said = run({"test_a.py": RAN + SKIPPED}, "")

    assert code == 0
    assert "1 passed, 1 skipped" in said.splitlines()[-1]


def test_tests_of_one_suite_run_in_one_process(run, tmp_path):
    body = "@pytest.mark.node\n@pytest.mark.parametrize('n', range(4))\ndef test_it(n):\n"
    body += f"    open({str(tmp_path / 'pids')!r}, 'a').write(f'{{os.getpid()}}\\n')\n"
    files = {"tests/node/test_a.py": body, "tests/node/test_b.py": body, "test_c.py": "def test_plain(): pass\n"}
    code, said = run(files)

    assert code == 0, said
    assert len(pids := (tmp_path / "pids").read_text().split()) == 8
    assert len(set(pids)) == 1


def test_what_takes_long_begins_first(run, tmp_path):
    body = f"def test_it(n):\n    open({str(tmp_path / 'order')!r}, 'a').write(__name__[-1])\n"
    body += "    __import__('time').sleep(0.5)\n"
    files = {
        "test_a.py": f"@pytest.mark.parametrize('n', range(2))\n{body}",
        "test_b.py": f"@pytest.mark.slow\n@pytest.mark.parametrize('n', range(1))\n{body}",
        "tests/node/test_c.py": f"@pytest.mark.node\n@pytest.mark.parametrize('n', range(1))\n{body}",
    }
    code, said = run(files)

    assert code == 0, said
    assert sorted((tmp_path / "order").read_text()[:2]) == ["b", "c"]


@pytest.mark.parametrize("beginning", [*ONE_PROCESS, *LONG])
def test_every_group_names_tests_that_exist(beginning):
    assert list(REPOSITORY.glob(f"{beginning}*"))
