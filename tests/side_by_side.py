"""Pytest plugin: which tests stay together when `make test` runs them on every core (`--dist loadfile`, pytest-xdist).

The tests of one file run in one process, so that what its fixtures build is built once. Suites that start a chain, a
browser or a server stay together by folder: they share it, and two of them would take each other's processor time.
Not xdist's own groups: pytest-xdist 3.8 writes a group into the test's name, and pytest 9.2 does not read it back.
"""

from __future__ import annotations

import pytest

ONE_PROCESS = ("tests/node/", "tests/browser/", "tests/data/export/", "tests/flows/test_prefect")
"""How the names of tests begin that run in one process: local chain, Chromium, PostgreSQL, Prefect server."""


def group_of(nodeid: str) -> str:
    """The group of a test: the beginning listed in `ONE_PROCESS`, else its file.

    >>> group_of("tests/node/test_rules.py::test_it[a]"), group_of("tests/unit/test_types.py::Test::test_it")
    ('tests/node/', 'tests/unit/test_types.py')
    """
    return next((start for start in ONE_PROCESS if nodeid.startswith(start)), nodeid.split("::", 1)[0])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Together(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return Together(config, log)
