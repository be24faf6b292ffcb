"""Flow `aave-history`: an Aave v3 market at a past block, from a node that keeps no old state: its logs are replayed.

Everything from the market's first block to the tip is read and replayed, because only at the newest block
can the result be compared with the node: every balance, flag, e-mode and reserve total must equal a fresh read there.
Then the books at `--at` are written to a file. Nothing is written before that comparison, and nothing goes into the
warehouse.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from data.foreign_text import safe_print
from data.settings import aave_market
from data.store.store import Store
from flows import settings
from flows.aave.history import Replay
from flows.aave.history.logs import FIRST_RANGE, fetch_listing, happenings, implementations
from flows.aave.history.tip import compare_with_node
from flows.aave.holder_scan import first_block_of
from flows.aave.place import locate, node_url
from flows.aave.reading import progress_bar
from flows.clients import abis
from flows.clients.block_reader import CONCURRENCY, BlockReader, Call, get_block
from flows.clients.json_rpc import JsonRpc
from flows.errors import ConfigurationError, CrossCheckFailed
from flows.options import AnyBlock, Attempts, Flag, Options, Whole
from flows.pipeline import FlowSpec, recorded

if TYPE_CHECKING:
    from flows.aave.history import MarketBook


class Asked(Options):
    """Options of `aave-history`."""

    market: str | None = Field(None, description="name in the Aave address book (default: AAVE_MARKET)")
    block: AnyBlock = Field(
        "latest",
        description="last block of the replay, where the result is compared with the node: "
        "latest, safe, finalized, or a number whose state the node still has (default: latest)",
    )
    at: Annotated[int, Whole()] | None = Field(None, description="block whose books are written (default: the last)")
    from_block: Annotated[int, Whole()] | None = Field(
        None, description="where the logs begin (default: the market's first block)"
    )
    out: Annotated[str | None, Flag(metavar="FILE")] = Field(None, description="JSON file for the books at that block")
    estimate: Annotated[bool, Flag(names=("--estimate", "--dry-run"))] = Field(
        False, description="print how many requests this needs and how long they take, then stop"
    )
    attempts: Attempts = 5


def run(arguments: Asked) -> str:
    """Replay the market's logs, compare with the node, write the books; returns one line that says what was done."""
    market = arguments.market or aave_market()
    rpc = JsonRpc(node_url(market), attempts=arguments.attempts)
    place = locate(rpc, market)
    began = time.monotonic()
    block = get_block(rpc, arguments.block)
    seconds = time.monotonic() - began
    first = arguments.from_block if arguments.from_block is not None else place.first_block
    if first is None:
        first = first_block_of(rpc, place.provider, block.number)
    at = block.number if arguments.at is None else arguments.at
    if not first <= at <= block.number:
        raise ConfigurationError(f"--at: expected a block from {first} to {block.number}, found {at}")
    requests = 3 * -(-(block.number - first + 1) // FIRST_RANGE)
    estimate = (
        f"{market}: blocks {first:,} to {block.number:,} take about {requests:,} queries of {FIRST_RANGE:,} blocks, at "
        f"least {requests * seconds / 60:,.1f} minutes at {seconds * 1000:,.0f} ms each; then a header for each block "
        "with a log, unless the node puts times into logs, and three reads for each account"
    )
    if arguments.estimate:
        return estimate
    safe_print(estimate, file=sys.stderr)
    parameters = {
        "market": market,
        "block": block.number,
        "at": at,
        "from_block": first,
        "provider": place.provider,
        "chain_id": place.chain_id,
    }
    with Store.open() as store, recorded(store, FLOW.name, parameters):
        return _replayed(rpc, place, block, first, at, arguments.out)


def _replayed(rpc: Any, place: Any, block: Any, first: int, at: int, out: str | None) -> str:
    concurrency = settings.whole_number("RPC_CONCURRENCY", CONCURRENCY, 1, 64)
    reader = BlockReader(rpc, block, multicall=place.multicall3, concurrency=concurrency)
    pool = reader.one(Call(place.provider, abis.GET_POOL, about="the provider"))
    configurator = reader.one(Call(place.provider, abis.GET_POOL_CONFIGURATOR, about="the provider"))
    with progress_bar("listings", "block", block.number - first + 1) as bar:
        listing = fetch_listing(
            rpc, place.provider, configurator, first, block.number, concurrency=concurrency, progress=bar
        )
    codes = implementations(reader, listing, pool, first, block.number)
    replay = Replay(pool, configurator, codes, provider=place.provider)
    book: MarketBook | None = None
    with progress_bar("log", "block", block.number - first + 1) as bar:
        for start, until, found in happenings(rpc, pool, listing, first, block.number, concurrency=concurrency):
            if book is None and until >= at:
                split = next((n for n, happening in enumerate(found) if happening.block > at), len(found))
                replay.feed(found[:split])
                book = replay.book(at, get_block(rpc, at).time)
                found = found[split:]
            replay.feed(found)
            bar.update(until - start + 1)
    with progress_bar("comparison", "read") as bar:
        compared = compare_with_node(reader, replay, bar.update)
    if get_block(rpc, block.number).hash != block.hash:
        raise CrossCheckFailed(f"block {block.number} was replaced while it was read; run again, or --block finalized")
    assert book is not None
    if out is not None:
        _write(Path(out), book)
    return (
        f"{place.market} from block {first:,} to {block.number:,}: {replay.handled:,} logs replayed, {replay.checks:,} "
        f"checks; all {compared.values:,} values of {compared.accounts:,} accounts and {len(replay.reserves)} reserves "
        f"equal the node's at block {block.number:,}; at block {at:,} {len(book.holdings):,} accounts held something"
        + (f"; books in {out}" if out else "")
    )


def _write(path: Path, book: MarketBook) -> None:
    """Write the books as JSON; integers from 2**53 on are decimal text. The file is written whole or not at all."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(key): plain(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(item) for item in value]
        return str(value) if type(value) is int and abs(value) >= 1 << 53 else value

    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    beside.write_text(json.dumps(plain(asdict(book)), indent=1), encoding="utf-8")
    beside.replace(path)


FLOW = FlowSpec(name="aave-history", options=Asked, run=run)
