"""The house stands as CONTRIBUTING.md draws it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("flows", "dashboard", "data", "risk_core")

FOREIGN_VARIABLES = re.compile(
    r"(PREFECT|NUMBA|OPENBLAS|DASH|PYTHON|PIP|JUPYTER)_\w+|DO_NOT_TRACK|CI|NO_COLOR|TERM|HOME|PATH"
)
"""Variables that belong to the tools we use, not to this project."""


def sources(*packages: str) -> list[Path]:
    return [path for package in packages for path in sorted((REPOSITORY / package).rglob("*.py"))]


def variables_read(tree: ast.AST) -> Iterator[str]:
    """Names of environment variables that a module reads: literals given to `environ` or to a `settings` module."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute() as function, args=[ast.Constant(value=str(name)), *_]):
                owner = ast.unparse(function)
            case ast.Subscript(value=ast.Attribute() as mapping, slice=ast.Constant(value=str(name))):
                owner = ast.unparse(mapping)
            case ast.Call(func=ast.Name(id=owner), args=[ast.Constant(value=str(name)), *_]):
                pass
            case _:
                continue
        reads_a_setting = re.search(r"environ|getenv|settings|secret|\b_?(get|require|read)\b", owner)
        if reads_a_setting and re.fullmatch(r"[A-Z][A-Z0-9_]+", name):
            yield name


def listed_variables() -> set[str]:
    text = (REPOSITORY / ".env.example").read_text(encoding="utf-8")
    return set(re.findall(r"^#?([A-Z][A-Z0-9_]*)=", text, flags=re.MULTILINE))


@pytest.mark.parametrize(
    "name",
    [
        *("flows", "dashboard", "notebooks", "data", "risk_core", "tests"),
        *("prefect.yaml", "requirements.txt", "README.md", "pyproject.toml", "Makefile", ".ci/run"),
        *("CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", ".env.example"),
    ],
)
def test_the_top_level_names_exist(name):
    assert (REPOSITORY / name).exists()


def test_the_import_contracts_hold():
    # In a process of its own: import-linter keeps a cache and prints through its own console.
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    done = subprocess.run([*command, "--no-cache"], cwd=REPOSITORY, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout


@pytest.mark.parametrize("path", sources("risk_core"), ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_the_engine_reads_no_clock_and_no_hidden_randomness(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call)]

    # A generator made from an explicit seed is an argument like any other.
    impure = [
        call
        for call in calls
        if re.match(r"[\w.]+\.(now|utcnow|today)\(|(open|print|input)\(", call)
        or re.match(r"(\w+\.)*random\.(?!default_rng\([^)])", call)
    ]

    assert impure == []
    asked = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert {name for name in asked if name.startswith("os.")} <= {"os.cpu_count", "os.sched_getaffinity"}


@pytest.mark.parametrize("path", sources(*PACKAGES), ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_no_module_is_a_drawer_for_odds_and_ends(path):
    assert path.stem not in {"utils", "util", "helpers", "helper", "common", "misc"}


def test_every_variable_the_code_reads_is_listed_and_no_other():
    read = {
        name
        for path in sources(*PACKAGES)
        for name in variables_read(ast.parse(path.read_text(encoding="utf-8")))
        if not FOREIGN_VARIABLES.fullmatch(name)
    }

    assert read == listed_variables()


def test_variables_are_found_however_they_are_read():
    source = """
import os
os.environ["A_ONE"], os.environ.get("A_TWO", ""), os.getenv("A_THREE")
settings.get("A_FOUR"), settings.require("A_FIVE", "why"), get("A_SIX"), frame.rename("A_SEVEN"), rows.get("lower")
"""
    assert set(variables_read(ast.parse(source))) == {"A_ONE", "A_TWO", "A_THREE", "A_FOUR", "A_FIVE", "A_SIX"}


@pytest.mark.parametrize(
    "name", ["requirements.txt", "requirements-dev.txt", "requirements-export.txt", "requirements-dask.txt"]
)
def test_a_lock_names_exact_versions_with_their_digests_and_no_host(name):
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    # A pin goes on over several lines: `name==1.0` and a backslash, then `--hash=sha256:...` for each file.
    found = re.sub(r"\s*\\\n\s*--hash=sha256:[0-9a-f]{64}(?=\s)", " HASHED", text)
    lines = [re.sub(r" ;.*?(?= HASHED)", "", line).rstrip() for line in found.splitlines()]
    pins = [line for line in lines if line and not line.lstrip().startswith("#")]

    form = r"([a-z0-9-]+)(\[[a-z0-9, -]+\])?==[0-9][\w.!+]*( HASHED)+"
    assert [line for line in pins if not re.fullmatch(form, line)] == []
    assert len(pins) > 100
    # To an older pip the two are different requirements, and each of them must be pinned.
    with_extras = {match[1] for line in pins if (match := re.fullmatch(form, line)) and match[2]}
    plain = {match[1] for line in pins if (match := re.fullmatch(form, line)) and not match[2]}
    assert "sqlalchemy" in with_extras
    assert with_extras <= plain


def test_a_pin_with_extras_is_followed_by_the_plain_one():
    from tests.lock import with_plain_pins

    digests = "    --hash=sha256:1 \\\n    --hash=sha256:2\n"
    text = f"a==1 \\\n{digests}    # via b\nb[x, y]==2 \\\n{digests}    # via\n    #   c\n"

    after = with_plain_pins(text)

    assert after == f"{text}b==2 \\\n{digests}    # the same without its extras (tests/lock.py)\n"
    assert with_plain_pins(after) == after


def test_the_development_lock_holds_every_runtime_pin():
    def pins(name: str) -> set[str]:
        text = (REPOSITORY / name).read_text(encoding="utf-8")
        return set(re.findall(r"^[a-z0-9-]+==[^\s;]+", text, flags=re.MULTILINE))

    assert pins("requirements.txt") <= pins("requirements-dev.txt")


def test_the_changelog_speaks_of_this_version():
    from risk_core.version import __version__

    newest = re.search(r"^## (\S+)", (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)

    assert newest is not None
    assert newest[1] == __version__
