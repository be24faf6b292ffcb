"""A market that follows the chain: read again, by `aave-market`'s own incremental way, when stored blocks touched it.

A block touches a market when its pool or one of its tokens wrote a log in it. The read runs beside the loop that
follows the chain, one at a time; what is touched meanwhile is read by the next. Which accounts are read is decided by
`aave-market` from the log, as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
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
        self._running: Future[str] | None = None
        self._touched = False

    def __enter__(self) -> MarketRefresh:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True)
        self._finished()

    def blocks(self, store: Store, chain_id: int, since: int) -> None:
        """Hear of blocks that came with batches after `since`; begin a read where one is due and none is running."""
        self._touched = self._touched or touched(store, self.market, chain_id, since)
        if self._running is not None and not self._running.done():
            return
        self._finished()
        if self._touched:
            self._touched = False
            self._running = self._pool.submit(self._read)

    def _finished(self) -> None:
        if self._running is None or not self._running.done():
            return
        finished, self._running = self._running, None
        try:
            self._say(finished.result())
            self.done += 1
        except Exception as exc:
            from data.errors import DataError

            if not isinstance(exc, FlowError | DataError):
                raise
            self._touched = True  # tried again with the next block
            self._say(f"{self.market} was not refreshed: {type(exc).__name__}: {exc}")

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
