"""Rows of the warehouse from the contracts' answers. Pure; every raw integer stays exact, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from data.snapshot.untouched import Untouched
from flows.aave.accounts import Account, AccountData
from flows.aave.checks import Checked
from flows.aave.contracts import Contracts, EMode, Reserve
from flows.clients.block_reader import Block


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketState:
    """One checked market at one block: the input of `to_frames`.

    `accounts`: those that were read. `untouched`: the others, from an earlier snapshot; None where all were read.
    `debtors_only`: accounts without debt were not read; their supplies are only in the reserves' totals.
    `replayed`: nothing was read at the block, all accounts and reserves come from the market's logs.
    """

    market: str
    block: Block
    contracts: Contracts
    reserves: Sequence[Reserve]
    emodes: Sequence[EMode]
    accounts: Sequence[Account]
    account_data: Mapping[str, AccountData]
    checked: Checked
    untouched: Untouched | None = None
    debtors_only: bool = False
    replayed: bool = False

    @property
    def read_mode(self) -> str:
        """How the accounts were read: a value of `fact_snapshot.read_mode`."""
        if self.replayed:
            return "replayed"
        if self.debtors_only:
            return "borrowers"
        return "full" if self.untouched is None else "incremental"

    @property
    def base_block(self) -> int | None:
        """The block whose snapshot is carried forward, None where everything was read."""
        return None if self.untouched is None else self.untouched.base_block

    @property
    def n_accounts(self) -> int:
        """Accounts of the snapshot, both read and carried."""
        return len(self.accounts) + (len(self.untouched.account["account"]) if self.untouched else 0)


def to_frames(state: MarketState) -> dict[str, pd.DataFrame]:
    """Rows by table. `Store` fills in the row counts and the digest of `fact_snapshot`.

    Accounts that are carried forward have no rows.
    """
    at = {"market": state.market, "block": state.block.number}
    reserves = [at | _reserve(reserve) for reserve in state.reserves]
    emodes = [at | _emode(emode) for emode in state.emodes]
    held = {"market": state.market, "valid_from": state.block.number}
    accounts = [held | _account(account) for account in state.accounts]
    asked = [at | _data(address, data) for address, data in state.account_data.items()]
    return {
        "raw_aave_reserves": pd.DataFrame(reserves),
        # Columns are named, since a market may have no e-mode and no account.
        "raw_aave_emodes": pd.DataFrame(emodes, columns=[*at, *EMODE_COLUMNS]),
        "raw_aave_account_states": pd.DataFrame(accounts, columns=[*held, *ACCOUNT_COLUMNS]),
        "raw_aave_account_data": pd.DataFrame(asked, columns=[*at, *DATA_COLUMNS]),
        "raw_aave_balances": _balances(state, held),
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
ACCOUNT_COLUMNS = ("account", "emode_id", "config_bitmap")
DATA_COLUMNS = ("account", "total_collateral_base", "total_debt_base", "health_factor_raw")
BALANCE_COLUMNS = ("account", "asset", "reserve_id", "scaled_supply", "scaled_debt", "stable_debt")


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


def _account(account: Account) -> dict[str, object]:
    return {"account": account.address, "emode_id": account.emode, "config_bitmap": str(account.flags)}


def _data(address: str, data: AccountData) -> dict[str, object]:
    values = (address, str(data.collateral), str(data.debt), str(data.health_factor))
    return dict(zip(DATA_COLUMNS, values, strict=True))


def _balances(state: MarketState, held: Mapping[str, object]) -> pd.DataFrame:
    asset = {r.id: r.asset for r in state.reserves}  # unpack each configuration once
    rows = [
        (
            account.address,
            asset[reserve_id],
            reserve_id,
            str(account.supply.get(reserve_id, 0)),
            str(account.debt.get(reserve_id, 0)),
            _text(account.stable_debt.get(reserve_id) or None),
        )
        for account in state.accounts
        for reserve_id in sorted(account.supply.keys() | account.debt.keys() | account.stable_debt.keys())
    ]
    frame = pd.DataFrame(rows, columns=BALANCE_COLUMNS)
    for position, (column, value) in enumerate(held.items()):
        frame.insert(position, column, value)
    return frame


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)
