"""Flow `oracle-prices`: Chainlink feeds and where an Aave market takes its prices from, at one block.

The block is resolved first. Every feed's answer at the block and the source of every reserve's price are stored
together; then each feed's history is extended, newest rounds first, one transaction for each run of rounds. From that,
SQL computes how old each price was compared with the feed's heartbeat (`mart_feed_staleness`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from data.prices.settling import settle
from data.settings import aave_market
from data.store.store import Store
from flows import settings
from flows.aave import address_book
from flows.aave.place import locate, node_url
from flows.aave.price_adapters import getters
from flows.clients.block_reader import CONCURRENCY, MULTICALL3, BlockReader, Failure, get_block
from flows.clients.json_rpc import JsonRpc, quantity
from flows.continuous import run_as_asked
from flows.errors import ConfigurationError, CrossCheckFailed, SourceRefused
from flows.oracles import checks as oracle_checks
from flows.oracles import known_feeds as chainlink_book
from flows.oracles import rows as oracle_rows
from flows.oracles.adapters import oracle_of, read_sources
from flows.oracles.chainlink import read_feeds, read_phases
from flows.oracles.options import OraclePricesOptions
from flows.oracles.rounds import SOURCE, Progress, RoundBackfill
from flows.pipeline import Run, recorded

if TYPE_CHECKING:
    from flows.clients.block_reader import Block
    from flows.oracles.adapters import OracleSource
    from flows.oracles.chainlink import Feed

TARGETS = ("stg_chainlink_prices", "fact_feed_update", "mart_feed_staleness")


def run(arguments: OraclePricesOptions) -> str:
    """One round, or rounds until stopped where `--every` is given; see `collect`."""
    return run_as_asked(collect, arguments)


def collect(arguments: OraclePricesOptions) -> str:
    """Read feeds and the market's sources at `arguments.block`, store them, extend the histories; returns one line.

    Raises `ConfigurationError`, `SourceUnavailable`, `SourceRefused`, `MalformedAnswer`, `CrossCheckFailed` (the chain
    replaced the block meanwhile); `data.errors.BatchRefused`.
    """
    market = "" if arguments.no_market else arguments.market or aave_market()
    url = node_url(market) if market else settings.require("ETH_RPC_URL", "give the address of a node of the chain")
    concurrency = settings.whole_number("RPC_CONCURRENCY", CONCURRENCY, 1, 64)
    named = getters(settings.get("AAVE_CAP_GETTERS"))
    rpc = JsonRpc(url, attempts=arguments.attempts)
    place = locate(rpc, market) if market else None
    if place and place.known and place.known.protocol == address_book.V2:
        raise ConfigurationError(
            f"{market} is an Aave v2 market, which counts in another currency than USD: its sources are not recorded. "
            "Read feeds alone with --no-market, or name a v3 market"
        )
    chain_id = place.chain_id if place else quantity(rpc.call("eth_chainId"), "eth_chainId")
    wanted = chainlink_book.find(chain_id, arguments.feeds or ())
    parameters = {
        "market": market,
        "chain_id": chain_id,
        "block": arguments.block,
        "feeds": arguments.feeds,
        "rounds": arguments.rounds,
        "node": settings.redacted(url),
    }
    with Store.open() as store, recorded(store, "oracle-prices", parameters) as run:
        block = get_block(rpc, arguments.block)
        multicall = place.multicall3 if place else MULTICALL3
        reader = BlockReader(rpc, block, multicall=multicall, concurrency=concurrency)
        oracle, sources = _sources(reader, place.provider, named) if place else ("", [])
        feeds, refused = _feeds(reader, chain_id, wanted, bool(arguments.feeds), sources)
        _require_unchanged(rpc, block)
        _store_readings(run, chain_id, block, market, oracle, sources, feeds)
        progress = _extend(run, reader, chain_id, feeds, arguments.rounds)
        run.refresh(TARGETS)
        # New rounds may show which of USDC and USDT had moved when they differed: stored prices follow.
        if settle(store, run.id).changed:
            run.refresh(["stg_prices"])
        disagreements = _check(run, chain_id, block, feeds, refused, progress)
    return described(chain_id, block, feeds, refused, sources, progress, disagreements)


def _sources(reader: BlockReader, provider: str, named: Any) -> tuple[str, list[OracleSource]]:
    oracle, assets = oracle_of(reader, provider)
    return oracle, read_sources(reader, oracle, assets, named)


def _feeds(
    reader: BlockReader, chain_id: int, wanted: Sequence[str], insist: bool, sources: Sequence[OracleSource]
) -> tuple[list[Feed], dict[str, str]]:
    """(feeds to read, reason by address for others): of `wanted`, or of the book's known heartbeats and the market.

    With `insist` a wanted feed that does not answer raises `SourceRefused`: it was asked for by name.
    """
    book = chainlink_book.feeds(chain_id)
    addresses = list(wanted)
    if not insist:
        in_use = [source.source for source in sources if source.source in book or source.aggregator]
        addresses = [*in_use, *(feed.feed for feed in book.values() if feed.heartbeat_s is not None)]
    addresses = list(dict.fromkeys(addresses))
    feeds, refused = [], {}
    for address, found in zip(addresses, read_feeds(reader, addresses), strict=True):
        if isinstance(found, Failure):
            refused[address] = found.reason
        else:
            feeds.append(found)
    if insist and refused:
        address, reason = next(iter(refused.items()))
        raise SourceRefused(
            f"{address} is no feed at block {reader.block.number} of chain {chain_id}: {reason}. Nothing was written; "
            "check --feeds and that ETH_RPC_URL is a node of the right chain"
        )
    return feeds, refused


def _require_unchanged(rpc: JsonRpc, block: Block) -> None:
    if (now := get_block(rpc, block.number)).hash != block.hash:
        raise CrossCheckFailed(
            f"block {block.number} was replaced while it was read (hash {block.hash}, now {now.hash}). Nothing was "
            "written; run again, or read --block finalized"
        )


def _store_readings(
    run: Run,
    chain_id: int,
    block: Block,
    market: str,
    oracle: str,
    sources: Sequence[OracleSource],
    feeds: Sequence[Feed],
) -> None:
    """Store all answers at the block, in one transaction."""
    frames = {}
    if feeds:
        frames["raw_chainlink_feeds"] = oracle_rows.readings(chain_id, block, feeds)
        frames["dim_feed"] = oracle_rows.dim_feed(chain_id, feeds)
    if sources:
        frames["raw_oracle_sources"] = oracle_rows.sources(market, chain_id, oracle, block, sources)
        frames["dim_oracle_adapter"] = oracle_rows.adapters(market, chain_id, block, sources)
    if frames:
        run.write(SOURCE, f"{chain_id}:{block.number}", frames)


def _extend(run: Run, reader: BlockReader, chain_id: int, feeds: Sequence[Feed], depth: int | None) -> Progress:
    backfill, progress = RoundBackfill(run, reader, chain_id), Progress()
    with tqdm(desc="rounds", unit=" rounds", disable=None, leave=False) as bar:
        for feed in feeds:
            if depth != 0 and feed.latest.updated_at + feed.latest.round_id:
                backfill.extend(feed, read_phases(reader, feed), depth, progress, bar)
    return progress


def _check(
    run: Run, chain_id: int, block: Block, feeds: Sequence[Feed], refused: dict[str, str], progress: Progress
) -> int:
    """Note in `fact_validation` the checks that failed; returns on how many prices two sources disagree."""
    found = [
        *oracle_checks.of_history(progress, len(feeds), refused),
        *oracle_checks.of_two_sources(run.store, chain_id, block),
    ]
    about = f"{chain_id}:{block.number}"
    run.finding(SOURCE, f"{about}:checks", *(finding._replace(about=about) for finding in found))
    return sum(finding.check.startswith(oracle_checks.TWO_SOURCES) for finding in found)


def described(
    chain_id: int,
    block: Block,
    feeds: Sequence[Feed],
    refused: dict[str, str],
    sources: Sequence[OracleSource],
    progress: Progress,
    disagreements: int,
) -> str:
    """One line on what was read, for the user."""
    parts = [f"{len(feeds)} feeds on chain {chain_id} at block {block.number:,}"]
    if sources:
        parts.append(f"sources of {len(sources)} reserves")
    parts.append(f"{progress.read:,} rounds read, {progress.changed:,} new or changed")
    for count, what in (
        (progress.missing, "round numbers that the aggregators left out"),
        (progress.unfinished, "unfinished rounds skipped"),
        (progress.bad_answers, "answers that are no price"),
        (len(refused), "feeds that do not answer"),
        (disagreements, "pairs on which Chainlink and Binance disagree"),
    ):
        if count:
            parts.append(f"{count:,} {what}")
    return "; ".join(parts)
