"""The rules: from rows to sentences. Where rows are missing, a sentence names the command that fetches them."""

from __future__ import annotations

from data.brief.parts import CHANGE, MISSING, STATE, Number, Ref, Sentence, joined
from data.brief.reading import DAY, HOUR, READ_LATE, WATCHED, Book, Rows, figure
from data.brief.words import count, moved, relative, share, usd, utc
from data.results.figures import Figure
from data.results.runs import RiskRun

LEVEL = 0.99
FIRST_DAY = "No {} of the day before is stored: what changed can be told from the second day on."
LARGEST_MOVE = 0.02
"""Least relative change of a volatility that is named as a reason."""

Part = str | Number


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
    apart = _apart(now.low, now.high, before.low, before.high)
    return "more than their errors explain" if apart else "within their errors"


def _apart(low: float, high: float, other_low: float, other_high: float) -> bool:
    """Whether two intervals do not overlap."""
    return low > other_high or other_low > high


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


# Events


def _window(rows: Rows, kind: str, days_back: int) -> tuple[list[tuple], Ref]:
    """(events of the day that ends `days_back` days before the end of what was read, their rows)."""
    assert rows.read is not None
    end = rows.read[2] - days_back * DAY
    found = [row for row in rows.events[kind] if end - DAY < row[3] <= end]
    key = {"market": rows.now.market, "event_type": kind, "part": 0, "block_timestamp": f"({end - DAY}, {end}]"}
    return found, Ref("stg_lending_events", key)


def _not_read(rows: Rows, topic: str) -> list[Sentence]:
    """The sentence for events that were not read over the whole day, which is not the same as no events."""
    if rows.read is not None:
        _, first, last = rows.read
        if first <= last - DAY and last >= rows.now.block_time - READ_LATE:
            return []
    words = f"The lending events of the day were not all read, so its {topic} are not known."
    return [Sentence(topic, MISSING, (words,), "python -m flows lending-events")]


def _day(rows: Rows) -> list[Part]:
    """The day that the events are of, in words."""
    assert rows.read is not None
    source, _, last = rows.read
    if last == rows.now.block_time:
        return ["In the day before the snapshot"]
    ref = Ref("raw_lending_reads", {"source": source, "market": rows.now.market})
    return ["In the day to ", Number(utc(last), (ref,))]


def _day_before_was_read(rows: Rows) -> bool:
    return rows.read is not None and rows.read[1] <= rows.read[2] - 2 * DAY


def liquidations(rows: Rows) -> list[Sentence]:
    """Number, sum and largest of the liquidations, compared with the day before."""
    topic = "liquidations"
    if missing := _not_read(rows, topic):
        return missing
    (today, here), (day_before, there) = _window(rows, "liquidation", 0), _window(rows, "liquidation", 1)
    parts: list[Part] = [
        *_day(rows),
        " there were ",
        Number(f"{count(len(today), 'liquidation')} of {_worth(today)} of collateral", (here,)),
    ]
    compared = _day_before_was_read(rows)
    if compared:
        before = Number(f"{count(len(day_before), 'liquidation')} and {_worth(day_before)}", (there,))
        if all(row[4] is not None for row in (*today, *day_before)):
            by = Number(moved(_usd(today), _usd(day_before)), (here, there))
            parts += [", ", by, " from ", before]
        else:
            parts += ["; the day before ", before]
    known = [row for row in today if row[4] is not None]
    if known:
        top = max(known, key=lambda row: (row[4], row[3]))
        key = {"chain_id": top[0], "block_number": top[1], "log_index": top[2]}
        largest = Number(f"{usd(top[4])} at {utc(top[3])}", (Ref("stg_lending_events", key),))
        parts += ["; the largest took ", largest]
    return [Sentence(topic, CHANGE if compared else STATE, (*parts, "."))]


def deficits(rows: Rows) -> list[Sentence]:
    """Debt that the pool booked as a deficit in the day."""
    topic = "deficits"
    if missing := _not_read(rows, topic):
        return missing
    (today, here), (day_before, there) = _window(rows, "deficit", 0), _window(rows, "deficit", 1)
    now = Number(f"{count(len(today), 'deficit')} of {_worth(today)}", (here,))
    if not _day_before_was_read(rows):
        return [Sentence(topic, STATE, ("The pool booked ", now, "."))]
    old = Number(f"{count(len(day_before), 'deficit')} of {_worth(day_before)}", (there,))
    return [Sentence(topic, CHANGE, ("The pool booked ", now, "; the day before it was ", old, "."))]


