"""Options of the flow `protocol-snapshot`."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field

from flows.arguments import Unreadable
from flows.options import Every, Flag, Options

List = Literal["protocols", "chains", "stablecoins", "yields"]
SLUGS = ("aave",)
"""The protocol in the documentation's example: all versions of Aave together."""


def slug(value: Any) -> str:
    """A protocol as DefiLlama calls it. Raises `Unreadable`."""
    if not isinstance(value, str) or not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,80}", value):
        raise Unreadable(f"expected a slug such as aave-v3, found {value!r:.60}")
    return value


class ProtocolSnapshotOptions(Options):
    """Options of `protocol-snapshot`."""

    slugs: Annotated[list[Annotated[str, BeforeValidator(slug)]], Flag(metavar="SLUG")] = Field(
        list(SLUGS), description="protocols as DefiLlama calls them"
    )
    lists: Annotated[list[List], Flag(empty=True)] = Field(
        list(get_args(List)), description="lists to store beside (default: all; none when given without a name)"
    )
    every: Every = None
