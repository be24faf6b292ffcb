"""Parquet, DuckDB and SQLite files: every row as it was, one state, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest

from data.errors import ExportFailed, WarehouseMissing
from data.export import export, state
from data.export.__main__ import main
from data.export.selection import partitioned_by
from data.export.targets import target
from data.schemas.tables import tables
from data.store.store import Store
from tests.data.conftest import execute, price_rows
from tests.data.store.test_full_disk import fill, small_disk  # noqa: F401


def rows_of(path: Path, name: str) -> list[tuple]:
    columns = ", ".join(f'"{column}"' for column in tables()[name].names)
    with Store.open(path, readonly=True) as store:
        return sorted(store.rows(f'SELECT {columns} FROM "{name}"'), key=repr)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def written(hostile_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with every table of the hostile warehouse as Parquet, DuckDB and SQLite."""
    folder = tmp_path_factory.mktemp("written")
    for to in ("parquet", "risk.duckdb", "risk.sqlite3"):
        export(str(folder / to), everything=True, path=hostile_once)
    return folder


def test_every_row_of_every_table_is_in_each_file_as_it_was(hostile_warehouse, written):
    with (
        duckdb.connect(str(written / "risk.duckdb"), read_only=True) as duck,
        sqlite3.connect(written / "risk.sqlite3") as lite,
    ):
        for table in tables().values():
            expected = rows_of(hostile_warehouse, table.name)
            names = ", ".join(f'"{name}"' for name in table.names)
            files = sorted((written / "parquet" / table.name).rglob("*.parquet"))
            parquet = [
                tuple(row[n] for n in table.names)
                for f in files
                for row in pa.parquet.read_table(f, partitioning=None).to_pylist()
            ]
            assert sorted(parquet, key=repr) == expected
            assert sorted(duck.execute(f'SELECT {names} FROM "{table.name}"').fetchall(), key=repr) == expected
            assert sorted(lite.execute(f'SELECT {names} FROM "{table.name}"').fetchall(), key=repr) == expected
            assert len(expected) > 4 or table.name in ("schema_version", "ingest_checkpoint")


def test_types_are_those_of_the_warehouse(written):
    arrow = {"TEXT": pa.string(), "INTEGER": pa.int64(), "REAL": pa.float64()}
    duck = {"TEXT": "VARCHAR", "INTEGER": "BIGINT", "REAL": "DOUBLE"}

    with duckdb.connect(str(written / "risk.duckdb"), read_only=True) as connection:
        for table in tables().values():
            for file in (written / "parquet" / table.name).rglob("*.parquet"):
                found = pa.parquet.read_schema(file)
                assert [(f.name, f.type, f.nullable) for f in found] == [
                    (c.name, arrow[c.type], c.nullable) for c in table.columns
                ]
            described = connection.execute(f'DESCRIBE "{table.name}"').fetchall()
            assert [(d[0], d[1], d[2]) for d in described] == [
                (c.name, duck[c.type], "YES" if c.nullable else "NO") for c in table.columns
            ]


def test_a_market_is_a_folder_that_other_readers_understand(world, tmp_path):
    export(str(tmp_path / "out"))
    folder = tmp_path / "out" / "mart_position_risk"

    by_market = dict(
        duckdb.sql(f"SELECT market, count(*) FROM read_parquet('{folder}/**/*.parquet') GROUP BY 1").fetchall()
    )
    arrow = pyarrow.dataset.dataset(folder, partitioning="hive").to_table()

    with Store.open(readonly=True) as store:
        expected = dict(store.rows("SELECT market, count(*) FROM mart_position_risk GROUP BY 1"))
    assert by_market == expected
    assert len(expected) > 1
    assert {f"market={market}" for market in expected} == {p.name for p in folder.iterdir()}
    assert arrow.num_rows == sum(expected.values())
    assert partitioned_by(tables()["stg_wallet_daily"]) == "market"
    assert partitioned_by(tables()["dim_block_day"]) is None


