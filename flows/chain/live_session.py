"""`chain-activity --live` around the loop of `flows.chain.live`: parameters, marts, events, the market."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack

from data import marts
from data.foreign_text import safe_print
from data.settings import aave_market
from data.store.store import Store
from flows import event_relay, settings
from flows.aave.live_refresh import MarketRefresh
from flows.chain.backfill import Written
from flows.chain.live import Follower, follow
from flows.chain.node import ChainNode
from flows.chain.options import ChainActivityOptions
from flows.clients import networks
from flows.clients.json_rpc import JsonRpc
from flows.clients.new_heads import NewHeads
from flows.continuous import stop_on_signals
from flows.errors import WrongOption
from flows.pipeline import recorded
from flows.redaction import hidden


def run(arguments: ChainActivityOptions, flow: str, derived: Sequence[str]) -> str:
    """Follow the chain until a signal; returns what was written, in one line. `derived`: tables made of the blocks."""
    if arguments.parquet or arguments.reread:
        raise WrongOption("--live writes into the warehouse as the chain grows; leave out --parquet and --reread")
    chain_id = networks.chain_id(arguments.network)
    url = settings.require("ETH_RPC_URL", "give the JSON-RPC address of a node of the network")
    ws_url = settings.require("ETH_WS_URL", "give the WebSocket address of a node of the network")
    parameters = {
        "live": True,
        "network": arguments.network,
        "chain_id": chain_id,
        "start_block": arguments.start_block,
        "node": settings.redacted(url),
        "subscription": settings.redacted(ws_url),
    }
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on_signals())
        rpc = JsonRpc(url, attempts=arguments.attempts, batch_size=4 * arguments.blocks_per_request, sleep=stop.wait)
        store = stack.enter_context(Store.open())
        run = stack.enter_context(recorded(store, flow, parameters))
        follower = Follower(
            run,
            ChainNode(rpc),
            chain_id,
            start=arguments.start_block,
            confirmations=arguments.confirmations,
            max_reorg=arguments.max_reorg,
            most_missed=arguments.most_missed,
            threads=arguments.threads,
            size=arguments.blocks_per_request,
        )
        follower.node.require_chain(chain_id)
        market = None
        if arguments.refresh_market:
            market = stack.enter_context(MarketRefresh(aave_market(), store.path, say))
        relay = stack.enter_context(event_relay.Relay(store.path, say))
        rounds = Rounds(store, chain_id, derived, arguments.marts_every, market, relay)
        heads = stack.enter_context(NewHeads(ws_url))
        say(f"following chain {chain_id}; Ctrl-C or SIGTERM ends")
        rounds.after(Written(), at_once=True)  # what a run that was killed had written
        written = follow(
            follower, heads, stop, poll=arguments.poll, patience=arguments.patience, after=rounds.after, say=say
        )
        rounds.after(Written(), at_once=True)
    return (
        f"chain {chain_id}: {written.blocks:,} blocks, {written.logs:,} logs, {written.transfers:,} token transfers"
        + written.remarks()
        + (f"; {market.market} refreshed {market.done:,} times" if market else "")
        + f"; {heads.connections:,} subscriptions; stopped by {stop.reason}"
    )


class Rounds:
    """What is done after a write: update the tables made of the blocks and the market, send events to Prefect."""

    def __init__(
        self,
        store: Store,
        chain_id: int,
        derived: Sequence[str],
        every: float,
        market: MarketRefresh | None,
        relay: event_relay.Relay,
    ) -> None:
        self._store, self._chain_id, self._derived, self._every = store, chain_id, list(derived), every
        self._market, self._relay = market, relay
        self._refreshed = 0.0
        self._seen = self._newest_batch()

    def after(self, written: Written, *, at_once: bool = False) -> None:
        """Update the tables, at once if `at_once` or after a reorganisation, else at intervals; wake the relay."""
        if at_once or written.orphaned or time.monotonic() - self._refreshed >= self._every:
            marts.refresh(self._store, self._derived)
            self._refreshed = time.monotonic()
        if self._market is not None:
            seen, self._seen = self._seen, self._newest_batch()
            self._market.blocks(self._store, self._chain_id, seen)
        self._relay.wake()

    def _newest_batch(self) -> int:
        return self._store.rows("SELECT coalesce(max(batch), 0) FROM fact_batch")[0][0]


def say(line: str) -> None:
    """Print a line with secrets hidden: a server may repeat a secret that it was sent."""
    safe_print(hidden(line), flush=True)
