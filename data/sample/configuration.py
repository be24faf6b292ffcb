"""The real configuration that the sample rests on: 48 reserves and 16 e-modes of Aave v3 Ethereum of about mid-2025.

The figures are in `reserves.csv` and `emodes.csv` beside this file, decoded from a public pool snapshot under the MIT
licence. The state's exact block is not known, so none is stated: block number 1, a fixed date of mid-2025, indices of
exactly 1. The rules are declared as protocol revision 11 (v3.7).
"""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources

import numpy as np

from data.settings import SAMPLE_MARKET
from risk_core import EModes, Reserves, Snapshot, units
from risk_core.oracles import NO_RESERVE

CHAIN_ID = 1
BLOCK = 1
"""Not a real block: the sample's state has no known one."""
BLOCK_TIME = 1_751_328_000
"""2025-07-01T00:00:00Z, a date that stands for "about mid-2025"."""
REVISION = 11


@cache
def _rows(name: str) -> tuple[dict[str, str], ...]:
    text = (resources.files("data.sample") / name).read_text(encoding="utf-8")
    return tuple(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))


def reserve_rows() -> list[dict[str, str]]:
    """The reserves as text, one dict each, in the order of their ids; keys as in `raw_aave_reserves`."""
    return [dict(row) for row in _rows("reserves.csv")]


def emode_rows() -> list[dict[str, str]]:
    """The e-modes as text, one dict each; keys as in `raw_aave_emodes`."""
    return [dict(row) for row in _rows("emodes.csv")]


def _row_of(asset: str) -> int:
    """Row of a reserve by its asset; -1 for none."""
    return [row["asset"] for row in reserve_rows()].index(asset) if asset else NO_RESERVE


def _fractions(rows: list[dict[str, str]], name: str) -> list[float]:
    return [units.fraction(row[name]) for row in rows]


@cache
def reserves() -> Reserves:
    """The reserves as the engine takes them."""
    rows = reserve_rows()
    return Reserves(
        id=[int(row["reserve_id"]) for row in rows],
        symbol=tuple(row["symbol"] for row in rows),
        asset=tuple(row["asset"] for row in rows),
        decimals=[int(row["decimals"]) for row in rows],
        ltv=_fractions(rows, "ltv_bps"),
        liquidation_threshold=_fractions(rows, "liquidation_threshold_bps"),
        liquidation_bonus=[units.bonus(row["liquidation_bonus_bps"]) for row in rows],
        protocol_fee=_fractions(rows, "liquidation_protocol_fee_bps"),
        active=[row["is_active"] == "1" for row in rows],
        paused=[row["is_paused"] == "1" for row in rows],
        grace_until=[0] * len(rows),
        price_cap=[units.price_usd(row["price_cap_raw"]) if row["price_cap_raw"] else np.inf for row in rows],
        ratio_of=[_row_of(row["ratio_of"]) for row in rows],
        linked_to=[_row_of(row["linked_to"]) for row in rows],
        fixed_price=[row["price_is_fixed"] == "1" for row in rows],
    )


def emodes() -> EModes:
    """The e-modes as the engine takes them; the sample's reserve index is its reserve id."""
    rows, n = emode_rows(), len(reserve_rows())
    return EModes(
        id=[int(row["emode_id"]) for row in rows],
        label=tuple(row["label"] for row in rows),
        ltv=_fractions(rows, "ltv_bps"),
        liquidation_threshold=_fractions(rows, "liquidation_threshold_bps"),
        liquidation_bonus=[units.bonus(row["liquidation_bonus_bps"]) for row in rows],
        collateral=[_bits(row["collateral_bitmap"], n) for row in rows],
        borrowable=[_bits(row["borrowable_bitmap"], n) for row in rows],
        ltvzero=[_bits(row["ltvzero_bitmap"], n) for row in rows],
        isolated=[row["isolated"] == "1" for row in rows],
    )


def prices() -> np.ndarray:
    """Oracle prices, shape (48,), float64, USD per token."""
    return np.array([units.price_usd(row["price_raw"]) for row in reserve_rows()])


def snapshot(snapshot_hash: str = "") -> Snapshot:
    """The snapshot of every sample, marked as synthetic."""
    return Snapshot(
        market=SAMPLE_MARKET,
        chain_id=CHAIN_ID,
        block=BLOCK,
        block_time=BLOCK_TIME,
        revision=REVISION,
        hash=snapshot_hash,
        synthetic=True,
    )


def _bits(bitmap: str, n: int) -> list[bool]:
    return [bool(int(bitmap) >> bit & 1) for bit in range(n)]
