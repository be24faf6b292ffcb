"""Keep a market up to date: run `aave-market` again, incrementally, when stored blocks have touched the market.

A block touches a market when its pool or one of its tokens wrote a log in it. One read at a time
runs beside the loop that follows the chain; if the market is touched meanwhile, another read follows. `aave-market`
decides from the log which accounts to read, as in every other run.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from types import TracebackType

from data import marts
from data.errors import DataError
from data.store.store import Store
from flows import registry
from flows.errors import FlowError

NOTHING, EVERYTHING = -1, 1 << 62
"""Values of the block to read up to: nothing is due, and a read is due whatever the newest snapshot's block is."""
SERVED = ("mart_position_risk",)
"""Tables that are brought up to date after a read, with the tables they are made from."""


class MarketRefresh:
    """`with MarketRefresh(market, path, say) as refresh:` then `refresh.blocks(store, chain_id, since)`."""

    def __init__(self, market: str, path: Path, say: Callable[[str], None]) -> None:
        self.market, self.done = market, 0
        self._path, self._say = path, say
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="market")
        self._last: Future[None] | None = None
        self._lock = Lock()
        self._reading = False
        self._touched = NOTHING

    def __enter__(self) -> MarketRefresh:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True)
        self._raise_unexpected()

    def blocks(self, store: Store, chain_id: int, since: int) -> None:
        """Look at blocks of batches after `since`; start a read if the market was touched and no read is running."""
        hit = touched(store, self.market, chain_id, since)
        self._raise_unexpected()
        with self._lock:
            self._touched = max(self._touched, hit)
            if self._touched == NOTHING or self._reading:
                return
            self._reading = True
        self._last = self._pool.submit(self._work)

    def _raise_unexpected(self) -> None:
        if self._last is not None and self._last.done():
            self._last.result()

    def _work(self) -> None:
        """Read until the market was not touched meanwhile: the next block may come late, or never."""
        read_to = NOTHING
        while True:
            with self._lock:
                if self._touched <= read_to or self._touched == NOTHING:
                    self._touched, self._reading = NOTHING, False
                    return
                due, self._touched = self._touched, NOTHING
            try:
                line, read_to = self._read()
            except Exception as exc:
                with self._lock:  # tried again with the next block
                    self._touched, self._reading = max(due, self._touched), False
                if not isinstance(exc, FlowError | DataError):
                    raise
                self._say(f"{self.market} was not refreshed: {type(exc).__name__}: {exc}")
                return
            self.done += 1
            self._say(line)

    def _read(self) -> tuple[str, int]:
        """(the line that `aave-market` returned, the block of the newest snapshot after it)."""
        spec = registry.load("aave-market")
        line = spec.run(registry.parser(spec).parse_args(["--market", self.market]))
        with Store.open(self._path) as store:
            marts.refresh(store, list(SERVED))
            newest = store.rows("SELECT max(block) FROM fact_snapshot WHERE market = ?", (self.market,))[0][0]
        return line, newest


def touched(store: Store, market: str, chain_id: int, since: int) -> int:
    """The highest block of batches after `since` that holds a log of the market's pool or tokens; else `NOTHING`.

    `EVERYTHING` where a reorganisation removed such a block; the newest stored block where no snapshot of the market is
    stored.
    """
    newest = store.rows(
        "SELECT pool, block FROM fact_snapshot WHERE market = ? AND chain_id = ? ORDER BY block DESC LIMIT 1",
        (market, chain_id),
    )
    if not newest:
        head = store.rows("SELECT max(block_number) FROM stg_chain_blocks WHERE chain_id = ?", (chain_id,))[0][0]
        return head or 0
    pool, block = newest[0]
    highest, orphaned = store.rows(
        """
            WITH ours(address) AS (
                SELECT :pool
                UNION SELECT lower(atoken) FROM raw_aave_reserves WHERE market = :market AND block = :block
                UNION SELECT lower(vtoken) FROM raw_aave_reserves WHERE market = :market AND block = :block
            ),
            heights AS (
                SELECT chain_id, block_number, block_hash, orphaned FROM stg_chain_blocks
                WHERE batch > :since AND chain_id = :chain
            )
            SELECT max(block_number), max(orphaned)
            FROM heights CROSS JOIN raw_chain_logs AS l USING (chain_id, block_number, block_hash)
            WHERE l.address IN (SELECT address FROM ours)
            """,
        {"pool": pool.lower(), "market": market, "block": block, "since": since, "chain": chain_id},
    )[0]
    if highest is None:
        return NOTHING
    return EVERYTHING if orphaned else highest
