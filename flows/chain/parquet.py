"""Logs or token transfers of a range of blocks straight from a node into Parquet files, without the warehouse.

For analysts with their own engine: `eth_getLogs` over ranges, columns decoded as for the warehouse, one file for each
thousand blocks. A file is written beside its place and moved there when it is complete, so a run that was ended
continues with the files that are missing.

Logs are counted from 0 in each block, as in the warehouse: a node's own numbering cannot be a key. So all logs of a
block are read for transfers as well: a node that is asked only for transfers gives their places by its own numbering.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.chain.backfill import chunks, in_order
from flows.chain.node import TRIES, BrokenChain, Link, require_parent
from flows.chain.transfers import TOPICS, token_transfers
from flows.clients.log_columns import LogColumns
from flows.errors import ConfigurationError, MalformedAnswer

if TYPE_CHECKING:
    import pyarrow

    from flows.chain.node import ChainNode

DATASETS = ("logs", "transfers")
MAY_LACK = ("removed", "transactionHash", "transactionIndex")
"""Fields that a log may lack: a log of no transaction has neither hash nor place of one."""
NO_TRANSACTION = "0x" + "00" * 32
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
    replaced. Raises `ConfigurationError` where pyarrow is not installed, `BrokenChain` where ranges do not follow each
    other, `MalformedAnswer`.
    """
    try:
        # pyarrow is imported inside functions here: it is an optional package (requirements-export).
        import pyarrow.parquet as parquet
    except ImportError as exc:
        raise ConfigurationError("--parquet needs pyarrow: pip install -r requirements-export.txt") from exc
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
    logs: pyarrow.Table


def require_blocks(logs: pyarrow.Table, opening: Link, closing: Link, who: str) -> None:
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


def schema() -> pyarrow.Schema:
    """A log as JSON-RPC has it."""
    import pyarrow as pa

    texts = ("address", "blockHash", "blockNumber", "data", "logIndex", "transactionHash", "transactionIndex")
    return pa.schema(
        [*((name, pa.string()) for name in texts), ("topics", pa.list_(pa.string())), ("removed", pa.bool_())]
    )


def parsed(body: bytes) -> pyarrow.Table | None:
    """Logs from the bytes of an answer, None where it is not plainly a list of logs.

    Arrow reads JSON line by line without Python's lock.
    """
    import pyarrow as pa
    import pyarrow.json

    if b'"result":[]' in body:
        return schema().empty_table()
    lines = _lines(body)
    if lines is None:
        return None
    try:
        return pyarrow.json.read_json(
            pa.BufferReader(lines),
            # One block: a line may not be longer than a block, and threads already read different answers.
            read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=max(len(lines), 1)),
            parse_options=pyarrow.json.ParseOptions(explicit_schema=schema(), unexpected_field_behavior="ignore"),
        )
    except pa.ArrowInvalid:  # the patient way says what is wrong, or that a text held a brace
        return None


def _lines(body: bytes) -> bytearray | None:
    """The logs of an answer, one a line; None where it holds anything else.

    A log holds no object of its own, so each brace that closes ends a log, and ",{" follows it but for the last. Numpy
    looks at bytes ten times as fast as Python's search.
    """
    start, end = body.find(b'"result":['), body.rfind(b"]")
    if start < 0:
        return None
    lines = bytearray(memoryview(body)[start + len(b'"result":[') : end])
    text = np.frombuffer(lines, np.uint8)
    ends = np.flatnonzero(text == ord("}"))
    if not len(ends) or ends[-1] != len(text) - 1 or text[0] != ord("{") or (text == ord("\n")).any():
        return None
    commas = ends[:-1] + 1
    apart = (text[commas] == ord(",")) & (text[commas + 1] == ord("{"))
    if not apart.all() or np.count_nonzero(text == ord("{")) != len(ends):
        return None
    text[commas] = ord("\n")
    return lines


