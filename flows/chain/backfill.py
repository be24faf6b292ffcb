"""Blocks in bulk: ranges are read by several threads, and written in their order by one.

At any time only a few ranges are held: a range is asked for when the one `ahead` places before it has been taken. So
memory does not grow with the number of blocks, and a run that is ended at any point has written whole batches in order;
the next run reads what is missing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from data.chain import HIGHEST, orphaned_by, stored_block, whole_blocks
from data.events import NEW_BLOCK, News
from data.quarantine.aside import put_aside
from flows.chain.block_range import block_range
from flows.chain.node import BrokenChain, Link, follows
from flows.errors import FlowError

if TYPE_CHECKING:
    from data.chain import StoredBlock
    from flows.chain.block_range import BlockRange
    from flows.chain.node import ChainNode
    from flows.pipeline import Run

ROWS_A_BATCH = 60_000
"""About the number of rows of one transaction: enough to make the fixed cost of a batch small, not too many to hold."""
SOURCE = "chain"


class NotTheStoredChain(FlowError):
    """A block does not continue the block that the warehouse holds beside it."""


@dataclass(slots=True)
class Written:
    """What a backfill wrote, as counts."""

    blocks: int = 0
    logs: int = 0
    transfers: int = 0
    undecoded: int = 0
    orphaned: int = 0
    loose: int = 0
    """Logs that belong to no transaction."""
    unlisted: int = 0
    """Blocks in which such logs could not be looked for."""
    renumbered: int = 0
    """Blocks whose logs the node does not number from 0 upwards."""

    def remarks(self) -> str:
        """What was unusual, each remark after a semicolon; empty where nothing was."""
        note = ""
        if self.orphaned:
            note += f"; {self.orphaned:,} stored blocks were replaced and are marked as orphaned"
        if self.undecoded:
            note += f"; {self.undecoded:,} logs could not be decoded, see `python -m data quarantine`"
        if self.loose:
            note += f"; {self.loose:,} logs belong to no transaction and are stored under the hash of their block"
        if self.unlisted:
            note += f"; in {self.unlisted:,} blocks the node lists no logs (eth_getLogs), so those that belong to no "
            note += "transaction are left out, if there are any"
        if self.renumbered:
            note += (
                f"; the node numbers the logs of {self.renumbered:,} blocks otherwise than from 0, they were counted"
            )
        return note


def in_order(
    read: Callable[[int, int], BlockRange], chunks: Iterable[tuple[int, int]], threads: int, ahead: int
) -> Iterator[BlockRange]:
    """`read(first, last)` of every chunk, in order; at most `ahead` chunks are read before they are taken."""
    waiting = iter(chunks)
    begun: deque[Future[BlockRange]] = deque()
    with ThreadPoolExecutor(max_workers=threads, thread_name_prefix="blocks") as pool:
        try:
            while True:
                while len(begun) < ahead and (chunk := next(waiting, None)) is not None:
                    begun.append(pool.submit(read, *chunk))
                if not begun:
                    return
                yield begun.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def chunks(first: int, last: int, size: int) -> Iterator[tuple[int, int]]:
    """`first` to `last`, both included, in pieces of at most `size` blocks."""
    return ((start, min(start + size - 1, last)) for start in range(first, last + 1, size))


def gathered(ranges: Iterable[BlockRange], rows: int) -> Iterator[list[BlockRange]]:
    """Ranges in runs of at least `rows` rows, the last run excepted."""
    held: list[BlockRange] = []
    for part in ranges:
        held.append(part)
        if sum(held_range.n_rows for held_range in held) >= rows:
            yield held
            held = []
    if held:
        yield held


def fill(
    run: Run,
    node: ChainNode,
    chain_id: int,
    first: int,
    last: int,
    *,
    threads: int,
    size: int,
    done: Callable[[int], None] = lambda blocks: None,
    replacing: bool = False,
    announce: bool = False,
) -> Written:
    """Read blocks `first` to `last` and write them, also those that are stored; `done` gets the blocks of each batch.

    `replacing`: every stored block from `first` on is known to be no longer part of the chain; all are marked with the
    first batch, those above `last` too. `announce`: a `new_block` event for each block, in its transaction.

    Raises `NotTheStoredChain` when they do not fit the stored blocks on either side, `BrokenChain` when they do not fit
    each other; batches that were written before stay, and are complete.
    """

    def read(start: int, end: int) -> BlockRange:
        return block_range(chain_id, node.read(start, end))

    written = Written()
    beside = stored_block(run.store, chain_id, first - 1)
    before = Link(beside.number, beside.hash, beside.timestamp) if beside else None
    after = None if replacing else stored_block(run.store, chain_id, last + 1)
    ranges = in_order(read, chunks(first, last, size), threads, ahead=2 * threads)
    for parts in gathered(ranges, ROWS_A_BATCH):
        for part in parts:
            if before is not None and beside is not None and before.number == beside.number:
                _require_continuation(beside, part, str(node))
            elif before is not None:
                follows(before, part.opening, str(node))
            before = part.closing
        if after is not None and before is not None and before.number == last:
            _require_continued(before.hash, after, str(node))
        write(run, chain_id, parts, written, replacing=replacing, announce=announce)
        replacing = False
        done(parts[-1].last - parts[0].first + 1)
    return written


def write(
    run: Run,
    chain_id: int,
    parts: Sequence[BlockRange],
    written: Written,
    *,
    replacing: bool = False,
    announce: bool = False,
) -> None:
    """Write consecutive ranges in one transaction; stored blocks that they replace are marked as orphaned.

    `replacing` and `announce` as in `fill`.
    """
    first, last = parts[0].first, parts[-1].last
    key = f"{chain_id}:{first}-{last}"
    undecoded = [item for part in parts for item in part.undecoded]
    if undecoded:
        put_aside(run.store, SOURCE, key, run.id, [(item.table, item.row, item.reason) for item in undecoded])
    hashes = frozenset().union(*(part.hashes for part in parts))
    replaced = orphaned_by(run.store, chain_id, first, HIGHEST if replacing else last, hashes)
    frames = {}
    for table, columns in parts[0].tables.items():
        frame = pd.DataFrame({name: [v for part in parts for v in part.tables[table][name]] for name in columns})
        if table in replaced:
            frame = pd.concat([frame, replaced[table].astype(object)], ignore_index=True)
        if len(frame):  # looking at the schema of a table costs more than looking at its rows
            frames[table] = frame
    news = new_blocks(chain_id, parts, replaced) if announce else ()
    # A block that is read again is replaced as a whole: its hash is the same, but a node may have answered differently.
    whole = whole_blocks(
        (chain_id, number, block)
        for part in parts
        for number, block in zip(
            *(part.tables["raw_chain_blocks"][n] for n in ("block_number", "block_hash")), strict=True
        )
    )
    report = run.write(SOURCE, key, frames, news=news, parts=whole)
    written.blocks += report.rows["raw_chain_blocks"]
    written.logs += report.rows.get("raw_chain_logs", 0)
    written.transfers += report.rows.get("stg_token_transfers", 0) - len(replaced.get("stg_token_transfers", ()))
    written.undecoded += len(undecoded)
    written.orphaned += len(replaced.get("stg_chain_blocks", ()))
    written.loose += sum(part.loose for part in parts)
    written.unlisted += sum(part.unlisted for part in parts)
    written.renumbered += sum(part.renumbered for part in parts)


def new_blocks(chain_id: int, parts: Sequence[BlockRange], replaced: Mapping[str, pd.DataFrame]) -> list[News]:
    """A `new_block` event for each block; the first event names the blocks that became orphaned."""
    gone = [] if "stg_chain_blocks" not in replaced else replaced["stg_chain_blocks"]["block_hash"].tolist()
    news = []
    for part in parts:
        blocks = part.tables["stg_chain_blocks"]
        for number, block, parent, timestamp in zip(
            blocks["block_number"], blocks["block_hash"], blocks["parent_hash"], blocks["timestamp"], strict=True
        ):
            payload = {
                "chain_id": chain_id,
                "number": number,
                "hash": block,
                "parent_hash": parent,
                "timestamp": timestamp,
                "orphaned": gone,
            }
            news.append(News(f"chain-{chain_id}", NEW_BLOCK, payload))
            gone = []
    return news


def _require_continuation(stored: StoredBlock, part: BlockRange, who: str) -> None:
    try:
        follows(Link(stored.number, stored.hash, stored.timestamp), part.opening, who)
    except BrokenChain as exc:
        raise NotTheStoredChain(_reread(stored.number, exc)) from exc


def _require_continued(last_hash: str, stored: StoredBlock, who: str) -> None:
    if stored.parent_hash != last_hash:
        raise NotTheStoredChain(
            _reread(
                stored.number,
                f"block {stored.number} in the warehouse names parent {stored.parent_hash}, "
                f"{who} has {last_hash} there",
            )
        )


def _reread(number: int, why: object) -> str:
    return (
        f"the chain was reorganised since block {number} was stored: {why}. Blocks from there on were not written; "
        f"read the stored blocks again with --reread and a range around block {number}"
    )
