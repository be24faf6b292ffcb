"""Logs or token transfers of a range of blocks straight from a node into Parquet files, without the warehouse.

For analysts with their own engine: `eth_getLogs` over ranges, columns decoded as for the warehouse, one file for each
thousand blocks. A file is written beside its place and moved there when it is whole, so a run that was ended goes on
with the files that are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.chain_backfill import chunks, in_order
from flows.errors import ConfigurationError, MalformedAnswer
from flows.sources.log_columns import LogColumns
from flows.sources.transfers import TOPICS, token_transfers

if TYPE_CHECKING:
    import pyarrow

    from flows.sources.chain_rpc import ChainNode

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
        return table_of(chain_id, node.logs(start, end, topics))

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


def log_table(chain_id: int, logs: list[dict[str, Any]]) -> pyarrow.Table:
    """Rows like those of `raw_chain_logs`, as an Arrow table."""
    import pyarrow as pa

    try:
        topics = list(map(itemgetter("topics"), logs))
        if not all(type(named) is list and len(named) <= 4 for named in topics):
            raise TypeError("topics are lists of at most four")
        columns = _placed(chain_id, logs) | {
            "address": _addresses(logs),
            **{
                f"topic{n}": pa.array([t[n] if len(t) > n else None for t in topics], pa.string()) for n in range(4)
            },
            "data": pa.array(list(map(itemgetter("data"), logs)), pa.string()),
        }  # fmt: skip
    except (KeyError, TypeError, ValueError, pa.ArrowException) as exc:
        raise MalformedAnswer(f"eth_getLogs: a log lacks a field or has one of another type ({exc!r})") from exc
    return pa.table(columns)


def transfer_table(chain_id: int, logs: list[dict[str, Any]]) -> pyarrow.Table:
    """Rows like those of `stg_token_transfers`, without the time of the block, as an Arrow table."""
    import pyarrow as pa

    try:
        found = token_transfers(LogColumns.of(logs))
        rows = [logs[position] for position in found.position]
        columns = _placed(chain_id, rows)
    except (KeyError, TypeError, ValueError) as exc:
        raise MalformedAnswer(f"eth_getLogs: a log lacks a field or has one of another type ({exc!r})") from exc
    for name, values in found.columns().items():
        columns[name] = pa.array(values, pa.int32() if name in ("item", "indexed_arguments") else pa.string())
    return pa.table(columns)


def _placed(chain_id: int, logs: list[dict[str, Any]]) -> dict[str, pyarrow.Array]:
    import pyarrow as pa

    numbers = list(map(itemgetter("blockNumber"), logs))
    value = {text: int(text, 16) for text in set(numbers)}
    places = list(map(itemgetter("logIndex"), logs))
    place = {text: int(text, 16) for text in set(places)}
    return {
        "chain_id": pa.repeat(pa.scalar(chain_id, pa.int64()), len(logs)),
        "block_number": pa.array(map(value.__getitem__, numbers), pa.int64(), size=len(logs)),
        "block_hash": pa.array(list(map(itemgetter("blockHash"), logs)), pa.string()),
        "log_index": pa.array(map(place.__getitem__, places), pa.int32(), size=len(logs)),
        "transaction_hash": pa.array(list(map(itemgetter("transactionHash"), logs)), pa.string()),
    }


def _addresses(logs: list[dict[str, Any]]) -> pyarrow.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    # Some nodes write the checksum of EIP-55 into the case of the letters.
    return pc.ascii_lower(pa.array(list(map(itemgetter("address"), logs)), pa.string()))


def rows_of(folder: Path, dataset: str) -> Iterator[dict[str, Any]]:
    """Every row of a dataset that was exported, in order of its files."""
    import pyarrow.parquet as parquet

    for path in sorted(Path(folder, dataset).rglob("*.parquet")):
        yield from parquet.read_table(path, partitioning=None).to_pylist()
