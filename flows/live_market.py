"""A market that follows the chain: read again, by `aave-market`'s own incremental way, when stored blocks touched it.

A block touches a market when its pool or one of its tokens wrote a log in it. The read runs beside the loop that
follows the chain, one at a time; what is touched meanwhile is read right after it. Which accounts are read is decided
by `aave-market` from the log, as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING

from flows.errors import FlowError

if TYPE_CHECKING:
    from data.store import Store

SERVED = ("mart_position_risk",)
"""Tables that are brought up to date after a read, with what they are made from."""


class MarketRefresh:
    """`with MarketRefresh(market, path, say) as refresh:` then `refresh.blocks(store, chain_id, since)`."""

    def __init__(self, market: str, path: Path, say: Callable[[str], None]) -> None:
        self.market, self.done = market, 0
        self._path, self._say = path, say
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="market")
        self._last: Future[None] | None = None
        self._lock = Lock()
        self._reading = self._touched = False

    def __enter__(self) -> MarketRefresh:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True)
        self._raise_unexpected()

    def blocks(self, store: Store, chain_id: int, since: int) -> None:
        """Hear of blocks that came with batches after `since`; begin a read where one is due and none is running."""
        hit = touched(store, self.market, chain_id, since)
        self._raise_unexpected()
        with self._lock:
            self._touched = self._touched or hit
            if not self._touched or self._reading:
                return
            self._reading = True
        self._last = self._pool.submit(self._work)

    def _raise_unexpected(self) -> None:
        if self._last is not None and self._last.done():
            self._last.result()

    def _work(self) -> None:
        """Read until nothing was touched meanwhile: the next block may be long in coming, or never come."""
        from data.errors import DataError

        while True:
            with self._lock:
                if not self._touched:
                    self._reading = False
                    return
                self._touched = False
            try:
                said = self._read()
            except Exception as exc:
                with self._lock:  # tried again with the next block
                    self._touched, self._reading = True, False
                if not isinstance(exc, FlowError | DataError):
                    raise
                self._say(f"{self.market} was not refreshed: {type(exc).__name__}: {exc}")
                return
            self.done += 1
            self._say(said)

    def _read(self) -> str:
        from data import marts
        from data.store import Store
        from flows import registry

        spec = registry.load("aave-market")
        said = spec.run(registry.parser(spec).parse_args(["--market", self.market]))
        with Store.open(self._path) as store:
            marts.refresh(store, list(SERVED))
        return said


def touched(store: Store, market: str, chain_id: int, since: int) -> bool:
    """Whether blocks of batches after `since` hold a log of the market's pool or tokens, or took one away.

    True where no snapshot of the market is stored: then there is everything to read.
    """
    newest = store.rows(
        "SELECT pool, block FROM fact_snapshot WHERE market = ? AND chain_id = ? ORDER BY block DESC LIMIT 1",
        (market, chain_id),
    )
    if not newest:
        return True
    pool, block = newest[0]
    return bool(
        store.rows(
            """
            WITH ours(address) AS (
                SELECT :pool
                UNION SELECT lower(atoken) FROM raw_aave_reserves WHERE market = :market AND block = :block
                UNION SELECT lower(vtoken) FROM raw_aave_reserves WHERE market = :market AND block = :block
            ),
            heights AS (
                SELECT chain_id, block_number, block_hash FROM stg_chain_blocks
                WHERE batch > :since AND chain_id = :chain
            )
            SELECT 1 FROM heights CROSS JOIN raw_chain_logs AS l USING (chain_id, block_number, block_hash)
            WHERE l.address IN (SELECT address FROM ours) LIMIT 1
            """,
            {"pool": pool.lower(), "market": market, "block": block, "since": since, "chain": chain_id},
        )
    )
