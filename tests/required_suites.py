"""Pytest plugin: suites named in RISK_REQUIRE may not be skipped, nor be absent.

`RISK_REQUIRE=node,browser python -m pytest` fails when a test marked `node` or `browser` was skipped, when a module in
`tests/node` or `tests/browser` skipped itself as a whole, or when no such test ran at all. On a desk, where npm or
Chromium may be missing, the variable stays unset and a skip says why.

Under pytest-xdist the workers refuse the skips, and tell the process that started them in their reports what ran: it
alone sees the whole run.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

_ran: set[str] = set()


def required() -> list[str]:
    """Marker names listed in RISK_REQUIRE, in order."""
    return [name.strip() for name in os.environ.get("RISK_REQUIRE", "").split(",") if name.strip()]


def _refuse(report: pytest.TestReport | pytest.CollectReport, marker: str) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"RISK_REQUIRE lists {marker!r}, so this may not be skipped. {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    for marker in required():
        if item.get_closest_marker(marker) is None:
            continue
        # An expected failure is reported as skipped too, but it did run.
        if report.skipped and not hasattr(report, "wasxfail"):
            _refuse(report, marker)
        elif report.when == "call":
            report.required_suites = [*getattr(report, "required_suites", ()), marker]
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _ran.update(getattr(report, "required_suites", ()))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    for marker in required():
        if report.skipped and marker in Path(collector.path).parts:
            _refuse(report, marker)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workerinput"):
        return
    missing = [marker for marker in required() if marker not in _ran]
    if missing and not session.config.option.collectonly:
        session.config.stash[_MISSING] = missing
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


_MISSING = pytest.StashKey[list[str]]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for marker in config.stash.get(_MISSING, []):
        terminalreporter.write_line(f"RISK_REQUIRE lists {marker!r}, but no such test ran to its end.", red=True)
