"""The two rules every test lives under do bite: no other machine, and no silent skip where a suite is required."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.loopback_only import NetworkForbidden, is_loopback

REPOSITORY = Path(__file__).resolve().parents[2]

SKIPPED = """
import pytest

@pytest.mark.node
def test_needs_npm():
    pytest.skip("npm is not installed")
"""
RAN = """
import pytest

@pytest.mark.node
def test_needs_npm():
    assert 1 + 1 == 2
"""
SKIPPED_AS_A_WHOLE = """
import pytest

pytest.importorskip("no_such_module")
"""
REACHES_OUT_AND_HIDES_IT = """
import socket

def test_reaches_out():
    try:
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    except OSError:
        pass
"""


def run_pytest(folder: Path, source: str, require: str = "", name: str = "test_it.py") -> tuple[int, str]:
    """Exit code and output of pytest on one file, with both plugins and nothing else of this project."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    node: x\n    browser: x\n", encoding="utf-8")
    plugins = ["-p", "tests.loopback_only", "-p", "tests.required_suites", "-p", "no:dash", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-ra", *plugins, "-c", str(folder / "pytest.ini"), str(file)],
        cwd=REPOSITORY,
        env=os.environ | {"RISK_REQUIRE": require, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_skip_passes_where_nothing_is_required(tmp_path):
    code, output = run_pytest(tmp_path, SKIPPED)

    assert code == 0, output
    assert "npm is not installed" in output


def test_a_skip_fails_where_its_suite_is_required(tmp_path):
    code, output = run_pytest(tmp_path, SKIPPED, require="node")

    assert code == 1, output
    assert "RISK_REQUIRE lists 'node'" in output
    assert "npm is not installed" in output


def test_a_required_suite_that_ran_passes(tmp_path):
    code, output = run_pytest(tmp_path, RAN, require="node")

    assert code == 0, output


def test_a_required_suite_that_does_not_exist_fails(tmp_path):
    code, output = run_pytest(tmp_path, RAN, require="node, browser")

    assert code == 1, output
    assert "RISK_REQUIRE lists 'browser', but no such test ran" in output


def test_a_module_of_a_required_suite_may_not_skip_itself(tmp_path):
    code, output = run_pytest(tmp_path, SKIPPED_AS_A_WHOLE, require="node", name="node/test_it.py")

    assert code != 0, output
    assert "RISK_REQUIRE lists 'node', so this may not be skipped" in output


def test_a_connection_to_another_machine_fails_the_test_even_when_caught(tmp_path):
    code, output = run_pytest(tmp_path, REACHES_OUT_AND_HIDES_IT)

    assert code == 1, output
    assert "expected a loopback address, found '192.0.2.1'" in output


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", None, b"localhost", "0.0.0.0"])
def test_loopback_is_this_machine(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["192.0.2.1", "example.org", "10.0.0.1", "2001:db8::1", "localhost.example.org"])
def test_everything_else_is_not(host):
    assert not is_loopback(host)


def test_loopback_still_works():
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname(), timeout=5) as client,
    ):
        assert client.getpeername() == server.getsockname()


def test_the_error_is_the_one_a_dead_network_gives():
    assert issubclass(NetworkForbidden, OSError)
