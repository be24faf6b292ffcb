"""From what the contracts answered to the rows of the warehouse. Pure; every raw integer stays exact, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from flows.aave import v2 as aave_v2
from flows.aave.account_columns import AccountColumns
from flows.aave.accounts import Account, AccountData
from flows.aave.address_book import V2
from flows.aave.checks import Checked
from flows.aave.contracts import Contracts, EMode, Reserve
from flows.clients.block_reader import Block
from risk_core.interest import debt_balance, supply_balance
from risk_core.units import tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketState:
    """One market at one block, checked: everything that `to_frames` writes down.

    `base_block`: block of the snapshot that the accounts `kept` were carried from; None where all were read.
    `debtors_only`: accounts without debt are not among them, and what they supply is in the reserves' totals alone.
    `accounts` are those that were read; `kept_positions`: rows of the others, where they are made already.
    """

    market: str
    block: Block
    contracts: Contracts
    reserves: Sequence[Reserve]
    emodes: Sequence[EMode]
    accounts: Sequence[Account]
    account_data: Mapping[str, AccountData]
    checked: Checked
    base_block: int | None = None
    kept: AccountColumns | None = None
    kept_positions: Mapping[str, Sequence] | None = None
    debtors_only: bool = False

    @property
    def read_mode(self) -> str:
        """How the accounts came, in the words of `fact_snapshot`."""
        if self.debtors_only:
            return "borrowers"
        return "full" if self.base_block is None else "incremental"

    @property
    def n_accounts(self) -> int:
        """Accounts of the snapshot, both read and carried."""
        return len(self.accounts) + (len(self.kept) if self.kept else 0)


def to_frames(state: MarketState) -> dict[str, pd.DataFrame]:
    """Rows by table; the row counts and the digest of `fact_snapshot` are the warehouse's to fill in.

    What was carried is left to `flows.aave.incremental.rows`.
    """
    at = {"market": state.market, "block": state.block.number}
    reserves = [at | _reserve(reserve) for reserve in state.reserves]
    emodes = [at | _emode(emode) for emode in state.emodes]
    accounts = [at | _account(account, state.account_data.get(account.address)) for account in state.accounts]
    return {
        "raw_aave_reserves": pd.DataFrame(reserves),
        # Columns are named, since a market may have no e-mode and no account.
        "raw_aave_emodes": pd.DataFrame(emodes, columns=[*at, *EMODE_COLUMNS]),
        "raw_aave_user_accounts": pd.DataFrame(accounts, columns=[*at, *ACCOUNT_COLUMNS]),
        "stg_positions": _positions(state, at),
        "fact_snapshot": pd.DataFrame([at | _snapshot(state)]),
    }


def _snapshot(state: MarketState) -> dict[str, object]:
    contracts = state.contracts
    return {
        "chain_id": contracts.chain_id, "block_hash": state.block.hash, "block_time": state.block.time,
        "pool_revision": contracts.revision, "provider": contracts.provider, "pool": contracts.pool,
        "oracle": contracts.oracle, "data_provider": contracts.data_provider,
        "base_currency_unit": str(contracts.base_currency_unit), "hf_checked": state.checked.hf_checked,
        "below_one_confirmed": state.checked.below_one_confirmed, "is_synthetic": 0,
        "protocol": contracts.protocol, "read_mode": state.read_mode, "base_block": state.base_block,
    }  # fmt: skip


EMODE_COLUMNS = (
    "emode_id", "label", "ltv_bps", "liquidation_threshold_bps", "liquidation_bonus_bps", "collateral_bitmap",
    "borrowable_bitmap", "ltvzero_bitmap", "isolated",
)  # fmt: skip
ACCOUNT_COLUMNS = (
    "account",
    "emode_id",
    "config_bitmap",
    "total_collateral_base",
    "total_debt_base",
    "health_factor_raw",
)
POSITION_COLUMNS = (
    "account", "asset", "reserve_id", "scaled_supply", "supply_raw", "scaled_debt", "debt_raw", "is_collateral",
    "supply", "debt",
)  # fmt: skip


def _reserve(r: Reserve) -> dict[str, object]:
    optimal, base, slope1, slope2 = r.rate_curve or (None,) * 4
    return {
        "asset": r.asset, "reserve_id": r.id, "symbol": r.symbol, "decimals": r.decimals, "atoken": r.atoken,
        "vtoken": r.vtoken, "ltv_bps": r.ltv, "liquidation_threshold_bps": r.liquidation_threshold,
        "liquidation_bonus_bps": r.liquidation_bonus, "reserve_factor_bps": r.reserve_factor,
        "liquidation_protocol_fee_bps": r.liquidation_protocol_fee, "is_active": int(r.is_active),
        "is_frozen": int(r.is_frozen), "is_paused": int(r.is_paused),
        "borrowing_enabled": int(r.borrowing_enabled), "grace_until": r.grace_until,
        "supply_cap": str(r.supply_cap), "borrow_cap": str(r.borrow_cap),
        "liquidity_index": str(r.liquidity_index), "variable_borrow_index": str(r.variable_borrow_index),
        "liquidity_rate": str(r.liquidity_rate), "variable_borrow_rate": str(r.variable_borrow_rate),
        "last_update_timestamp": r.last_update,
        "optimal_usage_ratio": _text(optimal), "base_rate": _text(base), "slope1": _text(slope1),
        "slope2": _text(slope2),
        "scaled_atoken_supply": str(r.scaled_atoken_supply), "scaled_debt_supply": str(r.scaled_debt_supply),
        "virtual_balance": str(r.virtual_balance), "deficit": str(r.deficit), "price_raw": _text(r.price or None),
        "price_source": r.price_source, "price_description": r.price_description,
        "price_cap_raw": _text(r.oracle.price_cap), "ratio_cap": _text(r.oracle.ratio_cap),
        "ratio_of": r.oracle.ratio_of, "linked_to": r.oracle.linked_to, "price_is_fixed": int(r.oracle.fixed),
        "payload_sha256": r.payload_sha256,
    }  # fmt: skip


def _emode(e: EMode) -> dict[str, object]:
    values = (e.id, e.label, e.ltv, e.liquidation_threshold, e.liquidation_bonus, str(e.collateral),
              str(e.borrowable), str(e.ltvzero), int(e.isolated))  # fmt: skip
    return dict(zip(EMODE_COLUMNS, values, strict=True))


def _account(account: Account, data: AccountData | None) -> dict[str, object]:
    figures = (data.collateral, data.debt, data.health_factor) if data else (None,) * 3
    values = (account.address, account.emode, str(account.flags), *map(_text, figures))
    return dict(zip(ACCOUNT_COLUMNS, values, strict=True))


def _positions(state: MarketState, at: Mapping[str, object]) -> pd.DataFrame:
    # A reserve unpacks its configuration word at each look: once for each of them, not for each position.
    terms = {r.id: (r.asset, r.normalized_income, r.normalized_debt, r.decimals) for r in state.reserves}
    v2 = state.contracts.protocol == V2
    balance, owed = (aave_v2.balance, aave_v2.balance) if v2 else (supply_balance, debt_balance)
    rows = []
    for account in state.accounts:
        for reserve_id in sorted(account.supply.keys() | account.debt.keys() | account.stable_debt.keys()):
            asset, income, debt_index, decimals = terms[reserve_id]
            scaled_supply, scaled_debt = account.supply.get(reserve_id, 0), account.debt.get(reserve_id, 0)
            supply = balance(scaled_supply, income)
            debt = owed(scaled_debt, debt_index) + account.stable_debt.get(reserve_id, 0)
            rows.append((
                account.address, asset, reserve_id, str(scaled_supply), str(supply), str(scaled_debt), str(debt),
                int(account.is_collateral(reserve_id)), tokens(supply, decimals), tokens(debt, decimals),
            ))  # fmt: skip
    frame = pd.DataFrame(rows, columns=POSITION_COLUMNS)
    for position, (column, value) in enumerate(at.items()):
        frame.insert(position, column, value)
    return frame


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)
