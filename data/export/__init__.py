"""Out of SQLite: the warehouse's tables as Parquet, DuckDB, PostgreSQL or SQLite, and their SQL in other dialects.

    python -m data.export --to build/parquet               # a folder of Parquet files
    python -m data.export --to build/risk.duckdb           # one DuckDB file
    WAREHOUSE_URL=postgresql://… python -m data.export      # into a database
    python -m data.export ddl --dialect snowflake --out build/snowflake

An export is one state of the warehouse: all tables are read inside one transaction, in chunks, whatever a writer
commits meanwhile. It is complete, or the target stays as it was: files are written beside the target and renamed, a
database gets one transaction. What was written is read back and compared with what was read, by `data.export.checksum`.
The same state exported twice changes nothing: the same Parquet bytes, no row of a database touched.

Types: TEXT, INTEGER and REAL become text, 64-bit integers and doubles; uint256 stays decimal text; NULL stays NULL.

`targets` says where, `selection` what, `state` reads, one module for each kind of target writes, and `exporting` ties
them together. `ddl` and `marts` translate the SQL with SQLGlot.
"""

from __future__ import annotations

from data.export.exporting import export
from data.export.manifest import Exported, Manifest

__all__ = ["Exported", "Manifest", "export"]
