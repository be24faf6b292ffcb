"""The history of a feed, resumable: each run of rounds is stored with the progress, in one transaction.

For each phase one unbroken range of round numbers is covered: read, and either stored, known to be left out by the
aggregator, or begun and never answered. A run extends that range upwards to the newest round, then downwards as far as
is asked for, so a run that was killed leaves a shorter range, never one with a hole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from flows.clients.block_reader import BlockReader
from flows.oracles.chainlink import Feed, Phase, Round, read_rounds
from flows.pipeline import Mark, Run

SOURCE = "chainlink"
BATCH = 2_000
"""Rounds of one batch: five requests of Multicall3."""
READ_AGAIN = 3
"""Newest stored rounds that are read again: near the head of the chain they may still be replaced."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """Rounds `first` to `last` of a phase were read; (1, 0) for none. Only unanswered ones are read again."""

    first: int = 1
    last: int = 0
    n_missing: int = 0
    unfinished: tuple[int, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it has no round."""
        return self.last < self.first


@dataclass(slots=True)
class Progress:
    """Counts of a run. `read` includes rounds that were read again, the others only what is new in this run."""

    read: int = 0
    changed: int = 0
    missing: int = 0
    unfinished: int = 0
    bad_answers: int = 0
    carried_over: int = 0
    example: dict[str, str] = field(default_factory=dict)

    def note(self, rounds: Sequence[Round], feed: str) -> None:
        """Count what is wrong with new rounds, and keep the first example of each kind."""
        for item in rounds:
            if item.answer <= 0:
                self.bad_answers += 1
                self.example.setdefault("answer", f"{feed} {item.phase_id}/{item.round_id}: {item.answer}")
            if item.is_carried_over:
                self.carried_over += 1
                self.example.setdefault("carried", f"{feed} {item.phase_id}/{item.round_id}")


