"""Figures of the Risk page: the tail of the newest run, the models beside it, and the nearest moves that make it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

import risk_core as rc
from dashboard.look import formatting as fmt
from dashboard.market.forecasts import Ledger
from dashboard.market.loaded import LoadedMarket, ShownFigure, ShownRun
from dashboard.market.page_data import AGAIN, PageData, Unavailable, translated
from dashboard.market.tail import Model, Part, ShownShares, ShownTail, StepRow, tail_of
from dashboard.pages.what_if import reverse
from risk_core.analytics.shares import wilson
from risk_core.laws.calibrated import DEFAULT

LEVELS = (0.95, 0.99, 0.999)
MEASURES = {"lar_repaid": "LaR", "es_repaid": "Mean beyond it", "es_deficit": "Deficit beyond it"}
"""Figures whose shares are shown, and their short names; the first is what the page opens with."""
FEW = 30
"""Paths with a loss that a figure of a tail needs."""
ROWS = 7
"""Rows of a list of shares, the others are one row."""
COLUMNS = 48
"""Most steps of the heatmap; finer ones are added up."""
NO_RUN = "python -m flows risk-scenarios"
LAWS = "Price law"
LIKELY = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the page shows: the market, its run, and the run's tail."""

    loaded: LoadedMarket
    run: ShownRun
    tail: ShownTail

    @property
    def lar(self) -> ShownFigure:
        """Liquidations at risk 99 %."""
        return self.run.estimate("lar_repaid", 0.99)


def answer(source: PageData, snapshot: str | None = None) -> Answer:
    """The newest run of a snapshot, None is the newest. Raises `Unavailable`."""
    loaded = source.loaded(snapshot)
    run = source.run(loaded.market.snapshot)
    if run is None:
        raise Unavailable("No run yet", "The snapshot is here, but no risk run of it is stored.", NO_RUN)
    with translated("The tail of the run cannot be shown", AGAIN):
        return Answer(loaded=loaded, run=run, tail=tail_of(run))


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A model, and what its forecasts say of it: `holds`, `fails`, `too few`, `untested`; "" of what is no law."""

    model: Model
    standing: str

    @property
    def fails(self) -> bool:
        """Whether its forecasts failed a test."""
        return self.standing == "fails"


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """The figure by every model. low, high: the values of those that did not fail a test; USD."""

    models: tuple[Judged, ...]
    low: float
    high: float

    @property
    def laws(self) -> tuple[Judged, ...]:
        """The price laws alone."""
        return tuple(one for one in self.models if one.model.group == LAWS)

    @property
    def none_passed(self) -> bool:
        """Whether no law has passed the tests of its forecasts."""
        return not any(one.standing == "holds" for one in self.laws)


def envelope(found: Answer, ledger: Ledger | None) -> Envelope | None:
    """Every model with the record of its law's forecasts; None where none is stored with enough paths."""
    models = tuple(
        Judged(model=model, standing=_standing(model, ledger, found.run.horizon_hours) if model.group == LAWS else "")
        for model in found.tail.envelope
        if not model.figure.few_draws
    )
    values = [one.model.figure.value for one in models if not one.fails or one.model.in_use]
    if not values:
        return None
    return Envelope(models=models, low=min(values), high=max(values))


def _standing(model: Model, ledger: Ledger | None, horizon_hours: float) -> str:
    mine = [
        record
        for record in (ledger.records if ledger is not None else ())
        if (record.law, record.horizon_seconds) == (model.name, round(horizon_hours * 3600))
    ]
    if not mine:
        return "untested"
    if any(record.fails for record in mine):
        return "fails"
    # At the level of the figure: a law that holds at 90 % may still be too thin at 99 %.
    return "holds" if all(record.enough for record in mine) else "too few"


