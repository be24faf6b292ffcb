"""The chain as it grows: `chain-activity --live`.

A loop with one step: ask the node for what lies beyond the newest stored block, and write it, one transaction for each
step (mostly one block). Announcements over the WebSocket only tell when to ask: it does no harm if some are missing or
wrong, and without a connection the loop asks at intervals.

A block that does not name the newest stored block as its parent means a reorganisation: the stored blocks are then
compared with the node's, downwards, until one is the same (at most `max_reorg` blocks down). Those above it are marked
as orphaned, in the same transaction that brings the first of the new blocks. The loop keeps no state of its own, so
after a crash it continues from what was committed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from data.chain import blocks_down, missing_ranges, newest_block
from data.errors import WarehouseLocked
from flows.chain.backfill import NotTheStoredChain, Written, fill
from flows.continuous import Stop
from flows.errors import ConfigurationError, FlowError, MalformedAnswer, SourceRefused, SourceUnavailable

if TYPE_CHECKING:
    from data.chain import StoredBlock
    from flows.chain.node import ChainNode, Link
    from flows.clients.new_heads import Announced, NewHeads
    from flows.pipeline import Run

LONGEST_PAUSE = 30.0
"""Seconds between two tries while the node or the warehouse cannot be reached, at most."""
SLICE = 0.25
"""Seconds after which a waiting loop checks whether it was asked to end."""
SHORTEST_POLL, UNSUBSCRIBED_POLL = 0.05, 2.0
"""Seconds between two steps: at least, and at most while there is no subscription."""


class ReorganisedTooDeep(FlowError):
    """More stored blocks would have to be replaced than was allowed."""


@dataclass(slots=True)
class Follower:
    """Brings the warehouse to the node's head, step by step.

    `start`: first block where nothing is stored from there on (None: the head). `confirmations`: blocks to stay behind
    the head. `max_reorg`: stored blocks that may be replaced. `most_missed`: blocks that may have been missed since the
    newest stored one, unless `start` asks for them.
    """

    run: Run
    node: ChainNode
    chain_id: int
    start: int | None = None
    confirmations: int = 0
    max_reorg: int = 1_000
    most_missed: int = 10_000
    threads: int = 4
    size: int = 20
    whole: bool = False
    """Whether missing blocks between `start` and the newest stored block have been looked for."""

    def step(self, hint: Announced | None = None) -> Written:
        """Ask once, and write what is new. Raises what `ChainNode` and `fill` raise, and `ReorganisedTooDeep`.

        `hint` is an announced head: where it follows the newest stored block closely, its blocks are read at once.
        Where they cannot be read, the node is asked for its head.
        """
        written = self._to_the_head(hint)
        if not self.whole:
            added(written, self._fill_holes())
            self.whole = True
        return written

    def _to_the_head(self, hint: Announced | None) -> Written:
        last = newest_block(self.run.store, self.chain_id, self.start or 0)
        if last and hint and not self.confirmations and last.number < hint.number <= last.number + self.size:
            try:
                return self._fill(last.number + 1, hint.number)
            except (NotTheStoredChain, MalformedAnswer):
                pass  # a reorganisation, or a head that is not there (yet)
        head = self.node.head()
        target = head.number - self.confirmations
        if last is None:
            first = target if self.start is None else self.start
            return self._fill(max(first, 0), target)
        replaced = self._lowest_replaced(last, head)
        if replaced is not None:
            return self._fill(replaced, target, replacing=True)
        if self.start is None and target - last.number > self.most_missed:
            raise ConfigurationError(
                f"the newest stored block of chain {self.chain_id} is {last.number}, the node's head is {head.number}: "
                f"{target - last.number:,} blocks were missed, more than {self.most_missed:,} (--most-missed). Say "
                f"--start-block {last.number + 1} to read them, or --start-block {head.number} to leave them out"
            )
        return self._fill(last.number + 1, target)

    def _fill_holes(self) -> Written:
        """Read what is missing between `start` and the newest stored block."""
        written = Written()
        last = None if self.start is None else newest_block(self.run.store, self.chain_id, self.start)
        if last is not None:
            for first, end in missing_ranges(self.run.store, self.chain_id, self.start or 0, last.number):
                added(written, self._fill(first, end, announce=False))
        return written

    def _fill(self, first: int, last: int, *, replacing: bool = False, announce: bool = True) -> Written:
        if last < first:
            return Written()
        return fill(self.run, self.node, self.chain_id, first, last, threads=self.threads,
                    size=self.size, replacing=replacing, announce=announce)  # fmt: skip

    def _lowest_replaced(self, last: StoredBlock, head: Link) -> int | None:
        """Number of the lowest stored block that is no longer part of the chain; None where the newest one still is."""
        lowest, walked, below, page = None, 0, min(last.number, head.number), 1
        while stored := blocks_down(self.run.store, self.chain_id, below, page):
            for block, link in zip(stored, self.node.links([block.number for block in stored]), strict=True):
                if link.hash == block.hash:
                    return lowest
                lowest, walked = block.number, walked + 1
                if walked > self.max_reorg:
                    raise ReorganisedTooDeep(
                        f"{self.node} has other blocks than the warehouse from its head {head.number} down to "
                        f"{block.number} and further: more than {self.max_reorg:,} would be replaced. Nothing was "
                        "changed. If the node is on the right chain, allow it with --max-reorg; otherwise change "
                        "ETH_RPC_URL"
                    )
            below, page = stored[-1].number - 1, min(4 * page, 64)
        return lowest


def added(total: Written, part: Written) -> Written:
    """Add the counts of `part` to `total`, and return it."""
    for field in fields(part):
        setattr(total, field.name, getattr(total, field.name) + getattr(part, field.name))
    return total


def follow(
    follower: Follower,
    heads: NewHeads,
    stop: Stop,
    *,
    poll: float,
    patience: float,
    after: Callable[[Written], None] = lambda written: None,
    say: Callable[[str], None] = lambda line: None,
    clock: Callable[[], float] = time.monotonic,
) -> Written:
    """Step at every hint, and every `poll` seconds without one, until `stop` is set; returns what was written in all.

    It waits for a node or a warehouse that cannot be reached. A node that contradicts itself is asked again for
    `patience` seconds; then its last error is raised. `after` is called after every step that wrote something.
    """
    total = Written()
    failures, failing_since, state = 0, 0.0, (False, "")
    while not stop.reason:
        before, state = state, (heads.subscribed, "" if heads.subscribed else heads.trouble)
        if state != before:
            say(f"{heads}: {'subscribed' if heads.subscribed else 'lost: ' + (heads.trouble or 'ended')}")
        pause = poll if heads.subscribed else min(poll, UNSUBSCRIBED_POLL)
        try:
            written = follower.step(heads.take())
            failures = 0
            if written.blocks:
                if written.orphaned:
                    say(f"reorganisation: {written.orphaned:,} stored blocks were replaced")
                added(total, written)
                after(written)
        except (SourceUnavailable, WarehouseLocked, MalformedAnswer, NotTheStoredChain, SourceRefused) as exc:
            if not failures:
                failing_since = clock()
            failures += 1
            if not isinstance(exc, SourceUnavailable | WarehouseLocked) and clock() - failing_since >= patience:
                raise
            pause = min(0.1 * 2 ** min(failures, 12), LONGEST_PAUSE)
            say(f"{type(exc).__name__}: {exc} (try {failures}; again in {pause:.1f} s)")
            stop.wait(pause)
            continue
        _wait_for_hint(heads, stop, max(pause, SHORTEST_POLL))
    return total


def _wait_for_hint(heads: NewHeads, stop: Stop, seconds: float) -> None:
    until = time.monotonic() + seconds
    while not stop.reason and (left := until - time.monotonic()) > 0:
        if heads.wait(min(left, SLICE)):
            return
