"""A flow as its command line runs it, in the process of the test."""

from __future__ import annotations

from flows import registry


def ran(name: str, *words: str) -> str:
    """`python -m flows NAME WORDS`, without what the command prints of an error; returns the flow's line."""
    flow = registry.load(name)
    return flow.run(registry.parser(flow).parse_args(words))
