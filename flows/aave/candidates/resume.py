"""A verified read that was killed goes on: the block it read is noted when it begins, and struck out when it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.aave.candidates.accounts import SOURCE, forget
from flows.clients.block_reader import BlockReader, get_block
from flows.errors import SourceRefused

if TYPE_CHECKING:
    from data.store.store import Store
    from flows.aave.place import Place
    from flows.clients.block_reader import Block
    from flows.clients.json_rpc import JsonRpc
    from flows.pipeline import Run


def begin(run: Run, place: Place, block: Block, candidates: str) -> None:
    """Note the block that is read now; what another block left unfinished is dropped."""
    before = run.store.checkpoint(SOURCE, place.market) or {}
    if before.get("hash") != block.hash:
        forget(run, place.market)
    _note(run, place, block, {"candidates": candidates, "state": "running"})


def end(run: Run, place: Place, block: Block) -> None:
    """The read is stored as a snapshot: nothing is left to go on with."""
    forget(run, place.market)
    _note(run, place, block, {"state": "done"})


def refuse(run: Run, place: Place, block: Block) -> None:
    """What was read was refused: the next run begins anew, with new answers."""
    forget(run, place.market)
    _note(run, place, block, {"state": "refused"})


def unfinished(store: Store, rpc: JsonRpc, place: Place, candidates: str, which: str | int) -> Block | None:
    """The block of a read of the same candidates that did not end, where `which` ("latest" or a number) allows it.

    None as well when the chain has replaced the block, or the node no longer has the state at it (a node that is no
    archive keeps some 128 blocks, 25 minutes of Ethereum).
    """
    left = store.checkpoint(SOURCE, place.market) or {}
    if left.get("state") != "running" or left["candidates"] != candidates or which not in ("latest", left["block"]):
        return None
    try:
        block = get_block(rpc, left["block"])
        whole = block.hash == left["hash"] and BlockReader(rpc, block).has_code(place.provider)
    except SourceRefused:
        return None
    return block if whole else None


def _note(run: Run, place: Place, block: Block, state: dict[str, object]) -> None:
    batch = f"{place.market}:{block.number}:{state['state']}"
    run.mark(SOURCE, place.market, {"block": block.number, "hash": block.hash} | state, batch=batch)