def test_a_hostile_market_stays_below_the_target(own_warehouse, tmp_path):
    with Store.open() as store:
        row = {c.name: "x" if c.type == "TEXT" else 0 for c in tables()["dim_asset"].columns}
    name = "fact_forecast"
    row = [{"TEXT": "x", "INTEGER": 0, "REAL": 0.0}[c.type] for c in tables()[name].columns]
    place = tables()[name].names.index("market")
    with Store.open() as store, store.transaction() as connection:
        for n, market in enumerate(["../../out of it", "..", "a/b", "AaveV3 at 0x1", "ä=%2F"]):
            row[place], row[tables()[name].names.index("run_id")] = market, f"run {n}"
            connection.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(row))})", row)

    export(str(tmp_path / "deep" / "out"), [name])

    files = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.parquet")}
    assert len(files) == 5
    assert all(file.startswith(f"deep/out/{name}/market=") and file.count("/") == 4 for file in files)
    found = duckdb.sql(f"SELECT DISTINCT market FROM read_parquet('{tmp_path}/deep/out/**/*.parquet')").fetchall()
    assert sorted(found) == [("..",), ("../../out of it",), ("AaveV3 at 0x1",), ("a/b",), ("ä=%2F",)]


def test_the_same_state_gives_the_same_bytes_and_a_changed_row_other_ones(world, tmp_path):
    first = export(str(tmp_path / "out"))
    before = tree(tmp_path / "out")

    again = export(str(tmp_path / "out"))
    assert again == first
    assert tree(tmp_path / "out") == before

    execute(
        world, "UPDATE dim_prices SET price_usd = price_usd * (1 + 1e-15) WHERE ts = (SELECT max(ts) FROM dim_prices)"
    )
    changed = export(str(tmp_path / "out"))
    differs = {a.name for a, b in zip(first.tables, changed.tables, strict=True) if a.checksum != b.checksum}
    assert differs == {"dim_prices"}
    assert set(tmp_path.glob(".*")) == set()


def test_the_manifest_says_what_each_file_holds(world, tmp_path):
    export(str(tmp_path / "out"))
    said = json.loads((tmp_path / "out" / "manifest.json").read_text())

    files = {file["path"]: file["n_rows"] for table in said["tables"] for file in table["files"]}
    on_disk = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.parquet")}
    assert set(files) == on_disk
    assert {t["name"] for t in said["tables"]} == {n for n in tables() if n.startswith(("dim_", "fact_", "mart_"))}
    for path, n_rows in files.items():
        assert pa.parquet.read_metadata(tmp_path / "out" / path).num_rows == n_rows
    with Store.open(readonly=True) as store:
        assert said["newest_batch"] == store.rows("SELECT max(batch) FROM fact_batch")[0][0]
        for table in said["tables"]:
            assert table["n_rows"] == store.rows(f'SELECT count(*) FROM "{table["name"]}"')[0][0]


def test_all_tables_are_of_one_state_whatever_is_written_meanwhile(world, tmp_path, monkeypatch):
    with Store.open(readonly=True) as store:
        expected = dict(store.rows("SELECT symbol, count(*) FROM dim_prices GROUP BY symbol"))
    original, written = state.WarehouseState.chunks, []

    def chunks(self, table, first_by=None):
        if not written:  # after the export began to read
            written.append(self.newest_batch)
            with Store.open(world) as other:
                other.write_batch("binance", "meanwhile", {"dim_prices": price_rows(5, symbol="LATEUSDT")})
        return original(self, table, first_by)

    monkeypatch.setattr(state.WarehouseState, "chunks", chunks)
    done = export(str(tmp_path / "x.duckdb"))

    with duckdb.connect(str(tmp_path / "x.duckdb"), read_only=True) as duck:
        assert dict(duck.execute("SELECT symbol, count(*) FROM dim_prices GROUP BY symbol").fetchall()) == expected
        assert duck.execute("SELECT max(batch) FROM fact_batch").fetchone() == (done.newest_batch,)
    with Store.open(readonly=True) as store:
        assert store.rows("SELECT count(*) FROM dim_prices WHERE symbol = 'LATEUSDT'") == [(5,)]


