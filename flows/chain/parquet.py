"""Logs or token transfers of a range of blocks straight from a node into Parquet files, without the warehouse.

For analysts with their own engine: `eth_getLogs` over ranges, columns decoded as for the warehouse, one file for each
thousand blocks. A file is written beside its place and moved there when it is complete, so a run that was ended
continues with the files that are missing.

Logs are counted from 0 in each block, as in the warehouse: a node's own numbering cannot be a key. So all logs of a
block are read for transfers as well: a node that is asked only for transfers gives their places by its own numbering.

Needs pyarrow, an optional package (requirements-export).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from flows.chain.backfill import chunks, in_order
from flows.chain.log_tables import checked, of_dicts, parsed
from flows.chain.node import TRIES, BrokenChain, ChainNode, Link, require_parent
from flows.chain.transfers import TOPICS, token_transfers
from flows.clients.log_columns import LogColumns

BLOCKS_A_FILE = 1_000
REPEATED = ["chain_id", "block_number", "block_hash", "address", "topic0", "standard", "token", "operator"]
"""Columns with many equal values; only for these a dictionary saves space."""


def export(
    node: ChainNode,
    chain_id: int,
    dataset: str,
    first: int,
    last: int,
    folder: Path,
    *,
    threads: int = 4,
    size: int = 50,
    done: Callable[[int], None] = lambda blocks: None,
    again: bool = False,
) -> int:
    """Write `dataset` of blocks `first` to `last`, both included, under `folder`; returns the number of rows written.

    `size`: blocks asked for in one request; halved where the node refuses that many. `again`: existing files are
    replaced. Raises `BrokenChain` where ranges do not follow each other, `MalformedAnswer`.
    """
    table_of = transfer_table if dataset == "transfers" else log_table
    place = Path(folder) / dataset / f"chain_id={chain_id}"
    place.mkdir(parents=True, exist_ok=True)
    rows = 0
    files = [(a, b, place / f"{a:09d}-{b:09d}.parquet") for a, b in chunks(first, last, BLOCKS_A_FILE)]
    missing = [(a, b, path) for a, b, path in files if again or not path.exists()]
    done(last - first + 1 - sum(b - a + 1 for a, b, _ in missing))

    def read(start: int, end: int) -> Piece:
        for attempt in range(1, TRIES + 1):
            table = parsed(node.log_body(start, end) or b"")
            if table is None:  # an error, or JSON with spaces: read it by the slower way
                table = of_dicts(node.logs(start, end))
            logs, (opening, closing) = checked(table, start, end), node.links([start, end])
            try:
                require_blocks(logs, opening, closing, str(node))
            except BrokenChain:  # most often a block near the head was replaced between two answers
                if attempt == TRIES:
                    raise
                node.rest(0.5 * attempt)
            else:
                return Piece(opening, closing, table_of(chain_id, logs))
        raise AssertionError("unreachable")

    pieces = [piece for a, b, _ in missing for piece in chunks(a, b, size)]
    tables = in_order(read, pieces, threads, ahead=2 * threads)
    before: Link | None = None
    for a, b, path in missing:
        half_written = path.with_suffix(".part")
        writer = None
        for start, end in chunks(a, b, size):
            piece = next(tables)
            if before is not None and before.number == start - 1:
                require_parent(before, piece.opening, str(node))
            before, table = piece.closing, piece.logs
            if writer is None:
                named = [name for name in REPEATED if name in table.column_names]
                writer = parquet.ParquetWriter(half_written, table.schema, compression="lz4", use_dictionary=named)
            writer.write_table(table)
            rows += table.num_rows
            done(end - start + 1)
        assert writer is not None
        writer.close()
        half_written.replace(path)
    return rows


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of consecutive blocks, and the first and the last of these blocks."""

    opening: Link
    closing: Link
    logs: pa.Table


def require_blocks(logs: pa.Table, opening: Link, closing: Link, who: str) -> None:
    """Check that logs of the first and of the last block name these blocks. Raises `BrokenChain`."""
    if not logs.num_rows:
        return
    for at, link in ((0, opening), (logs.num_rows - 1, closing)):
        number, block = logs["block_number"][at].as_py(), logs["block_hash"][at].as_py()
        if number == link.number and block != link.hash:
            raise BrokenChain(
                f"{who}: logs of block {number} name block {block}, the block itself is {link.hash}: the chain was "
                "reorganised while it was read, or the node contradicts itself. Nothing from there on was written; run "
                "again, with --end-block finalized to stay clear of reorganisations"
            )


def _flat(lists: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray, np.ndarray]:
    """A column of lists as one array of their entries, and where in it each list begins and how long it is."""
    whole = lists.combine_chunks()
    offsets = np.asarray(whole.offsets).astype(np.int64)
    return whole.flatten(), offsets[:-1] - offsets[0], np.diff(offsets)


def log_table(chain_id: int, logs: pa.Table) -> pa.Table:
    """Rows like those of `raw_chain_logs`."""
    flat, starts, lengths = _flat(logs["topics"])
    columns: dict[str, Any] = {"chain_id": pa.repeat(pa.scalar(chain_id, pa.int64()), logs.num_rows)}
    columns |= {name: logs[name] for name in ("block_number", "block_hash", "log_index", "transaction_hash", "address")}
    for n in range(4):
        columns[f"topic{n}"] = flat.take(pa.array(starts + n, pa.int64(), mask=lengths <= n))
    return pa.table(columns | {"data": logs["data"]})


def transfer_table(chain_id: int, logs: pa.Table) -> pa.Table:
    """Rows like those of `stg_token_transfers`, without the time of the block."""
    flat, starts, lengths = _flat(logs["topics"])
    first = pc.ascii_lower(flat.take(pa.array(starts, mask=lengths == 0)))
    moves = pc.index_in(first, pa.array(TOPICS))
    logs, moves = logs.filter(pc.is_valid(moves)), moves.drop_null().to_numpy()
    flat, starts, lengths = _flat(logs["topics"])
    texts, ends = flat.to_pylist(), (starts + lengths).tolist()
    topics = [texts[a:b] for a, b in zip(starts.tolist(), ends, strict=True)]
    words = LogColumns(logs["address"].to_pylist(), topics, logs["data"].to_pylist())
    found = token_transfers(
        words, {topic: np.flatnonzero(moves == n).tolist() for n, topic in enumerate(TOPICS) if (moves == n).any()}
    )
    placed = logs.select(["block_number", "block_hash", "log_index", "transaction_hash"]).take(
        pa.array(found.position, pa.int64())
    )
    columns: dict[str, Any] = {"chain_id": pa.repeat(pa.scalar(chain_id, pa.int64()), len(found))}
    columns |= {name: placed[name] for name in placed.column_names}
    for name, values in found.columns().items():
        columns[name] = pa.array(values, pa.int32() if name in ("item", "indexed_arguments") else pa.string())
    return pa.table(columns)


def rows_of(folder: Path, dataset: str) -> Iterator[dict[str, Any]]:
    """Every row of a dataset that was exported, in order of its files."""
    for path in sorted(Path(folder, dataset).rglob("*.parquet")):
        yield from parquet.read_table(path, partitioning=None).to_pylist()
