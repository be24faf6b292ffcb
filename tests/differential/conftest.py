"""Truth files for the differential tests: the small one is committed, the large ones lie beside the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reference.truth import Truth

REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = REPOSITORY / "tests" / "fixtures" / "truth" / "truth_small.json.xz"
LARGE = REPOSITORY.parent / "shared" / "truth"


@pytest.fixture(scope="session")
def small_path() -> Path:
    return SMALL


@pytest.fixture
def small() -> Truth:
    """The committed truth file (v3.6, 97 users), read anew: a test may alter it."""
    return Truth.load(SMALL)


@pytest.fixture(scope="session")
def large_path():
    """Path of a large truth file by name; the test is skipped where it is absent."""

    def find(name: str) -> Path:
        path = LARGE / f"{name}.json.xz"
        if not path.is_file():
            pytest.skip(f"no {name}.json.xz beside the repository (../shared/truth)")
        return path

    return find
