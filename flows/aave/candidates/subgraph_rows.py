"""Rows of the warehouse from a subgraph's answers: as received, and typed with balances at the block's time.

A subgraph has scaled balances and stored indices. Balances are computed from them as in `risk_core.interest` on v3; v2
grows debt by the older binomial expansion and rounds half up (protocol-v2, `MathUtils.sol`, `WadRayMath.sol`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from flows.aave.candidates.subgraph import GraphEMode, GraphPosition, GraphReserve, KnownSubgraph
from risk_core.interest import debt_balance, normalized_debt, normalized_income, supply_balance
from risk_core.units import RAY, SECONDS_PER_YEAR

if TYPE_CHECKING:
    from flows.clients.block_reader import Block

SOURCE = "aave_subgraph"
USD_DECIMALS = 8
RAW_COLUMNS = ("subgraph", "block", "entity", "entity_id", "body", "source", "payload_sha256")
POSITION_COLUMNS = ("subgraph", "block", "entity_id", "account", "body", "source", "payload_sha256")
STAGED_COLUMNS = (
    "market", "block", "account", "asset", "subgraph", "scaled_supply", "supply_raw", "scaled_debt", "debt_raw",
    "stable_debt_raw", "is_collateral", "emode_id", "last_update_timestamp",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Indices:
    """A reserve's indices at the block's time (ray), by the rules of its protocol version."""

    version: int
    income: int
    debt: int

    def supply(self, scaled: int) -> int:
        """Token units behind a scaled aToken balance."""
        return supply_balance(scaled, self.income) if self.version == 3 else _ray_mul(scaled, self.income)

    def owed(self, scaled: int) -> int:
        """Token units owed for a scaled debt balance."""
        return debt_balance(scaled, self.debt) if self.version == 3 else _ray_mul(scaled, self.debt)


def indices(reserve: GraphReserve, version: int, time: int) -> Indices:
    """The stored indices of a reserve grown to `time` (UTC seconds). Raises `InputError` for an earlier time."""
    income = normalized_income(reserve.liquidity_index, reserve.liquidity_rate, reserve.last_update, time)
    if version == 3:
        debt = normalized_debt(reserve.variable_borrow_index, reserve.variable_borrow_rate, reserve.last_update, time)
    else:
        growth = binomial_growth(reserve.variable_borrow_rate, time - reserve.last_update)
        debt = _ray_mul(growth, reserve.variable_borrow_index)
    return Indices(version, income, debt)


def binomial_growth(rate: int, seconds: int) -> int:
    """Growth factor (ray) of v2's debt over `seconds` at a yearly `rate` (ray).

    `1 + n r + n (n - 1) / 2 r^2 + n (n - 1) (n - 2) / 6 r^3` with r the rate of a second.

    >>> binomial_growth(5 * 10**25, 31_536_000) / 10**27
    1.051270908731986
    """
    if seconds == 0:
        return RAY
    a_second = rate // SECONDS_PER_YEAR
    square = _ray_mul(a_second, a_second)
    cube = _ray_mul(square, a_second)
    second = seconds * (seconds - 1) * square // 2
    third = seconds * (seconds - 1) * max(seconds - 2, 0) * cube // 6
    return RAY + a_second * seconds + second + third


def market_frames(
    which: KnownSubgraph,
    block: Block,
    reserves: Iterable[GraphReserve],
    emodes: Iterable[GraphEMode],
) -> dict[str, pd.DataFrame]:
    """Rows of `raw_graph_market_data` and `stg_graph_market_data`."""
    reserves = list(reserves)
    raw = [(which.id, block.number, "reserve", r.id, r.body, SOURCE, r.payload_sha256) for r in reserves]
    raw += [(which.id, block.number, "emode", e.id, e.body, SOURCE, e.payload_sha256) for e in emodes]
    staged = [_market_row(which, block, reserve) for reserve in reserves]
    return {
        "raw_graph_market_data": pd.DataFrame(raw, columns=RAW_COLUMNS),
        "stg_graph_market_data": pd.DataFrame(staged),
    }


def position_frames(
    which: KnownSubgraph, block: Block, positions: Iterable[GraphPosition], by_asset: Mapping[str, Indices]
) -> dict[str, pd.DataFrame]:
    """Rows of `raw_graph_account_positions` and `stg_graph_account_positions`.

    A holding in a reserve that `by_asset` does not have keeps only its scaled balances.
    """
    raw, staged = [], []
    for p in positions:
        raw.append((which.id, block.number, p.id, p.account, p.body, SOURCE, p.payload_sha256))
        at = by_asset.get(p.asset)
        staged.append((
            which.market, block.number, p.account, p.asset, which.id, str(p.scaled_supply),
            str(at.supply(p.scaled_supply)) if at else None, str(p.scaled_debt),
            str(at.owed(p.scaled_debt)) if at else None, str(p.stable_debt), int(p.is_collateral), p.emode,
            p.last_update,
        ))  # fmt: skip
    return {
        "raw_graph_account_positions": pd.DataFrame(raw, columns=POSITION_COLUMNS),
        "stg_graph_account_positions": pd.DataFrame(staged, columns=STAGED_COLUMNS),
    }


def _market_row(which: KnownSubgraph, block: Block, r: GraphReserve) -> dict[str, object]:
    at = indices(r, which.version, block.time)
    return {
        "market": which.market, "block": block.number, "asset": r.asset, "subgraph": which.id,
        "protocol_version": which.version, "symbol": r.symbol, "decimals": r.decimals, "atoken": r.atoken,
        "vtoken": r.vtoken, "ltv_bps": r.ltv, "liquidation_threshold_bps": r.liquidation_threshold,
        "liquidation_bonus_bps": r.liquidation_bonus, "reserve_factor_bps": r.reserve_factor,
        "is_active": int(r.is_active), "is_frozen": int(r.is_frozen), "borrowing_enabled": int(r.borrowing_enabled),
        "liquidity_index": str(r.liquidity_index), "variable_borrow_index": str(r.variable_borrow_index),
        "liquidity_rate": str(r.liquidity_rate), "variable_borrow_rate": str(r.variable_borrow_rate),
        "last_update_timestamp": r.last_update, "normalized_income": str(at.income), "normalized_debt": str(at.debt),
        "price_raw": str(r.price), "price_base": which.price_base,
        "price_usd": r.price / 10**USD_DECIMALS if which.price_base == "USD" else None,
    }  # fmt: skip


def _ray_mul(a: int, b: int) -> int:
    return (a * b + RAY // 2) // RAY
