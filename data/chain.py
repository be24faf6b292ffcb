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
"""Tables of a node's answers; their keys begin with the same three columns."""
HIGHEST = 2**63 - 1
"""Larger than any block number."""


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """A stored block's number, hash, parent's hash and time (UTC epoch seconds)."""

    number: int
    hash: str
    parent_hash: str
    timestamp: int


def whole_blocks(blocks: Iterable[tuple[int, int, str]]) -> Parts:
    """`Parts` of a batch that holds all rows of these blocks, each given as (chain id, number, hash)."""
    from data.store.parts import Parts  # pandera, 0.57 s, which a page that shows blocks does not need

    return Parts(("chain_id", "block_number", "block_hash"), list(blocks), (*RAW, *STAGED), "stg_chain_blocks")


def stored_block(store: Reader, chain_id: int, number: int) -> StoredBlock | None:
    """The stored block of this number that is not orphaned, None where there is none."""
    found = store.rows(
        "SELECT block_number, block_hash, parent_hash, timestamp FROM stg_chain_blocks "
        "WHERE chain_id = ? AND block_number = ? AND orphaned = 0",
        (chain_id, number),
    )
    return StoredBlock(*found[0]) if found else None


def newest_block(store: Reader, chain_id: int, at_least: int = 0) -> StoredBlock | None:
    """The highest stored block that is not orphaned, None where it lies below `at_least` or there is none."""
    found = blocks_down(store, chain_id, HIGHEST, 1)
    return found[0] if found and found[0].number >= at_least else None


def blocks_down(store: Reader, chain_id: int, highest: int, limit: int) -> list[StoredBlock]:
    """Stored blocks that are not orphaned, from `highest` downwards, at most `limit`; missing numbers are skipped."""
    return [
        StoredBlock(*row)
        for row in store.rows(
            "SELECT block_number, block_hash, parent_hash, timestamp FROM stg_chain_blocks "
            "WHERE chain_id = ? AND block_number <= ? AND orphaned = 0 ORDER BY block_number DESC LIMIT ?",
            (chain_id, highest, limit),
        )
    ]


def missing_ranges(store: Reader, chain_id: int, first: int, last: int) -> list[tuple[int, int]]:
    """Ranges (begin, end) within `first` to `last` that the warehouse does not hold, ascending, all ends included."""
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
    """Staging rows, by table, of stored blocks that are no longer part of the chain, with `orphaned` set to 1.

    `hashes`: the chain's blocks from `first` to `last`; stored blocks of these numbers with another hash are replaced.
    Write the rows in one batch with those of the new blocks. Empty where nothing is replaced.
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
