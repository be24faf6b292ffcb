"""Who makes the tail of a stored run, when it comes, and what the figure is by other models: read and checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

from dashboard.market.checks import Damaged
from dashboard.market.loaded import ShownFigure, ShownRun
from dashboard.market.stored_json import count_of, figure_of, list_of, number_of, numbers_of, record_of, text_of

ADD_UP = 1e-6
"""Shares of one figure may be this far from 1 in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a figure: its share of 1 and the standard error. An empty name is all others together.

    kind: of a driver, `factor`, `others` or `stayed` (what follows from prices before they move); else empty.
    """

    name: str
    share: float
    se: float
    kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownShares:
    """The parts of one figure. Where there are none, `reason` says why, in words.

    value: USD. n_draws: paths that the shares rest on. reserves: by debt reserve. sold: of the collateral sold on the
    same paths. other_accounts: accounts with debt that are not told one by one.
    """

    measure: str
    level: float
    value: float
    n_draws: int
    reason: str
    reserves: tuple[Part, ...]
    sold: tuple[Part, ...]
    accounts: tuple[Part, ...]
    drivers: tuple[Part, ...]
    other_accounts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Liquidations at risk 99 % by one model."""

    name: str
    group: str
    words: str
    in_use: bool
    figure: ShownFigure
    n_paths: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Liquidations at risk 99 % from the first `n_paths` paths, USD."""

    n_paths: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """USD of one reserve at the end of each step; an empty name is all others together."""

    name: str
    usd: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """When it comes. hours: end of each step. first, tail_first: share of paths by step of the first liquidation.

    Their last entry is the paths without one. repaid, seized: mean of all paths; tail_repaid, tail_seized: of the
    `tail_draws` worst ones, by debt repaid; empty without enough of them.
    """

    hours: tuple[float, ...]
    first: tuple[float, ...]
    repaid: tuple[StepRow, ...]
    seized: tuple[StepRow, ...]
    tail_draws: int = 0
    tail_first: tuple[float, ...] = ()
    tail_repaid: tuple[StepRow, ...] = ()
    tail_seized: tuple[StepRow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Paths by debt repaid. edges: (B + 1,) USD; count: (B,) paths; beyond: paths past the last edge."""

    edges: tuple[float, ...]
    count: tuple[int, ...]
    beyond: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Likely:
    """An account, and the paths of all on which it is liquidated at least once."""

    address: str
    hits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownTail:
    """What is stored of a run's tail; parts that an older version did not store are empty or None."""

    shares: tuple[ShownShares, ...]
    steps: Steps | None
    convergence: tuple[Size, ...]
    envelope: tuple[Model, ...]
    likely: tuple[Likely, ...]
    histogram: Histogram | None

    def of(self, measure: str, level: float) -> ShownShares | None:
        """The parts of a figure, None where none are stored."""
        return next((one for one in self.shares if (one.measure, one.level) == (measure, level)), None)


@lru_cache(maxsize=8)
def tail_of(run: ShownRun) -> ShownTail:
    """The tail of a run. Raises `Damaged` that names the curve which cannot be shown."""
    curves = run.curves
    steps = curves.get("steps")
    likely = record_of("accounts", curves.get("accounts", {"address": [], "probability": []}))
    chances = numbers_of("accounts: probability", likely.get("probability"), 0)
    addresses = list_of("accounts: address", likely.get("address"))
    sizes = list_of("convergence", curves.get("convergence", []))
    if len(addresses) != len(chances) or any(chance > 1 for chance in chances):
        raise Damaged("accounts: expected a chance for each address")
    return ShownTail(
        shares=tuple(_shares(record_of("shares", one)) for one in list_of("shares", curves.get("shares", []))),
        steps=None if steps is None else _steps(record_of("steps", steps)),
        convergence=tuple(_size(record_of("convergence", one)) for one in sizes),
        envelope=tuple(_model(record_of("envelope", one)) for one in list_of("envelope", curves.get("envelope", []))),
        likely=tuple(
            Likely(address=text_of("accounts", address), hits=round(chance * run.n_paths))
            for address, chance in zip(addresses, chances, strict=True)
        ),
        histogram=_histogram(record_of("histogram_of_most", curves.get("histogram_of_most", {}))),
    )


def _histogram(record: Mapping[str, Any]) -> Histogram | None:
    if not record:
        return None
    edges = numbers_of("histogram_of_most: edges", record.get("edges"), 0)
    count = tuple(count_of("histogram_of_most", n) for n in list_of("histogram_of_most", record.get("count")))
    if len(edges) != len(count) + 1 or any(b <= a for a, b in pairwise(edges)) or not sum(count):
        raise Damaged("histogram_of_most: expected edges that grow and a count of paths between each two")
    return Histogram(edges=edges, count=count, beyond=count_of("histogram_of_most", record.get("beyond")))


