"""One queue for simulations, apart from the threads that answer pages: work of several seconds delays no page.

A reader (an open page) repeats its question, which also shows that the page is still open. Its newest question replaces
the one before; a reader that has stopped asking is forgotten; work that no reader waits for is stopped.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

log = logging.getLogger(__name__)

PATIENCE = 6.0
"""Seconds without a question after which a reader is forgotten. Pages ask about twice a second."""
KEPT = 16
"""Finished answers kept: for readers that come back or ask the same question."""

Progress = Callable[[int, int], object]
Work = Callable[[Progress], Any]


class Abandoned(Exception):
    """Nobody waits for this work any more; raised inside it, at its next report of progress."""


@dataclass(frozen=True, slots=True)
class State:
    """The state of a question. `ahead`: questions that come before this one; `share`: of the work done, 0 to 1."""

    name: str
    """`waiting`, `running`, `done` or `failed`."""
    ahead: int = 0
    share: float = 0.0
    value: Any = None
    error: Exception | None = None


@dataclass(eq=False)
class _Job:
    key: Hashable
    work: Work
    readers: set[str] = field(default_factory=set)
    share: float = 0.0


class Lane:
    """A queue with one worker. Every method may be called from any thread, and none of them waits for the work."""

    def __init__(self, patience: float = PATIENCE, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience, self._clock = patience, clock
        self._seen: dict[str, float] = {}
        self._wants: dict[str, Hashable] = {}
        self._queue: OrderedDict[Hashable, _Job] = OrderedDict()
        self._running: _Job | None = None
        self._done: OrderedDict[Hashable, State] = OrderedDict()
        self._changed = threading.Condition()
        self._worker: threading.Thread | None = None

    def ask(self, reader: str, key: Hashable, work: Work) -> State:
        """The state of the question `key` of `reader`; its work is queued unless it is done or running.

        work: called with a progress function (done, total) that raises `Abandoned` once nobody waits. Two readers with
        one key share the work. A failure is returned to one question and then forgotten, so that the next one tries
        again.
        """
        with self._changed:
            self._seen[reader] = self._clock()
            if self._wants.get(reader) not in (None, key):
                self._leave(reader)
            self._forget_the_gone()
            if key in self._done:
                return self._told(reader, key)
            self._wants[reader] = key
            job = self._job(key)
            if job is None:
                job = self._queue[key] = _Job(key, work)
                self._start()
                self._changed.notify_all()
            job.readers.add(reader)
            return self._state(job)

    def leave(self, reader: str) -> None:
        """The reader no longer waits for anything: work that nobody else waits for stops at its next report."""
        with self._changed:
            self._leave(reader)

    @property
    def length(self) -> int:
        """Questions that wait or are being worked on."""
        with self._changed:
            self._forget_the_gone()
            return len(self._queue) + (self._running is not None)

    def _told(self, reader: str, key: Hashable) -> State:
        self._leave(reader)
        state = self._done[key]
        if state.error is None:
            self._done.move_to_end(key)
        else:
            del self._done[key]
        return state

    def _job(self, key: Hashable) -> _Job | None:
        # A stopped job still runs until its next report: a reader that asks for it again gets a new one.
        if self._running is not None and self._running.key == key and self._running.readers:
            return self._running
        return self._queue.get(key)

    def _state(self, job: _Job) -> State:
        if job is self._running:
            return State("running", share=job.share)
        return State("waiting", ahead=list(self._queue).index(job.key) + (self._running is not None))

    def _leave(self, reader: str) -> None:
        key = self._wants.pop(reader, None)
        for job in (self._running, self._queue.get(key)):
            if job is not None and job.key == key:
                job.readers.discard(reader)
        if key in self._queue and not self._queue[key].readers:
            del self._queue[key]

    def _forget_the_gone(self) -> None:
        late = self._clock() - self._patience
        for reader in [r for r, at in self._seen.items() if at < late]:
            self._leave(reader)
            del self._seen[reader]

    def _start(self) -> None:
        if self._worker is None or not self._worker.is_alive():
            self._worker = threading.Thread(target=self._work, daemon=True, name="simulations")
            self._worker.start()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._running = None
                while not self._queue:
                    self._changed.wait()
                self._forget_the_gone()
                if not self._queue:
                    continue
                _, job = self._queue.popitem(last=False)
                self._running = job
            state = self._answer(job)
            with self._changed:
                if state is not None:
                    self._done[job.key] = state
                    while len(self._done) > KEPT:
                        self._done.popitem(last=False)

    def _answer(self, job: _Job) -> State | None:
        def report(done: int, total: int) -> None:
            with self._changed:
                self._forget_the_gone()
                if not job.readers:
                    raise Abandoned
                job.share = done / total if total else 0.0

        try:
            report(0, 1)
            return State("done", share=1.0, value=job.work(report))
        except Abandoned:
            return None
        except Exception as error:  # after any error the worker goes on, and the reader sees the error
            if not threading.main_thread().is_alive():
                return None  # the server is stopping; the work did not fail
            log.exception("a simulation failed")
            return State("failed", error=error)
