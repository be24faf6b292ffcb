"""The file `.env`: settings that every command reads first."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import NoReturn

from dotenv.parser import parse_stream

from data.foreign_text import safe_print

PROJECT = Path(__file__).resolve().parents[1]
"""The folder that holds the packages: the repository, where this is a copy of it."""

LEFT_OUT = "RISK_ENV_LEFT_OUT"
"""Environment variable with the path of a `.env` that is not read; the tests set it to the developer's own file."""


def env_file() -> Path | None:
    """The `.env` of the folder a command is started in, else the one of the project; None where neither is there."""
    left_out = os.environ.get(LEFT_OUT, "").strip()
    for folder in (Path.cwd(), PROJECT):
        path = folder / ".env"
        if path.is_file() and not (left_out and path.resolve() == Path(left_out).resolve()):
            return path
    return None


def read_env_file() -> Path | None:
    """Add the settings of `.env` to the environment of this process; returns the file, or None where there is none.

    A variable that is set already wins, also an empty one, and in either form of a secret: neither `NAME` nor
    `NAME_FILE` is taken from the file when one of the two is set. Values are taken as written: a `$` stays a `$`. Ends
    the process with exit code 2 and one line on stderr when the file cannot be read or has a line that is no setting.
    The message has the line's number, never its text, which may be a secret.
    """
    path = env_file()
    if path is None:
        return None
    given = {_plain(name) for name in os.environ}
    for name, value in _settings(path).items():
        if _plain(name) not in given:
            os.environ[name] = value
    return path


def _plain(name: str) -> str:
    # On Windows names of variables have no case; os.environ keeps them in capitals there.
    return (name.upper() if os.name == "nt" else name).removesuffix("_FILE")


def _settings(path: Path) -> dict[str, str]:
    try:
        # "utf-8-sig": editors of Windows put a mark before the first letter.
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
        _refuse(f"{path}: cannot be read ({reason}); write it as plain text, or remove it")
    found = {}
    for binding in parse_stream(io.StringIO(text)):
        if binding.error or (binding.key is not None and binding.value is None) or "\0" in (binding.value or ""):
            _refuse(f"{path}, line {binding.original.line}: expected NAME=value or a comment; correct this line")
        if binding.key is not None and binding.value is not None:
            found[binding.key] = binding.value
    return found


def _refuse(message: str) -> NoReturn:
    safe_print(message, file=sys.stderr)
    raise SystemExit(2)
