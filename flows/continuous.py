"""Repeat a flow at regular times until it is stopped: `--every SECONDS`.

| what a round does | what follows |
|---|---|
| ends well | its line is printed; the next round starts at the next multiple of SECONDS since 1970 (UTC) |
| the source cannot be reached, or another writer holds the warehouse | tried again, with growing pauses up to
`LONGEST_PAUSE` | | ends with any other error | the loop ends with that error: waiting does not correct an answer of a
wrong shape | | SIGINT or SIGTERM meanwhile | the round is finished and its rows are complete, then the loop ends; a
second signal ends at once |

Each round is the flow's own run, with its own row in `fact_run`.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from data.errors import WarehouseLocked
from data.foreign_text import safe_print
from flows.errors import SourceUnavailable

LONGEST_PAUSE = 3600.0
"""Seconds between two tries while a source cannot be reached, unless SECONDS itself is longer."""


class Stop:
    """A request that a loop ends. `reason` is empty until it is made."""

    def __init__(self) -> None:
        self.reason = ""
        self._asked = threading.Event()

    def ask(self, reason: str) -> None:
        """Ask for an end; the first reason is kept."""
        self.reason = self.reason or reason
        self._asked.set()

    def wait(self, seconds: float) -> bool:
        """Sleep, or wake as soon as an end is asked for; true when it was."""
        return self._asked.wait(max(seconds, 0.0))


def run_as_asked(once: Callable[[Any], str], arguments: Any) -> str:
    """Run a flow once, or in rounds until stopped where `arguments.every` is given; returns one line."""
    if not arguments.every:
        return once(arguments)
    with stop_on_signals() as stop:
        return repeat(lambda: once(arguments), arguments.every, stop)


def repeat(
    once: Callable[[], str],
    every: float,
    stop: Stop,
    *,
    clock: Callable[[], float] = time.time,
    say: Callable[[str], None] = lambda line: safe_print(line, flush=True),
) -> str:
    """Call `once` now and then at every multiple of `every` seconds, until `stop` is asked; returns one line.

    `once` returns its line. A round that takes longer than `every` skips the times that it missed. Anything but
    `SourceUnavailable` and `data.errors.WarehouseLocked` that a round raises is raised.
    """
    done = away = failures = 0
    while True:
        try:
            say(once())
            done, failures = done + 1, 0
        except (SourceUnavailable, WarehouseLocked) as exc:
            away, failures = away + 1, failures + 1
            say(f"{type(exc).__name__}: {exc}")
        now = clock()
        pause = pause_until_next(now, every, failures)
        if failures:
            say(f"failed tries in a row: {failures}; the next is in {pause:,.0f} s")
        if stop.wait(pause):
            missed = f", {away:,} while the source was away" if away else ""
            return f"{done:,} round{'' if done == 1 else 's'}{missed}; stopped by {stop.reason}"


def pause_until_next(now: float, every: float, failures: int) -> float:
    """Seconds from `now` to the next point of the grid; after `failures` in a row, points are skipped 0, 1, 3, 7, ….

    Skipping is bounded by `LONGEST_PAUSE`, so a source that returns is noticed within the hour.
    """
    points = max(min(2 ** min(failures - 1, 60), int(LONGEST_PAUSE // every)), 1) if failures else 1
    return (now // every + points) * every - now


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """A `Stop` that SIGINT and SIGTERM set; a second signal has its usual effect.

    Signals reach the main thread only: in another thread (of a worker) the `Stop` is never set.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: object) -> None:
        signal.signal(number, before[number])
        stop.ask(signal.Signals(number).name)

    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
