"""Flow `lending-events`: borrows, deposits, repayments, withdrawals and liquidations at Aave and Compound.

From the logs of a node (the default), from a Messari subgraph (`--route messari`), or from an outside vendor's
connector (`--route vendor`, off until one is configured). Events are keyed by (chain, block, log index) and belong to
the owner of the position, never to the payer. Each is valued at the newest price that was known when it happened;
where none was, the value stays NULL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tqdm import tqdm

from data.settings import aave_market
from data.store.store import Store
from flows import settings
from flows.aave.holder_scan import first_block_of
from flows.clients.block_reader import BlockReader, get_block
from flows.clients.json_rpc import JsonRpc, quantity
from flows.errors import WrongOption
from flows.lending import markets as lending_markets
from flows.lending.assets import name_assets, note_oracle_prices
from flows.lending.ingest import LendingIngest
from flows.lending.messari import deployment
from flows.lending.options import LendingEventsOptions
from flows.lending.rows import store_events
from flows.lending.subgraph import ingest
from flows.lending.vendor import connector
from flows.pipeline import Run, recorded

if TYPE_CHECKING:
    from flows.clients.block_reader import Block
    from flows.lending.events import LendingMarket
    from flows.lending.ingest import Ingested
    from flows.lending.markets import MarketEntry

TARGETS = (
    "fact_lending_borrow_events",
    "fact_lending_deposit_events",
    "fact_lending_liquidation_events",
    "fact_lending_repay_events",
    "fact_lending_withdraw_events",
    "fact_lending_deficit_events",
    "mart_forecast_outcome",
)


def run(arguments: LendingEventsOptions) -> str:
    """Store the events up to `arguments.block`; returns what was stored, one line for each market."""
    route = {"logs": run_logs, "messari": run_messari, "vendor": run_vendor}[arguments.route]
    return route(arguments)


def run_logs(arguments: LendingEventsOptions) -> str:
    """Read a node's logs, for each market in turn; events of one market stay stored when a later one fails."""
    url = settings.require("ETH_RPC_URL", "give the JSON-RPC address of a node of the markets' chain")
    rpc = JsonRpc(url, attempts=arguments.attempts)
    chain_id = quantity(rpc.call("eth_chainId"), "eth_chainId")
    if not arguments.markets:
        sources = [lending_markets.configured(aave_market())]
    elif arguments.markets == ["all"]:
        sources = lending_markets.on_chain(chain_id)
    else:
        sources = [lending_markets.named(name) for name in arguments.markets]
    parameters = {
        "markets": [source.name for source in sources],
        "block": arguments.block,
        "route": arguments.route,
        "from_block": arguments.from_block,
        "node": settings.redacted(url),
    }
    lines = []
    with Store.open() as store, recorded(store, "lending-events", parameters) as run:
        block = get_block(rpc, arguments.block)
        reader = BlockReader(rpc, block)
        for source in sources:
            market = lending_markets.resolve(reader, source, chain_id)
            done = scan(run, rpc, market, block, _first_block(arguments, rpc, source, block))
            if arguments.oracle_prices:
                note_oracle_prices(run, rpc, reader, source)
            lines.append(described(market.name, block.number, done))
        name_assets(run, reader, chain_id)
        run.refresh(TARGETS)
    return "\n".join(lines)


def scan(run: Run, rpc: JsonRpc, market: LendingMarket, block: Block, first_block: int) -> Ingested:
    """Store every event of `market` up to `block`, from where the last run stopped."""
    with tqdm(desc=market.name, unit=" blocks", disable=None, leave=False) as bar:
        return LendingIngest(run, rpc, market).until(block, first_block, progress=bar)


def run_messari(arguments: LendingEventsOptions) -> str:
    """Read Messari subgraphs: one deployment for each market that is named."""
    lines = []
    for name in arguments.markets or [aave_market()]:
        at = deployment(name)
        with Store.open() as store, recorded(store, "lending-events", {"market": name, "route": "messari"}) as run:
            last = arguments.block if isinstance(arguments.block, int) else None
            lines.append(ingest(run, at, first=arguments.from_block, last=last))
            run.refresh(TARGETS)
    return "\n".join(lines)


def run_vendor(arguments: LendingEventsOptions) -> str:
    """Read the outside vendor that is configured, if one is."""
    vendor = connector()
    if not isinstance(arguments.block, int) or arguments.from_block is None:
        raise WrongOption("--route vendor needs a closed window: --from-block N --block M")
    lines = []
    for name in arguments.markets or [aave_market()]:
        first, last = arguments.from_block, arguments.block
        parameters = {"market": name, "route": "vendor", "vendor": vendor.name, "first": first, "last": last}
        with Store.open() as store, recorded(store, "lending-events", parameters) as run:
            events = list(vendor.events(name, first, last))
            new = store_events(run, events, f"vendor:{vendor.name}", name, first, last)
            run.refresh(TARGETS)
        lines.append(f"{name} from {vendor.name}: {len(events):,} events in blocks {first:,} to {last:,}, {new:,} new")
    return "\n".join(lines)


def described(name: str, block: int, done: Ingested) -> str:
    """One line on what was read, for the user."""
    return f"{name} up to block {block:,}: {done.events:,} events read, {done.new:,} of them new" + (
        f"; {done.emptied:,} blocks lost their events to a reorganisation" if done.emptied else ""
    )


def _first_block(arguments: LendingEventsOptions, rpc: JsonRpc, source: MarketEntry, block: Block) -> int:
    if arguments.from_block is not None:
        return arguments.from_block
    return first_block_of(rpc, source.entry, block.number) if source.first_block is None else source.first_block
