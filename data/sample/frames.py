"""The sample as rows of the warehouse's tables, the same that a live snapshot is made of."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from data.sample import configuration
from data.sample.book import Holdings
from data.schemas.tables import tables
from data.settings import SAMPLE_MARKET
from data.snapshot.building import ORACLE
from risk_core.units import BPS, RAY

_PLACE = {"market": SAMPLE_MARKET, "block": configuration.BLOCK}
_HELD = {"market": SAMPLE_MARKET, "valid_from": configuration.BLOCK}


def frames(held: Holdings) -> dict[str, pd.DataFrame]:
    """Rows of the four snapshot tables and of `fact_snapshot`, for `data.snapshot.save_snapshot`."""
    return {
        "raw_aave_reserves": pd.DataFrame(_reserves(held)),
        "raw_aave_emodes": pd.DataFrame([row | _PLACE for row in configuration.emode_rows()]),
        "raw_aave_account_states": _accounts(held),
        "raw_aave_balances": _balances(held),
        "fact_snapshot": pd.DataFrame([_head()]),
    }


def in_numbers(rows: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The rows with whole numbers that are text as numbers: the quick validation takes no others."""
    numbers = {name: [c.name for c in tables()[name].columns if c.type == "INTEGER"] for name in rows}
    return {
        name: frame.astype({column: "Int64" for column in numbers[name] if column in frame})
        for name, frame in rows.items()
    }


def synthetic_address(name: str) -> str:
    """An address that begins with the letters SAMPLE in ASCII."""
    return "0x53414d504c45" + hashlib.sha256(f"sample:{name}".encode()).hexdigest()[:28]


def _head() -> dict[str, object]:
    return _PLACE | {
        "chain_id": configuration.CHAIN_ID,
        "block_hash": "0x" + hashlib.sha256(b"sample:block").hexdigest(),
        "block_time": configuration.BLOCK_TIME,
        "pool_revision": configuration.REVISION,
        "provider": synthetic_address("provider"),
        "pool": synthetic_address("pool"),
        "oracle": synthetic_address("oracle"),
        "data_provider": synthetic_address("data provider"),
        "base_currency_unit": "100000000",
        "hf_checked": 0,
        "below_one_confirmed": 0,
        "is_synthetic": 1,
    }


def raw_amount(units: int, digits: int, decimals: int) -> int:
    """Token units of `units` x 10**-digits tokens."""
    return units * 10 ** (decimals - digits)


def _totals(held: Holdings, side: np.ndarray) -> list[int]:
    """Sum of one side by reserve in token units, exact."""
    decimals = configuration.reserves().decimals
    sums = [0] * len(decimals)
    for reserve in range(len(decimals)):
        amounts = side[held.reserve == reserve]
        # Split before summing: the sum of a million int64 amounts may not fit.
        high, low = np.divmod(amounts, 2**31)
        total = int(high.sum()) * 2**31 + int(low.sum())
        sums[reserve] = raw_amount(total, int(held.digits[reserve]), int(decimals[reserve]))
    return sums


def _reserves(held: Holdings) -> list[dict[str, object]]:
    supplied, owed = _totals(held, held.supply), _totals(held, held.debt)
    digest = hashlib.sha256(repr(configuration.reserve_rows()).encode()).hexdigest()
    rows = []
    for row, supply, debt in zip(configuration.reserve_rows(), supplied, owed, strict=True):
        liquidity = max(supply - debt, 0)  # GHO is minted, not supplied: nobody's supply stands behind its debt
        borrow_rate = _borrow_rate(row, debt, liquidity)
        used = debt * RAY // supply if supply else 0
        kept = BPS - int(row["reserve_factor_bps"])
        rows.append(
            row
            | {name: row.get(name) or None for name in ORACLE}
            | {"price_is_fixed": 1 if row["price_is_fixed"] else None}
            | _PLACE
            | {
                "atoken": synthetic_address("atoken " + row["asset"]),
                "vtoken": synthetic_address("vtoken " + row["asset"]),
                "grace_until": 0,
                "liquidity_index": str(RAY),
                "variable_borrow_index": str(RAY),
                "liquidity_rate": str(borrow_rate * min(used, RAY) // RAY * kept // BPS),
                "variable_borrow_rate": str(borrow_rate),
                "last_update_timestamp": configuration.BLOCK_TIME,
                "scaled_atoken_supply": str(supply),
                "scaled_debt_supply": str(debt),
                "virtual_balance": str(liquidity),
                "deficit": "0",
                "payload_sha256": digest,
            }
        )
    return rows


def _borrow_rate(row: dict[str, str], debt: int, liquidity: int) -> int:
    """Two-slope rate in ray: base + slope1 up to the kink, then slope2 (Aave's default rate strategy)."""
    base, slope1, slope2 = (int(row[name]) for name in ("base_rate", "slope1", "slope2"))
    kink = int(row["optimal_usage_ratio"])
    if debt == 0 or kink == 0:
        return base
    usage = debt * RAY // (liquidity + debt)
    if usage <= kink:
        return base + slope1 * usage // kink
    return base + slope1 + slope2 * (usage - kink) // (RAY - kink)


def _accounts(held: Holdings) -> pd.DataFrame:
    bitmap = [0] * len(held.addresses)
    sides = zip(
        held.account.tolist(), held.reserve.tolist(), (held.debt > 0).tolist(), held.enabled.tolist(), strict=True
    )
    for account, reserve, borrows, enabled in sides:
        bitmap[account] |= (int(borrows) | int(enabled) << 1) << (2 * reserve)
    return pd.DataFrame(
        {
            **_HELD,
            "account": held.addresses,
            "emode_id": held.emode,
            "config_bitmap": [str(bits) for bits in bitmap],
        }
    )


def _balances(held: Holdings) -> pd.DataFrame:
    rows = configuration.reserve_rows()
    addresses = np.array(held.addresses, dtype=object)
    assets = np.array([row["asset"] for row in rows], dtype=object)
    zeros = [10 ** (int(row["decimals"]) - int(digits)) for row, digits in zip(rows, held.digits, strict=True)]
    scale = [zeros[reserve] for reserve in held.reserve.tolist()]
    # Indices are exactly 1, so scaled and current balances agree.
    return pd.DataFrame(
        {
            **_HELD,
            "account": addresses[held.account],
            "asset": assets[held.reserve],
            "reserve_id": held.reserve,
            "scaled_supply": [str(units * factor) for units, factor in zip(held.supply.tolist(), scale, strict=True)],
            "scaled_debt": [str(units * factor) for units, factor in zip(held.debt.tolist(), scale, strict=True)],
        }
    )
