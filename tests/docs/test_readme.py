"""What the documents promise is there: their examples run, their commands and their links exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTS = ("README.md", "CONTRIBUTING.md")
ALL = (*DOCUMENTS, *(f"docs/{path.name}" for path in sorted((REPOSITORY / "docs").glob("*.md"))))


def text_of(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[str]:
    """Fenced blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", text_of(name), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_python_examples_run_on_the_sample(document, own_warehouse, capsys):
    examples = blocks(document, "python")
    if not examples:
        assert document != "README.md", "the README shows how to use the engine from Python"
        return
    from data import sample

    sample.main(["--accounts", "500"])
    assert own_warehouse.exists()
    names: dict[str, object] = {}

    for example in examples:
        # Like a reader who pastes one block after the other.
        exec(compile(example, document, "exec"), names)

    printed = capsys.readouterr().out
    assert "nan" not in printed


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_make_target_named_exists(document):
    named = set(re.findall(r"\bmake ([a-z]+)\b(?= |`|$|\n|,)", "\n".join(code_of(document))))
    targets = set(re.findall(r"^([a-z]+):.*##", text_of("Makefile"), flags=re.MULTILINE))

    assert named - targets == set()
    assert named


def code_of(document: str) -> list[str]:
    """Everything set as code: fenced blocks and inline spans."""
    text = text_of(document)
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    return fenced + re.findall(r"`([^`\n]+)`", text)


@pytest.mark.parametrize("document", ALL)
def test_every_module_named_in_a_command_exists(document):
    modules = set(re.findall(r"python -m ((?:data|flows|dashboard|tests)[\w.]*)", "\n".join(code_of(document))))

    missing = [m for m in sorted(modules) if not any(is_runnable(m.replace(".", "/")))]

    assert missing == []


def is_runnable(path: str) -> list[bool]:
    return [(REPOSITORY / f"{path}.py").exists(), (REPOSITORY / path / "__main__.py").exists()]


@pytest.mark.parametrize("document", ALL)
def test_every_flow_named_in_a_command_exists(document):
    from flows import registry

    named = set(re.findall(r"python -m flows ([a-z][a-z-]+)", "\n".join(code_of(document))))

    assert named - set(registry.available()) == set()


@pytest.mark.parametrize("document", ALL)
def test_every_local_link_and_picture_exists(document):
    targets = re.findall(r"\]\(([^)#]+)\)", text_of(document))

    missing = [target for target in targets if "://" not in target and not (REPOSITORY / target).exists()]

    assert missing == []


def test_the_two_commands_come_on_the_first_screen():
    first_screen = "\n".join(text_of("README.md").splitlines()[:25])

    assert "make run" in first_screen
    assert "make test" in first_screen
    assert "127.0.0.1:8050" in first_screen


def test_without_make_the_steps_are_those_of_make_run():
    makefile = text_of("Makefile")
    recipe = makefile[makefile.index("\nrun: ") :].split("\n\n")[0]
    made = re.findall(r"\$\(PY\) -m (\S.*)", recipe)
    by_hand = re.findall(r"^\.venv/bin/python -m ((?:data|flows|dashboard).*)$", text_of("README.md"), re.MULTILINE)
    assert len(made) > 5
    assert made == by_hand