def is_default(name: str) -> bool:
    """Whether a run uses this law unless another is asked for."""
    return name == DEFAULT


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One row of a list of shares. se: NaN where several parts are one row. others: it is what is not told apart."""

    label: str
    share: float
    se: float
    others: bool = False


def bars(parts: tuple[Part, ...], rest: str = "", behind: int = 0, rows: int = ROWS) -> list[Bar]:
    """At most `rows` bars, largest share first, that add up to the whole; the last is all others together.

    rest: the name of those others; else they are counted: those cut here, and the `behind` that were never told apart.
    """
    named = sorted((p for p in parts if p.name and p.kind in ("", "factor")), key=lambda p: -abs(p.share))
    others = [p for p in parts if not p.name or p.kind == "others"]
    stayed = [Bar(label="before any move", share=p.share, se=p.se) for p in parts if p.kind == "stayed"]
    room = rows - len(stayed)
    keep = named if len(named) + bool(others) <= room else named[: room - 1]
    cut = [*named[len(keep) :], *others]
    out = [Bar(label=p.name, share=p.share, se=p.se) for p in keep]
    if cut:
        n = len(named) - len(keep) + behind
        label = rest or f"{fmt.count(n)} other{'s' if n != 1 else ''}"
        se = cut[0].se if len(cut) == 1 else float("nan")
        out.append(Bar(label=label, share=sum(p.share for p in cut), se=se, others=True))
    return [*out, *stayed]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """USD by reserve and step. hours: (T,) ends of the columns; rows: largest first; tail: of the worst paths."""

    hours: tuple[float, ...]
    rows: tuple[StepRow, ...]
    tail: bool
    n_draws: int

    @property
    def by_step(self) -> np.ndarray:
        """(T,) sums over the reserves."""
        return np.array([row.usd for row in self.rows]).sum(axis=0)


def heat(found: Answer, of: str = "seized") -> Heat | None:
    """Mean amounts of the worst 1 % of paths by reserve and step, of all paths where too few are beyond the level.

    of: seized or repaid. Steps are added up to at most `COLUMNS`. None where nothing is stored.
    """
    steps = found.tail.steps
    if steps is None:
        return None
    tail = bool(steps.tail_first)
    rows = getattr(steps, f"tail_{of}" if tail else of)
    n = len(steps.hours)
    width = -(-n // COLUMNS)
    ends = [min(k + width, n) for k in range(0, n, width)]
    added = tuple(
        StepRow(name=row.name, usd=tuple(sum(row.usd[a:b]) for a, b in zip([0, *ends], ends, strict=False)))
        for row in rows
    )
    return Heat(hours=tuple(steps.hours[end - 1] for end in ends), rows=added, tail=tail, n_draws=steps.tail_draws)


def begun(first: tuple[float, ...]) -> np.ndarray:
    """(T + 1,) share of paths with a liquidation by the end of each step, from 0 at the start."""
    return np.concatenate([[0.0], np.cumsum(first[:-1])])


def targets(found: Answer) -> list[tuple[str, str, float]]:
    """(words, measure, USD) of the nearest moves that are looked for: the tail itself, and a deficit."""
    beyond = found.run.get("es_repaid", 0.99)
    asked = [("as much as LaR 99\u202f%", "liquidated", found.lar.value)]
    if found.lar.few_draws:
        start = reverse.start_target(found.loaded, "liquidated")
        asked = [("a hundredth of all debt liquidated", "liquidated", start)]
    if beyond is not None and not beyond.few_draws:
        asked.append(("as much as the mean beyond it", "liquidated", beyond.value))
        asked.append(("twice the mean beyond it", "liquidated", 2 * beyond.value))
    asked.append(("a deficit of a thousandth of all debt", "deficit", reverse.start_target(found.loaded, "deficit")))
    return [one for one in asked if one[2] > 0]


def nearest(found: Answer) -> list[tuple[str, float, reverse.Answer | str]]:
    """(words, USD, the nearest move or why there is none) of each target, nearest first."""
    out: list[tuple[str, float, reverse.Answer | str]] = []
    for words, measure, usd in targets(found):
        try:
            out.append((words, usd, reverse.answer(found.loaded, found.run, measure, usd)))
        except rc.InputError as none:
            out.append((words, usd, str(none)))
    return sorted(out, key=lambda row: row[2].stress.distance if isinstance(row[2], reverse.Answer) else np.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """An account with its chance of being liquidated within the horizon, and the 95 % interval of that chance."""

    address: str
    probability: float
    low: float
    high: float
    few_draws: bool
    health_factor: float
    debt_usd: float


def likely(found: Answer) -> list[Chance]:
    """The accounts that most paths liquidate, most likely first; of those that are still in the market."""
    market, n = found.loaded.market, found.run.n_paths
    rows = {str(address): row for row, address in enumerate(market.accounts)}
    out = []
    for one in found.tail.likely[:LIKELY]:
        row = rows.get(one.address)
        if row is None:
            continue
        low, high = wilson(one.hits, n)
        out.append(
            Chance(
                address=one.address, probability=one.hits / n, low=low, high=high, few_draws=one.hits < FEW,
                health_factor=float(found.loaded.health_factor[row]), debt_usd=float(found.loaded.debt_usd[row]),
            )
        )  # fmt: skip
    return out


def percents(level: float) -> str:
    """A level as a label: `99.9 %`."""
    return f"{level * 100:g}\u202f%"


def chosen(query: Mapping[str, str]) -> tuple[str, float]:
    """(measure, level) of a query. Raises `InputError`."""
    measure, level = query.get("measure", "lar_repaid"), query.get("level", "0.99")
    if measure not in MEASURES:
        raise rc.InputError(f"measure: expected one of {', '.join(MEASURES)}, found {measure[:40]!r}")
    if level not in {str(one) for one in LEVELS}:
        raise rc.InputError(f"level: expected one of {', '.join(map(str, LEVELS))}, found {level[:40]!r}")
    return measure, float(level)


def shares_of(found: Answer, measure: str, level: float) -> ShownShares | None:
    """The stored shares of a figure; None where the run holds none."""
    return found.tail.of(measure, level)
