"""Rows of the accounts that were carried forward, column by column; the same rows as `flows.aave.rows.to_frames` makes.

They are not validated again: balances, flags and e-modes come from rows that were, when they were first written, and
the rest is computed here. Sums, flags and valuations were checked before (`flows.aave.incremental.checks`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

from flows.aave.account_columns import AccountColumns
from flows.aave.contracts import Reserve
from flows.aave.rows import MarketState
from risk_core.units import RAY

Columns = Mapping[str, Sequence[Any]]


def carried_columns(state: MarketState) -> dict[str, Columns]:
    """Columns by table, none where everything was read. Market and block stand in every row, `batch` in none."""
    if state.kept is None:
        return {}
    positions = state.kept_positions
    if positions is None:
        positions = position_columns(state.market, state.block.number, state.reserves, state.kept)
    return {"raw_aave_user_accounts": _accounts(state, state.kept), "stg_positions": positions}


def _accounts(state: MarketState, kept: AccountColumns) -> Columns:
    n = len(kept)
    figures: dict[str, list[str | None]] = {
        name: [None] * n for name in ("total_collateral_base", "total_debt_base", "health_factor_raw")
    }
    for address, data in state.account_data.items():
        if address in kept:
            place = bisect_left(kept.address, address)
            for column, value in zip(figures.values(), (data.collateral, data.debt, data.health_factor), strict=True):
                column[place] = str(value)
    return {
        "market": [state.market] * n,
        "block": [state.block.number] * n,
        "account": kept.address,
        "emode_id": kept.emode,
        "config_bitmap": list(map(str, kept.flags)),
    } | figures


def position_columns(market: str, block: int, reserves: Sequence[Reserve], kept: AccountColumns) -> Columns:
    """Positions at a block whose reserves these are.

    Balances are those of `risk_core.interest`: supply rounded down, debt up; tokens the correctly rounded quotient.
    """
    asset = {r.id: r.asset for r in reserves}
    income = {r.id: r.normalized_income for r in reserves}
    owed = {r.id: r.normalized_debt for r in reserves}
    unit = {r.id: 10**r.decimals for r in reserves}
    ids, n = kept.reserve_id, len(kept.holder)
    supply = [s * income[i] // RAY if s else 0 for s, i in zip(kept.supply, ids, strict=True)]
    debt = [-(-s * owed[i] // RAY) if s else 0 for s, i in zip(kept.debt, ids, strict=True)]
    return {
        "market": [market] * n,
        "block": [block] * n,
        "account": kept.holder,
        "asset": list(map(asset.__getitem__, ids)),
        "reserve_id": ids,
        "scaled_supply": list(map(str, kept.supply)),
        "supply_raw": list(map(str, supply)),
        "scaled_debt": list(map(str, kept.debt)),
        "debt_raw": list(map(str, debt)),
        "is_collateral": kept.collateral_flags(),
        "supply": [raw / unit[i] for raw, i in zip(supply, ids, strict=True)],
        "debt": [raw / unit[i] if raw else 0.0 for raw, i in zip(debt, ids, strict=True)],
    }
