"""A PostgreSQL server of the tests' own: a new cluster in a temporary folder, on a free port of loopback."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

PASSWORD = "pa:ss/w@rd-" + secrets.token_hex(8)
"""Of the cluster's one user; full of signs that an address must encode."""
INSTALLED = Path("/usr/lib/postgresql")
"""Where Debian puts the programs of each version."""


def programs() -> Path | None:
    """Folder with `initdb` and `postgres`, the newest version; None where there is none."""
    folders = [folder / "bin" for folder in INSTALLED.glob("*")] if INSTALLED.is_dir() else []
    folders.sort(key=lambda folder: [int(part) for part in folder.parent.name.split(".") if part.isdigit()])
    if found := shutil.which("initdb"):
        folders.append(Path(found).resolve().parent)
    return next((folder for folder in reversed(folders) if (folder / "postgres").exists()), None)


def identity() -> dict[str, object]:
    """How to start a program that refuses root: as `postgres` or `nobody`; as ourselves where we are not root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise LookupError("PostgreSQL refuses root, and there is neither a user postgres nor nobody")


@contextmanager
def running(bin_folder: Path) -> Iterator[int]:
    """A server that listens on 127.0.0.1; gives its port. User `risk`, password `PASSWORD`."""
    who = identity()
    folder = Path(tempfile.mkdtemp(prefix="aave-risk-postgres-"))
    try:
        word = folder / "password"
        word.write_text(PASSWORD)
        if who:
            for each in (folder, word):
                os.chown(each, who["user"], who["group"])
        as_other = {"cwd": folder, "env": {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "Asia/Tokyo"}, **who}
        # English words of the server and a time zone far from UTC: what is exported may depend on neither.
        made = subprocess.run(
            [bin_folder / "initdb", "-D", folder / "data", "-U", "risk", "--auth=scram-sha-256", f"--pwfile={word}",
             "--no-locale", "--encoding=UTF8", "--no-sync"],
            capture_output=True, text=True, **as_other,
        )  # fmt: skip
        assert made.returncode == 0, made.stdout + made.stderr
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        log = (folder / "log").open("wb")
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(folder),
            "fsync": "off",
            "shared_buffers": "32MB",
            "max_connections": "12",
            "timezone": "Asia/Tokyo",
        }
        server = subprocess.Popen(
            [bin_folder / "postgres", "-D", folder / "data", "-p", str(port),
             *(f"--{name}={value}" for name, value in settings.items())],
            stdout=log, stderr=log, **as_other,
        )  # fmt: skip
        try:
            _wait(server, port, folder / "log")
            yield port
        finally:
            server.send_signal(signal.SIGINT)  # what PostgreSQL calls a fast shutdown
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
            log.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def connect(port: int, database: str = "postgres") -> psycopg.Connection:
    return psycopg.connect(host="127.0.0.1", port=port, user="risk", password=PASSWORD, dbname=database)


def _wait(server: subprocess.Popen, port: int, log: Path) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            connect(port).close()
            return
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"the server did not start:\n{log.read_text(errors='replace')[-2000:]}") from None
            time.sleep(0.1)
