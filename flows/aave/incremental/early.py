"""What a refresh most likely needs, asked for while the node is waited for anyway; nothing of it is taken unchecked.

The newest stored snapshot is most likely the one that is carried forward: its accounts are loaded, the log since its
block is read, and the hashes of blocks that will be compared. `find_base` decides; what does not fit is read again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.aave import holders
from flows.aave.address_book import V3
from flows.aave.holder_scan import REORG_WINDOW
from flows.aave.holders import CHANGES, FIRST_RANGE, ScannedRange, Tokens
from flows.aave.incremental.carry import Base, stored_accounts
from flows.aave.place import Place
from flows.clients.block_reader import Block, known_hashes
from flows.clients.json_rpc import JsonRpc

if TYPE_CHECKING:
    from data.store.store import Store


@dataclass(frozen=True, slots=True)
class Likely:
    """The newest stored snapshot, not checked: its block, the batch that wrote it, and its tokens."""

    block: int
    batch: int
    tokens: Tokens


@dataclass(frozen=True, slots=True)
class Early:
    """Answers that are on their way. `base`: the newest stored snapshot with its accounts, None where there is none."""

    base: Base | None
    _likely: Likely | None
    _hashes: Future[dict[int, str]] | None
    _log: Future[list[ScannedRange]] | None

    @classmethod
    def begin(
        cls, store: Store, rpc: JsonRpc, place: Place, block: Block, beside: Executor, *, concurrency: int
    ) -> Early:
        """Send the requests by `beside`, and load the accounts of the snapshot meanwhile.

        `block`: the one that is read. Hashes are asked for after it was: `find_base` relies on that.
        """
        likely = likely_base(store, place, block)
        if likely is None:
            return cls(None, None, None, None)
        compared = {number for number in (likely.block, block.number - REORG_WINDOW) if 0 <= number < block.number}
        hashes = beside.submit(known_hashes, rpc, compared)
        log = None
        if 0 < block.number - likely.block <= FIRST_RANGE:  # a longer log is read in ranges that are stored one by one
            log = beside.submit(_log, rpc, likely, block, concurrency)
        kept = stored_accounts(store, place.market, likely.block)
        base = None if kept is None else Base(likely.block, likely.batch, kept)
        return cls(base, likely, hashes, log)

    def hashes(self) -> Mapping[int, str]:
        """Hashes of blocks by number, of those that the node gave. Raises `FlowError`."""
        return {} if self._hashes is None else self._hashes.result()

    def log_since(self, base: Base, tokens: Tokens) -> Sequence[ScannedRange] | None:
        """The log since `base` of these tokens; None where another one was read, or none. Raises `FlowError`."""
        fits = self._likely is not None and self._likely.block == base.block and self._likely.tokens == tokens
        return self._log.result() if self._log is not None and fits else None


def likely_base(store: Store, place: Place, block: Block) -> Likely | None:
    """The snapshot that `find_base` gives where nothing unusual has happened."""
    rows = store.rows(
        "SELECT block, batch, pool FROM fact_snapshot WHERE market = ? AND chain_id = ? AND is_synthetic = 0 "
        "AND block <= ? AND coalesce(protocol, ?4) = ?4 ORDER BY block DESC LIMIT 1",
        (place.market, place.chain_id, block.number, V3),
    )
    if not rows:
        return None
    number, batch, pool = rows[0]
    tokens = store.rows(
        "SELECT asset, atoken, vtoken FROM raw_aave_reserves WHERE market = ? AND block = ?", (place.market, number)
    )
    return Likely(number, batch, Tokens(pool, {a: t for a, t, _ in tokens}, {a: t for a, _, t in tokens}))


def _log(rpc: JsonRpc, likely: Likely, block: Block, concurrency: int) -> list[ScannedRange]:
    first = likely.block + 1
    return list(holders.scan(rpc, likely.tokens, first, block.number, events=CHANGES, concurrency=concurrency))
