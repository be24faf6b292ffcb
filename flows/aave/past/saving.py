"""Store the books of past blocks as snapshots, each whole and once; blocks that are stored already are compared."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flows.aave.options import Prices
from flows.aave.past.market import NotStorable, Past, market_of, require_prices, with_oracle
from flows.aave.past.stored import is_stored
from flows.aave.reading import progress_bar
from flows.aave.rows import to_frames
from flows.clients.block_reader import BlockReader

if TYPE_CHECKING:
    from data.store.store import Store
    from flows.aave.history import MarketBook
    from flows.aave.past.replaying import Proven
    from flows.clients.json_rpc import JsonRpc
    from flows.pipeline import Run

SOURCES: dict[Prices, str] = {"logs": "aave_logs", "oracle": "aave_logs_oracle"}
"""Source of the batch (`fact_batch.source`) by where the prices come from; accounts and reserves come from logs."""


@dataclass(slots=True)
class Saved:
    """Blocks by what became of them: written, equal to what was stored, or refused for the reason that is given."""

    written: list[int] = field(default_factory=list)
    equal: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)

    def settled(self, prices: Prices) -> dict[int, tuple[str, str]]:
        """What a checkpoint notes of them."""
        return {block: (prices, "") for block in (*self.written, *self.equal)} | {
            block: (prices, reason) for block, reason in self.refused.items()
        }


@dataclass(frozen=True, slots=True)
class Gate:
    """Stops at a book, when it is made, whose prices the logs do not tell. `named`: blocks that the user named.

    A block that is stored needs no prices: it is only compared.
    """

    store: Store
    market: str
    prices: Prices
    named: Collection[int]

    def __call__(self, book: MarketBook) -> None:
        """Raise `NotStorable` for a named block whose prices are missing."""
        if self.prices == "oracle" or book.block not in self.named:
            return
        if not stored_blocks(self.store, self.market, book.block):
            require_prices(book)


def stored_blocks(store: Store, market: str, block: int | None = None) -> set[int]:
    """Blocks of a market with a snapshot; only `block`, where one is given."""
    rows = store.rows(
        "SELECT block FROM fact_snapshot WHERE market = ?1 AND (?2 IS NULL OR block = ?2)", (market, block)
    )
    return {row[0] for row in rows}


def save(run: Run, rpc: JsonRpc, done: Proven, past: Past, prices: Prices, named: Collection[int]) -> Saved:
    """Compare every block that is stored, then write the others, each in one transaction.

    Raises `HistoryError` where a stored block differs, before anything is written; `NotStorable` for a block of
    `named`. Other blocks without prices are left out and told.
    """
    saved = Saved()
    present = stored_blocks(run.store, past.place.market)
    with progress_bar("stored", "block", len(done.records)) as bar:
        for book, block in done.books():
            if block.number in present and is_stored(run.store, market_of(book, block, past)):
                saved.equal.append(block.number)
            bar.update(1)
    equal = set(saved.equal)
    with progress_bar("snapshots", "block", len(done.records) - len(equal)) as bar:
        for book, block in done.books():
            if block.number in equal:
                continue
            try:
                state = market_of(book, block, past)
                if prices == "logs":
                    require_prices(book)
                else:
                    at = BlockReader(rpc, block, multicall=past.place.multicall3, concurrency=past.concurrency)
                    state = with_oracle(state, at)
            except NotStorable as refusal:
                if block.number in named:
                    raise
                saved.refused[block.number] = str(refusal)
            else:
                run.snapshot(SOURCES[prices], to_frames(state))
                saved.written.append(block.number)
            bar.update(1)
    return saved
