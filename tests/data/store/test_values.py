"""Whatever goes into the warehouse comes out equal, or is refused with a reason; nothing turns into something else."""

from __future__ import annotations

import math
from contextlib import suppress
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.sample.frames import in_numbers
from data.schemas.tables import tables
from data.store import acceptance, validation
from data.store.store import Store
from data.store.validation import judge
from tests.data.conftest import price_rows

UINT256 = 2**256 - 1
ODD_TEXTS = ["\ud800", "a\0b", "\udfff\ud800", "ETH\n", "", " ", "\u0663", "1\u0663", "💥", "é", "\x7f", "nan", "None"]
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.integers(2**62, 2**64), st.floats(), st.binary(),
    st.text(), st.sampled_from(ODD_TEXTS), st.just(pd.NA), st.just(pd.NaT), st.decimals(allow_nan=False),
    st.builds(np.int64, st.integers(0, 2**63 - 1)), st.builds(np.uint64, st.integers(0, 2**64 - 1)),
    st.builds(np.float32, st.floats(width=32)), st.lists(st.integers(), max_size=2),
)  # fmt: skip
COLUMNS = ["symbol", "interval", "ts", "source", "price_usd", "price_usdt", "usd_proxy", "is_synthetic"]


def same(stored: Any, given: Any, column: str) -> bool:
    """The stored value says what was given: numbers as numbers, an integer in a text column as its digits."""
    if given is None or given is pd.NA or given is pd.NaT or (isinstance(given, float) and math.isnan(given)):
        return stored is None
    if isinstance(stored, str):
        return stored == (given if isinstance(given, str) else str(int(given)))
    if isinstance(given, str):
        return stored == float(given)
    return stored == (float(given) if column.startswith("price") else given)


@settings(max_examples=60)
@given(
    rows=st.lists(st.dictionaries(st.sampled_from(COLUMNS), ODD, max_size=3), min_size=1, max_size=4),
    as_object=st.booleans(),
)
def test_what_goes_in_comes_out_equal_or_is_refused_with_a_reason(tmp_path_factory, rows, as_object):
    path = tmp_path_factory.getbasetemp() / "values.sqlite"
    plain = price_rows(len(rows)).assign(price_usdt=1.0).astype(object).to_dict("records")
    given = [good | bad for good, bad in zip(plain, rows, strict=True)]
    frame = pd.DataFrame({name: pd.Series([row[name] for row in given], dtype=object) for name in COLUMNS})
    if not as_object:
        with suppress(UnicodeEncodeError):  # pandas itself has no text column for half a surrogate pair
            frame = frame.infer_objects()
    with Store.open(path) as store:
        with store.transaction() as connection:
            connection.execute("DELETE FROM dim_prices")
            connection.execute("DELETE FROM quarantine")
            connection.execute("DELETE FROM quarantine_batch")
            connection.execute("DELETE FROM quarantine_content")

        report = store.write_batch("s", "k", {"dim_prices": frame}, max_bad_share=1.0)

        stored = store.rows(f"SELECT {', '.join(COLUMNS)} FROM dim_prices")
        assert len(stored) + report.quarantined == len(rows)
        assert all(reason for (reason,) in store.rows("SELECT reason FROM quarantine"))
        assert store.rows("SELECT count(*) FROM quarantine") == [(report.quarantined,)]
        kinds = " OR ".join(f"typeof({name}) = 'blob'" for name in COLUMNS)
        assert store.rows(f"SELECT count(*) FROM dim_prices WHERE {kinds}") == [(0,)]
    verdict = judge("dim_prices", frame)
    accepted = [row for number, row in enumerate(given) if number not in verdict.bad]
    by_key = {tuple(str(value) for value in row[:4]): row for row in stored}
    for row in accepted:
        key = tuple(str(int(row[n])) if n == "ts" else str(row[n]) for n in COLUMNS[:4])
        assert all(same(value, row[name], name) for name, value in zip(COLUMNS, by_key[key], strict=True)), row


@pytest.mark.parametrize("value", [0, 1, 2**63 - 1, 2**63, 2**64, 2**128, UINT256 - 1, UINT256])
def test_uint256_extremes_are_stored_to_the_last_digit(store, value):
    frame = pd.DataFrame([emode(collateral_bitmap=str(value), borrowable_bitmap=value)])

    store.write_batch("s", "k", {"raw_aave_emodes": frame})

    columns = "collateral_bitmap, typeof(borrowable_bitmap), borrowable_bitmap"
    assert store.rows(f"SELECT {columns} FROM raw_aave_emodes") == [(str(value), "text", str(value))]


@pytest.mark.parametrize("value", [UINT256 + 1, -1, "١٢", "1\0", b"12", 1.0, True, "", None, [1], Decimal("1")])
def test_what_is_no_uint256_is_put_aside_with_its_reason(store, value):
    good = emode(emode_id=1)
    frame = pd.DataFrame(
        {name: pd.Series([good[name], emode(collateral_bitmap=value)[name]], dtype=object) for name in good}
    )

    report = store.write_batch("s", "k", {"raw_aave_emodes": frame}, max_bad_share=0.5)

    assert (report.rows, report.quarantined) == ({"raw_aave_emodes": 1}, 1)
    [(reason,)] = store.rows("SELECT reason FROM quarantine")
    assert reason.startswith("collateral_bitmap: ")


