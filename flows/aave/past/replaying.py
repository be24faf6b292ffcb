"""Replay a market's logs up to the tip, going on from what an earlier run kept, and compare with the node there.

What is known up to a block is kept in a file now and then (`flows.aave.past.checkpoint`), with the books that were
made; a process that is killed repeats what came after it. The last blocks before the tip are never kept: the chain may
still replace them.
"""

from __future__ import annotations

import sys
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from data.foreign_text import safe_print
from flows.aave.history import HistoryError, MarketBook, Replay
from flows.aave.history.keeping import after_changes, changes, kept, restored
from flows.aave.history.logs import FIRST_RANGE, Listing, earlier_happenings, fetch_listing, happenings, revisions
from flows.aave.history.tip import Compared, compare_with_node
from flows.aave.holder_scan import REORG_WINDOW
from flows.aave.past.checkpoint import AGAIN, Checkpoint, CheckpointRefused, Whose, packed, read, unpacked, write
from flows.aave.reading import progress_bar
from flows.clients.block_reader import Block, BlockReader, get_block
from flows.errors import CrossCheckFailed

if TYPE_CHECKING:
    from flows.aave.history import Happening
    from flows.clients.json_rpc import JsonRpc

KEEP_EVERY = 20.0
"""Seconds of work that a killed run may have to repeat, at least."""
SHARE = 20
"""Keeping takes at most one part in this many of the time."""

Wanted = Callable[[Sequence[tuple[int, int]]], Collection[int]]
"""(block, revision from there on) of every upgrade -> the blocks whose books are made."""


@dataclass(frozen=True, slots=True)
class Market:
    """Where the logs come from. `first`: block from which they are read; `path`: where the replay is kept."""

    reader: BlockReader
    provider: str
    pool: str
    configurator: str
    first: int
    path: Path
    whose: Whose

    @property
    def rpc(self) -> JsonRpc:
        """The node."""
        return self.reader.rpc

    @property
    def tip(self) -> Block:
        """The last block of the replay."""
        return self.reader.block


@dataclass(frozen=True, slots=True)
class Proven:
    """A replay that equals the node at its tip: `books` of the wanted blocks, in order, are to be unpacked one by one.

    `checkpoint`: what is kept of it, None where its blocks are too new for that. `began`: first block read in this run.
    """

    replay: Replay
    tip: MarketBook
    compared: Compared
    began: int
    records: tuple[tuple[int, bytes], ...]
    checkpoint: Checkpoint | None

    def books(self) -> Iterator[tuple[MarketBook, Block]]:
        """Each book with its block."""
        return _opened(self.records)


def _opened(records: Iterable[tuple[int, bytes]]) -> Iterator[tuple[MarketBook, Block]]:
    before: MarketBook | None = None
    for _, raw in records:
        values = unpacked(raw)
        before = after_changes(before, values["book"])
        yield before, Block(before.block, values["hash"], before.time)


