"""Pytest plugin: which tests stay together when `make test` runs them on every core (`--dist loadfile`, pytest-xdist).

The tests of one file run in one process, so that what its fixtures build is built once. Suites that start a chain, a
browser or a server stay together by folder: they share it, and two of them would take each other's processor time.
Not xdist's own groups: pytest-xdist 3.8 writes a group into the test's name, and pytest 9.2 does not read it back.

Groups that take long begin first, so that no process ends with one of them while the others have nothing left.
"""

from __future__ import annotations

from collections import Counter

import pytest

ONE_PROCESS = ("tests/node/", "tests/browser/", "tests/data/export/", "tests/flows/test_prefect")
"""How the names of tests begin that run in one process: local chain, Chromium, PostgreSQL, Prefect server."""


LONG = (
    "tests/docs/test_notebooks.py", "tests/unit/test_warmup.py", "tests/data/store/test_kill_nine.py",
    "tests/flows/aave/past/test_going_on.py", "tests/data/sample/test_sample.py", "tests/statistical/test_coverage.py",
    "tests/flows/aave/candidates/test_verified_path.py", "tests/flows/aave/past/test_stored_books.py",
    "tests/docs/test_recipes.py", "tests/differential/test_truth.py", "tests/flows/chain/test_rereading.py",
    "tests/dashboard/test_damage.py", "tests/flows/aave/candidates/test_verified_kill.py",
    "tests/differential/test_altered.py", "tests/statistical/test_tails.py",
    "tests/flows/clusters/test_liquidation_clusters.py", "tests/flows/risk/test_past_forecasts.py",
    "tests/flows/test_daily.py", "tests/differential/test_altered_engine.py", "tests/data/store/test_two_writers.py",
    "tests/statistical/test_es_evidence.py",
)  # fmt: skip
"""Files that took the most processor time, the most first: most have few tests, and would come last."""


def group_of(nodeid: str) -> str:
    """The group of a test: the beginning listed in `ONE_PROCESS`, else its file.

    >>> group_of("tests/node/test_rules.py::test_it[a]"), group_of("tests/unit/test_types.py::Test::test_it")
    ('tests/node/', 'tests/unit/test_types.py')
    """
    return next((start for start in ONE_PROCESS if nodeid.startswith(start)), nodeid.split("::", 1)[0])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The suites of `ONE_PROCESS` first, then `LONG`, then files with a test marked `slow`, then by number of tests."""
    groups = [group_of(item.nodeid) for item in items]
    many = Counter(groups)
    slow = {group for group, item in zip(groups, items, strict=True) if item.get_closest_marker("slow")}
    long = {group: place for place, group in enumerate(LONG)}
    order = {
        id(item): (g not in ONE_PROCESS, long.get(g, len(LONG)), g not in slow, -many[g], g)
        for g, item in zip(groups, items, strict=True)
    }
    items.sort(key=lambda item: order[id(item)])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    # It would begin with the files of most tests.
    config.option.loadscopereorder = False

    class Together(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return Together(config, log)
