"""The tree in CONTRIBUTING.md is the tree of the repository."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("flows", "dashboard", "data", "risk_core")
LINE = re.compile(r"^(?P<indent> *)(?P<name>[a-z_][\w./]*)\s{2,}(?P<purpose>\S.*)$")


def described() -> dict[str, str]:
    """Purpose of each folder by its path, as the block under "The folders" says."""
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    block = text.split("## The folders", 1)[1].split("```")[1]
    found, top = {}, ""
    for line in block.strip().splitlines():
        match = LINE.match(line)
        assert match, f"not a line of the tree: {line!r}"
        name = match["name"].rstrip("/")
        if not match["indent"]:
            top, path = name, name
        else:
            path = f"{top}/{name}"
        found[path] = match["purpose"]
    return found


@pytest.mark.parametrize("top", PACKAGES)
def test_every_package_is_in_the_tree(top: str) -> None:
    packages = {path.parent.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / top).rglob("__init__.py")}
    assert packages - set(described()) == set()


@pytest.mark.parametrize("path", described())
def test_what_the_tree_names_is_there(path: str) -> None:
    assert (REPOSITORY / path).exists()
