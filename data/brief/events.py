"""Sentences on what happened in the day: liquidations and deficits."""

from __future__ import annotations

from data.brief.parts import CHANGE, MISSING, STATE, Number, Part, Ref, Sentence
from data.brief.reading import DAY, READ_LATE, Rows
from data.brief.words import count, moved, usd, utc


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