def _usd(found: list[tuple]) -> float:
    """Sum of the events that have a value."""
    return float(sum(row[4] for row in found if row[4] is not None))


def _worth(found: list[tuple]) -> str:
    """The sum in words; an event without a price at its time is counted, not taken for nothing."""
    unpriced = sum(row[4] is None for row in found)
    if not unpriced:
        return usd(_usd(found))
    if unpriced == len(found):
        return "unknown value"
    return f"at least {usd(_usd(found))} ({unpriced} without a price)"


# What other flows computed


def pegs(rows: Rows) -> list[Sentence]:
    """Stablecoins whose state changed since the day before; if there are none, the one furthest from its peg."""
    topic, at = "pegs", rows.now.block_time
    fresh = {token: found for token, found in rows.pegs.items() if found[0][1] > at - DAY}
    if not fresh:
        return [
            Sentence(topic, MISSING, ("No state of a stablecoin of the day is stored.",), "python -m flows peg-health")
        ]
    changes = []
    compared: list[Ref] = []
    for token, found in sorted(fresh.items()):
        now = found[0]
        # Of the same source: another source may stand elsewhere without a move of the peg.
        old = next((row for row in found if row[1] <= at - DAY and row[0] == now[0]), None)
        if old is None:
            continue
        here, there = _peg(token, now), _peg(token, old)
        compared += [here, there]
        if old[2] == now[2]:
            continue
        changes.append(
            Sentence(
                topic,
                CHANGE,
                (f"{_word(token)} went from ", Number(f"{old[2]} ({old[3]:+.0f} bp)", (there,)), " to ",
                 Number(f"{now[2]} ({now[3]:+.0f} bp, {utc(now[1])})", (here,)), "."),
            )
        )  # fmt: skip
    if changes:
        return changes
    token, now = max(((token, found[0]) for token, found in fresh.items()), key=lambda one: (abs(one[1][3]), one[0]))
    furthest = Number(f"{token} at {now[3]:+.0f} bp ({now[2]})", (_peg(token, now),))
    if not compared:
        return [Sentence(topic, STATE, ("Furthest from its peg is ", furthest, "."))]
    n = Number(count(len(compared) // 2, "stablecoin"), tuple(compared))
    return [Sentence(topic, CHANGE, ("None of ", n, " left its state; furthest from its peg is ", furthest, "."))]


def _peg(token: str, row: tuple) -> Ref:
    return Ref("mart_peg_health", {"token": token, "source": row[0], "ts": row[1]})


def _word(name: str) -> str:
    """A name among words, which hold no digit."""
    return "".join("#" if letter.isdigit() else letter for letter in name)


def clusters(rows: Rows) -> list[Sentence]:
    """The chance of a burst of liquidations, compared with the day before by the same fit."""
    topic = "clusters"
    if not rows.clusters:
        words = "No chance of a burst of liquidations is stored."
        return [Sentence(topic, MISSING, (words,), "python -m flows liquidation-clusters")]
    now, *older = rows.clusters
    old = next((row for row in older if row["ts"] <= now["ts"] - NEAR_A_DAY), None)
    hours = now["horizon_seconds"] / HOUR
    what = f"{now['at_least']} liquidations within {now['within_seconds'] / HOUR:g} h over {hours:g} h"
    value = Number(
        f"{what} is {share(now['probability'])} (95 % {share(now['low'])} to {share(now['high'])})", (_chance(now),)
    )
    parts: list[Part] = ["The chance of ", value]
    if old is not None:
        apart = _apart(now["low"], now["high"], old["low"], old["high"])
        before = Number(f"{share(old['probability'])} ({share(old['low'])} to {share(old['high'])})", (_chance(old),))
        parts += [", the day before it was ", before, ": " + ("a change" if apart else "no change beyond its error")]
    stale = rows.now.block_time - now["ts"]
    if stale > DAY:
        parts += ["; it was computed for ", Number(utc(now["ts"]), (_chance(now),))]
    return [Sentence(topic, CHANGE if old else STATE, (*parts, "."))]


NEAR_A_DAY = 20 * HOUR


def _chance(row: dict) -> Ref:
    names = ("market", "ts", "horizon_seconds", "within_seconds", "at_least", "calibration_id")
    return Ref("mart_cluster_probability", {name: row[name] for name in names})


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