def _shares(record: Mapping[str, Any]) -> ShownShares:
    name = f"shares of {record.get('measure')!r:.30}"
    reason = record.get("no_shares") or ""
    sets = {key: tuple(_part(name, one) for one in list_of(name, record.get(key))) for key in _SETS}
    for key, parts in sets.items():
        total = sum(part.share for part in parts)
        if (parts or (not reason and key != "sold")) and abs(total - 1) > ADD_UP:
            raise Damaged(f"{name}: expected {key} that add up to 1, found {total:g}")
    return ShownShares(
        measure=text_of(name, record.get("measure")), level=number_of(name, record.get("level"), 0, 1),
        value=number_of(name, record.get("value"), 0), n_draws=count_of(name, record.get("n_draws")),
        reason=text_of(name, reason), other_accounts=count_of(name, record.get("other_accounts", 0)), **sets,
    )  # fmt: skip


_SETS = ("reserves", "sold", "accounts", "drivers")


def _part(name: str, found: Any) -> Part:
    record = record_of(name, found)
    return Part(
        name=text_of(name, record.get("name")), share=number_of(name, record.get("share")),
        se=number_of(name, record.get("se"), 0), kind=text_of(name, record.get("kind", "")),
    )  # fmt: skip


def _size(record: Mapping[str, Any]) -> Size:
    n = count_of("convergence", record.get("n_paths"))
    value, low, high = (number_of("convergence", record.get(field), 0) for field in ("value", "low", "high"))
    if n < 1 or not low <= value <= high:
        raise Damaged(f"convergence: expected paths and low <= value <= high, found {n}, {low:g}, {value:g}, {high:g}")
    return Size(n_paths=n, value=value, low=low, high=high)


def _model(record: Mapping[str, Any]) -> Model:
    figure = figure_of("envelope", record.get("figure"))
    if figure.low is not None and figure.high is not None and not 0 <= figure.low <= figure.value <= figure.high:
        found = f"{figure.low:g}, {figure.value:g}, {figure.high:g}"
        raise Damaged(f"envelope: expected 0 <= low <= value <= high, found {found}")
    return Model(
        name=text_of("envelope", record.get("name")), group=text_of("envelope", record.get("group")),
        words=text_of("envelope", record.get("words")), in_use=bool(record.get("in_use")),
        figure=figure, n_paths=count_of("envelope", record_of("envelope", record.get("figure")).get("n_paths")),
    )  # fmt: skip


def _steps(record: Mapping[str, Any]) -> Steps:
    hours = numbers_of("steps: hours", record.get("hours"))
    if not hours or any(b <= a for a, b in zip((0.0, *hours), hours, strict=False)):
        raise Damaged("steps: expected hours that grow")
    every = record_of("steps: all", record.get("all"))
    rows = {key: _rows(f"steps: {key}", every.get(key), len(hours)) for key in ("repaid", "seized")}
    first = _first("steps", record.get("first_liquidation"), len(hours))
    if record.get("tail") is None:
        return Steps(hours=hours, first=first, **rows)
    tail = record_of("steps: tail", record["tail"])
    return Steps(
        hours=hours, first=first, **rows, tail_draws=count_of("steps: tail", tail.get("n_draws")),
        tail_first=_first("steps: tail", tail.get("first_liquidation"), len(hours)),
        tail_repaid=_rows("steps: tail repaid", tail.get("repaid"), len(hours)),
        tail_seized=_rows("steps: tail seized", tail.get("seized"), len(hours)),
    )  # fmt: skip


def _rows(name: str, found: Any, n: int) -> tuple[StepRow, ...]:
    rows = []
    for one in list_of(name, found):
        record = record_of(name, one)
        usd = numbers_of(name, record.get("usd"), 0)
        if len(usd) != n:
            raise Damaged(f"{name}: expected {n} amounts, found {len(usd)}")
        rows.append(StepRow(name=text_of(name, record.get("name")), usd=usd))
    return tuple(rows)


def _first(name: str, found: Any, n: int) -> tuple[float, ...]:
    shares = numbers_of(f"{name}: first_liquidation", found, 0)
    if len(shares) != n + 1 or abs(sum(shares) - 1) > ADD_UP:
        raise Damaged(f"{name}: expected {n + 1} shares of paths that add up to 1 as first_liquidation")
    return shares
