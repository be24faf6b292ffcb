"""Convert rows of a snapshot from files and quarantined batches older than layout 6 to the tables of today.

In those layouts every block had all accounts (`raw_aave_user_accounts`) and all positions (`stg_positions`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

ACCOUNTS, POSITIONS = "raw_aave_user_accounts", "stg_positions"
DATA = ("total_collateral_base", "total_debt_base", "health_factor_raw")
"""Columns of the pool's valuation of an account, where it was read."""


def as_today(frames: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The same rows in the tables of today, with a frame for the pool's valuations; frames of today do not change."""
    found = dict(frames)
    if ACCOUNTS in found:
        accounts = found.pop(ACCOUNTS)
        present = [name for name in DATA if name in accounts]
        found["raw_aave_account_states"] = accounts.drop(columns=present).rename(columns={"block": "valid_from"})
        data = accounts[["market", "block", "account", *present]].dropna() if len(present) == len(DATA) else None
        if data is not None:
            found["raw_aave_account_data"] = data.reset_index(drop=True)
    if POSITIONS in found:
        positions = found.pop(POSITIONS)
        derived = [name for name in ("supply_raw", "debt_raw", "is_collateral", "supply", "debt") if name in positions]
        found["raw_aave_balances"] = positions.drop(columns=derived).rename(columns={"block": "valid_from"})
    if "raw_aave_account_data" not in found and "raw_aave_account_states" in found:
        states = found["raw_aave_account_states"]
        found["raw_aave_account_data"] = (
            states[["market", "account"]].iloc[:0].assign(block=0, **dict.fromkeys(DATA, ""))
        )
    return found
