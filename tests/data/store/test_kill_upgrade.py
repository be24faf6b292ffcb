"""Killed at any moment of its upgrade and opened again, an old file ends as one whose upgrade was left alone."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from data.sample.book import holdings
from data.sample.frames import frames
from tests.data.store import dying
from tests.data.store.dying import Children
from tests.data.store.former_layout import as_layout_5, three_blocks
from tests.data.store.test_kill_nine import export

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL (POSIX)"),
]

KILLS, ACCOUNTS = 25, 100


@dataclass(frozen=True)
class Former:
    """An old file, its rows, and what an upgrade that was left alone makes of it in so many seconds and steps."""

    file: Path
    rows: dict[str, list[tuple]]
    upgraded: bytes
    seconds: float


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    with dying.children("tests.data.store.upgrading") as found:
        yield found


@pytest.fixture(scope="module", params=["wal", "delete"])
def former(request: pytest.FixtureRequest, children: Children, tmp_path_factory: pytest.TempPathFactory) -> Former:
    """With its log on, as the file of a user, and off, as a copy of one."""
    folder = tmp_path_factory.mktemp("former")
    file, path = folder / "former.sqlite", folder / "risk.sqlite"
    three_blocks(file, frames(holdings(ACCOUNTS, 3)))
    as_layout_5(file)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"PRAGMA journal_mode = {request.param}")
    for _ in range(2):  # the second time, all that is read is warm
        shutil.copy(file, path)
        start = time.perf_counter()
        assert children.work(path) == 0
        seconds = time.perf_counter() - start
    return Former(file, rows(file), export(path), seconds)


def rows(path: Path) -> dict[str, list[tuple]]:
    """A file's layout and the rows of its tables, read without changing it."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        layout = connection.execute("SELECT name, type, sql FROM sqlite_schema ORDER BY name").fetchall()
        tables = [name for name, kind, _ in layout if kind == "table"]
        found = {name: connection.execute(f'SELECT * FROM "{name}"').fetchall() for name in tables}
        return found | {"layout": layout, "version": connection.execute("PRAGMA user_version").fetchall()}


def assert_old_or_whole(path: Path, former: Former) -> None:
    """A killed upgrade has changed nothing, or all; and what was changed has its copy."""
    copy = path.with_name("risk.sqlite.layout-5")
    log = path.with_name("risk.sqlite-wal")
    if not copy.exists():
        assert path.read_bytes() == former.file.read_bytes()
        assert not log.exists() or not log.stat().st_size
    else:
        assert rows(copy) == former.rows
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == 5:
        assert rows(path) == former.rows


@pytest.mark.parametrize("from_outside", [True, False])
def test_killed_at_any_moment_it_ends_as_an_undisturbed_upgrade(children, former, tmp_path, from_outside):
    rng, kills, rounds = random.Random(11), 0, 0
    while kills < KILLS:
        rounds += 1
        folder = tmp_path / str(rounds)
        folder.mkdir()
        path = folder / "risk.sqlite"
        shutil.copy(former.file, path)
        kills += children.work_until_whole(
            path,
            lambda: (
                {"after": rng.uniform(0.0, 0.9) * former.seconds}
                if from_outside
                else {"die_at": int(10 ** rng.uniform(0.0, 3.6))}
            ),
            lambda: assert_old_or_whole(path, former),  # noqa: B023 - called within this round
        )
        assert export(path) == former.upgraded, f"differs in round {rounds}, after {kills} kills"
        # One copy, whatever the number of tries, and nothing that was left unfinished.
        assert sorted(p.name for p in folder.iterdir() if not p.name.endswith(("-wal", "-shm"))) == [
            "risk.sqlite", "risk.sqlite.layout-5",
        ]  # fmt: skip
        assert rows(folder / "risk.sqlite.layout-5") == former.rows


def test_killed_at_each_step_of_the_copy_the_file_is_as_it_was(children, former, tmp_path):
    """The first steps, one after the other: until the copy has its name, not a byte of the file has changed."""
    path, copy = tmp_path / "risk.sqlite", tmp_path / "risk.sqlite.layout-5"
    named = []
    for step in range(1, 20):
        shutil.copy(former.file, path)
        copy.unlink(missing_ok=True)
        path.with_name("risk.sqlite-wal").unlink(missing_ok=True)
        assert children.work(path, die_at=step) == -signal.SIGKILL
        assert_old_or_whole(path, former)
        named.append(copy.exists())
    assert named == sorted(named)
    assert {*named} == {False, True}
