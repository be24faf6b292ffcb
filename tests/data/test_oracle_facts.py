"""What is stored beside a market for its oracles: the room of reserves, and the adapters behind the prices."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data import load_market
from data.headroom import load_headroom
from data.oracle_adapters import load_adapters
from risk_core import InputError
from risk_core.price_caps import CapTerms

WSTETH = "0x7f39c581f595b53c5cb19bd0b3f8da6c935e2ca0"


@pytest.fixture
def own(filled: Path) -> Path:
    return filled


def change(path: Path, sql: str, *values: object) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA ignore_check_constraints = 1")
    connection.execute(sql, values)
    connection.commit()
    connection.close()


def add_adapter(path: Path, block: int = 1, **columns: object) -> None:
    """A row of dim_oracle_adapter of the sample's wstETH; columns that are not named hold what is harmless."""
    connection = sqlite3.connect(path)
    names = {row[1]: row[2] for row in connection.execute("PRAGMA table_info(dim_oracle_adapter)")}
    [(market,)] = connection.execute("SELECT market FROM fact_snapshot")
    row = {name: 0 if kind == "INTEGER" else 1.0 if kind == "REAL" else "" for name, kind in names.items()}
    row |= {"market": market, "asset": WSTETH, "block": block, "block_time": 1_751_328_000, "symbol": "wstETH"}
    row |= {"oracle_source": "0x" + "1" * 40, "kind": "ratio_cap", "kind_basis": "description", "cap_binds": None}
    row |= columns
    connection.execute("PRAGMA ignore_check_constraints = 1")
    connection.execute("PRAGMA foreign_keys = 0")
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO dim_oracle_adapter ({', '.join(row)}) VALUES ({marks})", list(row.values()))
    connection.commit()
    connection.close()


def test_what_can_be_borrowed_is_free_and_below_the_cap(own: Path):
    """LINK: 1,000 free and a borrow cap of 10,000 with 9,700 owed leave 300; without a cap 1,000."""
    market = load_market(db=own)
    link = market.reserves.index("LINK")
    ray = str(10**27)
    change(
        own,
        "UPDATE raw_aave_reserves SET virtual_balance = ?, borrow_cap = '10000', scaled_debt_supply = ?, "
        "variable_borrow_index = ?, variable_borrow_rate = '0', scaled_atoken_supply = ?, liquidity_index = ?, "
        "liquidity_rate = '0', supply_cap = '20000', borrowing_enabled = 1 WHERE symbol = 'LINK'",
        str(1_000 * 10**18), str(9_700 * 10**18), ray, str(12_500 * 10**18), ray,
    )  # fmt: skip
    room = load_headroom(market, own)
    assert room.borrowable[link] == pytest.approx(300)
    assert room.suppliable[link] == pytest.approx(7_500)
    change(own, "UPDATE raw_aave_reserves SET borrow_cap = '0', supply_cap = '0' WHERE symbol = 'LINK'")
    room = load_headroom(market, own)
    assert room.borrowable[link] == pytest.approx(1_000)
    assert room.suppliable[link] == np.inf
    change(own, "UPDATE raw_aave_reserves SET is_frozen = 1 WHERE symbol = 'LINK'")
    room = load_headroom(market, own)
    assert room.borrowable[link] == room.suppliable[link] == 0


def test_debt_grows_to_the_block_before_it_meets_the_cap(own: Path):
    """9,000 owed at 10 % a year, a year after the last update: 9,946.5 by the third-order expansion; 53.5 are left."""
    market = load_market(db=own)
    change(
        own,
        "UPDATE raw_aave_reserves SET virtual_balance = ?, borrow_cap = '10000', scaled_debt_supply = ?, "
        "variable_borrow_index = ?, variable_borrow_rate = ?, last_update_timestamp = ? WHERE symbol = 'LINK'",
        str(10**24), str(9_000 * 10**18), str(10**27), str(10**26), market.snapshot.block_time - 365 * 86_400,
    )  # fmt: skip
    room = load_headroom(market, own)
    assert room.borrowable[market.reserves.index("LINK")] == pytest.approx(
        10_000 - 9_000 * (1 + 0.1 + 0.005 + 0.001 / 6)
    )


def test_the_newest_adapter_up_to_the_block_counts(own: Path):
    market = load_market(db=own)
    assert load_adapters(market, own) == {}
    terms = {"snapshot_ratio": str(1_190 * 10**15), "snapshot_timestamp": "1750000000", "max_yearly_growth_bps": "968"}
    add_adapter(
        own, parameters=json.dumps(terms), parameters_status="chain", ratio=1.2072e18, implied_ratio=1.2072,
        max_ratio=1.21e18, cap_binds=0, note="read",
    )  # fmt: skip
    add_adapter(own, block=2, parameters="{}", parameters_status="none", ratio=None, implied_ratio=None, max_ratio=None)
    [(place, one)] = load_adapters(market, own).items()
    assert market.reserves.symbol[place] == "wstETH"
    assert one.terms == CapTerms(
        snapshot_ratio=1_190 * 10**15, snapshot_timestamp=1_750_000_000, max_yearly_growth_bps=968
    )
    assert (one.block, one.decimals, one.binds, one.note) == (1, 18, False, "read")
    assert (one.ratio, one.largest_ratio) == pytest.approx((1.2072, 1.21))
    later = replace(market, snapshot=replace(market.snapshot, block=5))
    [two] = load_adapters(later, own).values()
    assert (two.block, two.terms, two.ratio, two.binds) == (2, None, None, None)


def test_a_ratio_in_27_decimals_and_terms_of_the_deployment(own: Path):
    """Terms that were not read at the block are not the ones in force."""
    terms = {"snapshot_ratio": 1, "snapshot_timestamp": 1, "max_yearly_growth_bps": 1}
    add_adapter(
        own, parameters=json.dumps(terms), parameters_status="deployment", ratio=1.16e27, implied_ratio=1.16,
        max_ratio=None,
    )  # fmt: skip
    [one] = load_adapters(load_market(db=own), own).values()
    assert (one.decimals, one.terms) == (27, None)
    assert one.ratio == pytest.approx(1.16)


def test_damaged_parameters_name_asset_block_and_command(own: Path):
    add_adapter(own, parameters="[1]", parameters_status="chain", ratio=None, implied_ratio=None, max_ratio=None)
    with pytest.raises(InputError, match=r"0x7f39.* at block 1: expected a JSON object, found '\[1\]'.*oracle-prices"):
        load_adapters(load_market(db=own), own)
