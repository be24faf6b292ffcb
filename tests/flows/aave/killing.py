"""A flow in a process of its own that is ended by signal 9 while it waits for an answer."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from tests.conftest import REPOSITORY


def killed_at(server: object, hook: str, count: int, *words: str, **environment: str) -> None:
    """Run `python -m flows WORDS` and kill it while it waits for the answer to its `count`th request.

    hook: the attribute of the `server` that it calls with each request before it answers.
    """
    reached, asked = threading.Event(), 0

    def hold(*request: object) -> None:
        nonlocal asked
        asked += 1
        if asked == count:
            reached.set()
            process.wait(60)  # the answer never arrives

    process = subprocess.Popen(
        [sys.executable, "-m", "flows", *words],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)} | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, hook, hold)
        try:
            assert reached.wait(60), f"the command never made request {count}"
        finally:
            process.kill()
            process.wait()
