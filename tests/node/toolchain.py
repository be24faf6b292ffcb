"""Brings npm packages and compiled contracts into place, once for each state of `package.json` and `contracts/`."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODULES = HERE / "node_modules"
COMPILED = HERE / "build" / "contracts.json"


class ToolchainMissing(RuntimeError):
    """Node.js, npm, or the packages are not available here; tests that need them say so and are skipped."""


def missing() -> str | None:
    """Why the real contracts cannot be used on this machine, or None when nothing stands against it."""
    absent = [name for name in ("node", "npm") if shutil.which(name) is None]
    if absent:
        return f"{' and '.join(absent)} not found; install Node.js 18 or newer to run the real contracts"
    return None


def ready() -> None:
    """Install the packages and compile the contracts where that has not happened yet. Raises `ToolchainMissing`."""
    if reason := missing():
        raise ToolchainMissing(reason)
    with _alone():
        wanted = hashlib.sha256((HERE / "package.json").read_bytes()).hexdigest()
        stamp = MODULES / ".installed"
        if not stamp.exists() or stamp.read_text() != wanted:
            flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
            _run(["npm", "install", *flags], "npm could not install the packages (no network, and no npm cache?)")
            stamp.write_text(wanted)
        _run(["node", "compile.mjs"], "the contracts did not compile")


def anvil() -> Path:
    """The node's program itself: started without Node.js around it, so that it ends when it is told to."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine().lower(), platform.machine().lower())
    system = {"windows": "win32"}.get(platform.system().lower(), platform.system().lower())
    name = "anvil.exe" if system == "win32" else "anvil"
    path = MODULES / "@foundry-rs" / f"anvil-{system}-{machine}" / "bin" / name
    if not path.exists():
        raise ToolchainMissing(f"no anvil for {system}-{machine} among the npm packages")
    return path


def _run(command: list[str], complaint: str) -> None:
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolchainMissing(f"{complaint}: {(done.stderr or done.stdout).strip()[-600:]}")


@contextmanager
def _alone() -> Iterator[None]:
    """Two test runs at once must not install over each other."""
    try:
        import fcntl
    except ImportError:  # Windows: no advisory locks of this kind
        yield
        return
    with open(HERE / ".toolchain.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            os.utime(lock.name)
