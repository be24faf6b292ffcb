"""Which blocks the warehouse holds, and how a block that is no longer part of the chain is marked.

A block is known when `stg_chain_blocks` has it: its row is written in one transaction with everything else of the
block. One block of each number has `orphaned = 0`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.store.reader import Reader

if TYPE_CHECKING:
    import pandas as pd

    from data.store.parts import Parts

STAGED = ("stg_chain_blocks", "stg_token_transfers", "stg_dex_swaps", "stg_primitives")
"""Tables with `orphaned`, all keyed by (chain_id, block_number, block_hash, ...)."""
RAW = ("raw_chain_blocks", "raw_chain_transactions", "raw_chain_receipts", "raw_chain_logs")
"""Tables of what a node said, with the same first three columns in their keys."""
HIGHEST = 2**63 - 1
"""A block number above all there can be."""


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """A stored block's number, hash, parent's hash and time (UTC epoch seconds)."""

    number: int
    hash: str
    parent_hash: str
    timestamp: int


def whole_blocks(blocks: Iterable[tuple[int, int, str]]) -> Parts:
    """What a batch of whole blocks is all there is of; each block as (chain id, number, hash)."""
    from data.store.parts import Parts  # pandera, 0.57 s, which a page that shows blocks does not need

    return Parts(("chain_id", "block_number", "block_hash"), list(blocks), (*RAW, *STAGED), "stg_chain_blocks")


def stored_block(store: Reader, chain_id: int, number: int) -> StoredBlock | None:
    """The block that counts at a height, None where there is none."""
    found = store.rows(
        "SELECT block_number, block_hash, parent_hash, timestamp FROM stg_chain_blocks "
        "WHERE chain_id = ? AND block_number = ? AND orphaned = 0",
        (chain_id, number),
    )
    return StoredBlock(*found[0]) if found else None


def newest_block(store: Reader, chain_id: int, at_least: int = 0) -> StoredBlock | None:
    """The highest block that counts, None where there is none from `at_least` on."""
    found = blocks_down(store, chain_id, HIGHEST, 1)
    return found[0] if found and found[0].number >= at_least else None


def blocks_down(store: Reader, chain_id: int, highest: int, limit: int) -> list[StoredBlock]:
    """Blocks that count, from `highest` downwards, at most `limit`; heights that are not stored are passed over."""
    return [
        StoredBlock(*row)
        for row in store.rows(
            "SELECT block_number, block_hash, parent_hash, timestamp FROM stg_chain_blocks "
            "WHERE chain_id = ? AND block_number <= ? AND orphaned = 0 ORDER BY block_number DESC LIMIT ?",
            (chain_id, highest, limit),
        )
    ]


def missing_ranges(store: Reader, chain_id: int, first: int, last: int) -> list[tuple[int, int]]:
    """Ranges of `first` to `last`, both included, that the warehouse does not hold; in order, ends included."""
    gaps = store.rows(
        """
        WITH held AS (
            SELECT block_number FROM stg_chain_blocks
            WHERE chain_id = :chain AND block_number BETWEEN :first AND :last AND orphaned = 0
            UNION ALL SELECT :first - 1 UNION ALL SELECT :last + 1
        )
        SELECT block_number + 1, following - 1
        FROM (SELECT block_number, lead(block_number) OVER (ORDER BY block_number) AS following FROM held)
        WHERE following > block_number + 1
        ORDER BY block_number
        """,
        {"chain": chain_id, "first": first, "last": last},
    )
    return [(int(start), int(end)) for start, end in gaps]


def orphaned_by(
    store: Reader, chain_id: int, first: int, last: int, hashes: Collection[str]
) -> dict[str, pd.DataFrame]:
    """Staging rows of the blocks that `hashes`, the chain's blocks `first` to `last`, replace; marked as orphaned.

    Written in one batch with the new blocks' rows, they take the old ones out of the count. Empty where nothing is
    replaced.
    """
    import pandas as pd  # 0.24 s, and a page that shows blocks needs none

    held = store.rows(
        "SELECT block_number, block_hash FROM stg_chain_blocks "
        "WHERE chain_id = ? AND block_number BETWEEN ? AND ? AND orphaned = 0",
        (chain_id, first, last),
    )
    replaced = [(number, block) for number, block in held if block not in hashes]
    frames = {}
    for table in STAGED if replaced else ():
        parts = [
            store.read(
                f"SELECT * FROM {table} WHERE chain_id = ? AND block_number = ? AND block_hash = ? AND orphaned = 0",
                (chain_id, number, block),
            )
            for number, block in replaced
        ]
        rows = pd.concat(parts, ignore_index=True).drop(columns="batch").assign(orphaned=1)
        if len(rows):
            frames[table] = rows
    return frames
