"""The log scan for holders, resumable: each range of blocks is stored with its checkpoint in one transaction."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from flows.aave.holders import CHANGES, FIRST_RANGE, Pair, ScannedRange, Tokens, scan
from flows.clients.block_reader import Block, get_block
from flows.clients.json_rpc import JsonRpc, RpcError
from flows.errors import FlowError, SourceRefused
from flows.pipeline import Mark, Run

SOURCE = "aave_holders"
REORG_WINDOW = 64
"""Blocks behind the newest one that are read again next time: they may still be replaced."""
KEEP_EVERY = 3.0
"""Seconds of scanning that a killed run may have to repeat."""


@dataclass(frozen=True, slots=True)
class HolderScan:
    """The log scan of one pool, with what earlier runs stored. `run`: the flow run that writes."""

    run: Run
    rpc: JsonRpc
    market: str
    chain_id: int
    tokens: Tokens
    concurrency: int = 1
    source: str = SOURCE
    """Source of the checkpoint; each set of events has its own."""
    hashes: Mapping[int, str] = field(default_factory=dict)
    """Hashes of blocks that the node gave in this run already; others are asked for."""

    @property
    def key(self) -> str:
        """Key of the checkpoint of this scan."""
        return f"{self.market}:{self.chain_id}:{self.tokens.pool}"

    def pairs_until(
        self, block: Block, first_block: int, *, first_range: int = FIRST_RANGE, progress: Any
    ) -> set[Pair]:
        """Every (token, account) pair named in the log from `first_block` to `block`.

        Goes on where an earlier scan stopped, unless the last block of that scan is no longer part of the chain (a
        reorganisation, or another local chain): then everything is read again. `progress` is a tqdm bar.
        """
        begun, start = self.resume(first_block, block.number)
        progress.reset(total=block.number - start + 1)
        ranges = self.ranges(start, block.number, first_range)
        for part in gathered(ranges, progress):
            self._keep(part, begun, settled=block.number - REORG_WINDOW)
        return self.pairs()

    def ranges(self, first: int, last: int, first_range: int) -> Iterator[ScannedRange]:
        """The pairs and accounts that the log of blocks `first` to `last` names, range by range."""
        return scan(self.rpc, self.tokens, first, last, first_range=first_range, concurrency=self.concurrency)

    def changed(self, after: int, block: Block) -> Iterator[ScannedRange]:
        """What events of the blocks after `after` up to `block` name, range by range; nothing is stored."""
        return scan(self.rpc, self.tokens, after + 1, block.number, events=CHANGES, concurrency=self.concurrency)

    def changes(
        self, after: int, block: Block, *, progress: Any, ranges: Iterable[ScannedRange] | None = None
    ) -> tuple[set[str], set[Pair]]:
        """(accounts, pairs) named by events of the blocks after `after` up to `block`.

        The pairs are stored too, and the checkpoint moves on if it had reached `after`. `ranges`: what `changed` gave,
        where that was read already.
        """
        state = self.run.store.checkpoint(SOURCE, self.key)
        # Pairs of the last REORG_WINDOW blocks are stored too, but the checkpoint stays before them.
        begun = state["first"] if state and state["last"] + REORG_WINDOW >= after else None
        touched: set[str] = set()
        pairs: set[Pair] = set()
        progress.reset(total=block.number - after)
        for part in gathered(iter(ranges) if ranges is not None else self.changed(after, block), progress):
            self._keep(part, begun, settled=block.number - REORG_WINDOW)
            touched |= part.touched
            pairs.update(part.pairs)
        return touched, pairs

    def pairs(self) -> set[Pair]:
        """The stored pairs of this market's tokens."""
        rows = self.run.store.rows("SELECT token, account FROM raw_aave_holders WHERE market = ?", (self.market,))
        # Leaves out rows of another chain under the same name: their tokens are not this market's.
        return {(token, account) for token, account in rows if token in self.tokens.all}

    def resume(self, first_block: int, newest: int) -> tuple[int, int]:
        """(first block that stored and new ranges cover together, first block still to be read)."""
        state = self.run.store.checkpoint(self.source, self.key)
        if not state or state["first"] > first_block:
            return first_block, first_block
        try:
            unchanged = get_block(self.rpc, state["last"]).hash == state["hash"]
        except SourceRefused:  # a shorter chain
            unchanged = False
        if not unchanged:
            return first_block, first_block
        # When an older block was asked for, nothing is left to read: later holders have a balance of zero there.
        return state["first"], min(state["last"], newest) + 1

    def _keep(self, part: ScannedRange, begun: int | None, settled: int) -> None:
        """Store the pairs of a range and the checkpoint in one transaction.

        `begun`: first block of all that is stored; None leaves the checkpoint where it is.
        """
        columns = ["market", "token", "account", "first_seen_block"]
        rows = [(self.market, token, account, block) for (token, account), block in sorted(part.pairs.items())]
        frames = {"raw_aave_holders": pd.DataFrame(rows, columns=columns)} if rows else {}
        marks: list[Mark] = []
        last = min(part.last, settled)
        if begun is not None and last >= part.first:
            digest = self.hashes[last] if last in self.hashes else get_block(self.rpc, last).hash
            state = {"first": begun, "last": last, "hash": digest}
            marks.append(Mark(self.source, self.key, state))
        if frames or marks:
            self.run.write(self.source, f"{self.key}:{part.first}-{part.last}", frames, marks=marks)


def gathered(ranges: Iterator[ScannedRange], progress: Any) -> Iterator[ScannedRange]:
    """Successive ranges joined, a few seconds of them at a time: one transaction for each answer would be too slow.

    If the node refuses, the ranges that were read are yielded before the error is raised.
    """
    first, last, pairs, touched = None, 0, {}, set()  # type: ignore[var-annotated]
    since = time.monotonic()
    try:
        for part in ranges:
            first, last = part.first if first is None else first, part.last
            for pair, block in part.pairs.items():
                pairs.setdefault(pair, block)  # the first block that names it
            touched |= part.touched
            progress.update(part.last - part.first + 1)
            if time.monotonic() - since > KEEP_EVERY:
                yield ScannedRange(first, last, pairs, frozenset(touched))
                first, pairs, touched, since = None, {}, set(), time.monotonic()
    except FlowError:
        if first is not None:
            yield ScannedRange(first, last, pairs, frozenset(touched))
        raise
    if first is not None:
        yield ScannedRange(first, last, pairs, frozenset(touched))


def first_block_of(rpc: JsonRpc, contract: str, newest: int) -> int:
    """First block at which `contract` has code, by bisection; 0 where the node has no old states."""
    low, high = 0, newest
    try:
        while low < high:
            middle = (low + high) // 2
            if rpc.call("eth_getCode", contract, hex(middle)) in ("0x", "0x0", None, ""):
                low = middle + 1
            else:
                high = middle
    except RpcError:
        return 0
    return low
