"""Forecasts beside what came: which events belong to a window, how far it was read, and what is not known."""

from __future__ import annotations

import pytest

from data import marts
from data.store.store import Store
from tests.data.made_up_rows import made_up

MARKET, START, END = "AaveV3Ethereum", 1_700_000_000, 1_700_086_400
RUN = "a" * 64
ETH, USDC = "0x" + "e" * 40, "0x" + "c" * 40
ALICE, BOB = "0x" + "a" * 40, "0x" + "b" * 40
PRICES = {ETH: 2_000, USDC: 1}


def put(store: Store, key: str = "test", /, **frames: list[dict]) -> None:
    store.write_batch("test", key, {table: made_up(table, rows) for table, rows in frames.items()})


def forecast(store: Store, run: str = RUN, **changes: object) -> None:
    """A day's forecast of every measure of the ledger, made before the fact."""
    head = {"run_id": run, "market": MARKET, "chain_id": 1, "block": 5, "scenario_id": "baseline-24h"}
    told = {
        "run_id": run, "market": MARKET, "made_at": START, "valid_until": END, "horizon_seconds": END - START,
        "sealed_at": START + 60, "is_synthetic": 0, "level": 0.99, "value": 100.0,
    } | changes  # fmt: skip
    measures = ("lar_repaid", "lar_seized", "es_repaid", "var_deficit", "es_deficit", "p_deficit", "mean_repaid")
    put(store, fact_risk_run=[head], fact_forecast=[told | {"measure": measure} for measure in measures])


def read(store: Store, first: int = START, last: int = END) -> None:
    span = {"source": "logs", "market": MARKET, "chain_id": 1, "first_time": first, "last_time": last}
    put(store, raw_lending_reads=[span])


def happened(store: Store, *events: tuple, priced: bool = True) -> None:
    """Events (kind, seconds, owner, collateral in ETH or deficit in USDC, debt in USDC), and further parts of one."""
    frames: dict[str, list[dict]] = {"raw_lending_blocks": []}
    for number, (kind, moment, owner, amount, debt, *part) in enumerate(events):
        at = {
            "source": "logs", "market": MARKET, "chain_id": 1, "block_number": moment - START + 1_000,
            "block_timestamp": moment, "block_hash": f"0x{moment:064x}",
        }  # fmt: skip
        frames["raw_lending_blocks"].append(at | {"n_events": 1})
        event = at | {"log_index": number, "owner": owner, "protocol": "aave_v3", "part": part[0] if part else 0}
        asset = USDC if kind == "deficit" else ETH
        event |= {"asset": asset, "amount_raw": str(int(amount * 10**18))}
        if debt is not None:
            event |= {"debt_asset": USDC, "debt_amount_raw": str(int(debt * 10**18))}
        frames.setdefault(f"raw_lending_{kind}_events", []).append(event)
        if priced:
            frames.setdefault("raw_lending_prices", []).extend(
                {**{name: at[name] for name in ("market", "chain_id", "block_number", "block_timestamp")},
                 "asset": token, "price_raw": str(price * 10**8)} for token, price in PRICES.items()
            )  # fmt: skip
    for table in ("raw_lending_blocks", "raw_lending_prices"):
        frames[table] = [dict(row) for row in {tuple(sorted(row.items())) for row in frames.get(table, [])}]
    frames["dim_lending_asset"] = [
        {"chain_id": 1, "asset": token, "symbol": "T", "decimals": 18, "series": None} for token in PRICES
    ]
    put(store, **{table: rows for table, rows in frames.items() if rows})


def outcome(store: Store, measure: str = "lar_repaid", columns: str = "outcome") -> tuple:
    marts.refresh(store, ["mart_forecast_outcome"])
    [found] = store.rows(f"SELECT {columns} FROM mart_forecast_outcome WHERE measure = ?", (measure,))
    return found


