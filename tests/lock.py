"""`make lock`: write the lock of each `requirements*.in`: exact versions, each with the digests of its files.

uv resolves. pip refuses a requirement in a lock with digests unless that very requirement is pinned, and to older pips
(23.2 comes with Python 3.11) `sqlalchemy` and `sqlalchemy[asyncio]` are two: one package may ask for the first, another
for the second. So a pin with extras is followed by one without them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
LOCKS = ("requirements", "requirements-export", "requirements-dask", "requirements-dev")
"""In an order in which each finds the versions of those that its constraints name."""
RESOLVE = (
    "pip", "compile", "--universal", "--python-version", "3.11", "--generate-hashes", "--no-strip-extras",
    "--no-emit-index-url", "--no-emit-find-links", "--quiet",
    "--custom-compile-command", 'make lock  (see CONTRIBUTING.md, "Change a dependency")',
)  # fmt: skip
PIN = re.compile(r"^[a-z0-9][^\n]*\n(?:[ \t]+[^\n]*\n)*", re.MULTILINE)
"""One pin with the lines that belong to it: digests, and what asked for it."""
EXTRAS = re.compile(r"^([a-z0-9-]+)\[[^\]]*\]")


def with_plain_pins(text: str) -> str:
    """A lock in which each pin with extras is followed by the pin without them, once."""
    plain = {re.split(r"[=\[ ]", pin.group(), maxsplit=1)[0] for pin in PIN.finditer(text) if not EXTRAS.match(pin[0])}

    def twice(pin: re.Match[str]) -> str:
        found = EXTRAS.match(pin[0])
        if found is None or found[1] in plain:
            return pin[0]
        digests = re.sub(r"^[ \t]+#.*\n", "", EXTRAS.sub(r"\1", pin[0]), flags=re.MULTILINE)
        return f"{pin[0]}{digests}    # the same without its extras (tests/lock.py)\n"

    return PIN.sub(twice, text)


def main() -> int:
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if uv is None:
        print("make lock needs uv (https://docs.astral.sh/uv/): pip install uv", file=sys.stderr)
        return 1
    for name in LOCKS:
        lock = REPOSITORY / f"{name}.txt"
        subprocess.run([uv, *RESOLVE, f"{name}.in", "-o", lock.name], cwd=REPOSITORY, check=True)
        lock.write_text(with_plain_pins(lock.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
        print(lock.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
