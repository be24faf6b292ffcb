"""What a warehouse file is: layout, code, markets and blocks, rows, size, and a digest of what it holds."""

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
    """A stored market: how many snapshots, its first and last block with their times (seconds UTC)."""

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
    """`size`: bytes on disk, the log beside the file included; `rows`: of all tables.

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
    """The file of `store`, in one state of it. Raises `WarehouseError`."""
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

    Of each table that has rows, in the order of their names, a line of its name, the number of its rows and
    `data.export.checksum.Checksum` of them; who wrote a row and when is left out, and so are the warehouse's own
    records (runs, batches, quarantine). A copy, an empty new table and a repeated run leave it as it is.
    """
    with store.one_state():
        return _content(store)[0]


def _content(store: Reader) -> tuple[str, int, int]:
    """(digest, tables with rows, rows of all tables, also of the warehouse's own records)."""
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
