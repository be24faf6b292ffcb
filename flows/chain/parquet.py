"""Logs or token transfers of a range of blocks straight from a node into Parquet files, without the warehouse.

For analysts with their own engine: `eth_getLogs` over ranges, columns decoded as for the warehouse, one file for each
thousand blocks. A file is written beside its place and moved there when it is whole, so a run that was ended goes on
with the files that are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.chain.backfill import chunks, in_order
from flows.chain.transfers import TOPICS, token_transfers
from flows.clients.log_columns import LogColumns
from flows.errors import ConfigurationError, MalformedAnswer

if TYPE_CHECKING:
    import pyarrow

    from flows.chain.node import ChainNode

DATASETS = ("logs", "transfers")
BLOCKS_A_FILE = 1_000
REPEATED = ["chain_id", "block_number", "block_hash", "address", "topic0", "standard", "token", "operator"]
"""Columns whose values come often: a dictionary pays for these alone."""


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
) -> int:
    """Write `dataset` of blocks `first` to `last`, both included, under `folder`; returns the number of rows written.

    `size`: blocks asked for in one request; halved where the node refuses as many. Raises `ConfigurationError` where
    pyarrow is not installed.
    """
    try:
        import pyarrow.parquet as parquet
    except ImportError as exc:
        raise ConfigurationError("--parquet needs pyarrow: pip install -r requirements-export.txt") from exc
    topics = [list(TOPICS)] if dataset == "transfers" else None
    table_of = transfer_table if dataset == "transfers" else log_table
    place = Path(folder) / dataset / f"chain_id={chain_id}"
    place.mkdir(parents=True, exist_ok=True)
    rows = 0
    files = [(a, b, place / f"{a:09d}-{b:09d}.parquet") for a, b in chunks(first, last, BLOCKS_A_FILE)]
    missing = [(a, b, path) for a, b, path in files if not path.exists()]
    done(sum(b - a + 1 for a, b, path in files if path.exists()))

    def read(start: int, end: int) -> pyarrow.Table:
        table = parsed(node.log_body(start, end, topics) or b"")
        if table is None:  # an error, or JSON with spaces: the patient way finds out
            table = of_dicts(node.logs(start, end, topics))
        return table_of(chain_id, checked(table, start, end))

    pieces = [piece for a, b, _ in missing for piece in chunks(a, b, size)]
    tables = in_order(read, pieces, threads, ahead=2 * threads)
    for a, b, path in missing:
        half_written = path.with_suffix(".part")
        writer = None
        for start, end in chunks(a, b, size):
            table = next(tables)
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


def schema() -> pyarrow.Schema:
    """A log as JSON-RPC has it."""
    import pyarrow as pa

    texts = ("address", "blockHash", "blockNumber", "data", "logIndex", "transactionHash")
    return pa.schema(
        [*((name, pa.string()) for name in texts), ("topics", pa.list_(pa.string())), ("removed", pa.bool_())]
    )


def parsed(body: bytes) -> pyarrow.Table | None:
    """Logs from the bytes of an answer, None where it is not plainly a list of logs. Raises `MalformedAnswer`.

    Arrow reads JSON line by line without Python's lock. A log holds no object of its own, so what stands between two
    logs stands nowhere else.
    """
    import pyarrow as pa
    import pyarrow.json

    start, end = body.find(b'"result":[') + len(b'"result":['), body.rfind(b"]")
    if b'"result":[]' in body:
        return schema().empty_table()
    if not body[start:].startswith(b"{") or b'"result":[' not in body:
        return None
    lines = body[start:end].replace(b"},{", b"}\n{")
    if lines.count(b"\n") != lines.count(b'"topics"') - 1:
        return None
    try:
        return pyarrow.json.read_json(
            pa.BufferReader(lines),
            # One block: a line may not be longer than one, and several threads read several answers anyway.
            read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=max(len(lines), 1)),
            parse_options=pyarrow.json.ParseOptions(explicit_schema=schema(), unexpected_field_behavior="ignore"),
        )
    except pa.ArrowInvalid as exc:
        raise MalformedAnswer(f"eth_getLogs: a log has a field of another type ({exc})") from exc


def of_dicts(logs: list[dict[str, Any]]) -> pyarrow.Table:
    """The same from logs that are decoded already. Raises `MalformedAnswer`."""
    import pyarrow as pa

    try:
        return pa.Table.from_pylist(logs, schema=schema())
    except (pa.ArrowException, TypeError, ValueError) as exc:
        raise MalformedAnswer(f"eth_getLogs: a log has a field of another type ({exc})") from exc


def checked(logs: pyarrow.Table, first: int, last: int) -> pyarrow.Table:
    """The logs with numbers for quantities, all of blocks `first` to `last`. Raises `MalformedAnswer`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    logs = logs.combine_chunks()
    empty = [name for name in logs.column_names if name != "removed" and logs[name].null_count]
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
    # Some nodes write the checksum of EIP-55 into the case of the letters.
    return pa.table({
        "block_number": number, "block_hash": logs["blockHash"], "log_index": place.cast(pa.int32()),
        "transaction_hash": logs["transactionHash"], "address": pc.ascii_lower(logs["address"]),
        "topics": logs["topics"], "data": logs["data"],
    })  # fmt: skip


def _quantities(column: pyarrow.ChunkedArray) -> pyarrow.Array:
    """Whole numbers of a column of quantities ("0x1a"); the few different ones are read once each."""
    import pyarrow as pa

    coded = column.combine_chunks().dictionary_encode()
    try:
        values = pa.array([int(text, 16) for text in coded.dictionary.to_pylist()], pa.int64())
    except (ValueError, OverflowError) as exc:
        raise MalformedAnswer(f"eth_getLogs: a quantity is not one ({exc})") from exc
    return values.take(coded.indices)


def log_table(chain_id: int, logs: pyarrow.Table) -> pyarrow.Table:
    """Rows like those of `raw_chain_logs`."""
    import numpy as np
    import pyarrow as pa

    topics = logs["topics"].combine_chunks()
    flat = topics.flatten()
    starts = np.asarray(topics.offsets)[:-1] - topics.offsets[0].as_py()
    lengths = np.diff(np.asarray(topics.offsets))
    columns: dict[str, Any] = {"chain_id": pa.repeat(pa.scalar(chain_id, pa.int64()), logs.num_rows)}
    columns |= {name: logs[name] for name in ("block_number", "block_hash", "log_index", "transaction_hash", "address")}
    for n in range(4):
        columns[f"topic{n}"] = flat.take(pa.array(starts + n, pa.int64(), mask=lengths <= n))
    return pa.table(columns | {"data": logs["data"]})


def transfer_table(chain_id: int, logs: pyarrow.Table) -> pyarrow.Table:
    """Rows like those of `stg_token_transfers`, without the time of the block."""
    import pyarrow as pa

    words = LogColumns(logs["address"].to_pylist(), logs["topics"].to_pylist(), logs["data"].to_pylist())
    found = token_transfers(words)
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