@pytest.mark.parametrize("to", ["out", "x.duckdb", "x.sqlite"])
def test_a_failure_in_the_middle_leaves_the_earlier_export(world, tmp_path, monkeypatch, to):
    export(str(tmp_path / to))
    before = tree(tmp_path)
    original = state.WarehouseState.chunks

    def chunks(self, table, first_by=None):
        yield from original(self, table, first_by)
        if table.name == "dim_prices":
            raise OSError(5, "the cable was pulled")

    monkeypatch.setattr(state.WarehouseState, "chunks", chunks)
    with pytest.raises(ExportFailed, match=r"cannot be written.*cable.*left as it was"):
        export(str(tmp_path / to))

    assert {k: v for k, v in tree(tmp_path).items() if "risk.sqlite" not in k} == {
        k: v for k, v in before.items() if "risk.sqlite" not in k
    }


@pytest.mark.parametrize("to", ["out", "x.duckdb", "x.sqlite"])
def test_what_reads_back_differently_is_refused(world, tmp_path, monkeypatch, to):
    original = state.WarehouseState.chunks

    def chunks(self, table, first_by=None):
        for rows in original(self, table, first_by):
            yield rows[1:] if table.name == "dim_prices" else rows

    monkeypatch.setattr(state.WarehouseState, "chunks", chunks)
    with pytest.raises(ExportFailed, match=r"dim_prices reads back as .* rows with checksum"):
        export(str(tmp_path / to))

    assert not (tmp_path / to).exists()


@pytest.mark.parametrize("to", ["folder", "notes.duckdb", "notes.sqlite"])
def test_what_is_not_an_export_is_never_overwritten(world, tmp_path, to, capsys):
    path = tmp_path / to
    if path.suffix:
        path.write_text("my notes")
    else:
        path.mkdir()
        (path / "notes.txt").write_text("my notes")

    assert main(["--to", str(path)]) == 1

    assert "left as it was" in capsys.readouterr().err
    assert (path if path.suffix else path / "notes.txt").read_text() == "my notes"


def test_the_warehouse_itself_is_no_target(world, capsys):
    before = rows_of(world, "dim_prices")
    assert main(["--to", str(world)]) == 1
    assert "no export of this tool" in capsys.readouterr().err
    assert rows_of(world, "dim_prices") == before


@pytest.mark.parametrize("to", ["out", "x.duckdb", "x.sqlite"])
def test_a_full_disk_is_named_and_the_earlier_export_stays(world, small_disk, to):  # noqa: F811
    export(str(small_disk / to), ["dim_asset"])
    before = tree(small_disk)
    ballast = fill(small_disk, 100_000)

    with pytest.raises(ExportFailed, match=r"the disk is full.*left as it was.*[Mm]ake room"):
        export(str(small_disk / to), everything=True)

    ballast.unlink()
    assert tree(small_disk) == before


def test_an_export_that_was_killed_between_its_two_renames_is_found_again(world, tmp_path):
    export(str(tmp_path / "out"))
    before = tree(tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / ".out.before")
    shutil.copytree(tmp_path / ".out.before", tmp_path / ".out.exporting")

    with pytest.raises(ExportFailed):
        export(str(tmp_path / "out"), ["no_such_table"])
    export(str(tmp_path / "out"))

    assert tree(tmp_path / "out") == before
    assert set(tmp_path.glob(".out*")) == set()


def test_only_the_named_tables(world, tmp_path, capsys):
    assert main(["--to", str(tmp_path / "out"), "--tables", "dim_prices", "raw_binance_klines"]) == 0
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"dim_prices", "raw_binance_klines", "manifest.json"}
    assert "2 tables" in capsys.readouterr().out

    assert main(["--to", str(tmp_path / "out"), "--tables", "no_such"]) == 1
    assert "there is no table no_such; `python -m data tables` lists them" in capsys.readouterr().err


