"""Flow `aave-history`: an Aave v3 market at past blocks, from a node that keeps no old state: its logs are replayed.

Everything from the market's first block to the tip is read and replayed, because only at the newest block
can the result be compared with the node: every balance, flag, e-mode and reserve total must equal a fresh read there,
and so must e-mode categories (from v3.2 on) and rate curves.
Then the books at `--at` are written to a file, and with `--store` past blocks into the warehouse, each as a snapshot.
Nothing is written before that comparison but the replay itself, in a file beside the warehouse, from which the next run
goes on (`flows.aave.past.checkpoint`).

Prices of a stored block are what the feeds logged, or with `--prices oracle` what the oracle says at that block. A
block is not stored while an account needs a price that is not told there: none is taken from a market or another block.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.foreign_text import safe_print
from data.settings import aave_market, risk_db
from data.store.store import Store
from flows import settings
from flows.aave.history.keeping import rules_digest
from flows.aave.holder_scan import first_block_of
from flows.aave.options import AaveHistoryOptions
from flows.aave.past import choosing
from flows.aave.past.checkpoint import Whose, place_of
from flows.aave.past.market import Constants, NotStorable, Past, virtual_at_first
from flows.aave.past.replaying import Market, finished, proven, requests, usable
from flows.aave.past.saving import Gate, Saved, save, stored_blocks
from flows.aave.place import Place, locate, node_url, require_one_chain
from flows.aave.storing import map_assets
from flows.clients import abis
from flows.clients.block_reader import CONCURRENCY, BlockReader, Call, get_block
from flows.clients.json_rpc import JsonRpc
from flows.errors import ConfigurationError, SourceRefused
from flows.pipeline import Run, recorded

if TYPE_CHECKING:
    from flows.aave.history import MarketBook
    from flows.aave.past.checkpoint import Checkpoint

SHOWN = 3


def run(arguments: AaveHistoryOptions) -> str:
    """Replay the market's logs, compare with the node, write the books; returns one line that says what was done."""
    name = arguments.market or aave_market()
    rpc = JsonRpc(node_url(name), attempts=arguments.attempts)
    place = locate(rpc, name)
    began = time.monotonic()
    block = get_block(rpc, arguments.block)
    seconds = time.monotonic() - began
    first = arguments.from_block if arguments.from_block is not None else place.first_block
    if first is None:
        first = first_block_of(rpc, place.provider, block.number)
    for at in arguments.at or ():
        if not first <= at <= block.number:
            raise ConfigurationError(f"--at: expected a block from {first} to {block.number}, found {at}")
    concurrency = settings.whole_number("RPC_CONCURRENCY", CONCURRENCY, 1, 64)
    reader = BlockReader(rpc, block, multicall=place.multicall3, concurrency=concurrency)
    pool, configurator = (
        reader.one(Call(place.provider, getter, about="the provider"))
        for getter in (abis.GET_POOL, abis.GET_POOL_CONFIGURATOR)
    )
    whose = Whose(place.market, place.chain_id, place.provider, rules_digest())
    market = Market(reader, place.provider, pool, configurator, first, place_of(risk_db(), whose), whose)
    begun = None if arguments.anew else usable(market, chosen_first=arguments.from_block is not None)
    estimate = _estimate(market, begun, arguments, seconds)
    if arguments.estimate:
        return estimate
    safe_print(estimate, file=sys.stderr)
    parameters = {
        "market": name,
        "block": block.number,
        "at": arguments.at,
        "every": arguments.every,
        "store": arguments.store,
        "prices": arguments.prices,
        "from_block": first,
        "provider": place.provider,
        "chain_id": place.chain_id,
    }
    with Store.open() as store, recorded(store, "aave-history", parameters) as recording:
        if arguments.store:
            require_one_chain(store, place)
        return _run(recording, market, place, begun, arguments)


def _estimate(market: Market, begun: Checkpoint | None, arguments: AaveHistoryOptions, seconds: float) -> str:
    start, tip = begun.block + 1 if begun else market.first, market.tip
    n = requests(start, tip.number)
    told = (
        f"{market.whose.market}: blocks {start:,} to {tip.number:,} take about {n:,} queries of logs, at "
        f"least {n * seconds / 60:,.1f} minutes at {seconds * 1000:,.0f} ms each; then a header for each block "
        "with a log, unless the node puts times into logs, and three reads for each account"
    )
    if begun:
        told += f"; the replay up to block {begun.block:,} is kept from an earlier run"
    if arguments.store:
        to_store = len(set(arguments.at or ()))
        if arguments.every is not None:
            to_store = choosing.roughly(arguments.every, get_block(market.rpc, start), tip)
        told += (
            f"; at most {to_store:,} blocks to store, a header"
            + (", prices and health factors" if arguments.prices == "oracle" else "")
            + " for each"
        )
    return told


