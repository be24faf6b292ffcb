"""Continue a verified read that was killed: its block is noted at the start and removed at the end."""

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
    """Note the block that is read now; parts of an unfinished read of another block are removed."""
    before = run.store.checkpoint(SOURCE, place.market) or {}
    if before.get("hash") != block.hash:
        forget(run, place.market)
    _note(run, place, block, {"candidates": candidates, "state": "running"})


def end(run: Run, place: Place, block: Block) -> None:
    """The snapshot is stored: remove the note and the parts."""
    forget(run, place.market)
    _note(run, place, block, {"state": "done"})


def refuse(run: Run, place: Place, block: Block) -> None:
    """The read was refused: the next run starts from the beginning, with new answers."""
    forget(run, place.market)
    _note(run, place, block, {"state": "refused"})


def unfinished(store: Store, rpc: JsonRpc, place: Place, candidates: str, which: str | int) -> Block | None:
    """The block of an unfinished read of the same candidates, if `which` ("latest" or a number) allows it; else None.

    Also None when the chain has replaced the block, or the node no longer has its state (a node that is not an archive
    keeps some 128 blocks, 25 minutes of Ethereum).
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