def test_an_empty_warehouse_is_exported_with_its_columns(own_warehouse, tmp_path):
    Store.open().close()
    done = export(str(tmp_path / "out"), everything=True)

    assert {t.name for t in done.tables} == set(tables())
    assert sum(t.n_rows for t in done.tables if t.name != "schema_version") == 0
    columns = duckdb.sql(f"DESCRIBE SELECT * FROM '{tmp_path}/out/dim_prices/*.parquet'").fetchall()
    assert [c[0] for c in columns] == list(tables()["dim_prices"].names)


def test_without_a_warehouse_nothing_is_made(own_warehouse, tmp_path):
    with pytest.raises(WarehouseMissing):
        export(str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_secrets_of_an_address_are_cut_out_of_whatever_a_library_says():
    url = "postgresql://me:hunter%2F2%40@db.example:5433/risk?sslpassword=s3cret-word&sslmode=require"
    where = target(url)

    said = where.hidden(f"cannot use {url}: hunter/2@ (hunter%2F2%40), s3cret-word at db.example")

    assert said == "cannot use …: … (…), … at db.example"
    assert "hunter" not in repr(where) + where.name
    assert where.name == "postgresql://db.example:5433/risk"


@pytest.mark.parametrize(
    "text", ["", "kafka://broker/topic", "duckdb://x.duckdb", "parquet:///", "postgresql://a:p@[b/c"]
)
def test_an_address_that_says_too_little_is_refused_without_repeating_it(text):
    with pytest.raises(ExportFailed, match="expected") as caught:
        target(text)
    assert "a:p@" not in str(caught.value)


def test_a_missing_package_is_named(world, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("data.export.failures.find_spec", lambda name: None)
    assert main(["--to", str(tmp_path / "out")]) == 1
    assert "pyarrow is not installed; run `pip install -r requirements-export.txt`" in capsys.readouterr().err


def test_the_address_may_come_from_the_environment_or_a_file(world, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WAREHOUSE_URL", f"duckdb:///{tmp_path}/one.duckdb")
    assert main([]) == 0
    monkeypatch.delenv("WAREHOUSE_URL")
    (tmp_path / "secret").write_text(f"parquet:///{tmp_path}/two\n")
    monkeypatch.setenv("WAREHOUSE_URL_FILE", str(tmp_path / "secret"))
    assert main([]) == 0
    monkeypatch.delenv("WAREHOUSE_URL_FILE")
    assert main([]) == 1

    assert (tmp_path / "one.duckdb").is_file()
    assert (tmp_path / "two" / "manifest.json").is_file()
    assert "set WAREHOUSE_URL" in capsys.readouterr().err


def test_memory_does_not_grow_with_the_rows(own_warehouse, tmp_path, monkeypatch):
    """Never more than one chunk of rows is held: each is gone when the next one is read."""
    with Store.open() as store:
        store.write_batch("binance", "many", {"dim_prices": price_rows(10_000)})
    monkeypatch.setattr(state, "CHUNK", 500)
    import data.export.parquet as parquet

    sizes, original = [], parquet.record_batch
    monkeypatch.setattr(parquet, "record_batch", lambda rows, layout: sizes.append(len(rows)) or original(rows, layout))
    export(str(tmp_path / "out"), ["dim_prices"])

    assert sizes == [500] * 20
    metadata = pa.parquet.read_metadata(tmp_path / "out" / "dim_prices" / "part-0.parquet")
    assert [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)] == sizes
    assert os.path.exists(tmp_path / "out" / "manifest.json")


def test_content_goes_into_a_folder_only(world, tmp_path):
    with pytest.raises(ExportFailed, match=r"--content: expected a folder, found .*risk.duckdb; nothing was exported"):
        export(str(tmp_path / "risk.duckdb"), content=True)
    assert not (tmp_path / "risk.duckdb").exists()
