"""Convert rows of a snapshot from quarantined batches older than layout 6 to the tables of today.

In those layouts every block had all accounts (`raw_aave_user_accounts`) and all positions (`stg_positions`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from data import amounts
from data.errors import SnapshotRefused
from data.snapshot.building import INDICES

if TYPE_CHECKING:
    import pandas as pd

ACCOUNTS, POSITIONS = "raw_aave_user_accounts", "stg_positions"
DATA = ("total_collateral_base", "total_debt_base", "health_factor_raw")
"""Columns of the pool's valuation of an account, where it was read."""
AMOUNTS = ("supply_raw", "debt_raw", "is_collateral", "supply", "debt")
"""Columns of a position that follow from its balance, the indices and the account's flags."""


def as_today(frames: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The same rows in the tables of today, with a frame for the pool's valuations; frames of today do not change.

    Raises `SnapshotRefused` where an amount of a former position does not follow from its balance.
    """
    found = dict(frames)
    if POSITIONS in found:
        found["raw_aave_balances"] = _balances(found)
        del found[POSITIONS]
    if ACCOUNTS in found:
        accounts = found.pop(ACCOUNTS)
        present = [name for name in DATA if name in accounts]
        found["raw_aave_account_states"] = accounts.drop(columns=present).rename(columns={"block": "valid_from"})
        if len(present) == len(DATA):
            answers = accounts[["market", "block", "account", *present]].dropna()
            found["raw_aave_account_data"] = answers.reset_index(drop=True)
    if "raw_aave_account_data" not in found and "raw_aave_account_states" in found:
        states = found["raw_aave_account_states"]
        found["raw_aave_account_data"] = (
            states[["market", "account"]].iloc[:0].assign(block=0, **dict.fromkeys(DATA, ""))
        )
    return found


def _balances(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Former positions as balances; debt at a stable rate (Aave v2) is what an amount has beyond the scaled part."""
    positions, reserves, head = frames[POSITIONS], frames["raw_aave_reserves"], frames["fact_snapshot"].iloc[0]
    reserve = {name: reserves[name].tolist() for name in INDICES[:-1]}
    reserve |= {name: [int(v) for v in reserves[name]] for name in ("reserve_id", "decimals", INDICES[-1])}
    terms = amounts.terms(reserve, int(head["block_time"]), head.get("protocol"))
    stable = []
    names = ("account", "asset", "reserve_id", "supply_raw", "debt_raw", "scaled_supply", "scaled_debt")
    for account, asset, number, *values in positions[list(names)].itertuples(index=False, name=None):
        try:
            more = terms[int(number)].stable_debt(*map(int, values))
        except (KeyError, TypeError, ValueError) as error:
            raise SnapshotRefused(
                f"{head['market']} at block {head['block']}: the former position of account {account} in token {asset} "
                f"does not follow from its balance ({error}); read the block again instead"
            ) from error
        stable.append(None if more is None else str(more))
    derived = [name for name in AMOUNTS if name in positions]
    return positions.drop(columns=derived).rename(columns={"block": "valid_from"}).assign(stable_debt=stable)
