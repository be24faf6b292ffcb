"""The rules: from rows to sentences. Where rows are missing, a sentence names the command that fetches them."""

from __future__ import annotations

from data.brief.computed import clusters, pegs
from data.brief.events import deficits, liquidations
from data.brief.parts import CHANGE, MISSING, STATE, Number, Part, Ref, Sentence, joined
from data.brief.reading import HOUR, WATCHED, Book, Rows, figure
from data.brief.words import apart, count, moved, relative, share, usd, utc
from data.results.figures import Figure
from data.results.runs import RiskRun

LEVEL = 0.99
FIRST_DAY = "No {} of the day before is stored: what changed can be told from the second day on."
LARGEST_MOVE = 0.02
"""Least relative change of a volatility that is named as a reason."""


def sentences(rows: Rows) -> tuple[Sentence, ...]:
    """All sentences, in the order of a reader's questions."""
    return (
        *risk(rows), *why(rows), *debt(rows), *watched(rows), *liquidations(rows), *deficits(rows), *pegs(rows),
        *clusters(rows), *freshness(rows), *refused(rows),
    )  # fmt: skip


# Liquidations at risk


def _lar_row(run: RiskRun) -> Ref:
    key = {"run_id": run.run_id, "scenario_id": run.scenario_id, "measure": "lar_repaid", "level": LEVEL}
    return Ref("fact_risk_scenarios", key)


def risk(rows: Rows) -> list[Sentence]:
    """LaR with its interval, and whether it moved by more than its error."""
    topic, run, now = "liquidations at risk", rows.run, figure(rows.run, "lar_repaid", LEVEL)
    if run is None or now is None:
        words = "No liquidations at risk are stored of the newest snapshot."
        return [Sentence(topic, MISSING, (words,), "python -m flows risk-scenarios")]
    hours = run.horizon_seconds / HOUR
    value = Number(f"{usd(now.value)} ({_interval(now)}; {share(LEVEL, 0)}, {hours:g} h)", (_lar_row(run),))
    later = " (its calibration saw prices later than the block: no forecast)" if run.looks_ahead else ""
    head = ("Liquidations at risk are ", value, later)
    before = figure(rows.run_before, "lar_repaid", LEVEL)
    if rows.run_before is None or before is None:
        return [
            Sentence(topic, STATE, (*head, ".")),
            Sentence(topic, MISSING, (FIRST_DAY.format("risk run"),), "python -m flows daily"),
        ]
    old = Number(f"{usd(before.value)} ({_interval(before)})", (_lar_row(rows.run_before),))
    both = (*value.refs, *old.refs)
    by = Number(moved(now.value, before.value), both)
    return [Sentence(topic, CHANGE, (*head, ", ", by, " from ", old, f": {_verdict(now, before)}."))]


def _interval(found: Figure) -> str:
    if found.low is None or found.high is None or found.few_draws:
        return "no interval: few draws" if found.few_draws else "no interval"
    return f"95 % {usd(found.low)} to {usd(found.high)}"


def _verdict(now: Figure, before: Figure) -> str:
    """Whether a change is more than the errors of both figures, that is, their intervals do not overlap."""
    if now.few_draws or before.few_draws:
        return "too few draws to tell whether that is a change"
    if now.low is None or now.high is None or before.low is None or before.high is None:
        return "without intervals it is not known whether that is a change"
    differs = apart(now.low, now.high, before.low, before.high)
    return "more than their errors explain" if differs else "within their errors"


def why(rows: Rows) -> list[Sentence]:
    """Which inputs of the risk changed: the volatility that changed most, and the engine's version."""
    run, before = rows.run, rows.run_before
    if run is None or before is None:
        return []
    refs = (Ref("fact_risk_run", {"run_id": run.run_id}), Ref("fact_risk_run", {"run_id": before.run_id}))
    new, old = (
        dict(zip(one.scenario().factors, one.scenario().volatility.tolist(), strict=True)) for one in (run, before)
    )
    moves = {name: relative(new[name], old[name]) for name in new if old.get(name)}
    reasons: list[Sentence] = []
    if moves:
        name = max(moves, key=lambda one: (abs(moves[one]), one))
        if abs(moves[name]) >= LARGEST_MOVE:
            numbers = Number(f"{name} from {share(old[name], 0)} to {share(new[name], 0)} a year", refs)
            reasons.append(
                Sentence("why", CHANGE, ("Among its inputs, the volatility that changed most is ", numbers, "."))
            )
    versions = Number(f"{before.code_version} to {run.code_version}", refs)
    if run.code_version != before.code_version:
        reasons.append(
            Sentence("why", CHANGE, ("The engine changed from ", versions, ": that may be part of a change."))
        )
    return reasons


