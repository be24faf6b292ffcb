"""Describe a warehouse file: layout, code, markets and blocks, rows, size, and a digest of its content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from data.export.checksum import Checksum
from data.export.selection import content, selected
from data.store.layout import SCHEMA_VERSION
from data.store.reader import Reader
from risk_core.version import code_version


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stored market: number of snapshots, first and last block with their times (seconds UTC)."""

    market: str
    chain_id: int
    snapshots: int
    first_block: int
    first_time: int
    last_block: int
    last_time: int
    is_synthetic: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Facts about a file. `size`: bytes on disk, with the log beside the file. `rows`: of all tables.

    `digest`: see `content_digest`.
    """

    path: Path
    layout: int
    code: str
    markets: tuple[Span, ...]
    tables: int
    rows: int
    size: int
    digest: str


def about(store: Reader) -> About:
    """Describe the file of `store`, read in one state. Raises `WarehouseError`."""
    with store.one_state():
        markets = store.rows(
            "SELECT market, chain_id, count(*), min(block), min(block_time), max(block), max(block_time), "
            "max(is_synthetic) FROM fact_snapshot GROUP BY market, chain_id ORDER BY is_synthetic, market"
        )
        digest, n_tables, n_rows = _content(store)
    beside = (store.path.with_name(store.path.name + "-wal"), store.path)
    return About(
        path=store.path, layout=SCHEMA_VERSION, code=code_version(),
        markets=tuple(
            Span(market=m, chain_id=c, snapshots=n, first_block=fb, first_time=ft, last_block=lb, last_time=lt,
                 is_synthetic=bool(made_up))
            for m, c, n, fb, ft, lb, lt, made_up in markets
        ),
        tables=n_tables, rows=n_rows, size=sum(file.stat().st_size for file in beside if file.exists()), digest=digest,
    )  # fmt: skip


def content_digest(store: Reader) -> str:
    """SHA-256 of the content of the file; files with the same content have the same digest.

    Its input is one line for each table that has rows, in the order of the names: name, number of rows and their
    `data.export.checksum.Checksum`. Run and time of a row are left out, and so are the records of runs, batches and
    quarantine. A copy, an empty new table and a repeated run do not change the digest.
    """
    with store.one_state():
        return _content(store)[0]


def _content(store: Reader) -> tuple[str, int, int]:
    """(digest, number of tables with rows, rows of all tables, also of those that the digest leaves out)."""
    everything = selected(everything=True)
    counts = {table.name: store.rows(f'SELECT count(*) FROM "{table.name}"')[0][0] for table in everything}
    lines = []
    for table in sorted(content(everything), key=lambda table: table.name):
        if not counts[table.name]:
            continue
        checksum = Checksum()
        names = ", ".join(f'"{column.name}"' for column in table.columns)
        for part in store.parts(f'SELECT {names} FROM "{table.name}"'):
            checksum.add(part)
        lines.append(f"{table.name} {checksum.n_rows} {checksum.text}\n")
    digest = hashlib.sha256("".join(lines).encode()).hexdigest()
    return digest, sum(bool(n) for n in counts.values()), sum(counts.values())
