"""Lending events from a subgraph: by windows of blocks, resumable, and compared with the chain's own logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from data.schemas.lending import RECEIVED
from flows.clients.abis import text
from flows.clients.graphql import Subgraph
from flows.errors import CrossCheckFailed, SourceRefused
from flows.lending.compound_book import COMETS
from flows.lending.ingest import CHECKPOINTS as OF_LOGS
from flows.lending.messari import Deployment, fetch
from flows.lending.reconciliation import Reconciliation, compare
from flows.lending.rows import LOGS, store_events

if TYPE_CHECKING:
    from data.store.store import Store
    from flows.pipeline import Run

CHECKPOINTS = "lending_messari"
REORG_WINDOW = 64
"""Blocks behind the subgraph's head that are read again next time: they may still be replaced."""
WINDOW = 200_000
"""Blocks that are read and stored together."""


def source_of(at: Deployment) -> str:
    """`source` of the rows of a deployment."""
    return f"messari:{at.subgraph_id}"


def ingest(run: Run, at: Deployment, *, first: int | None = None, last: int | None = None) -> str:
    """Store what is new in a subgraph, and compare it with the stored logs of the same blocks.

    `first`: where to begin when nothing is stored yet; `last`: newest block wanted. All is read as the subgraph stood
    at one block. Raises `CrossCheckFailed` when the two routes disagree; both are kept, and the logs count.
    """
    with Subgraph.from_environment(at.subgraph_id) as subgraph:
        head = subgraph.head().block
        if last is not None and last > head:
            raise SourceRefused(f"{subgraph} has come to block {head}, {last} was asked for; run again later")
        state = run.store.checkpoint(CHECKPOINTS, at.subgraph_id)
        begun = at.first_block if first is None else first
        start = state["last"] + 1 if state and state["first"] <= begun else begun
        begun = min(begun, state["first"]) if state else begun
        until, events, new = head if last is None else last, 0, 0
        for low in range(start, until + 1, WINDOW):
            high = min(low + WINDOW - 1, until)
            found = list(fetch(subgraph, at, low, high, head))
            new += store_events(run, found, source_of(at), at.market, low, high)
            events += len(found)
            if (settled := min(high, head - REORG_WINDOW)) >= low:
                run.mark(CHECKPOINTS, at.subgraph_id, {"first": begun, "last": settled})
        _name_tokens(run, subgraph, at, head)
    compared = compare_with_logs(run.store, at, start, until)
    if compared.differences:
        raise CrossCheckFailed(
            f"{at.market}: the subgraph and the logs disagree on {len(compared.differences)} of {compared.events} "
            f"events in blocks {start} to {until}, first: {compared.differences[0]}. Both are stored; the logs count"
        )
    return (
        f"{at.market} from its subgraph, blocks {start:,} to {until:,}: {events:,} events read, {new:,} of them new; "
        f"{compared.events:,} are in the logs too and agree"
    )


def compare_with_logs(store: Store, at: Deployment, first: int, last: int) -> Reconciliation:
    """Differences with the logs of the same protocol and chain, where both routes have read the blocks."""
    names = [at.market] if at.protocol.startswith("aave") else comets_of(at.chain_id)
    states = [store.checkpoint(OF_LOGS, f"{at.chain_id}:{at.protocol}:{name}") for name in names]
    if not all(states):  # where the logs were not read completely a missing event is no disagreement
        return Reconciliation(0, [])
    low = max([first, *(state["first"] for state in states)])
    high = min([last, *(state["last"] for state in states)])
    return compare(store, at.chain_id, at.protocol, (LOGS, names), (source_of(at), [at.market]), low, high)


def comets_of(chain_id: int) -> list[str]:
    """Names of the Comets whose events are in the one subgraph of their chain."""
    return [comet.name for comet in COMETS if comet.chain_id == chain_id]


def _name_tokens(run: Run, subgraph: Subgraph, at: Deployment, head: int) -> None:
    """Store symbol and decimals, as the subgraph has them, of tokens that were not read from a node yet."""
    known = {row[0] for row in run.store.rows("SELECT asset FROM dim_lending_asset WHERE chain_id = ?", (at.chain_id,))}
    tables = " UNION ".join(f"SELECT asset FROM {table} WHERE source = :source" for table in RECEIVED.values())
    missing = sorted({row[0] for row in run.store.rows(tables, {"source": source_of(at)})} - known)
    if not missing:
        return
    found = subgraph.pages("tokens", "id symbol decimals", block=head, where={"id_in": missing}, id_type="Bytes")
    rows = [
        {
            "chain_id": at.chain_id,
            "asset": token["id"].lower(),
            "symbol": text(str(token["symbol"]).encode()) or "?",
            "decimals": token["decimals"],
        }
        for page in found
        for token in page.rows
    ]
    if rows:
        frame = pd.DataFrame(rows).astype({"decimals": "Int64"})
        run.write(CHECKPOINTS, at.subgraph_id, {"dim_lending_asset": frame})
