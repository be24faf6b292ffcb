"""What every test gets without asking: no network beyond loopback, its own warehouse, no live settings, quiet tools.

Modules under test read the environment when they need it, so a test that sets a variable with `monkeypatch` is believed
at once. Everything set here is set before `prefect` or `numba` is imported, because those two read it at import.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.loopback_only", "tests.required_suites", "tests.side_by_side"]

REPOSITORY = Path(__file__).resolve().parents[1]

SETTINGS = [
    line.split("=", 1)[0].lstrip("# ")
    for line in (REPOSITORY / ".env.example").read_text(encoding="utf-8").splitlines()
    if "=" in line and line.lstrip("# ").split("=", 1)[0].isupper()
]
"""Names of the project's environment variables, as `.env.example` lists them."""

_scratch = tempfile.TemporaryDirectory(prefix="aave-risk-tests-", ignore_cleanup_errors=True)
atexit.register(_scratch.cleanup)
SCRATCH = Path(_scratch.name)

# A developer's own node, keys and warehouse are not part of a test.
for _name in SETTINGS:
    os.environ.pop(_name, None)
    os.environ.pop(f"{_name}_FILE", None)
os.environ.pop("PREFECT_API_URL", None)
os.environ |= {
    "RISK_ENV_LEFT_OUT": str(REPOSITORY / ".env"),
    "RISK_DB": str(SCRATCH / "session.sqlite"),
    "PREFECT_HOME": str(SCRATCH / "prefect"),
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_LEVEL": "ERROR",
    # In memory: back-to-back runs on a file answer 503 while the file is locked, and the client then sleeps 2 s.
    "PREFECT_SERVER_DATABASE_CONNECTION_URL": (
        "sqlite+aiosqlite:///file::memory:?cache=shared&uri=true&check_same_thread=false"
    ),
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
}
os.environ.setdefault("NUMBA_CACHE_DIR", str(REPOSITORY / ".numba_cache"))
# As in `flows`, which a test may import after numpy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# No deadline: the first example of a kernel pays for its compilation. In CI the same examples every time, so that a red
# run can be repeated; on a desk new ones every time, so that they find something.
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci" if os.environ.get("CI") else "dev")


SampleOf = Callable[[int, int, Path], Path]
"""The type of the fixture `sample_of`."""


@pytest.fixture(autouse=True)
def own_warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A warehouse file of the test's own, in RISK_DB; it does not exist yet."""
    path = tmp_path / "risk.sqlite"
    monkeypatch.setenv("RISK_DB", str(path))
    return path


@pytest.fixture(autouse=True)
def no_secret_left_behind() -> Iterator[None]:
    """Secrets that one test's settings held are not cut out of what the next one says."""
    yield
    if redaction := sys.modules.get("flows.redaction"):
        redaction._secrets.clear()


@pytest.fixture(scope="session")
def prefect_backend() -> Iterator[None]:
    """One in-process Prefect backend for the session; its first flow costs about 10 s, later ones 0.3 s."""
    from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    # Each synchronous flow otherwise waits a second at its end for the heartbeat thread.
    # prefect.toml names the address of `make server`, which is no part of a test.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None, PREFECT_API_URL: None}):
        yield


@pytest.fixture(scope="session")
def sample_of(tmp_path_factory: pytest.TempPathFactory) -> SampleOf:
    """Put a copy of the sample of so many accounts and a seed at a path; each sample is filled once for all tests.

    Under pytest-xdist the workers share the files: who finds none fills one, and puts it there whole.
    """
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def copied(accounts: int, seed: int, path: Path) -> Path:
        from data.sample import fill  # here: most tests of the engine need no warehouse

        known = shared / f"sample-{accounts}-{seed}.sqlite"
        if not known.exists():
            made = tmp_path_factory.mktemp("sample") / "risk.sqlite"
            fill(accounts, seed, made)
            connection = sqlite3.connect(made)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # copying the file copies everything
            connection.close()
            made.replace(known)
        return Path(shutil.copy(known, path))

    return copied


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of recorded market data beside the repository; the test is skipped where there is none."""
    path = REPOSITORY.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip("no recorded market data beside the repository (../shared/data)")
    return path
