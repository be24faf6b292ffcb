"""What a warehouse says of the chain, so that two of them can be compared whatever each went through."""

from __future__ import annotations

from itertools import pairwise

from data.events import read_events
from data.schemas.tables import tables
from data.store.store import Store
from flows.chain.chain_activity import DERIVED

TABLES = ("raw_chain_blocks", "raw_chain_transactions", "raw_chain_receipts", "raw_chain_logs", "stg_chain_blocks",
          "stg_token_transfers", "stg_dex_swaps", "stg_primitives", *DERIVED)  # fmt: skip
COUNTING = "(SELECT chain_id, block_number, block_hash FROM stg_chain_blocks WHERE orphaned = 0)"


def canonical(store: Store) -> dict[str, list[tuple]]:
    """Rows of the blocks that count, and of the tables made of them, by their keys; how a row arrived left out."""
    found = {}
    for table in TABLES:
        layout = tables()[table]
        names = [column.name for column in layout.columns if not column.provenance]
        where = ""
        if table.startswith("raw"):
            where = f"WHERE (chain_id, block_number, block_hash) IN {COUNTING}"
        elif table.startswith("stg"):
            where = "WHERE orphaned = 0"
        found[table] = store.rows(f"SELECT {', '.join(names)} FROM {table} {where} ORDER BY {', '.join(layout.key)}")
    return found


def chain_of(store: Store, chain_id: int) -> dict[int, str]:
    """Hashes by height of the blocks that count; each is checked to name the one before as its parent."""
    rows = store.rows(
        "SELECT block_number, block_hash, parent_hash FROM stg_chain_blocks WHERE orphaned = 0 AND chain_id = ? "
        "ORDER BY block_number",
        (chain_id,),
    )
    for (before, its_hash, _), (after, _, parent) in pairwise(rows):
        assert (after, parent) == (before + 1, its_hash)
    return {number: block for number, block, _ in rows}


def chain_told(store: Store, chain_id: int) -> dict[int, str]:
    """The chain as a consumer knows it who heard nothing but the `new_block` events, from the first to the last."""
    told: dict[int, str] = {}
    for event in read_events(store, "a test", f"chain-{chain_id}", limit=1_000_000):
        gone = set(event.payload["orphaned"])
        told = {number: block for number, block in told.items() if block not in gone}
        assert event.payload["number"] not in told
        told[event.payload["number"]] = event.payload["hash"]
    return told
