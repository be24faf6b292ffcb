"""A real PostgreSQL: equal to the last bit, one transaction, nothing touched that did not change, no secret said."""

from __future__ import annotations

from urllib.parse import quote

import duckdb
import pytest

from data.errors import ExportFailed
from data.export import export, state
from data.export.__main__ import main
from data.export.checksum import Checksum
from data.export.targets import target
from data.schemas.tables import tables
from data.store.store import Store
from data.store.upserts import quoted
from tests.data.conftest import execute, price_rows

pytestmark = pytest.mark.postgres
psycopg = pytest.importorskip("psycopg")


def rows_of(database: str, sql: str, *values: object) -> list[tuple]:
    with psycopg.connect(database) as connection:
        cursor = connection.execute(sql, values)
        while cursor.nextset():  # of several statements the last one answers
            pass
        return cursor.fetchall() if cursor.description else []


def checksum_of(rows: list[tuple]) -> tuple[int, str]:
    found = Checksum()
    found.add(rows)
    return found.n_rows, found.text


@pytest.mark.parametrize("which", ["hostile_warehouse", "world"])
def test_sqlite_duckdb_and_postgres_hold_the_same_rows(which, request, database, tmp_path):
    request.getfixturevalue(which)
    done = {to: export(to, everything=True) for to in (database, str(tmp_path / "x.duckdb"), str(tmp_path / "pq"))}

    # Each engine is asked anew, by connections that had no part in the export.
    with (
        Store.open(readonly=True) as lite,
        duckdb.connect(str(tmp_path / "x.duckdb"), read_only=True) as duck,
        psycopg.connect(database) as post,
    ):
        for n, table in enumerate(tables().values()):
            select = f'SELECT {quoted(table.names)} FROM "{table.name}"'
            answers = [lite.rows(select), duck.execute(select).fetchall(), post.execute(select).fetchall()]
            expected, *others = [checksum_of(answer) for answer in answers]
            assert others == [expected, expected], table.name
            assert {(m.tables[n].name, m.tables[n].n_rows, m.tables[n].checksum) for m in done.values()} == {
                (table.name, *expected)
            }


def test_types_and_keys_are_those_of_the_warehouse(world, database):
    export(database)
    types = {"TEXT": "text", "INTEGER": "bigint", "REAL": "double precision"}
    for name in ("dim_prices", "mart_position_risk", "fact_risk_scenarios", "fact_lending_liquidation_events"):
        found = rows_of(
            database,
            "SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_name = %s "
            "ORDER BY ordinal_position",
            name,
        )
        table = tables()[name]
        assert found == [(c.name, types[c.type], "YES" if c.nullable else "NO") for c in table.columns]
        with pytest.raises(psycopg.errors.UniqueViolation):
            rows_of(database, f'INSERT INTO "{name}" SELECT * FROM "{name}" LIMIT 1 RETURNING 1')


def versions(database: str) -> dict[str, list[tuple]]:
    """Where each row lies, and the transaction that wrote it: another one wherever a row was touched."""
    names = [n for n in tables() if n.startswith(("dim_", "fact_", "mart_"))] + ["export_manifest"]
    return {n: rows_of(database, f'SELECT ctid::text, xmin::text FROM "{n}" ORDER BY 1') for n in names}


def test_a_second_export_touches_no_row(world, database):
    export(database)
    before = versions(database)

    export(database)

    assert versions(database) == before


def test_what_changed_is_put_in_and_what_went_is_deleted_and_a_view_stays(world, database):
    export(database)
    rows_of(database, "CREATE VIEW newest AS SELECT symbol, max(ts) AS ts FROM dim_prices GROUP BY 1")
    before = versions(database)
    with Store.open(readonly=True) as store:
        symbol, n = store.rows("SELECT symbol, count(*) FROM dim_prices GROUP BY 1 ORDER BY 2 DESC LIMIT 1")[0]
    execute(world, "DELETE FROM dim_prices WHERE symbol = ? AND ts % 7200 = 0", [symbol])
    with Store.open() as store:
        store.write_batch("binance", "new", {"dim_prices": price_rows(5, symbol="NEWUSDT")})

    export(database)

    with Store.open(readonly=True) as store:
        expected = store.rows("SELECT symbol, count(*) FROM dim_prices GROUP BY 1 ORDER BY 1")
    assert rows_of(database, "SELECT symbol, count(*) FROM dim_prices GROUP BY 1 ORDER BY 1") == expected
    assert dict(expected)[symbol] < n
    after = versions(database)
    assert len(set(after["dim_prices"]) - set(before["dim_prices"])) == 5
    assert after["mart_position_risk"] == before["mart_position_risk"]
    assert rows_of(database, "SELECT count(*) FROM newest WHERE symbol = 'NEWUSDT'") == [(1,)]