def test_a_window_begins_after_its_snapshot_and_holds_its_last_second(store):
    """Of four liquidations of 1 ETH for 100 USDC each two are inside: not the one of the snapshot's own second."""
    happened(
        store,
        *(("liquidation", at, ALICE, 1, 100) for at in (START, START + 1, END, END + 1)),
    )
    forecast(store)
    read(store, last=END + 5)

    found = outcome(store, columns="outcome, repaid_usd, seized_usd, n_liquidations, n_accounts, n_events")

    assert found == (200.0, 200.0, 4_000.0, 2, 1, 2)
    assert outcome(store, "lar_seized") == (4_000.0,)


def test_a_liquidation_of_two_collaterals_is_one_and_all_it_took_counts(store):
    happened(
        store,
        ("liquidation", START + 9, ALICE, 1, 300),
        ("liquidation", START + 9, ALICE, 2, None, 1),
        ("liquidation", START + 50, BOB, 1, 100),
        ("deposit", START + 60, BOB, 1, None),
        ("deficit", START + 70, ALICE, 25, None),
    )
    forecast(store)
    read(store)

    found = outcome(store, columns="n_liquidations, n_accounts, n_events, repaid_usd, seized_usd, deficit_usd")

    assert found == (2, 2, 4, 400.0, 8_000.0, 25.0)
    assert (outcome(store, "var_deficit"), outcome(store, "es_deficit")) == ((25.0,), (25.0,))
    assert outcome(store, "p_deficit") == (1.0,)


def test_an_amount_without_a_price_is_counted_and_is_not_zero(store):
    happened(store, ("liquidation", START + 9, ALICE, 1, 300), priced=False)
    forecast(store)
    read(store)

    assert outcome(store, columns="outcome, repaid_usd, unpriced_repaid, unpriced_seized") == (None, 0.0, 1, 1)
    assert outcome(store, "lar_seized") == (None,)
    assert outcome(store, "var_deficit") == (0.0,)  # no deficit came: that is known without a price


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (START, END, ("whole", END, 100.0)),
        (START - 500, END + 500, ("whole", END, 100.0)),
        (START, END - 1, ("partial", END - 1, None)),
        (START, START + 1, ("partial", START + 1, None)),
        (START, START, ("unread", None, None)),
        (START + 1, END + 500, ("unread", None, None)),  # what came between is not known
    ],
)
def test_how_far_a_window_was_read_is_what_the_scan_says(store, first, last, expected):
    happened(store, ("liquidation", START + 9, ALICE, 1, 100))
    forecast(store)
    read(store, first, last)

    assert outcome(store, columns="window_read, read_until, outcome") == expected


def test_events_alone_say_nothing_of_how_far_they_were_read(store):
    happened(store, ("liquidation", START + 9, ALICE, 1, 100), ("liquidation", END + 9, ALICE, 1, 100))
    forecast(store)

    assert outcome(store, columns="window_read, outcome, n_liquidations") == ("unread", None, 1)


@pytest.mark.parametrize(
    ("changes", "after"), [({}, 0), ({"sealed_at": END}, 1), ({"sealed_at": END - 1}, 0),
                           ({"sealed_at": END, "is_synthetic": 1}, 0)],
)  # fmt: skip
def test_what_was_stored_when_the_window_was_over_is_marked(store, changes, after):
    forecast(store, **changes)

    assert outcome(store, columns="after_the_fact") == (after,)


def test_an_increment_follows_events_that_were_taken_back_and_reading_that_went_on(store):
    happened(store, ("liquidation", START + 9, ALICE, 1, 100), ("liquidation", START + 50, BOB, 1, 50))
    forecast(store)
    read(store, last=START + 60)
    assert outcome(store, columns="window_read, repaid_usd") == ("partial", 150.0)
    told = store.read("SELECT * FROM raw_lending_liquidation_events WHERE owner = ?", (BOB,))
    told = told.drop(columns=["batch", "content_sha256"]).astype(object).assign(block_hash=None)
    store.write_batch("test", "again", {"raw_lending_liquidation_events": told})
    read(store)

    assert outcome(store, columns="window_read, repaid_usd, outcome, n_accounts") == ("whole", 100.0, 100.0, 1)
