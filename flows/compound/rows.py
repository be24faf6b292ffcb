"""Rows of a snapshot in Aave's tables from Compound at one block, and rows with Compound's own exact figures."""

from __future__ import annotations

from typing import Any

import pandas as pd

from flows.clients.block_reader import Block
from flows.compound.state import (
    USD,
    WAD,
    CompoundAccount,
    CompoundReserve,
    CompoundState,
    health_v2,
    health_v3,
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
    accounts = ["account", "emode_id", "config_bitmap", "total_collateral_base", "total_debt_base", "health_factor_raw"]
    positions = ["account", "asset", "reserve_id", "scaled_supply", "supply_raw", "scaled_debt", "debt_raw",
                 "is_collateral"]  # fmt: skip
    return {
        "fact_snapshot": pd.DataFrame([at | _head(state, chain_id, block)]),
        "raw_aave_reserves": pd.DataFrame([at | _reserve(state, r, block) for r in state.reserves]),
        "raw_aave_emodes": pd.DataFrame([], columns=[*at, *emodes]),
        "raw_aave_user_accounts": pd.DataFrame(
            [at | _account(state, by_id, a) for a in state.accounts], columns=[*at, *accounts]
        ),
        "stg_positions": pd.DataFrame(
            [at | row for a in state.accounts for row in _positions(state, by_id, a)], columns=[*at, *positions]
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


def _account(state: CompoundState, by_id: dict[int, CompoundReserve], account: CompoundAccount) -> dict[str, Any]:
    if state.protocol == "compound_v2":
        health, unit = health_v2(by_id, account), 10**10
    else:
        health, unit = health_v3(by_id, account), 1
    flags = sum(1 << 2 * key for key in account.debt) + sum(1 << 2 * key + 1 for key in _backing(account))
    return {
        "account": account.address,
        "emode_id": 0,
        "config_bitmap": str(flags),
        "total_collateral_base": str(health.collateral // unit),
        "total_debt_base": str(-(-health.debt // unit)),
        "health_factor_raw": str(health.weighted * WAD // health.debt if health.debt else NO_DEBT),
    }


def _positions(state: CompoundState, by_id: dict[int, CompoundReserve], account: CompoundAccount) -> list[dict]:
    rows = []
    for key in sorted(account.supply.keys() | account.debt.keys()):
        r, held, owed = by_id[key], account.supply.get(key, 0), account.debt.get(key, 0)
        rows.append({
            "account": account.address, "asset": r.asset, "reserve_id": key, "scaled_supply": str(held),
            "supply_raw": str(held * r.exchange_rate // WAD), "scaled_debt": str(owed), "debt_raw": str(owed),
            "is_collateral": int(key in _backing(account)),
        })  # fmt: skip
    return rows


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
