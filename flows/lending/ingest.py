"""The scan for lending events, resumable: each range of blocks is stored with its checkpoint in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from flows.clients.block_reader import Block, get_block
from flows.clients.json_rpc import JsonRpc
from flows.errors import SourceRefused
from flows.lending.events import LendingMarket
from flows.lending.rows import EVER, LOGS, blocks_of, frames_of, span_of, with_withdrawn
from flows.lending.scan import FIRST_RANGE, ScannedRange, scan
from flows.pipeline import Mark, Run

CHECKPOINTS = "lending_logs"
REORG_WINDOW = 64
"""Blocks behind the newest one that are read again next time: they may still be replaced."""


@dataclass(slots=True)
class Ingested:
    """Counts of one scan: events read, rows that were new, blocks whose events a reorganisation removed."""

    events: int = 0
    new: int = 0
    emptied: int = 0


@dataclass(frozen=True, slots=True)
class LendingIngest:
    """The scan of one market, which continues what earlier runs have stored. `run` is named in what is written."""

    run: Run
    rpc: JsonRpc
    market: LendingMarket

    @property
    def key(self) -> str:
        """Key of the market's checkpoint: chain, protocol and name."""
        return f"{self.market.chain_id}:{self.market.protocol}:{self.market.name}"

    def until(self, block: Block, first_block: int, *, first_range: int = FIRST_RANGE, progress: Any) -> Ingested:
        """Store every event from `first_block` to `block`; `progress` is a tqdm bar.

        Continues an earlier scan, `REORG_WINDOW` blocks before the newest block that it had read. When the last settled
        block is no longer part of the chain (a deep reorganisation, another local chain), or the market has a contract
        that was not read before, everything is read again.
        """
        begun, start, other_chain = self._resume(first_block, block.number)
        # Later readings of the span keep its first time, so the block is asked for only where something is read.
        begins = get_block(self.rpc, begun).time if start <= block.number else 0
        done = Ingested()
        progress.reset(total=max(0, block.number - start + 1))
        for part in scan(self.rpc, self.market, start, block.number, first_range=first_range):
            # Nothing of another chain may stay, also not events beyond the end of this one.
            until = EVER if other_chain and part.last == block.number else part.last
            self._keep(part, (begun, begins), until, block.number - REORG_WINDOW, done)
            progress.update(part.last - part.first + 1)
        return done

    def _resume(self, first_block: int, newest: int) -> tuple[int, int, bool]:
        """(first block of stored and new ranges together, first block to read, whether the chain is another one)."""
        state = self.run.store.checkpoint(CHECKPOINTS, self.key)
        if not state:
            return first_block, first_block, False
        try:
            unchanged = get_block(self.rpc, state["last"]).hash == state["hash"]
        except SourceRefused:  # a shorter chain
            unchanged = False
        if not unchanged:
            return first_block, first_block, True
        if state["first"] > first_block or not set(self.market.contracts) <= set(state["contracts"]):
            return first_block, first_block, False
        return state["first"], min(state["last"], newest) + 1, False

    def _keep(self, part: ScannedRange, begun: tuple[int, int], until: int, settled: int, done: Ingested) -> None:
        """Store the events of a range and how far the scan has come, together or not at all.

        `begun`: number and time of the first block that stored and new ranges cover together.
        """
        at = self.market
        frames = frames_of(part.events, LOGS)
        blocks = blocks_of(self.run.store, part.events, LOGS, at.name, at.chain_id, part.first, until)
        if blocks:
            frames = with_withdrawn(self.run.store, frames, blocks, LOGS, at.name)
            frames["raw_lending_blocks"] = pd.DataFrame(blocks)
        marks: list[Mark] = []
        last = min(part.last, settled)
        if last >= part.first:
            end = get_block(self.rpc, last)
            state = {"first": begun[0], "last": last, "hash": end.hash, "contracts": sorted(at.contracts)}
            marks.append(Mark(CHECKPOINTS, self.key, state))
            frames["raw_lending_reads"] = span_of(LOGS, at.name, at.chain_id, begun, (last, end.time))
        if frames or marks:
            key = f"{self.key}:{part.first}-{part.last}"
            report = self.run.write(CHECKPOINTS, key, frames, marks=marks)
            done.new += sum(n for table, n in report.changed.items() if table.endswith("_events"))
        done.events += len(part.events)
        done.emptied += sum(not row["n_events"] for row in blocks)
