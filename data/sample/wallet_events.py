"""Synthetic deposits, borrows, repayments and withdrawals: how some of the sample's accounts came to what they hold.

Each chosen account put in more than it has and took the difference out again, and borrowed more than it owes and repaid
the difference, so its events add up to its holdings. Nothing real is among them. Their logs stand in blocks of the same
synthetic slots as the liquidations, at log indices that those never reach.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from data.sample import configuration, liquidations
from data.sample.book import Holdings
from data.sample.frames import raw_amount
from data.settings import SAMPLE_MARKET

WALLETS = 300
"""Accounts with events."""
DAYS = liquidations.DAYS
FIRST_LOG = 10_000
EXTRA = (0.05, 0.6)
"""What was put in, or borrowed, beyond what is held now: a share of it, between these."""
TABLES = {
    "deposit": ("raw_lending_deposit_events", "Supply"),
    "borrow": ("raw_lending_borrow_events", "Borrow"),
    "repay": ("raw_lending_repay_events", "Repay"),
    "withdraw": ("raw_lending_withdraw_events", "Withdraw"),
}
"""Kind to its table and the contract's name of it."""


def frames(held: Holdings, seed: int = 7, untouched: Collection[int] = ()) -> dict[str, pd.DataFrame]:
    """Rows of the four tables of `TABLES`; the newest is before the sample's block time.

    Every account with debt, up to `WALLETS` of them and but for `untouched` (rows of accounts): a deposit and later a
    withdrawal of each collateral, and between them a loan and a repayment of each debt.
    """
    rng = np.random.Generator(np.random.PCG64([seed, 5]))
    reserves = configuration.reserve_rows()
    price = configuration.prices()
    indebted = np.setdiff1d(held.account[held.debt > 0], np.array(list(untouched), dtype=np.int64))
    chosen = np.sort(rng.choice(indebted, size=min(WALLETS, len(indebted)), replace=False))
    legs = np.flatnonzero(np.isin(held.account, chosen))
    spare = rng.uniform(*EXTRA, size=len(legs))
    # Puts in, then borrows, then repays, then takes out: four days each at random within the sample's days.
    moment = np.sort(rng.integers(1, DAYS * 86_400 // liquidations.SLOT, size=(len(legs), 4)), axis=1)
    rows: dict[str, list[dict[str, object]]] = {kind: [] for kind in TABLES}
    for n, leg in enumerate(legs.tolist()):
        reserve = int(held.reserve[leg])
        for side, first, second, at in (
            (held.supply, "deposit", "withdraw", (0, 3)),
            (held.debt, "borrow", "repay", (1, 2)),
        ):
            units, extra = int(side[leg]), int(int(side[leg]) * float(spare[n]))
            for kind, amount, slot in ((first, units + extra, moment[n, at[0]]), (second, extra, moment[n, at[1]])):
                if amount > 0:
                    raw = raw_amount(amount, int(held.digits[reserve]), int(reserves[reserve]["decimals"]))
                    usd = amount / 10.0 ** int(held.digits[reserve]) * float(price[reserve])
                    rows[kind].append(
                        _row(kind, held.addresses[held.account[leg]], reserves[reserve], raw, usd, int(slot))
                    )
    place = FIRST_LOG
    for kind in TABLES:
        for row in rows[kind]:
            row["log_index"] = place
            row["tx_hash"] = liquidations.digest("tx", "wallet", place)
            place += 1
    return {TABLES[kind][0]: pd.DataFrame(found) for kind, found in rows.items() if found}


def _row(kind: str, owner: str, reserve: dict[str, str], raw: int, usd: float, slot: int) -> dict[str, object]:
    start = configuration.BLOCK_TIME - DAYS * 86_400
    return {
        "source": "sample", "chain_id": configuration.CHAIN_ID, "block_number": slot + 1, "log_index": 0,
        "market": SAMPLE_MARKET, "protocol": liquidations.PROTOCOL, "event": TABLES[kind][1], "contract": None,
        "initiator": owner, "block_hash": liquidations.digest("block", slot),
        "block_timestamp": start + slot * liquidations.SLOT, "tx_hash": "", "owner": owner, "counterparty": None,
        "asset": reserve["asset"], "amount_raw": str(raw), "debt_asset": None, "debt_amount_raw": None, "part": 0,
        "usd_e8": str(int(usd * 1e8)),
    }  # fmt: skip