def test_a_failure_in_the_middle_changes_nothing(world, database, monkeypatch):
    export(database)
    before = versions(database)
    execute(world, "UPDATE dim_prices SET price_usd = price_usd + 1")
    original = state.WarehouseState.chunks

    def chunks(self, table, first_by=None):
        rows = original(self, table, first_by)
        yield from ([] if table.name == "fact_risk_run" else rows)
        list(rows)

    monkeypatch.setattr(state.WarehouseState, "chunks", chunks)
    with pytest.raises(ExportFailed, match=r"fact_risk_run reads back as 0 rows"):
        export(database)

    assert versions(database) == before


def test_a_table_of_somebody_else_is_never_touched(world, database, capsys, monkeypatch):
    rows_of(database, "CREATE TABLE dim_prices (mine text); INSERT INTO dim_prices VALUES ('kept')")
    monkeypatch.setenv("WAREHOUSE_URL", database)

    assert main([]) == 1

    assert "has a table dim_prices that no export made; nothing was changed" in capsys.readouterr().err
    assert rows_of(database, "SELECT * FROM dim_prices") == [("kept",)]
    assert rows_of(database, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(1,)]

    rows_of(database, "CREATE SCHEMA risk")
    monkeypatch.setenv("WAREHOUSE_URL", database + "?options=-csearch_path%3Drisk")
    assert main([]) == 0
    assert rows_of(database, "SELECT count(*) > 1000 FROM risk.dim_prices") == [(True,)]


def test_a_new_layout_makes_a_table_anew_unless_something_depends_on_it(world, database):
    export(database)
    rows_of(database, "ALTER TABLE dim_asset ADD COLUMN former text")
    rows_of(database, "CREATE VIEW mine AS SELECT former FROM dim_asset")
    with pytest.raises(ExportFailed, match=r"layout of dim_asset changed.*view mine depends.*drop those"):
        export(database)

    rows_of(database, "DROP VIEW mine")
    export(database)

    with Store.open(readonly=True) as store:
        assert rows_of(database, "SELECT * FROM dim_asset ORDER BY 1, 2") == store.rows(
            "SELECT * FROM dim_asset ORDER BY 1, 2"
        )


def test_a_value_that_postgres_cannot_hold_is_named(world, database, tmp_path):
    execute(
        world, "UPDATE dim_asset SET symbol = 'US' || char(0) || 'DC' WHERE asset = (SELECT min(asset) FROM dim_asset)"
    )

    with pytest.raises(ExportFailed, match=r"dim_asset has a value that PostgreSQL cannot hold \(.*NUL"):
        export(database, ["dim_asset"])
    export(str(tmp_path / "x.duckdb"), ["dim_asset"])

    assert rows_of(database, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


@pytest.mark.parametrize("how", ["wrong password", "no such database", "nobody listens", "a bad option"])
def test_a_password_is_never_said(world, database, monkeypatch, capsys, how):
    secret = "hunter2/@:" + "x" * 8
    address = {
        "wrong password": database.replace(database.split(":")[2].split("@")[0], quote(secret, safe="")),
        "no such database": database.rsplit("/", 1)[0] + "/nowhere",
        "nobody listens": f"postgresql://risk:{quote(secret, safe='')}@127.0.0.1:9/risk",
        "a bad option": f"postgresql://risk:{quote(secret, safe='')}@127.0.0.1/risk?pasword={quote(secret, safe='')}",
    }[how]
    monkeypatch.setenv("WAREHOUSE_URL", address)

    assert main([]) == 1

    said = "".join(capsys.readouterr())
    real = database.split(":")[2].split("@")[0]
    for form in (
        secret,
        quote(secret, safe=""),
        quote(secret),
        real,
        psycopg.conninfo.conninfo_to_dict(database)["password"],
    ):
        assert form not in said
    assert "postgresql://127.0.0.1" in said
    assert "nothing was changed" in said
    assert secret not in repr(target(address))


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_of_another_encoding_is_named_as_such(world, database, encoding):
    name = f"risk_{encoding.lower()}"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    other = f"{database.rpartition('/')[0]}/{name}"
    with pytest.raises(ExportFailed, match=rf"has the encoding {encoding}, expected UTF8; nothing was changed"):
        export(other)
    with psycopg.connect(other) as connection:
        ((tables_there,),) = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert tables_there == 0
