"""Rows of a snapshot in Aave's tables from Compound at one block, and rows with Compound's own exact figures."""

from __future__ import annotations

from typing import Any

import pandas as pd

from flows.clients.block_reader import Block
from flows.compound.comet import health_v3
from flows.compound.comptroller import health_v2
from flows.compound.state import (
    USD,
    WAD,
    CompoundAccount,
    CompoundReserve,
    CompoundState,
)

RAY = 10**27
NO_DEBT = 2**256 - 1
"""Health factor of an account without debt, as Aave's pool reports it."""
YEAR_OF_BLOCKS = 31_536_000 // 12
NOBODY = "0x" + "00" * 20


def bps(wad: int) -> int:
    """A factor in wad as basis points, to the nearest: 0.825e18 is 8250. Exact figures: raw_compound_markets."""
    return (wad * 10_000 + WAD // 2) // WAD


def bonus_bps(protocol: str, penalty: int) -> int:
    """100 % plus what a liquidated account loses, in basis points: v2 the incentive, a Comet 1 / liquidationFactor."""
    if protocol == "compound_v2":
        return bps(penalty)
    return (10_000 * WAD + penalty // 2) // penalty if penalty and penalty != WAD else 0


def price_e8(protocol: str, reserve: CompoundReserve) -> int:
    """The protocol's price with 8 decimals: v2's has 36 less the token's."""
    return reserve.price if protocol == "compound_v3" else reserve.price * 10**reserve.decimals // 10**28


def to_frames(market: str, chain_id: int, block: Block, state: CompoundState) -> dict[str, pd.DataFrame]:
    """Rows by table; the warehouse fills in the row counts and the digest of `fact_snapshot`.

    A supply's index is the cToken's exchange rate, a debt's is 1 (v2 reports debts with their interest). Interest rates
    are not read and are stored as 0; neither protocol has a protocol fee, a grace period, e-modes or a booked deficit.
    """
    at = {"market": market, "block": block.number}
    by_id = {r.id: r for r in state.reserves}
    emodes = ["emode_id", "label", "ltv_bps", "liquidation_threshold_bps", "liquidation_bonus_bps",
              "collateral_bitmap", "borrowable_bitmap", "ltvzero_bitmap", "isolated"]  # fmt: skip
    held = {"market": market, "valid_from": block.number}
    accounts = ["account", "emode_id", "config_bitmap"]
    answers = ["account", "total_collateral_base", "total_debt_base", "health_factor_raw"]
    balances = ["account", "asset", "reserve_id", "scaled_supply", "scaled_debt"]
    return {
        "fact_snapshot": pd.DataFrame([at | _head(state, chain_id, block)]),
        "raw_aave_reserves": pd.DataFrame([at | _reserve(state, r, block) for r in state.reserves]),
        "raw_aave_emodes": pd.DataFrame([], columns=[*at, *emodes]),
        "raw_aave_account_states": pd.DataFrame(
            [held | _account(a) for a in state.accounts], columns=[*held, *accounts]
        ),
        "raw_aave_account_data": pd.DataFrame(
            [at | _figures(state, by_id, a) for a in state.accounts], columns=[*at, *answers]
        ),
        "raw_aave_balances": pd.DataFrame(
            [held | row for a in state.accounts for row in _balances(by_id, a)], columns=[*held, *balances]
        ),
        "raw_compound_markets": pd.DataFrame([at | _exact(state, r) for r in state.reserves]),
    }


def _head(state: CompoundState, chain_id: int, block: Block) -> dict[str, Any]:
    return {
        "chain_id": chain_id, "block_hash": block.hash, "block_time": block.time, "pool_revision": 0,
        "provider": state.entry, "pool": state.entry, "oracle": state.oracle, "data_provider": NOBODY,
        # A Comet that lends ether or bitcoin counts in that: then nothing may be read as dollars.
        "base_currency_unit": str(USD) if state.usd else "0", "hf_checked": state.checked,
        "below_one_confirmed": state.below_one, "is_synthetic": 0, "protocol": state.protocol, "read_mode": "full",
    }  # fmt: skip


def _reserve(state: CompoundState, r: CompoundReserve, block: Block) -> dict[str, Any]:
    return {
        "asset": r.asset, "reserve_id": r.id, "symbol": r.symbol, "decimals": r.decimals, "atoken": r.contract,
        "vtoken": r.contract, "ltv_bps": bps(r.collateral_factor), "liquidation_threshold_bps": bps(r.threshold),
        "liquidation_bonus_bps": bonus_bps(state.protocol, r.penalty), "reserve_factor_bps": bps(r.reserve_factor),
        "liquidation_protocol_fee_bps": 0, "is_active": 1, "is_frozen": 0, "is_paused": 0,
        "borrowing_enabled": int(r.can_borrow), "grace_until": 0, "supply_cap": str(r.supply_cap // 10**r.decimals),
        "borrow_cap": "0", "liquidity_index": str(r.exchange_rate * 10**9), "variable_borrow_index": str(RAY),
        "liquidity_rate": "0", "variable_borrow_rate": "0", "last_update_timestamp": block.time,
        "scaled_atoken_supply": str(r.supply), "scaled_debt_supply": str(r.borrows), "virtual_balance": str(r.cash),
        "deficit": "0", "price_raw": str(price_e8(state.protocol, r)), "price_source": r.price_feed,
        "price_description": r.price_description, "payload_sha256": r.payload_sha256,
    }  # fmt: skip


def _account(account: CompoundAccount) -> dict[str, Any]:
    flags = sum(1 << 2 * key for key in account.debt) + sum(1 << 2 * key + 1 for key in _backing(account))
    return {"account": account.address, "emode_id": 0, "config_bitmap": str(flags)}


def _figures(state: CompoundState, by_id: dict[int, CompoundReserve], account: CompoundAccount) -> dict[str, Any]:
    if state.protocol == "compound_v2":
        health, unit = health_v2(by_id, account), 10**10
    else:
        health, unit = health_v3(by_id, account), 1
    return {
        "account": account.address,
        "total_collateral_base": str(health.collateral // unit),
        "total_debt_base": str(-(-health.debt // unit)),
        "health_factor_raw": str(health.weighted * WAD // health.debt if health.debt else NO_DEBT),
    }


def _balances(by_id: dict[int, CompoundReserve], account: CompoundAccount) -> list[dict]:
    return [
        {
            "account": account.address,
            "asset": by_id[key].asset,
            "reserve_id": key,
            "scaled_supply": str(account.supply.get(key, 0)),
            "scaled_debt": str(account.debt.get(key, 0)),
        }
        for key in sorted(account.supply.keys() | account.debt.keys())
    ]


def _backing(account: CompoundAccount) -> set[int]:
    """Reserves whose supply backs the account's debt."""
    return account.entered & account.supply.keys()


def _exact(state: CompoundState, r: CompoundReserve) -> dict[str, Any]:
    v2 = state.protocol == "compound_v2"
    return {
        "asset": r.asset, "reserve_id": r.id, "protocol": state.protocol, "contract": r.contract,
        "underlying": r.underlying, "is_base": int(not v2 and r.id == 0),
        "collateral_factor": str(r.collateral_factor), "liquidation_factor": str(r.threshold),
        "penalty_factor": str(r.penalty), "close_factor": str(state.close_factor) if v2 else None,
        "price": str(r.price), "price_feed": r.price_feed, "price_description": r.price_description,
        "exchange_rate": str(r.exchange_rate) if v2 else None, "accrual_block": r.accrual_block,
        "payload_sha256": r.payload_sha256,
    }  # fmt: skip
