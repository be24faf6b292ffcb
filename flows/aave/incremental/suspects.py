"""Which carried accounts may be below health factor 1: floats with a margin select them, exact integers decide."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flows.aave.account_columns import AccountColumns
from flows.aave.contracts import EMode, Reserve
from risk_core.units import BPS, RAY

DOUBTFUL = 1.01
"""Accounts whose float health factor is below this are computed exactly. The error of the floats is far smaller, except
for debts of a few base units (`DUST`), where the contract's rounding of up to 256 values matters."""
DUST = 100_000


def doubtful(reserves: Sequence[Reserve], emodes: Sequence[EMode], kept: AccountColumns) -> list[str]:
    """Kept accounts that may be below health factor 1, by floats with a margin, so that no such account is left out."""
    if not kept.holder:
        return []
    n_ids = max(r.id for r in reserves) + 1
    worth, owed = np.zeros(n_ids), np.zeros(n_ids)  # base units of one scaled unit
    threshold = np.zeros((256, n_ids))
    for r in reserves:
        base = r.price / 10**r.decimals / RAY
        worth[r.id], owed[r.id] = r.normalized_income * base, r.normalized_debt * base
        threshold[:, r.id] = r.liquidation_threshold / BPS
        for e in emodes:
            if e.collateral >> r.id & 1:
                threshold[e.id, r.id] = e.liquidation_threshold / BPS
    row = {address: number for number, address in enumerate(kept.address)}
    who = np.fromiter(map(row.__getitem__, kept.holder), dtype=np.int64, count=len(kept.holder))
    what = np.array(kept.reserve_id, dtype=np.int64)
    enabled = np.array(kept.collateral_flags())
    mode = np.array(kept.emode, dtype=np.int64)[who]
    backing = np.array(kept.supply, dtype=np.float64) * worth[what] * threshold[mode, what] * enabled
    debt = np.bincount(who, np.array(kept.debt, dtype=np.float64) * owed[what], len(kept))
    backing = np.bincount(who, backing, len(kept))
    suspects = (debt > 0) & ((backing < DOUBTFUL * debt) | (debt < DUST))
    return [kept.address[i] for i in np.flatnonzero(suspects)]