def of_dicts(logs: list[dict[str, Any]]) -> pyarrow.Table:
    """Logs that are decoded already, as the table that `parsed` gives. Raises `MalformedAnswer`."""
    import pyarrow as pa

    try:
        return pa.Table.from_pylist(logs, schema=schema())
    except (pa.ArrowException, TypeError, ValueError) as exc:
        raise MalformedAnswer(f"eth_getLogs: a log has a field of another type ({exc})") from exc


def checked(logs: pyarrow.Table, first: int, last: int) -> pyarrow.Table:
    """The logs in order, counted from 0 in each block, all of blocks `first` to `last`, with numbers for quantities.

    A log that belongs to no transaction (null, or zeros) gets the hash of its block. Raises `MalformedAnswer`, also
    where logs of one block name two blocks, or a transaction two places, or two logs have the same place.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    logs = logs.combine_chunks()
    empty = [name for name in logs.column_names if name not in MAY_LACK and logs[name].null_count]
    if empty:
        raise MalformedAnswer(f"eth_getLogs: a log has no {empty[0]}")
    if logs.num_rows and (pc.max(pc.list_value_length(logs["topics"])).as_py() or 0) > 4:
        raise MalformedAnswer("eth_getLogs: a log has more than four topics")
    if pc.any(pc.not_equal(pc.utf8_length(logs["topics"].combine_chunks().flatten()), 66)).as_py():
        raise MalformedAnswer("eth_getLogs: a topic is not 32 bytes")
    number, place = _quantities(logs["blockNumber"]), _quantities(logs["logIndex"])
    bounds = pc.min_max(number).as_py()
    if pc.any(logs["removed"]).as_py() or (logs.num_rows and not first <= bounds["min"] <= bounds["max"] <= last):
        raise MalformedAnswer(f"eth_getLogs: asked for blocks {first} to {last}, found logs of other or removed blocks")
    order, counted = _counted(number.to_numpy(), place.to_numpy())
    hashes, of = pc.ascii_lower(logs["blockHash"]), pc.ascii_lower(logs["transactionHash"])
    of_none = pc.fill_null(pc.equal(of, NO_TRANSACTION), True)
    whose = pc.if_else(of_none, hashes, of)
    _require_agreement(number, hashes, whose, logs["transactionIndex"])
    # Some nodes write the checksum of EIP-55 into the case of the letters.
    table = pa.table(
        {
            "block_number": number,
            "block_hash": hashes,
            "transaction_hash": whose,
            "address": pc.ascii_lower(logs["address"]),
            "topics": logs["topics"],
            "data": logs["data"],
        }
    )
    table = table if order is None else table.take(pa.array(order))
    return table.add_column(2, "log_index", pa.array(counted, pa.int32()))


def _counted(number: np.ndarray, place: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """(order of logs by block and place, None where they are in order; number of each log in its block, from 0)."""
    order = None
    behind = number[1:] - number[:-1]
    if ((behind < 0) | ((behind == 0) & (place[1:] <= place[:-1]))).any():
        order = np.lexsort((place, number))
        number, place = number[order], place[order]
        twice = (number[1:] == number[:-1]) & (place[1:] == place[:-1])
        if twice.any():
            at = int(np.flatnonzero(twice)[0])
            raise MalformedAnswer(f"eth_getLogs: log {place[at]} of block {number[at]} comes twice")
    begins = np.concatenate(([True], number[1:] != number[:-1])) if len(number) else np.empty(0, bool)
    firsts = np.flatnonzero(begins)
    return order, np.arange(len(number)) - np.repeat(firsts, np.diff(np.append(firsts, len(number))))


def _require_agreement(number: Any, hashes: Any, whose: Any, index: Any) -> None:
    """One hash for each block, and in each block one place for each transaction and one transaction for each place."""
    import pyarrow as pa
    import pyarrow.compute as pc

    listed = pa.table({"number": number, "block": hashes, "tx": whose, "at": index})
    # Most logs say what the one before says: only the others are looked at.
    ahead, behind = listed.slice(1), listed.slice(0, max(listed.num_rows - 1, 0))
    new = np.ones(listed.num_rows, dtype=bool)
    new[1:] = False
    for name in listed.column_names:
        new[1:] |= pc.fill_null(pc.not_equal(ahead[name], behind[name]), True).to_numpy()
    listed = listed.filter(pa.array(new)).combine_chunks()
    blocks = listed["number"].to_numpy()
    block, tx, at = (listed[name].combine_chunks().dictionary_encode() for name in ("block", "tx", "at"))
    two = _first_disagreement(blocks, _codes(block))
    if two is not None:
        one, other = (listed["block"][i].as_py() for i in two)
        raise MalformedAnswer(f"eth_getLogs: logs of block {blocks[two[0]]} name {one} and {other}")
    placed = pc.and_(pc.is_valid(listed["at"]), pc.not_equal(listed["tx"], listed["block"])).to_numpy()
    rows = np.flatnonzero(placed)
    text, whose_code, place = _codes(at)[rows], _codes(tx)[rows], _quantities(listed["at"].filter(pa.array(placed)))
    two = _first_disagreement(blocks[rows], whose_code, text)
    two = _first_disagreement(blocks[rows], place.to_numpy(), whose_code) if two is None else two
    if two is not None:
        row = int(rows[two[1]])
        raise MalformedAnswer(
            f"eth_getLogs: in block {blocks[row]} logs disagree on the place of transaction {listed['tx'][row]} "
            f"({place[two[1]]} by one)"
        )


def _codes(column: pyarrow.DictionaryArray) -> np.ndarray:
    """A number for each different text, -1 where there is none."""
    return column.indices.fill_null(-1).to_numpy()


def _first_disagreement(*columns: np.ndarray) -> tuple[int, int] | None:
    """Two rows that are equal in all columns but the last; None where the last follows from the others."""
    order = np.lexsort(columns[-2::-1])  # stable: the earlier row comes first
    same = np.ones(max(len(order) - 1, 0), dtype=bool)
    for column in columns[:-1]:
        same &= column[order][1:] == column[order][:-1]
    wrong = np.flatnonzero(same & (columns[-1][order][1:] != columns[-1][order][:-1]))
    return (int(order[wrong[0]]), int(order[wrong[0] + 1])) if len(wrong) else None


def _quantities(column: pyarrow.ChunkedArray) -> pyarrow.Array:
    """Whole numbers of a column of quantities ("0x1a"); each different text is read once."""
    import pyarrow as pa

    coded = column.combine_chunks().dictionary_encode()
    try:
        values = pa.array([int(text, 16) for text in coded.dictionary.to_pylist()], pa.int64())
    except (ValueError, OverflowError) as exc:
        raise MalformedAnswer(f"eth_getLogs: a quantity cannot be read ({exc})") from exc
    return values.take(coded.indices)


def _flat(lists: pyarrow.ChunkedArray) -> tuple[pyarrow.Array, np.ndarray, np.ndarray]:
    """A column of lists as one array of their entries, and where in it each list begins and how long it is."""
    whole = lists.combine_chunks()
    offsets = np.asarray(whole.offsets).astype(np.int64)
    return whole.flatten(), offsets[:-1] - offsets[0], np.diff(offsets)


def log_table(chain_id: int, logs: pyarrow.Table) -> pyarrow.Table:
    """Rows like those of `raw_chain_logs`."""
    import pyarrow as pa

    flat, starts, lengths = _flat(logs["topics"])
    columns: dict[str, Any] = {"chain_id": pa.repeat(pa.scalar(chain_id, pa.int64()), logs.num_rows)}
    columns |= {name: logs[name] for name in ("block_number", "block_hash", "log_index", "transaction_hash", "address")}
    for n in range(4):
        columns[f"topic{n}"] = flat.take(pa.array(starts + n, pa.int64(), mask=lengths <= n))
    return pa.table(columns | {"data": logs["data"]})


def transfer_table(chain_id: int, logs: pyarrow.Table) -> pyarrow.Table:
    """Rows like those of `stg_token_transfers`, without the time of the block."""
    import pyarrow as pa
    import pyarrow.compute as pc

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
    import pyarrow.parquet as parquet

    for path in sorted(Path(folder, dataset).rglob("*.parquet")):
        yield from parquet.read_table(path, partitioning=None).to_pylist()
