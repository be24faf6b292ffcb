"""Synthetic liquidations that cluster: a stated Hawkes process over the sample's days, and amounts from a stated law.

No real liquidation is among them. Block numbers count twelve-second slots of the synthetic history from 2 on, since
the sample's own block number is 1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from data.sample import configuration
from data.sample.frames import synthetic_address
from data.settings import SAMPLE_MARKET
from risk_core.analytics.hawkes import Hawkes, simulate

SLOT = 12
"""Seconds between two blocks."""
DAYS = 60
MODEL = Hawkes(mu=np.array([0.07, 0.05]), alpha=np.array([[0.9, 0.2], [0.15, 0.6]]), beta=np.full((2, 2), 1.5))
"""Rates per hour: liquidations of ETH collateral, and of other collateral."""
COLLATERAL = (("WETH", "wstETH", "weETH"), ("WBTC", "cbBTC", "LINK", "AAVE"))
"""Collateral of each kind, the first most often."""
MEDIAN_USD, SPREAD = 9_000.0, 1.6
"""A lognormal law of sizes: median, and standard deviation of the logarithm."""
BONUS = 1.05
PROTOCOL = "aave_v3"


def frames(accounts: Sequence[str], seed: int = 7, days: int = DAYS) -> dict[str, pd.DataFrame]:
    """Rows of `raw_lending_liquidation_events`.

    accounts: addresses of the sample, who are liquidated. The newest event is before the sample's block time.
    """
    path = simulate(MODEL, days * 24.0, seed=seed)
    rng = np.random.Generator(np.random.PCG64([seed, 3]))
    start = configuration.BLOCK_TIME - days * 86_400
    slot = np.minimum((path.times * 3_600 / SLOT).astype(np.int64) + 1, days * 86_400 // SLOT)
    usd = MEDIAN_USD * np.exp(SPREAD * rng.normal(size=len(path)))
    reserves = {row["symbol"]: row for row in configuration.reserve_rows()}
    price = dict(zip((row["symbol"] for row in configuration.reserve_rows()), configuration.prices(), strict=True))
    symbols = [_pick(COLLATERAL[kind], rng) for kind in path.kinds.tolist()]
    wallets = rng.choice(np.array(accounts), size=len(path))
    place = pd.Series(slot).groupby(slot).cumcount().to_numpy()
    rows = [
        {
            "source": "sample", "chain_id": configuration.CHAIN_ID, "block_number": int(s) + 1, "log_index": int(k),
            "market": SAMPLE_MARKET, "protocol": PROTOCOL, "event": "LiquidationCall", "contract": None,
            "initiator": None, "block_hash": digest("block", s),
            "block_timestamp": start + int(s) * SLOT, "tx_hash": digest("tx", s, k), "owner": str(wallet),
            "counterparty": digest("liquidator", int(rng.integers(12)))[:42], "asset": reserves[symbol]["asset"],
            "amount_raw": str(int(amount / price[symbol] * 10 ** int(reserves[symbol]["decimals"]))),
            "debt_asset": reserves["USDC"]["asset"],
            "debt_amount_raw": str(int(amount / BONUS / price["USDC"] * 10**6)),
            "part": 0, "usd_e8": str(int(amount * 1e8)),
        }
        for s, k, symbol, wallet, amount in zip(slot.tolist(), place, symbols, wallets, usd.tolist(), strict=True)
    ]  # fmt: skip
    events = pd.DataFrame(rows)
    return {"raw_lending_liquidation_events": events}


def blocks_and_assets(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """What goes with the events of all kinds: `raw_lending_blocks`, `raw_lending_reads`, assets and prices.

    An asset's price is that of the snapshot, whatever the time of the event.
    """
    events = pd.concat(tables.values(), ignore_index=True)
    place = ["block_number", "block_hash", "block_timestamp"]
    blocks = events.groupby(place, as_index=False).size().rename(columns={"size": "n_events"})
    reserves = {row["asset"]: row for row in configuration.reserve_rows()}
    ether = next(row["price_raw"] for row in reserves.values() if row["symbol"] == "WETH")
    used = sorted({*events["asset"], *events["debt_asset"].dropna()})
    assets = [
        {
            "chain_id": configuration.CHAIN_ID,
            "asset": asset,
            "symbol": reserves[asset]["symbol"],
            "decimals": int(reserves[asset]["decimals"]),
        }
        for asset in used
    ]
    at = ["block_number", "block_timestamp"]
    of_debt = events[[*at, "debt_asset"]].dropna().rename(columns={"debt_asset": "asset"})
    prices = pd.concat([events[[*at, "asset"]], of_debt]).drop_duplicates()
    read = {
        "source": "sample", "market": SAMPLE_MARKET, "chain_id": configuration.CHAIN_ID, "first_block": 1,
        "first_time": configuration.BLOCK_TIME - DAYS * 86_400, "last_block": DAYS * 86_400 // SLOT + 1,
        "last_time": configuration.BLOCK_TIME,
    }  # fmt: skip
    return {
        "raw_lending_blocks": blocks.assign(source="sample", market=SAMPLE_MARKET, chain_id=configuration.CHAIN_ID),
        "raw_lending_reads": pd.DataFrame([read]),
        "dim_lending_asset": pd.DataFrame(assets),
        "raw_lending_prices": prices.assign(
            chain_id=configuration.CHAIN_ID,
            market=SAMPLE_MARKET,
            oracle=synthetic_address("oracle"),
            price_raw=[reserves[asset]["price_raw"] for asset in prices["asset"]],
            eth_usd_raw=ether,
        ),
    }


def _pick(symbols: tuple[str, ...], rng: np.random.Generator) -> str:
    return symbols[min(int(rng.geometric(0.6)) - 1, len(symbols) - 1)]


def digest(*parts: object) -> str:
    """A made-up hash."""
    return "0x" + hashlib.sha256(f"sample:liquidation:{parts}".encode()).hexdigest()
