"""What the reserves of a stored snapshot still let out and in: free liquidity and caps, beside the market."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.snapshot.choosing import OF_THE_ENGINE
from data.store.reader import Reader
from risk_core import Market
from risk_core.interest import debt_balance, normalized_debt, normalized_income, supply_balance


@dataclass(frozen=True, slots=True, eq=False)
class Headroom:
    """Of each reserve of a market, in its order: (R,) tokens; inf where there is no cap, NaN where it is not stored."""

    borrowable: np.ndarray
    """what can be borrowed: the free liquidity, at most what the borrow cap leaves; 0 where borrowing is not allowed"""
    suppliable: np.ndarray
    """what the supply cap still lets in; 0 for a frozen or paused reserve"""


_SQL = """
SELECT r.asset, r.decimals, r.virtual_balance, r.borrow_cap, r.supply_cap, r.scaled_debt_supply, r.scaled_atoken_supply,
       r.variable_borrow_index, r.liquidity_index, r.borrowing_enabled, r.is_active, r.is_frozen, r.is_paused,
       r.variable_borrow_rate, r.liquidity_rate, r.last_update_timestamp
FROM raw_aave_reserves AS r JOIN fact_snapshot AS s ON s.market = r.market AND s.block = r.block
WHERE r.market = ? AND r.block = ? AND coalesce(s.protocol, ?) = ?
"""


def load_headroom(market: Market, db: Path | str | None = None) -> Headroom:
    """The room of a market's reserves at its block. `db`: file, None is `RISK_DB`.

    Supply and debt are the scaled totals times the index, grown to the block; the treasury's accrued share is left out
    of the supply. A reserve that is not stored at the block has NaN.
    """
    at = market.snapshot
    with Reader.open(db) as store:
        rows = {row[0]: row[1:] for row in store.rows(_SQL, (at.market, at.block, OF_THE_ENGINE, OF_THE_ENGINE))}
    out = np.full((2, market.n_reserves), np.nan)
    for r, asset in enumerate(market.reserves.asset):
        if asset in rows:
            out[:, r] = _room(rows[asset], at.block_time)
    return Headroom(out[0], out[1])


def _room(row: tuple, now: int) -> tuple[float, float]:
    """(tokens that can be borrowed, tokens that can be supplied) of one row of `_SQL`."""
    decimals, free, borrow_cap, supply_cap, debt, supply, debt_index, index, lends, active, frozen, paused = row[:12]
    rate, supply_rate, since = (int(value) for value in row[12:])
    unit = 10 ** int(decimals)
    owed = debt_balance(int(debt), normalized_debt(int(debt_index), rate, since, now)) / unit
    held = supply_balance(int(supply), normalized_income(int(index), supply_rate, since, now)) / unit
    usable = bool(active) and not frozen and not paused
    left = int(borrow_cap) - owed if int(borrow_cap) else np.inf
    room = max(int(supply_cap) - held, 0.0) if int(supply_cap) else np.inf
    return (max(min(int(free) / unit, left), 0.0) if usable and lends else 0.0, room if usable else 0.0)