@dataclass(frozen=True, slots=True)
class RoundBackfill:
    """The stored history of feeds on one chain. `run` is named in what is written."""

    run: Run
    reader: BlockReader
    chain_id: int

    def extend(
        self, feed: Feed, phases: Sequence[Phase], depth: int | None, progress: Progress, bar: Any = None
    ) -> None:
        """Bring the newest `depth` rounds of a feed (all when None) into the warehouse; adds to `progress`."""
        left = depth
        for phase in reversed(phases):
            if phase.last == 0:  # the aggregator does not report its newest round
                self._keep(feed, phase, Coverage(), [])
                continue
            lowest = 1 if left is None else max(1, phase.last - left + 1)
            if left is not None and left <= 0:
                lowest = phase.last + 1
            self._extend(feed, phase, lowest, progress, bar)
            left = None if left is None else left - (phase.last - lowest + 1)

    def _extend(self, feed: Feed, phase: Phase, lowest: int, progress: Progress, bar: Any) -> None:
        covered = self._covered(feed, phase)
        again = set(covered.unfinished)
        if phase.id == feed.latest.phase_id:
            again |= set(range(max(covered.first, covered.last - READ_AGAIN + 1), covered.last + 1))
        if again:
            covered = self._read(feed, phase, covered, sorted(again), progress)
        for numbers in _runs(covered, lowest, phase.last):
            covered = self._read(feed, phase, covered, numbers, progress)
            if bar is not None:
                bar.update(len(numbers))
        if covered.is_empty:
            self._keep(feed, phase, covered, [])

    def _covered(self, feed: Feed, phase: Phase) -> Coverage:
        """What earlier runs covered; nothing when the chain has fewer rounds than that, as it is then another chain."""
        state = self.run.store.checkpoint(SOURCE, self._key(feed, phase))
        if not state or state["last"] > phase.last:
            return Coverage(phase.last + 1, phase.last)
        return Coverage(state["first"], state["last"], state["n_missing"], tuple(state["unfinished"]))

    def _read(self, feed: Feed, phase: Phase, covered: Coverage, numbers: list[int], progress: Progress) -> Coverage:
        """Read `numbers`, store their rounds, and return what is covered then. `progress` counts only what is new."""
        found = read_rounds(self.reader, feed.address, phase.id, numbers)
        asked, waiting = set(numbers), set(covered.unfinished)

        def is_new(number: int) -> bool:
            return not covered.first <= number <= covered.last

        missing = sum(is_new(n) for n in found.missing)
        progress.missing += missing
        progress.unfinished += sum(n not in waiting for n in found.unfinished)
        progress.note(
            [item for item in found.finished if is_new(item.round_id) or item.round_id in waiting], feed.address
        )
        after = replace(
            covered,
            first=min(covered.first, numbers[0]),
            last=max(covered.last, numbers[-1]),
            n_missing=covered.n_missing + missing,
            unfinished=tuple(sorted((waiting - asked) | set(found.unfinished))),
        )
        progress.changed += self._keep(feed, phase, after, found.finished)
        progress.read += len(found.finished)
        return after

    def _keep(self, feed: Feed, phase: Phase, covered: Coverage, rounds: list[Round]) -> int:
        """Store rounds and the covered range, together or not at all; returns how many rounds were new or different."""
        frames: dict[str, pd.DataFrame] = {}
        if rounds:
            frames["raw_chainlink_rounds"] = rounds_frame(self.chain_id, feed, rounds, self.reader.block.number)
        marks: list[Mark] = []
        empty = covered.is_empty
        frames["dim_feed_phase"] = pd.DataFrame([{
            "chain_id": self.chain_id, "feed": feed.address, "phase_id": phase.id, "aggregator": phase.aggregator,
            "last_round": phase.last, "first_covered": 0 if empty else covered.first,
            "last_covered": 0 if empty else covered.last, "n_missing": covered.n_missing,
            "n_unfinished": len(covered.unfinished),
        }])  # fmt: skip
        if not empty:
            state = {
                "first": covered.first,
                "last": covered.last,
                "n_missing": covered.n_missing,
                "unfinished": list(covered.unfinished),
            }
            if state != self.run.store.checkpoint(SOURCE, self._key(feed, phase)):
                marks.append(Mark(SOURCE, self._key(feed, phase), state))
        key = self._key(feed, phase)
        if rounds:
            key += f":{rounds[0].round_id}-{rounds[-1].round_id}"
        report = self.run.write(SOURCE, key, frames, marks=marks)
        return report.changed.get("raw_chainlink_rounds", 0)

    def _key(self, feed: Feed, phase: Phase) -> str:
        return f"{self.chain_id}:{feed.address}:{phase.id}"


def rounds_frame(chain_id: int, feed: Feed, rounds: Sequence[Round], block: int) -> pd.DataFrame:
    """Rows of `raw_chainlink_rounds`."""
    return pd.DataFrame([
        {
            "chain_id": chain_id, "feed": feed.address, "phase_id": item.phase_id, "round_id": item.round_id,
            "answer": str(item.answer), "started_at": item.started_at, "updated_at": item.updated_at,
            "answered_in_round": str(item.answered_in_round),
            "is_carried_over": int(item.is_carried_over), "decimals": feed.decimals, "block": block,
            "source": SOURCE, "payload_sha256": item.payload_sha256,
        }
        for item in rounds
    ])  # fmt: skip


def _runs(covered: Coverage, lowest: int, newest: int) -> Iterator[list[int]]:
    """Numbers still to be read, in runs of at most `BATCH` that each touch the covered range: upwards, then down."""
    if covered.is_empty:
        top, bottom = newest + 1, newest + 1
    else:
        top, bottom = covered.last + 1, covered.first
    for start in range(top, newest + 1, BATCH):
        yield list(range(start, min(start + BATCH, newest + 1)))
    for end in range(bottom - 1, lowest - 1, -BATCH):
        yield list(range(max(end - BATCH + 1, lowest), end + 1))
