"""`.env`: every command reads it, the environment wins, what cannot be read is refused in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from data import environment

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of the test's own as the working directory; what is read into the environment goes again."""
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    yield tmp_path
    for name in set(os.environ) - set(before):
        del os.environ[name]


def write(folder, content: str | bytes) -> Path:
    path = folder / ".env"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_values_are_taken_as_written(folder):
    write(
        folder,
        '# a comment\n\nRISK_TEST_A=one\nexport RISK_TEST_B="two words" # why\nRISK_TEST_C=1=https://a 2=https://b#c\n'
        'RISK_TEST_D={"ratio": "name()"}\nRISK_TEST_E=pa$s${HOME}\nRISK_TEST_F=\n',
    )

    environment.read_env_file()

    assert {name[-1]: value for name, value in os.environ.items() if name.startswith("RISK_TEST_")} == {
        "A": "one",
        "B": "two words",
        "C": "1=https://a 2=https://b#c",
        "D": '{"ratio": "name()"}',
        "E": "pa$s${HOME}",
        "F": "",
    }


@pytest.mark.parametrize(
    "content", [b"\xef\xbb\xbfRISK_TEST_A=1\r\nRISK_TEST_B=2\r\n", b"RISK_TEST_A=1\nRISK_TEST_B=2"]
)
def test_a_file_of_windows_reads_alike(folder, content):
    write(folder, content)

    environment.read_env_file()

    assert (os.environ["RISK_TEST_A"], os.environ["RISK_TEST_B"]) == ("1", "2")


@pytest.mark.parametrize(
    ("given", "in_file"),
    [
        ("RISK_TEST_A", "RISK_TEST_A"),
        ("RISK_TEST_A_FILE", "RISK_TEST_A"),
        ("RISK_TEST_A", "RISK_TEST_A_FILE"),
    ],
)
@pytest.mark.parametrize("value", ["mine", ""])
def test_the_environment_wins(folder, monkeypatch, given, in_file, value):
    monkeypatch.setenv(given, value)
    write(folder, f"{in_file}=other\nRISK_TEST_B=read")

    environment.read_env_file()

    assert os.environ[given] == value
    assert given == in_file or in_file not in os.environ
    assert os.environ["RISK_TEST_B"] == "read"


@pytest.mark.parametrize(
    "content",
    [
        "RISK_TEST_A=1\nhunter2 is my password\n",
        "RISK_TEST_A=1\nRISK_TEST_B\n",
        'RISK_TEST_A=1\nRISK_TEST_B="open',
        "RISK_TEST_A=1\nRISK_TEST_B=a\0b",
    ],
)
def test_a_line_that_is_no_setting_is_refused_by_its_number(folder, capsys, content):
    path = write(folder, content)

    with pytest.raises(SystemExit) as refused:
        environment.read_env_file()

    assert refused.value.code == 2
    said = capsys.readouterr().err
    assert said == f"{path}, line 2: expected NAME=value or a comment; correct this line\n"
    assert "RISK_TEST_A" not in os.environ


def test_a_file_in_another_encoding_is_refused(folder, capsys):
    write(folder, "RISK_TEST_A=ä".encode("utf-16"))

    with pytest.raises(SystemExit) as refused:
        environment.read_env_file()

    assert refused.value.code == 2
    assert "it is not UTF-8 text" in capsys.readouterr().err


def test_the_folder_of_the_command_comes_before_the_project(folder, monkeypatch):
    project = folder / "project"
    project.mkdir()
    monkeypatch.setattr(environment, "PROJECT", project)
    monkeypatch.delenv(environment.LEFT_OUT)
    assert environment.env_file() is None

    beside_the_packages = write(project, "RISK_TEST_A=1")
    assert environment.env_file() == beside_the_packages

    here = write(folder, "RISK_TEST_A=2")
    assert environment.env_file() == here


def test_a_test_reads_no_env_file_of_the_developer(folder):
    write(folder, "RISK_TEST_A=1")
    os.environ[environment.LEFT_OUT], before = str(folder / ".env"), os.environ[environment.LEFT_OUT]
    try:
        assert environment.env_file() != folder / ".env"
    finally:
        os.environ[environment.LEFT_OUT] = before
    assert Path(before) == REPOSITORY / ".env"


@pytest.mark.parametrize(
    "command", ["data tables", "data.export --to out", "data.sample", "flows list", "flows.server", "dashboard"]
)
def test_every_command_reads_it(folder, command):
    """A line that is no setting ends each command before it does anything."""
    write(folder, "no setting")

    done = subprocess.run(
        [sys.executable, "-m", *command.split()],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{folder / '.env'}, line 1: expected")


def test_a_command_uses_what_it_read(folder):
    write(folder, f"RISK_DB={folder / 'of_env.sqlite'}")
    without = {name: value for name, value in os.environ.items() if name != "RISK_DB"}

    subprocess.run(
        [sys.executable, "-m", "data", "migrate"],
        check=True,
        capture_output=True,
        timeout=120,
        env=without | {"PYTHONPATH": str(REPOSITORY)},
    )

    assert (folder / "of_env.sqlite").exists()