# The book


def _snapshot(book: Book) -> Ref:
    return Ref("fact_snapshot", {"market": book.market, "block": book.block})


def debt(rows: Rows) -> list[Sentence]:
    """All debt, compared with the day before."""
    now, before = rows.now, rows.before
    head = ("Debt is ", Number(usd(now.debt_usd), (_snapshot(now),)))
    if before is None:
        words = FIRST_DAY.format("snapshot")
        return [Sentence("debt", STATE, (*head, ".")), Sentence("debt", MISSING, (words,), "python -m flows daily")]
    by = Number(moved(now.debt_usd, before.debt_usd), (_snapshot(now), _snapshot(before)))
    old = Number(f"{usd(before.debt_usd)} at block {before.block:,}, {utc(before.block_time)}", (_snapshot(before),))
    return [Sentence("debt", CHANGE, (*head, ", ", by, " from ", old, "."))]


def watched(rows: Rows) -> list[Sentence]:
    """Accounts below a health factor of 1.1 with their debt, and those below 1."""
    now, before = rows.now, rows.before
    here = (_snapshot(now),)
    parts: list[Part] = [
        Number(f"{count(now.n_watched, 'account')} with debt below a health factor of {WATCHED:g}", here),
        " owe ",
        Number(usd(now.watched_usd), here),
    ]
    if before is not None:
        there = (_snapshot(before),)
        old = Number(f"{count(before.n_watched, 'account')} and {usd(before.watched_usd)}", there)
        by = Number(moved(now.watched_usd, before.watched_usd), (*here, *there))
        parts += [", ", by, " from ", old]
    parts += ["; ", Number(f"{count(now.n_below_one, 'account')} below 1", here), "."]
    return [Sentence("accounts", CHANGE if before else STATE, joined(parts))]


# The warehouse


def freshness(rows: Rows) -> list[Sentence]:
    """Tables that are older than their schema allows."""
    if not rows.n_followed:
        return []
    every = Ref("mart_freshness", {"every_s": "not null"})
    if not rows.late:
        return [
            Sentence(
                "freshness", STATE,
                ("None of ", Number(count(rows.n_followed, "table"), (every,)), " whose age is followed is late."),
            )
        ]  # fmt: skip
    parts: list[Part] = [Number(f"{count(len(rows.late), 'table')} of {rows.n_followed} are late", (every,)), ": "]
    for i, (table, age, limit) in enumerate(rows.late[:5]):
        ref = Ref("mart_freshness", {"table_name": table})
        parts += [", " if i else "", Number(f"{table} {age / HOUR:,.0f} h (limit {limit / HOUR:g} h)", (ref,))]
    more = len(rows.late) - 5
    parts += [", and ", Number(f"{more} more", (every,))] if more > 0 else []
    return [Sentence("freshness", STATE, (*joined(parts), "."))]


def refused(rows: Rows) -> list[Sentence]:
    """Rows that were refused in the last day and are still open."""
    if not rows.refused:
        ref = Ref("quarantine", {"state": "open"})
        return [
            Sentence(
                "refused rows",
                STATE,
                ("In the last day ", Number("0 rows", (ref,)), " were refused that are still open."),
            )
        ]
    parts: list[Part] = ["Refused in the last day and still open: "]
    for i, (table, n, newest) in enumerate(rows.refused):
        ref = Ref("quarantine", {"table_name": table, "state": "open", "quarantined_at": newest})
        parts += [", " if i else "", Number(f"{count(n, 'row')} of {table}", (ref,))]
    return [Sentence("refused rows", STATE, (*joined(parts), "."), "python -m data quarantine")]