@pytest.mark.parametrize("symbol", ODD_TEXTS)
def test_a_token_symbol_is_stored_as_it_is_or_refused(store, symbol):
    # Object: with pyarrow installed, pandas itself has no text column for half a surrogate pair.
    rows = price_rows(1, symbol=pd.Series([symbol], dtype=object))
    report = store.write_batch("s", "k", {"dim_prices": rows}, max_bad_share=1.0)

    stored = store.rows("SELECT symbol, length(symbol) FROM dim_prices")
    assert stored == ([] if report.quarantined else [(symbol, len(symbol))])
    assert bool(report.quarantined) == (symbol in ("\ud800", "a\0b", "\udfff\ud800", ""))


@pytest.mark.parametrize("ts", [2**63, -(2**63) - 1, 9.3e18, float("inf"), "9" * 30, 1e300])
def test_an_integer_beyond_64_bits_is_refused_and_never_wrapped(store, ts):
    rows = price_rows(2).astype(object)
    rows.loc[1, "ts"] = ts

    report = store.write_batch("s", "k", {"dim_prices": rows}, max_bad_share=0.5)

    assert report.quarantined == 1
    assert store.rows("SELECT ts FROM dim_prices") == [(1_700_000_000,)]
    assert store.rows("SELECT reason FROM quarantine")[0][0].startswith("ts: ")


def emode(**changes: Any) -> dict[str, Any]:
    return {"market": "m", "block": 1, "emode_id": 2, "label": "", "ltv_bps": 0, "liquidation_threshold_bps": 0,
            "liquidation_bonus_bps": 0, "collateral_bitmap": "1", "borrowable_bitmap": "1", "ltvzero_bitmap": "0",
            "isolated": 0} | changes  # fmt: skip


NEARLY = st.one_of(
    st.from_regex(r"[0-9]{1,42}(\.[0-9]{0,42})?", fullmatch=True),
    st.from_regex(r"(0x)?[0-9a-fA-F]{38,66}", fullmatch=True),
    st.text("0123456789.\nx", max_size=50),
    st.sampled_from(ODD_TEXTS),
    st.integers(0, 2**257).map(str),
)


@given(values=st.lists(NEARLY, min_size=1, max_size=6))
def test_the_quick_look_at_texts_says_yes_only_where_the_pattern_does(values):
    import re

    for pattern, quick in acceptance.QUICK.items():
        if quick(values):
            assert all(re.fullmatch(pattern, value, re.ASCII) for value in values), pattern


@settings(max_examples=60)
@given(data=st.data())
def test_the_quick_way_accepts_nothing_that_pandera_refuses(data, snapshot_frames_once):
    table = data.draw(st.sampled_from(sorted(snapshot_frames_once)))
    frame = snapshot_frames_once[table].head(4).copy()
    for _ in range(data.draw(st.integers(0, 2))):
        column = data.draw(st.sampled_from(list(frame.columns)))
        values = frame[column].astype(object).tolist()
        values[data.draw(st.integers(0, len(values) - 1))] = data.draw(ODD)
        frame[column] = pd.Series(values, dtype=object)
    layout = tables()[table]
    filled = {"ingested_at": 1, "run_id": "r", "payload_sha256": "a" * 64}
    whole = validation._completed(layout, frame, validation.PLACES | filled)
    if set(whole.columns) != set(layout.names):
        return
    good = acceptance.accepted(layout, whole[list(layout.names)])
    if good is not None:
        slow, cases = validation._checked(table, whole[list(layout.names)])
        assert cases is None
        from data.store.upserts import plain_rows

        assert list(plain_rows(good)) == list(plain_rows(slow))


@pytest.mark.parametrize(
    ("whole", "taken"),
    [
        ([1.0, 0.0, None, 1.0], [1, 0, None, 1]),  # what pandas makes of whole numbers with gaps
        ([1.0, 0.0, 1.0, 1.0], [1, 0, 1, 1]),
        ([0.5, 1.0, None, 1.0], None),
        ([2.0**63, 1.0, None, 1.0], None),
        ([float("inf"), 1.0, None, 1.0], None),
        ([2.0, 1.0, None, 1.0], None),  # no flag
    ],
)
def test_whole_numbers_written_as_floats_are_taken_quickly_and_no_others(whole, taken, snapshot_frames_once):
    frame = in_numbers({"raw_aave_reserves": snapshot_frames_once["raw_aave_reserves"].head(4)})["raw_aave_reserves"]
    frame = frame.assign(price_is_fixed=np.array([np.nan if n is None else n for n in whole]))
    layout = tables()["raw_aave_reserves"]
    rows = validation._completed(layout, frame, validation.PLACES | {"ingested_at": 1, "run_id": "r"})
    good = acceptance.accepted(layout, rows[list(layout.names)])

    if taken is None:
        assert good is None
        return
    from data.store.upserts import plain_rows

    assert good["price_is_fixed"].dtype == "Int64"
    assert [None if n is pd.NA else n for n in good["price_is_fixed"]] == taken
    slow, _ = validation._checked("raw_aave_reserves", rows[list(layout.names)])
    assert list(plain_rows(good)) == list(plain_rows(slow))


@pytest.fixture(scope="module")
def snapshot_frames_once():
    from data.sample.book import holdings
    from data.sample.frames import frames

    rows = frames(holdings(100, 5))
    return {name: rows[name] for name in ("raw_aave_reserves", "raw_aave_emodes", "raw_aave_account_states")} | {
        "dim_prices": price_rows(5)
    }