def requests(first: int, last: int) -> int:
    """About how many queries of logs the blocks take: a pass each for listings, for code and sources, and for all."""
    return 3 * -(-(last - first + 1) // FIRST_RANGE)


def usable(market: Market, *, chosen_first: bool) -> Checkpoint | None:
    """What an earlier run kept and this one can go on from, None where there is none.

    `chosen_first`: the user says from which block the logs are read. Raises `CheckpointRefused`, also where its last
    block was replaced, and where it ends after the tip that was asked for.
    """
    found = read(market.path, market.whose)
    if found is None or (chosen_first and found.first != market.first):
        return None
    if found.block > market.tip.number:
        raise CheckpointRefused(
            f"{market.path}: ends at block {found.block}, after block {market.tip.number}; give a later --block, or "
            f"{AGAIN}"
        )
    now = get_block(market.rpc, found.block).hash
    if now != found.hash:
        raise CheckpointRefused(
            f"{market.path}: ends at block {found.block} with hash {found.hash}, the node says {now}: the chain "
            f"replaced more than {REORG_WINDOW} blocks, or the node is of another chain; ask the right node, or {AGAIN}"
        )
    return found


def proven(market: Market, begun: Checkpoint | None, wanted: Wanted, made: Callable[[MarketBook], None]) -> Proven:
    """Replay to the tip and compare. Raises `HistoryError` where anything differs.

    `begun`: where to go on. If a wanted block lies before it and its book is not kept, everything is read again.
    `made` is called with each book, and may raise to stop.
    """
    settled = begun.settled if begun else {}
    replay, books = _restored(market, begun) if begun else (None, [])
    start = begun.block + 1 if begun else market.first
    listing = _listing(market, start, replay)
    codes = revisions(market.reader, listing)
    blocks = _wanted(wanted, replay, listing, codes)
    missed = sorted(block for block in blocks - {book.block for book, _ in books} if block < start - 1)
    if missed:
        safe_print(
            f"block {missed[0]:,} lies before block {start - 1:,}, from where the replay could go on: the logs are "
            f"read from block {market.first:,} again",
            file=sys.stderr,
        )
        start, replay, books = market.first, None, []
        listing = _listing(market, start, replay)
        codes = revisions(market.reader, listing)
        begun = None
    if replay is None:
        replay = Replay(market.pool, market.configurator, codes, provider=market.provider)
    else:
        replay.revision_of |= codes
        replay.remember(earlier_happenings(listing))
    keeper = _Keeper(market, replay, begun, settled, made)
    for book, block in books:
        if book.block in blocks:
            keeper.put(book, block)
    keeper.after(start - 1, blocks)
    try:
        _feed(market, keeper, listing, start, blocks)
        with progress_bar("comparison", "read") as bar:
            compared = compare_with_node(market.reader, replay, bar.update)
    except HistoryError as error:
        raise HistoryError(f"{error}. {_forget(market, begun)}") from None
    if get_block(market.rpc, market.tip.number).hash != market.tip.hash:
        raise CrossCheckFailed(
            f"block {market.tip.number} was replaced while it was read; run again, or --block finalized"
        )
    tip = replay.book(market.tip.number, market.tip.time)
    return Proven(replay, tip, compared, start, tuple(keeper.records), keeper.checkpoint)


def _feed(market: Market, keeper: _Keeper, listing: Listing, start: int, blocks: Collection[int]) -> None:
    """Replay the blocks from `start` to the tip."""
    last_kept = market.tip.number - REORG_WINDOW
    with progress_bar("log", "block", market.tip.number - start + 1) as bar:
        for since, until, found in happenings(
            market.rpc, market.pool, listing, start, market.tip.number, concurrency=market.reader.concurrency
        ):
            for upto, part in _pieces(found, until, [n for n in {*blocks, last_kept} if since <= n < until]):
                keeper.feed(part)
                keeper.after(upto, blocks)
                if upto == last_kept or (upto < last_kept and keeper.is_due()):
                    keeper.keep(upto)
            bar.update(until - since + 1)


def _forget(market: Market, begun: Checkpoint | None) -> str:
    """Keep nothing of a replay that was wrong; returns what became of the file, in words."""
    if begun is not None and begun.proven:
        write(market.path, begun)
        return f"The next run goes on from block {begun.block}, up to which the replay was compared before"
    market.path.unlink(missing_ok=True)
    return "The next run reads the logs from the first block again"


def _restored(market: Market, begun: Checkpoint) -> tuple[Replay, list[tuple[MarketBook, Block]]]:
    """The replay, and the books that wait. Raises `CheckpointRefused`."""
    try:
        replay, books = restored(unpacked(begun.state)), list(_opened(begun.books))
        if (replay.pool, replay.configurator) != (market.pool, market.configurator):
            raise ValueError
    except (KeyError, TypeError, ValueError, zlib.error):
        raise CheckpointRefused(f"{market.path}: does not hold the state of this market's replay; {AGAIN}") from None
    return replay, books


def _listing(market: Market, start: int, replay: Replay | None) -> Listing:
    with progress_bar("listings", "block", market.tip.number - start + 1) as bar:
        return fetch_listing(
            market.rpc, market.provider, market.pool, market.configurator, start, market.tip.number,
            concurrency=market.reader.concurrency, progress=bar, begun=market.first, before=replay,
        )  # fmt: skip


def _wanted(wanted: Wanted, replay: Replay | None, listing: Listing, codes: dict[str, int]) -> set[int]:
    upgrades = [*(replay.upgrades if replay else ()), *((block, codes[code]) for block, code in listing.codes)]
    return set(wanted(upgrades))


def _pieces(found: list[Happening], until: int, cuts: Sequence[int]) -> Iterator[tuple[int, list[Happening]]]:
    """(block, what happened up to it since the piece before) for each block of `cuts`, and then for `until`."""
    at = 0
    for block in (*sorted(cuts), until):
        upto = at
        while upto < len(found) and found[upto].block <= block:
            upto += 1
        yield block, found[at:upto]
        at = upto


class _Keeper:
    """Packs the books, and keeps the replay now and then."""

    def __init__(
        self,
        market: Market,
        replay: Replay,
        begun: Checkpoint | None,
        settled: Mapping[int, tuple[str, str]],
        made: Callable[[MarketBook], None],
    ) -> None:
        self.records: list[tuple[int, bytes]] = []
        self.checkpoint = begun
        self._market, self._replay, self._made, self._settled = market, replay, made, settled
        self._before: MarketBook | None = None
        self._last = time.monotonic()
        self._pause = KEEP_EVERY

    def put(self, book: MarketBook, block: Block) -> None:
        """Pack a book; only what differs from the one before it takes room."""
        self._made(book)
        self.records.append((block.number, packed({"book": changes(self._before, book), "hash": block.hash})))
        self._before = book

    def after(self, number: int, blocks: Collection[int]) -> None:
        """Make the book of a block, if it is wanted, once all its logs were fed."""
        if number in blocks and (self._before is None or self._before.block < number):
            block = get_block(self._market.rpc, number)
            self.put(self._replay.book(number, block.time), block)

    def feed(self, found: list[Happening]) -> None:
        """Replay what happened next."""
        self._replay.feed(found)

    def is_due(self) -> bool:
        """Whether enough work was done since the replay was last kept."""
        return time.monotonic() - self._last >= self._pause

    def keep(self, number: int) -> None:
        """Keep the replay, all logs of whose block `number` were fed."""
        began = time.monotonic()
        market = self._market
        block_hash = get_block(market.rpc, number).hash
        self.checkpoint = Checkpoint(
            market.whose,
            market.first,
            number,
            block_hash,
            packed(kept(self._replay)),
            tuple(self.records),
            self._settled,
        )
        write(market.path, self.checkpoint)
        self._last = time.monotonic()
        self._pause = max(KEEP_EVERY, SHARE * (self._last - began))


def finished(market: Market, done: Proven, settled: Mapping[int, tuple[str, str]]) -> None:
    """Note which blocks were dealt with; the books are not needed any more.

    Blocks that the chain may still replace are not noted: the next run makes and compares them again.
    """
    if done.checkpoint is not None:
        old = {n: told for n, told in settled.items() if n <= done.checkpoint.block}
        after = replace(done.checkpoint, books=(), proven=True, settled={**done.checkpoint.settled, **old})
        if after != read(market.path, market.whose):
            write(market.path, after)
