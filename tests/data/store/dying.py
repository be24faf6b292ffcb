"""Work on a warehouse in child processes that die by SIGKILL, from outside or by themselves at a step.

`serve(work)` reads one JSON line for each child, `{"path": file, "die_at": n or null}`, forks a child that calls
`work(path, steps)`, and answers with the child's id, then with how it ended. Forked after the imports, a child begins
within milliseconds. `Children` is the other side of it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.conftest import REPOSITORY


class Steps:
    """Ends the process by SIGKILL at its n-th step; None: never."""

    def __init__(self, die_at: int | None) -> None:
        self._left = die_at

    def __call__(self, *_: object) -> None:
        if self._left is not None:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class Children:
    """Child processes, one at a time."""

    def __init__(self, server: subprocess.Popen[str]) -> None:
        self._server = server

    def work(self, path: Path, *, after: float | None = None, die_at: int | None = None) -> int:
        """Exit code of one child; `after`: seconds until SIGKILL from outside, `die_at`: by itself, at a step."""
        self._server.stdin.write(json.dumps({"path": str(path), "die_at": die_at}) + "\n")
        self._server.stdin.flush()
        child = int(self._server.stdout.readline())
        if after is not None:
            time.sleep(after)
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        return int(self._server.stdout.readline())

    def work_until_whole(self, path: Path, draw: Callable[[], dict[str, float]], killed: Callable[[], None]) -> int:
        """Kills until a child did all its work; `draw` says when the next is to die, `killed` looks at what it left.

        Each life is longer than the one before, so that it ends on a machine of any speed: the work on what a killed
        child left may take longer than all of it at once, and a machine may be slower now than when it was measured.
        """
        kills = 0
        while True:
            when = {name: type(value)(value * 1.2**kills) for name, value in draw().items()}
            code = self.work(path, **when)
            if code == 0:
                return kills
            assert code == -signal.SIGKILL
            kills += 1
            killed()


@contextmanager
def children(module: str) -> Iterator[Children]:
    """Children of `python -m module`, which calls `serve`."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env=environment,
    ) as server:
        yield Children(server)
        server.stdin.close()


def serve(work: Callable[[str, Steps], None]) -> None:
    """Answer on standard output until standard input ends."""
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                work(asked["path"], Steps(asked["die_at"]))
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
