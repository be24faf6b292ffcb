"""A verified read that was killed goes on: the block it read is noted when it begins, and struck out when it ends."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from flows.aave.candidates.accounts import SOURCE, forget
from flows.errors import SourceRefused

if TYPE_CHECKING:
    from data.store.store import Store
    from flows.aave.place import Place
    from flows.clients.block_reader import Block
    from flows.clients.json_rpc import JsonRpc


def begin(store: Store, place: Place, block: Block, candidates: str, run_id: str) -> None:
    """Note the block that is read now; what another block left unfinished is dropped."""
    before = store.checkpoint(SOURCE, place.market) or {}
    if before.get("hash") != block.hash:
        forget(store, place.market, run_id)
    _note(store, place, block, {"candidates": candidates, "state": "running"}, run_id)


def end(store: Store, place: Place, block: Block, run_id: str) -> None:
    """The read is stored as a snapshot: nothing is left to go on with."""
    forget(store, place.market, run_id)
    _note(store, place, block, {"state": "done"}, run_id)


def refuse(store: Store, place: Place, block: Block, run_id: str) -> None:
    """What was read was refused: the next run begins anew, with new answers."""
    forget(store, place.market, run_id)
    _note(store, place, block, {"state": "refused"}, run_id)


def unfinished(store: Store, rpc: JsonRpc, place: Place, candidates: str, which: str | int) -> Block | None:
    """The block of a read of the same candidates that did not end, where `which` ("latest" or a number) allows it.

    None as well when the chain has replaced the block, or the node no longer has the state at it (a node that is no
    archive keeps some 128 blocks, 25 minutes of Ethereum).
    """
    from flows.clients.block_reader import BlockReader, get_block

    left = store.checkpoint(SOURCE, place.market) or {}
    if left.get("state") != "running" or left["candidates"] != candidates or which not in ("latest", left["block"]):
        return None
    try:
        block = get_block(rpc, left["block"])
        whole = block.hash == left["hash"] and BlockReader(rpc, block).has_code(place.provider)
    except SourceRefused:
        return None
    return block if whole else None


def _note(store: Store, place: Place, block: Block, state: dict[str, object], run_id: str) -> None:
    import pandas as pd

    value = json.dumps({"block": block.number, "hash": block.hash} | state, sort_keys=True)
    mark = {"source": SOURCE, "key": place.market, "value": value, "updated_at": int(time.time())}
    key = f"{place.market}:{block.number}:{state['state']}"
    store.write_batch(SOURCE, key, {"ingest_checkpoint": pd.DataFrame([mark])}, run_id)
