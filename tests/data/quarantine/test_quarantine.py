"""What was refused is kept whole, can be written after a fix as if nothing had happened, and is never just deleted."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import schemas
from data.__main__ import main
from data.chain import whole_blocks
from data.errors import BatchRefused, NotInQuarantine, ReplayRefused
from data.quarantine.aside import put_aside
from data.quarantine.replay import content, drop, find, replay
from data.schemas.prices import Prices
from data.schemas.tables import tables
from data.snapshot.saving import save_snapshot
from data.store.packed import pack, unpack
from data.store.refused import MAX_ROWS_PER_TABLE
from data.store.store import Store
from tests.data.conftest import execute, price_rows
from tests.data.made_up_rows import made_up

BOOKS = {"fact_run", "fact_validation", "quarantine", "quarantine_batch", "quarantine_content", "schema_version"}
HOLDER = {"market": "m", "token": "0x" + "b" * 40, "account": "0x" + "a" * 40, "first_seen_block": 1}


def export(path: Path) -> dict[str, list[tuple]]:
    """Every row of every table; the books, and who wrote it when, left out."""
    with Store.open(path, readonly=True) as store:
        kept = {
            name: [column for column in table.names if not column.endswith(("run_id", "_at"))]
            for name, table in tables().items()
            if name not in BOOKS
        }
        return {name: store.rows(f"SELECT {', '.join(columns)} FROM {name}") for name, columns in kept.items()}


def refuse(store: Store, frames: dict, key: str = "k", **how) -> str:
    """Have a batch refused; returns its id."""
    with pytest.raises(BatchRefused):
        store.write_batch("binance", key, frames, "first", **how)
    return store.rows("SELECT batch_id FROM quarantine_batch WHERE batch_key = ?", (key,))[0][0]


@pytest.fixture
def lenient(monkeypatch: pytest.MonkeyPatch):
    """The fix of a schema: a price below zero becomes legal."""

    def mend() -> None:
        class Mended(Prices):
            price_usd: pa.typing.Series[np.float64] = pa.Field(description="price", metadata={"unit": "USD"})

            class Config(Prices.Config):
                pass

        monkeypatch.setitem(schemas.SCHEMAS, "dim_prices", Mended)

    return mend


def test_a_refused_batch_is_kept_whole_its_good_rows_too(store):
    rows = price_rows(5, price_usd=[1.0, -2.0, 3.0, 4.0, 5.0])
    holders = pd.DataFrame([HOLDER])

    batch_id = refuse(store, {"dim_prices": rows, "raw_aave_holders": holders}, max_bad_share=0.1)

    [(refused, n_rows, n_bad, state, reason)] = store.rows(
        "SELECT refused, n_rows, n_bad, state, reason FROM quarantine_batch"
    )
    assert (refused, n_rows, n_bad, state) == (1, 6, 1, "open")
    assert reason.startswith("dim_prices: 1 of 5 rows are bad, the first is row 1: price_usd: greater_than(0)")
    kept = content(store, batch_id)
    assert kept["dim_prices"].to_dict("list") == rows.to_dict("list")
    assert kept["raw_aave_holders"].to_dict("records") == [HOLDER]


def test_after_the_schema_is_mended_a_replay_equals_an_undisturbed_ingest(store, lenient, own_warehouse, tmp_path):
    rows = price_rows(5, price_usd=[1.0, -2.0, 3.0, 4.0, 5.0])
    frames = {"dim_prices": rows, "raw_aave_holders": pd.DataFrame([HOLDER])}
    batch_id = refuse(store, frames, payload_sha256="c" * 64)

    lenient()
    done = replay(store, batch_id[:8])

    assert (done.rows, done.still_bad, done.superseded) == ({"dim_prices": 5, "raw_aave_holders": 1}, 0, 0)
    with Store.open(tmp_path / "undisturbed.sqlite") as other:
        other.write_batch("binance", "k", frames, payload_sha256="c" * 64)
    assert export(own_warehouse) == export(tmp_path / "undisturbed.sqlite")
    assert store.rows("SELECT state, settled_by, settled_at > 0, n_rows FROM quarantine_batch") == [
        ("replayed", done.run_id, 1, 0)
    ]
    assert store.rows("SELECT state, settled_by FROM quarantine") == [("replayed", done.run_id)]
    assert store.rows("SELECT flow, state, json_extract(params, '$.key') FROM fact_run") == [
        ("quarantine-replay", "completed", "k")
    ]


def test_a_second_replay_changes_nothing(store, lenient, own_warehouse):
    batch_id = refuse(store, {"dim_prices": price_rows(2, price_usd=[1.0, -2.0])})
    lenient()
    replay(store, batch_id)
    before = own_warehouse.read_bytes(), export(own_warehouse)

    with pytest.raises(ReplayRefused, match=r"is replayed already \(2 rows written\); nothing was done"):
        replay(store, batch_id)

    assert (own_warehouse.read_bytes(), export(own_warehouse)) == before


def test_without_a_fix_it_stays_with_what_is_wrong_now(store):
    batch_id = refuse(store, {"dim_prices": price_rows(2, price_usd=[1.0, -2.0])})

    def worse(table: str, rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(is_synthetic=7)

    with pytest.raises(BatchRefused, match="2 of 2 rows are bad"):
        replay(store, batch_id, mend=worse)

    assert find(store, batch_id).state == "open"
    assert store.rows("SELECT row_number, state, reason FROM quarantine ORDER BY row_number") == [
        (0, "open", "is_synthetic: isin([0, 1]), found 7.0"),
        (1, "open", "price_usd: greater_than(0), found -2.0; is_synthetic: isin([0, 1]), found 7.0"),
    ]
    assert store.rows("SELECT count(*) FROM dim_prices") == [(0,)]
    assert store.rows("SELECT state FROM fact_run") == [("failed",)]


def test_rows_that_were_put_aside_come_in_as_they_pass_and_the_others_stay(store):
    rows = price_rows(6, price_usd=[1.0, -2.0, 3.0, -4.0, 5.0, 6.0])
    store.write_batch("binance", "k", {"dim_prices": rows}, max_bad_share=0.5)
    [(batch_id, refused, n_rows)] = store.rows("SELECT batch_id, refused, n_rows FROM quarantine_batch")
    assert (refused, n_rows) == (0, 2)

    def mend(table: str, frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(price_usd=[2.0 if price == -2.0 else price for price in frame["price_usd"]])

    first = replay(store, batch_id, mend=mend)

    assert (first.rows, first.still_bad) == ({"dim_prices": 1}, 1)
    assert store.rows("SELECT price_usd FROM dim_prices ORDER BY ts") == [(1.0,), (2.0,), (3.0,), (5.0,), (6.0,)]
    assert store.rows("SELECT state, n_rows, pending FROM quarantine_batch") == [("open", 1, '{"dim_prices": [1]}')]
    assert store.rows("SELECT row_number, state FROM quarantine ORDER BY row_number") == [(0, "replayed"), (1, "open")]

    second = replay(store, batch_id, mend=lambda table, frame: frame.assign(price_usd=4.0))

    assert second.still_bad == 0
    assert store.rows("SELECT price_usd FROM dim_prices ORDER BY ts")[3] == (4.0,)
    assert store.rows("SELECT DISTINCT state FROM quarantine") == [("replayed",)]


def test_more_bad_rows_than_are_listed_are_kept_and_replayed_all_the_same(store, lenient):
    n = MAX_ROWS_PER_TABLE + 500
    batch_id = refuse(store, {"dim_prices": price_rows(n, price_usd=-1.0)})
    assert store.rows("SELECT count(*) FROM quarantine") == [(MAX_ROWS_PER_TABLE,)]

    lenient()

    assert replay(store, batch_id).rows == {"dim_prices": n}
    assert store.rows("SELECT count(*) FROM dim_prices") == [(n,)]


def test_a_replay_never_puts_an_older_value_over_a_newer_one(store):
    store.write_batch("binance", "k", {"dim_prices": price_rows(3, price_usd=[1.0, -2.0, -3.0])}, max_bad_share=0.9)
    [(batch_id,)] = store.rows("SELECT batch_id FROM quarantine_batch")
    store.write_batch("binance", "later", {"dim_prices": price_rows(2, price_usd=[1.0, 22.0])})

    done = replay(store, batch_id, mend=lambda table, rows: rows.assign(price_usd=rows["price_usd"].abs()))

    assert (done.rows, done.superseded) == ({"dim_prices": 1}, 1)
    assert store.rows("SELECT price_usd FROM dim_prices ORDER BY ts") == [(1.0,), (22.0,), (3.0,)]
    assert store.rows("SELECT note FROM quarantine_batch") == [("1 rows written, 1 left out: later batches have them",)]


def test_a_batch_that_was_read_again_meanwhile_is_not_replayed_over_it(store, lenient, capsys):
    batch_id = refuse(store, {"dim_prices": price_rows(2, price_usd=[1.0, -2.0])})
    store.write_batch("binance", "k", {"dim_prices": price_rows(2)}, "second")
    lenient()

    with pytest.raises(ReplayRefused, match=r"was written since by run second \(batch 1\)"):
        replay(store, batch_id)

    main(["quarantine"])
    assert "written since, by batch 1: drop it" in capsys.readouterr().out


def test_a_snapshot_is_replayed_whole_with_its_counts_and_digest(store, snapshot_frames, own_warehouse, tmp_path):
    broken = dict(snapshot_frames)
    broken["raw_aave_reserves"] = broken["raw_aave_reserves"].assign(price_raw="0")
    with pytest.raises(BatchRefused):
        save_snapshot(store, "aave_rpc", broken)
    [(batch_id,)] = store.rows("SELECT batch_id FROM quarantine_batch")
    prices = snapshot_frames["raw_aave_reserves"]["price_raw"].tolist()

    def mend(table: str, rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(price_raw=prices) if table == "raw_aave_reserves" else rows

    replay(store, batch_id, mend=mend)

    with Store.open(tmp_path / "undisturbed.sqlite") as other:
        save_snapshot(other, "aave_rpc", snapshot_frames)
    assert export(own_warehouse) == export(tmp_path / "undisturbed.sqlite")


def test_a_batch_with_a_missing_column_is_replayed_after_the_field_was_renamed(store, own_warehouse, capsys):
    batch_id = refuse(store, {"dim_prices": price_rows(3).rename(columns={"price_usd": "usd"})})

    assert main(["quarantine", "replay", batch_id[:10], "--rename", "dim_prices.usd=price_usd"]) == 0

    assert "rows written: 3 of dim_prices; 3 new or changed" in capsys.readouterr().out
    assert store.rows("SELECT price_usd FROM dim_prices ORDER BY ts") == [(2000.0,), (2001.0,), (2002.0,)]
    assert store.rows("SELECT json_extract(params, '$.rename[0]') FROM fact_run") == [("dim_prices.usd=price_usd",)]


def test_a_dropped_batch_keeps_its_rows_and_the_reason_and_is_not_replayed(store, lenient, capsys):
    batch_id = refuse(store, {"dim_prices": price_rows(2, price_usd=[1.0, -2.0])})
    with pytest.raises(ReplayRefused, match="expected a reason"):
        drop(store, batch_id, " ")

    assert main(["quarantine", "drop", batch_id, "--reason", "a test of the exchange"]) == 0

    assert store.rows("SELECT state, note, settled_at > 0 FROM quarantine_batch") == [
        ("dropped", "a test of the exchange", 1)
    ]
    assert store.rows("SELECT state FROM quarantine") == [("dropped",)]
    assert store.rows("SELECT count(*) FROM quarantine_content") == [(1,)]
    lenient()
    with pytest.raises(ReplayRefused, match=r"is dropped already \(a test of the exchange\)"):
        replay(store, batch_id)
    capsys.readouterr()
    main(["quarantine"])
    assert capsys.readouterr().out == "nothing is in quarantine\n"
    main(["quarantine", "list", "--all"])
    assert "dropped" in capsys.readouterr().out


def test_the_list_is_filtered_by_table_source_run_and_time(store, capsys):
    refuse(store, {"dim_prices": price_rows(1, price_usd=-1.0)}, key="prices")
    refuse(store, {"raw_aave_holders": pd.DataFrame([HOLDER | {"account": "nobody"}])}, key="holders")
    execute(
        store.path,
        "UPDATE quarantine_batch SET run_id = 'r2', source = 's2', quarantined_at = 86400 WHERE batch_key = 'holders'",
    )

    for words, expected in (
        ([], {"prices", "holders"}),
        (["--table", "raw_aave_holders"], {"holders"}),
        (["--source", "binance"], {"prices"}),
        (["list", "--run", "r2"], {"holders"}),
        (["--since", "2020-01-01"], {"prices"}),
        (["list", "--since", "86400", "--last", "1"], {"prices"}),
        (["--source", "nobody"], set()),
    ):
        assert main(["quarantine", *words]) == 0
        out = capsys.readouterr().out
        assert {key for key in ("prices", "holders") if f" {key}  refused" in out} == expected, words


def test_show_says_where_it_came_from_and_what_is_wrong(store, capsys):
    batch_id = refuse(store, {"dim_prices": price_rows(2, price_usd=[1.0, -2.0])}, max_bad_share=0.25)

    assert main(["quarantine", "show", batch_id[:6]]) == 0

    out = capsys.readouterr().out
    assert f"batch    {batch_id}\nstate    open\nfrom     binance k, run first, " in out
    assert "at most 25.0% bad rows" in out
    assert "dim_prices row 1, open\n  price_usd: greater_than(0), found -2.0\n  {" in out


@pytest.mark.parametrize("wanted", ["", "no such", "%"])
def test_an_id_that_names_no_batch_is_one_line(store, wanted, capsys):
    refuse(store, {"dim_prices": price_rows(1, price_usd=-1.0)})

    with pytest.raises(NotInQuarantine, match=r"(no|more than one) batch in quarantine"):
        find(store, wanted)
    assert main(["quarantine", "replay", wanted]) == 1
    assert capsys.readouterr().err.count("\n") == 1


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.text(st.characters(categories=["Cs", "Cc"])),
)


@given(rows=st.lists(st.tuples(VALUES, VALUES), max_size=5))
def test_whatever_a_row_holds_is_kept_as_it_is(rows):
    frame = pd.DataFrame(
        {"a": pd.Series([a for a, _ in rows], dtype=object), "b": pd.Series([b for _, b in rows], dtype=object)}
    )

    back = unpack(pack(frame))

    assert list(back.columns) == ["a", "b"]
    assert [tuple(row) for row in back.itertuples(index=False)] == [tuple(row) for row in frame.itertuples(index=False)]
    assert [type(value) for value in back["a"]] == [type(value) for value in frame["a"]]


def test_types_of_numpy_and_pandas_are_kept_as_what_they_say():
    frame = pd.DataFrame(
        {
            "n": np.array([2**62, 1], dtype=np.uint64),
            "gap": pd.array([2**62 + 1, None], dtype="Int64"),
            "t": pd.to_datetime(["2026-01-01", None]),
            "d": [Decimal("1.10"), float("nan")],
        }
    )

    back = unpack(pack(frame))

    assert back["n"].tolist() == [2**62, 1]
    assert back["gap"].tolist() == [2**62 + 1, None]
    assert back["t"].tolist() == [pd.Timestamp("2026-01-01"), None]
    assert back["d"][0] == Decimal("1.10")
    assert back["d"][1] != back["d"][1]


def test_many_rows_are_kept_in_parts_and_small(store):
    accounts = [f"0X{row:040x}" for row in range(45_000)]
    frame = pd.DataFrame(HOLDER | {"account": accounts})
    refuse(store, {"raw_aave_holders": frame})

    [(parts, size)] = store.rows("SELECT count(*), sum(length(rows)) FROM quarantine_content")
    assert parts == 3
    assert size < 1_500_000 < len(json.dumps(frame.to_dict("list")))


def test_what_a_source_could_not_read_waits_as_it_came_and_can_only_be_dropped(store, capsys):
    for _ in range(2):
        put_aside(store, "rpc", "1:5", "run", [("raw_chain_logs", '{"data": "0x"}', "too short")])

    [(batch_id, state)] = store.rows("SELECT batch_id, state FROM quarantine_batch")
    assert store.rows("SELECT table_name, row, reason, state FROM quarantine") == [
        ("raw_chain_logs", '{"data": "0x"}', "too short", "open")
    ]
    with pytest.raises(BatchRefused, match="column is missing"):
        replay(store, batch_id)
    assert find(store, batch_id).state == state == "open"
    drop(store, batch_id, "a contract that only looks like a token")
    assert store.rows("SELECT state FROM quarantine") == [("dropped",)]


def test_a_block_that_was_read_again_is_not_mixed_with_the_older_reading(store):
    """A later reading of the block, under another range, has fewer transfers; those of the refused one stay out."""
    block_hash = "0x" + "ab" * 32
    at = {"chain_id": 1, "block_number": 7, "block_hash": block_hash}

    def reading(n: int, *, bad: bool) -> dict[str, pd.DataFrame]:
        moved = [{**at, "log_index": i, "standard": "ERC20", "amount": "-1" if bad else "5"} for i in range(n)]
        return {
            "stg_chain_blocks": made_up("stg_chain_blocks", [at]),
            "stg_token_transfers": made_up("stg_token_transfers", moved),
        }

    with pytest.raises(BatchRefused):
        store.write_batch("chain", "1:5-9", reading(3, bad=True), parts=whole_blocks([tuple(at.values())]))
    store.write_batch("chain", "1:7-7", reading(1, bad=False), parts=whole_blocks([tuple(at.values())]))
    (batch_id,) = store.rows("SELECT batch_id FROM quarantine_batch")[0]

    done = replay(store, batch_id, mend=lambda table, rows: rows.assign(amount="5") if "amount" in rows else rows)

    assert done.superseded == 4
    assert store.rows("SELECT log_index FROM stg_token_transfers") == [(0,)]
