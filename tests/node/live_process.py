"""`python -m flows chain-activity --live` in a process of its own, against an anvil, as a user runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from data.store.store import Store
from tests.conftest import REPOSITORY


class LiveProcess:
    """Start it, kill it, start it again; what it says goes to `log`."""

    def __init__(self, db: Path, url: str, ws_url: str, *arguments: str, **environment: str) -> None:
        self.db, self.log = db, db.with_suffix(".log")
        self._environment = os.environ | environment | {
            "RISK_DB": str(db), "ETH_RPC_URL": url, "ETH_WS_URL": ws_url, "PYTHONPATH": str(REPOSITORY),
        }  # fmt: skip
        self._command = [sys.executable, "-m", "flows", "chain-activity", "--live", "--network", "31337", *arguments]
        self._process: subprocess.Popen[bytes] | None = None
        self._began_at = -1

    def start(self) -> None:
        self._began_at = self.newest()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=REPOSITORY, env=self._environment, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill()
        assert self._process.wait() == -signal.SIGKILL, self.said()

    def end(self) -> int:
        """SIGTERM; returns the exit code."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            return self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        if not self.db.exists():
            return []
        with Store.open(self.db, readonly=True) as store:
            return store.rows(sql)

    def newest(self) -> int:
        """Number of the newest batch, -1 before the first."""
        try:
            found = self.rows("SELECT max(batch) FROM fact_batch")
        except Exception:  # the file is being made
            return -1
        return found[0][0] if found and found[0][0] else -1

    @property
    def has_written(self) -> bool:
        """Whether it has committed something since its start."""
        return self.newest() > self._began_at

    def until(self, true: Callable[[], Any], seconds: float = 60.0) -> None:
        """Wait for something; fails with what the process said."""
        end = time.monotonic() + seconds
        while not true():
            assert self._process is None or self._process.poll() is None, self.said()
            assert time.monotonic() < end, self.said()
            time.sleep(0.02)
