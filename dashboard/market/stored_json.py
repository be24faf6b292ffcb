"""Values of stored JSON, checked one by one. Each function raises `Damaged`, which names the value."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from dashboard.market.checks import Damaged, check_figure, is_number
from dashboard.market.loaded import ShownFigure


def parsed(name: str, text: object) -> Any:
    """What a text of JSON holds."""
    try:
        return json.loads(text)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise Damaged(f"{name}: expected JSON, found {text!r:.60}") from error


def figure_of(name: str, found: Any) -> ShownFigure:
    """A figure in USD of at least 0, as `data.results.figures.stored_figure` is stored."""
    record = record_of(f"{name}: figure", found)
    n_positive = record.get("n_positive")
    return check_figure(
        name,
        ShownFigure(
            number_of(f"{name}: value", record.get("value"), 0), record.get("low"), record.get("high"),
            record.get("se"), None if n_positive is None else count_of(f"{name}: n_positive", n_positive),
            bool(record.get("few_draws")), str(record.get("no_interval") or ""),
        ),
    )  # fmt: skip


def record_of(name: str, found: Any) -> Mapping[str, Any]:
    """A record as stored."""
    if not isinstance(found, Mapping):
        raise Damaged(f"{name}: expected a record, found {found!r:.60}")
    return found


def list_of(name: str, found: Any) -> Sequence[Any]:
    """A list as stored."""
    if not isinstance(found, list | tuple):
        raise Damaged(f"{name}: expected a list, found {found!r:.60}")
    return found


def text_of(name: str, found: Any) -> str:
    """Text as stored."""
    if not isinstance(found, str):
        raise Damaged(f"{name}: expected text, found {found!r:.60}")
    return found


def number_of(name: str, found: Any, least: float = -float("inf"), most: float = float("inf")) -> float:
    """A finite number from `least` to `most`."""
    if not is_number(found) or not least <= found <= most:
        raise Damaged(f"{name}: expected a number from {least:g} to {most:g}, found {found!r:.60}")
    return float(found)


def numbers_of(name: str, found: Any, least: float = -float("inf")) -> tuple[float, ...]:
    """A list of such numbers."""
    return tuple(number_of(name, one, least) for one in list_of(name, found))


def count_of(name: str, found: Any) -> int:
    """A whole number of at least 0."""
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise Damaged(f"{name}: expected a count, found {found!r:.60}")
    return found
