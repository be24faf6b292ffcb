"""Interest alone on the Accounts page: the bars, one account's date, the stored rates, JSON."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

import data
from dashboard.app import create_app
from dashboard.market.loaded import LoadedMarket
from dashboard.market.warehouse import Warehouse
from dashboard.pages.accounts import accrual
from dashboard.pages.accounts import page as accounts
from data.rates import load_rates
from tests.dashboard.conftest import LOOP, SAFE, SUPPLIER, WEAK, MemorySource, words


def test_the_time_left_of_each_account_at_5_per_cent(source: MemorySource, loaded: LoadedMarket) -> None:
    """HF 1.0667, 2 and 1.1429: a little over log(HF) / 0.05 years; without debt never. Debts of one reserve each."""
    days = accrual.days_of(source, loaded)
    for row, health in ((LOOP, 16 / 15), (WEAK, 8 / 7)):
        x = days[row] / 365 * 0.05
        assert 1 + x + x**2 / 2 + x**3 / 6 == pytest.approx(health)
    assert np.isinf(days[[SAFE, SUPPLIER]]).all()
    found = {bar.name: bar for bar in accrual.bars(days, loaded.debt_usd)}
    assert (found["3 years"].accounts, found["10 years"].accounts, found["later or never"].accounts) == (2, 0, 1)
    assert found["3 years"].debt_usd == pytest.approx(16_000)
    assert sum(bar.accounts for bar in found.values()) == 3


def test_an_account_s_page_names_the_date(source: MemorySource) -> None:
    """1.0667 takes log(16/15) / 0.05 = 1.29 years from 22 August 2026."""
    told = words(accounts.build(source, "?address=0x" + f"{0xA0:040x}"))
    assert "Interest alone: below 1 on 6 Dec 2027, in 471 days" in told
    assert "does not bring it below 1 within 10 years" in words(accounts.build(source, "?address=0x" + f"{0xA1:040x}"))
    assert "Interest alone" not in words(accounts.build(source, "?address=0x" + f"{0xA2:040x}"))


def test_the_card_and_its_json(source: MemorySource) -> None:
    assert "0 accounts within 90 days if nobody acts." in words(accounts.build(source, ""))
    client = create_app(source).server.test_client()
    bars = client.get("/api/v1/accounts/accrual").get_json()["bars"]
    assert [bar["accounts"] for bar in bars] == [0, 0, 0, 0, 0, 2, 0, 1]
    one = client.get("/api/v1/accounts/account?address=0x" + f"{0xA0:040x}").get_json()
    assert one["days_of_interest_to_one"] == pytest.approx(471.2, abs=0.5)


def test_the_stored_rates_are_those_of_the_rows(sample_warehouse: Path) -> None:
    market = data.load_market(db=sample_warehouse)
    rates = load_rates(market, sample_warehouse)
    with sqlite3.connect(sample_warehouse) as db:
        rows = {a: (int(s), int(b)) for a, s, b in db.execute(
            "SELECT asset, liquidity_rate, variable_borrow_rate FROM raw_aave_reserves")}  # fmt: skip
    assert rates.supply.tolist() == [rows[a][0] / 10**27 for a in market.reserves.asset]
    assert rates.borrow.tolist() == [rows[a][1] / 10**27 for a in market.reserves.asset]
    assert (rates.since_update >= 0).all()
    assert rates.borrow.max() > 0.01


def test_a_protocol_without_stored_rates_says_so(sample_warehouse: Path, tmp_path: Path) -> None:
    own = tmp_path / "risk.sqlite"
    shutil.copy(sample_warehouse, own)
    with sqlite3.connect(own) as db:
        db.execute("UPDATE fact_snapshot SET protocol = 'compound_v3'")
    warehouse = Warehouse(own)
    assert load_rates(data.load_market(db=sample_warehouse), own) is None
    assert "No rates are stored" in words(accrual.accrual_card(warehouse, Warehouse(sample_warehouse).loaded()))
