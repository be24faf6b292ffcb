"""`make server`: a local Prefect server, the work pool `local` and one process worker, until Ctrl-C.

The worker is stopped before the server: a worker whose server is gone waits for it to come back.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from data.environment import read_env_file
from data.foreign_text import safe_print
from flows.errors import FlowError, SourceUnavailable
from flows.options import OptionParser, Options, Whole

POOL = "local"
START_TIMEOUT = 120
"""Seconds a new server may take; the first start creates its database."""
STOP_TIMEOUT = 15
"""Seconds a process may take to stop before it is asked again, then killed."""
QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_SERVER_LEVEL": "WARNING",
}
"""Switch off all reporting to Prefect: DO_NOT_TRACK alone does not stop the server's own heartbeat."""


class Served(Options):
    """Where the server listens."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: Annotated[int, Whole(1, 65_535)] = Field(4200, description="port to listen on")


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until interrupted; returns the exit code."""
    read_env_file()
    arguments = OptionParser(Served, "python -m flows.server", __doc__.split("\n")[0]).parse_args(argv)
    assert isinstance(arguments, Served)
    # SIGTERM (systemd, docker stop, kill) ends the server as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: _interrupt())
    try:
        serve(arguments.host, arguments.port)
    except KeyboardInterrupt:
        safe_print("Stopped: first the worker, then the server.", flush=True)
        return 0
    except FlowError as exc:
        safe_print(exc, file=sys.stderr)
        return 1
    return 0


def serve(host: str, port: int) -> None:
    """Start all three and wait. Raises `SourceUnavailable` when one of them does not come up or ends by itself."""
    _require_free(host, port)
    api = f"http://{host}:{port}/api"
    environment = {"PREFECT_HOME": str(Path.cwd() / ".prefect")} | os.environ | QUIET | {"PREFECT_API_URL": api}
    with _child("server", ["server", "start", "--host", host, "--port", str(port)], environment) as server:
        _wait_until_healthy(f"{api}/health", server)
        _ensure_pool(api, environment)
        with _child("worker", ["worker", "start", "--pool", POOL, "--type", "process"], environment) as worker:
            safe_print(_instructions(api, is_default=(host, port) == ("127.0.0.1", 4200)), flush=True)
            while server.poll() is None and worker.poll() is None:
                time.sleep(0.5)
            name, ended = ("worker", worker) if server.poll() is None else ("server", server)
            raise SourceUnavailable(f"the Prefect {name} ended by itself with exit code {ended.returncode}; see above")


def _instructions(api: str, is_default: bool) -> str:
    # prefect.toml has the default address; another port must be given.
    prefix = "" if is_default else f"PREFECT_API_URL={api} "
    prefect = Path(sys.executable).with_name("prefect")
    command = prefect.relative_to(Path.cwd()) if prefect.is_relative_to(Path.cwd()) else prefect
    return (
        f"Prefect is up: {api.removesuffix('/api')}, work pool {POOL!r}, one process worker. From another terminal:\n"
        f"  {prefix}{command} --no-prompt deploy --all                    register the scheduled flows\n"
        f"  {prefix}{command} deployment run daily/daily --watch          run one now\n"
        f"  {prefix}{command} flow-run ls --state Scheduled               what comes next\n"
        "Ctrl-C stops the worker, then the server."
    )


def _require_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.settimeout(2)
        if probe.connect_ex((host, port)) == 0:
            raise SourceUnavailable(
                f"something already listens on {host}:{port}; stop it, or take another port: "
                f"python -m flows.server --port {port + 1}"
            )


def _wait_until_healthy(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise SourceUnavailable(f"the Prefect server ended with exit code {server.returncode}; see above")
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(0.3)
    raise SourceUnavailable(f"the Prefect server did not answer at {url} within {START_TIMEOUT} s")


def _ensure_pool(api: str, environment: dict[str, str]) -> None:
    try:
        with urllib.request.urlopen(f"{api}/work_pools/{POOL}", timeout=30):
            return
    except urllib.error.HTTPError as exc:
        if exc.code != 404:
            raise SourceUnavailable(f"{api}/work_pools/{POOL} answers HTTP {exc.code}") from exc
    made = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "work-pool", "create", POOL, "--type", "process"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise SourceUnavailable(f"the work pool {POOL!r} could not be created: {(made.stderr or made.stdout).strip()}")


@contextlib.contextmanager
def _child(name: str, words: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    # Its own session: Ctrl-C in the terminal then reaches only this process, which stops its children in order.
    process = subprocess.Popen([sys.executable, "-m", "prefect", *words], env=environment, start_new_session=True)
    try:
        yield process
    finally:
        _stop(name, process)


def _stop(name: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(2):  # a worker in its back-off needs to be asked twice
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_TIMEOUT)
    if process.poll() is None:
        safe_print(f"the Prefect {name} does not stop; killing it", file=sys.stderr)
    # Whatever it started (the server's web process, a flow run) belongs to its session and goes with it.
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _interrupt() -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