def _run(recording: Run, market: Market, place: Place, begun: Checkpoint | None, arguments: AaveHistoryOptions) -> str:
    """Replay, compare, write."""
    named = tuple(sorted(set(arguments.at or ()))) if arguments.store else ()
    blocks = _Blocks(recording.store, market, begun, arguments)
    gate = Gate(recording.store, place.market, arguments.prices, named)
    done = proven(market, begun, blocks, gate)
    told = (
        f"{place.market} from block {market.first:,} to {market.tip.number:,}: {done.replay.handled:,} logs replayed, "
        f"{done.replay.checks:,} checks; all {done.compared.values:,} values of {done.compared.accounts:,} accounts "
        f"and {len(done.replay.reserves)} reserves equal the node's at block {market.tip.number:,}"
    )
    if not arguments.store:
        ((book, _),) = done.books()
        if arguments.out is not None:
            _write(Path(arguments.out), book)
        finished(market, done, {})
        return f"{told}; at block {book.block:,} {len(book.holdings):,} accounts held something" + (
            f"; books in {arguments.out}" if arguments.out else ""
        )
    past = Past(
        place=place,
        pool=market.pool,
        constants=Constants(market.reader, market.provider),
        virtual=virtual_at_first(market.reader, done.tip, market.pool),
        concurrency=market.reader.concurrency,
    )
    saved = save(recording, market.rpc, done, past, arguments.prices, named)
    if arguments.out is not None:
        _write(Path(arguments.out), next(book for book, _ in done.books()))
    finished(market, done, saved.settled(arguments.prices))
    unmapped = map_assets(recording, place.market) if saved.written else ""
    if saved.refused and not (saved.written or saved.equal or blocks.settled):
        reason = next(iter(saved.refused.values()))
        raise NotStorable(f"none of {len(saved.refused):,} blocks could be stored; {reason}")
    return f"{told}; {_told(saved, blocks)}" + (f"; before risk-scenarios: {unmapped}" if unmapped else "")


def _told(saved: Saved, blocks: _Blocks) -> str:
    parts = [f"{len(saved.written):,} blocks stored"]
    if saved.equal:
        parts.append(f"{len(saved.equal):,} were stored and are equal")
    if blocks.settled:
        parts.append(f"{len(blocks.settled):,} were dealt with by an earlier run")
    if saved.refused:
        first = next(iter(saved.refused.values()))
        parts.append(f"{len(saved.refused):,} left out for want of a price, the first: {first}")
    if blocks.unsupported:
        parts.append(f"blocks before {blocks.unsupported:,} have rules that the engine does not know")
    return ", ".join(parts)


class _Blocks:
    """The blocks whose books a run needs. `settled`: what earlier runs have dealt with; `unsupported`: rules begin."""

    def __init__(self, store: Store, market: Market, begun: Checkpoint | None, arguments: AaveHistoryOptions) -> None:
        self.settled: set[int] = set()
        self.unsupported = 0
        self._store, self._market, self._begun, self._asked = store, market, begun, arguments
        self._known: set[int] | None = None

    def __call__(self, upgrades: Sequence[tuple[int, int]]) -> set[int]:
        if self._known is None:
            self._known = self._choose(upgrades)
        return self._known

    def _choose(self, upgrades: Sequence[tuple[int, int]]) -> set[int]:
        asked, market = self._asked, self._market
        if not asked.store:
            return set(asked.at or (market.tip.number,))
        span = choosing.supported(upgrades, market.first, market.tip.number)
        if span is None:
            raise SourceRefused(
                f"the pool {market.pool} has never run a POOL_REVISION that the engine knows: its blocks cannot be "
                "stored; --out writes their books"
            )
        if asked.at is not None:
            outside = sorted(at for at in asked.at if not span[0] <= at <= span[1])
            if outside:
                raise ConfigurationError(
                    f"--at: expected blocks from {span[0]} to {span[1]}, whose POOL_REVISION the engine knows, found "
                    f"{outside[0]}; --out writes the books of other blocks, without --store"
                )
            blocks = set(asked.at)
        else:
            assert asked.every is not None
            self.unsupported = span[0] if span[0] > market.first else 0
            blocks = set(choosing.chosen(market.rpc, asked.every, *span))
        if asked.prices == "oracle" and blocks:
            self._require_state(min(blocks))
        if self._begun:
            present = stored_blocks(self._store, market.whose.market)
            self.settled = {
                block
                for block, (prices, reason) in self._begun.settled.items()
                if block in blocks and (prices == asked.prices if reason else block in present)
            }
        return blocks - self.settled

    def _require_state(self, block: int) -> None:
        """Find out before hours of reading whether the node has the state of the oldest block."""
        reader = BlockReader(self._market.rpc, get_block(self._market.rpc, block))
        reader.one(Call(self._market.provider, abis.GET_PRICE_ORACLE, about="the provider"))


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
