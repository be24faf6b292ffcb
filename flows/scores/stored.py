"""The stored data of a market at its block, from which the parts of its score are computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from data.snapshot.loading import positions_at
from risk_core.interest import normalized_income, supply_balance
from risk_core.units import RAY

if TYPE_CHECKING:
    from data.results import RiskRun
    from data.store.reader import Reader
    from risk_core import Market


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Stored data of a market at its block, in addition to the market. R reserves in the market's order.

    supplied, debt, liquidity: (R,) tokens supplied by all accounts, owed, and left to withdraw. kink: (R,) of the rate
    curve, NaN where none is known. deficit_usd: (R,) booked bad debt. supply: USD by account, None where only
    accounts with debt were read.
    """

    market: Market
    run: RiskRun | None
    supplied: np.ndarray
    debt: np.ndarray
    liquidity: np.ndarray
    kink: np.ndarray
    deficit_usd: np.ndarray
    price_source: tuple[str, ...]
    supply: np.ndarray | None

    @property
    def supplied_usd(self) -> float:
        """Supplies of all accounts, USD."""
        return float((self.supplied * self.market.price).sum())

    @property
    def debt_usd(self) -> float:
        """What everybody owes."""
        return float((self.debt * self.market.price).sum())


def read(store: Reader, market: Market, run: RiskRun | None) -> Stored:
    """Read the reserves of the snapshot and the supply of each account."""
    at = (market.snapshot.market, market.snapshot.block)
    columns = (
        "asset", "decimals", "scaled_atoken_supply", "liquidity_index", "liquidity_rate", "last_update_timestamp",
        "virtual_balance", "deficit", "optimal_usage_ratio", "price_source",
    )  # fmt: skip
    rows = store.rows(f"SELECT {', '.join(columns)} FROM raw_aave_reserves WHERE market = ? AND block = ?", at)
    found = {row[0]: dict(zip(columns, row, strict=True)) for row in rows}
    reserves = [found[asset] for asset in market.reserves.asset]
    unit = [10 ** row["decimals"] for row in reserves]
    supplied = np.array([
        supply_balance(
            int(row["scaled_atoken_supply"]),
            normalized_income(
                int(row["liquidity_index"]), int(row["liquidity_rate"]), row["last_update_timestamp"],
                market.snapshot.block_time,
            ),
        ) / one
        for row, one in zip(reserves, unit, strict=True)
    ])  # fmt: skip
    kink = [row["optimal_usage_ratio"] for row in reserves]
    deficit = np.array([int(row["deficit"]) / one for row, one in zip(reserves, unit, strict=True)])
    return Stored(
        market=market,
        run=run,
        supplied=supplied,
        debt=np.bincount(market.debt.reserve, market.debt.amount, market.n_reserves),
        liquidity=np.array([int(row["virtual_balance"]) / one for row, one in zip(reserves, unit, strict=True)]),
        kink=np.array([int(k) / RAY if k is not None and 0 < int(k) < RAY else np.nan for k in kink]),
        deficit_usd=deficit * market.price,
        price_source=tuple(row["price_source"] for row in reserves),
        supply=_supply(store, market),
    )


def _supply(store: Reader, market: Market) -> np.ndarray | None:
    at = (market.snapshot.market, market.snapshot.block)
    [(mode,)] = store.rows("SELECT read_mode FROM fact_snapshot WHERE market = ? AND block = ?", at)
    if mode == "borrowers":
        return None
    price = dict(zip(market.reserves.id.tolist(), market.price.tolist(), strict=True))
    held = positions_at(store, *at)
    owned: dict[str, float] = {}
    for account, reserve, supply in zip(held["account"], held["reserve_id"], held["supply"], strict=True):
        if supply > 0:
            owned[account] = owned.get(account, 0.0) + supply * price.get(reserve, 0.0)
    return np.array(list(owned.values()))


def inputs_seen(store: Reader) -> dict[str, list[int]]:
    """Rows and newest batch of each table that a score reads beside the snapshot and its risk run."""
    names = (
        "mart_feed_staleness", "fact_protocol_snapshot", "fact_lending_deficit_events", "dim_quote_ladder",
        "dim_deficit_cover",
    )  # fmt: skip
    return {name: list(store.rows(f"SELECT count(*), coalesce(max(batch), 0) FROM {name}")[0]) for name in names}
