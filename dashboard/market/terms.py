"""Changed parameters as a part of a what-if: how a link and the browser's store write them, and what cannot be read.

Only their form is looked at here: whether a market has the reserve, and whether its pool would take the value, says
`dashboard.market.governance`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

Terms = tuple[tuple[str, float], ...]
"""(NAME.FIELD, new value as a fraction) of each changed parameter, in the order of their names."""
FIELDS: Mapping[str, str] = MappingProxyType(
    {"liquidation_threshold": "threshold", "liquidation_bonus": "bonus", "ltv": "LTV"}
)
"""The parameters that can change, and their words."""
SET = "set"
"""Name of the changed parameters in the store and in the link."""
MOST = 60
"""Parameters that one what-if may change."""
EXAMPLE = "WETH.liquidation_threshold:0.80"
UNCHANGED = "No parameter is changed."


def parted(key: str) -> tuple[str, str]:
    """(name, field) of `WETH.ltv`; without a field that is known the field is empty."""
    name, _, field = key.rpartition(".")
    return (name, field) if name and field in FIELDS else (key, "")


def ordered(changes: Mapping[str, float]) -> Terms:
    """The changes in the order of their names, rounded as a link writes them."""
    return tuple(sorted((key, round(value, 6)) for key, value in changes.items()))


def of_link(text: str) -> dict[str, str]:
    """{NAME.FIELD: text of the value} of `WETH.ltv:0.78,emode:1.ltv:0.9`; what has no value has an empty one."""
    pairs = (part.rpartition(":") for part in text.split(",") if part.strip())
    return {(name or value).strip(): value if name else "" for name, _, value in pairs}


def to_link(terms: Terms) -> str:
    """The text that `of_link` reads."""
    return ",".join(f"{key}:{value:g}" for key, value in terms)


def read(given: object) -> tuple[Terms, tuple[str, ...]]:
    """The changes in {NAME.FIELD: fraction}, from a store or `of_link`, and one sentence for each that cannot be read.

    One that cannot be read leaves all out: half of a change could be one that the pool refuses.
    """
    if not isinstance(given, Mapping) or not given:
        return (), ()
    if len(given) > MOST:
        return (), (f"{SET} in the link changes {len(given)} parameters; at most {MOST} can be. {UNCHANGED}",)
    found: dict[str, float] = {}
    problems = []
    for key, value in given.items():
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        said = f"{SET}={key!s:.80}:{value!s:.40} in the link"
        if not isinstance(key, str) or not parted(key)[1]:
            problems.append(f"{said} names no parameter: expected NAME.FIELD:VALUE, such as {EXAMPLE}. {UNCHANGED}")
        elif not 0 <= number <= 1:
            problems.append(f"{said} is no fraction from 0 to 1; 0.05 is 5 %. {UNCHANGED}")
        else:
            found[key] = number
    return ((), tuple(problems)) if problems else (ordered(found), ())
