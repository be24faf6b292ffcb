"""An upgrade of an older file in a child process that may be killed at any moment.

`python -m tests.data.store.upgrading` forks the children (`tests.data.store.dying`); a step is a SQL statement of the
upgrade, or a part of the copy that is made before.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from data.store import migrations, upgrade_copy
from data.store.store import Store
from tests.data.store.dying import Steps, serve


def upgrade(path: str, steps: Steps) -> None:
    """Open the file, which upgrades it."""
    for name in ("_copy", "_write_out", "_same", "_remove_parts"):
        setattr(upgrade_copy, name, counted(getattr(upgrade_copy, name), steps))
    migrate = migrations.migrate

    def traced(connection: sqlite3.Connection, path: Path) -> bool:
        connection.set_trace_callback(steps)
        return migrate(connection, path)

    migrations.migrate = traced  # type: ignore[assignment]
    Store.open(Path(path)).close()


def counted(function: Callable[..., Any], steps: Steps) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        steps()
        done = function(*args)
        steps()
        return done

    return call


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        Store.open(Path(folder, "warm.sqlite")).close()  # what is imported late is imported before the first child
    serve(upgrade)
