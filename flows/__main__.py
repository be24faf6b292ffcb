"""`python -m flows` lists the flows, `python -m flows NAME …` runs one in this process, without a Prefect server.

Exit codes: 0 done, 1 refused or failed (one line on stderr), 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

from data.environment import read_env_file
from data.errors import DataError
from data.foreign_text import safe_print
from flows import registry
from flows.errors import ConfigurationError, FlowError, WrongOption

USAGE = """\
usage: python -m flows NAME [parameters]     run a flow here and now, without a server
       python -m flows NAME --help           its parameters
       python -m flows NAME --verbose …      the whole traceback when it fails
"""


def listing() -> str:
    """The flows that exist, each with its summary."""
    names = registry.available()
    width = max(map(len, names), default=0)
    lines = [f"  {name:<{width}}  {registry.NAMES[name].summary}" for name in names]
    return "\n".join([USAGE, "flows:", *lines])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (without the program's name); returns the exit code. Wrong options: `SystemExit`."""
    read_env_file()
    words = list(sys.argv[1:] if argv is None else argv)
    verbose = "--verbose" in words
    words = [word for word in words if word != "--verbose"]
    if not words or words[0] in ("-h", "--help", "list"):
        safe_print(listing())
        return 0
    try:
        spec = registry.load(words[0])
    except ConfigurationError as exc:
        safe_print(exc, file=sys.stderr)
        return 2
    arguments = registry.parser(spec).parse_args(words[1:])
    try:
        safe_print(spec.run(arguments))
    except KeyboardInterrupt:
        safe_print(f"{spec.name}: interrupted; what was not finished was not written", file=sys.stderr)
        return 130
    except Exception as exc:
        if verbose:
            safe_print(traceback.format_exc(), file=sys.stderr)
        safe_print(explained(exc), file=sys.stderr)
        if isinstance(exc, WrongOption):  # as for a wrong option that the command line itself notices
            raise SystemExit(2) from None
        return 1
    return 0


def explained(exc: Exception) -> str:
    """One line for a person: the message of an error of this project, or any other error marked as unexpected."""
    # Imported here, not at the top: the engine takes 0.4 s of processor time, and only an error needs its names.
    from risk_core.errors import RiskCoreError

    text = " ".join(str(exc).split())
    if isinstance(exc, FlowError | DataError | RiskCoreError):
        return f"{type(exc).__name__}: {text}"
    return f"unexpected {type(exc).__name__}: {text}; --verbose shows where"


if __name__ == "__main__":
    sys.exit(main())
