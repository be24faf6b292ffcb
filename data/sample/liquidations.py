"""Synthetic liquidations that cluster: a stated Hawkes process over the sample's days, and amounts from a stated law.

No real liquidation is among them. Block numbers count twelve-second slots of the synthetic history from 2 on, since
the sample's own block number is 1. Who is liquidated is drawn, whatever the account has: of these a post-mortem cannot
tell the health factor. The two of `data.sample.planted` it can tell in full.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from data.sample import configuration
from data.sample.frames import synthetic_address
from data.sample.planted import CORRECTED, Planted
from data.sample.prices import Oracle
from data.settings import SAMPLE_MARKET
from risk_core.analytics.hawkes import Hawkes, simulate
from risk_core.analytics.postmortem import owed_collateral, seizure
from risk_core.units import BPS

SLOT = 12
"""Seconds between two blocks."""
DAYS = 60
MODEL = Hawkes(mu=np.array([0.07, 0.05]), alpha=np.array([[0.9, 0.2], [0.15, 0.6]]), beta=np.full((2, 2), 1.5))
"""Rates per hour: liquidations of ETH collateral, and of other collateral."""
COLLATERAL = (("WETH", "wstETH", "weETH"), ("WBTC", "cbBTC", "LINK", "AAVE"))
"""Collateral of each kind, the first most often."""
MEDIAN_USD, SPREAD = 9_000.0, 1.6
"""A lognormal law of sizes: median, and standard deviation of the logarithm."""
PROTOCOL = "aave_v3"
PLANTED_LOG = 500
"""Log index of the planted ones, which those of the process never reach."""


def frames(
    accounts: Sequence[str], oracle: Oracle, planted: Sequence[Planted] = (), seed: int = 7, days: int = DAYS
) -> dict[str, pd.DataFrame]:
    """Rows of `raw_lending_liquidation_events`.

    accounts: addresses of the sample, who are liquidated, but for those of `planted`. The newest event is before the
    sample's block time.
    """
    path = simulate(MODEL, days * 24.0, seed=seed)
    rng = np.random.Generator(np.random.PCG64([seed, 3]))
    start = configuration.BLOCK_TIME - days * 86_400
    slot = np.minimum((path.times * 3_600 / SLOT).astype(np.int64) + 1, days * 86_400 // SLOT)
    usd = MEDIAN_USD * np.exp(SPREAD * rng.normal(size=len(path)))
    reserves = configuration.reserve_rows()
    place_of = {row["symbol"]: i for i, row in enumerate(reserves)}
    symbols = [_pick(COLLATERAL[kind], rng) for kind in path.kinds.tolist()]
    drawn = [account for i, account in enumerate(accounts) if i not in {one.account for one in planted}]
    wallets = rng.choice(np.array(drawn), size=len(path))
    place = pd.Series(slot).groupby(slot).cumcount().to_numpy()
    usdc = place_of["USDC"]
    rows = []
    for s, k, symbol, wallet, amount in zip(slot.tolist(), place, symbols, wallets, usd.tolist(), strict=True):
        time, at = start + int(s) * SLOT, place_of[symbol]
        seized, repaid = _amounts(oracle, time, at, usdc, amount)
        rows.append(_row(int(s), int(k), str(wallet), int(rng.integers(12)), at, seized, usdc, repaid, amount))
    for one in planted:
        s = (one.time - start) // SLOT
        taken = one.seized / 10.0 ** int(reserves[one.collateral]["decimals"]) * one.collateral_price / 1e8
        rows.append(
            _row(s, PLANTED_LOG, accounts[one.account], 0, one.collateral, one.seized, one.debt, one.repaid, taken)
        )
    events = pd.DataFrame(rows)
    return {"raw_lending_liquidation_events": events}


def _amounts(oracle: Oracle, time: int, collateral: int, debt: int, usd: float) -> tuple[int, int]:
    """(collateral to the liquidator, debt repaid) in token units: about `usd` of collateral, by the pool's rules."""
    reserves = configuration.reserve_rows()
    said = [oracle.price_raw(reserve, time) for reserve in (collateral, debt)]
    digits = [int(reserves[reserve]["decimals"]) for reserve in (collateral, debt)]
    bonus, share = (
        int(reserves[collateral][name]) for name in ("liquidation_bonus_bps", "liquidation_protocol_fee_bps")
    )
    repaid = int(usd * BPS / bonus / (said[1] / 1e8) * 10 ** digits[1])
    gross = owed_collateral(
        repaid,
        debt_price=said[1],
        collateral_price=said[0],
        debt_decimals=digits[1],
        collateral_decimals=digits[0],
        bonus_bps=bonus,
        revision=configuration.REVISION,
    )
    return seizure(gross, bonus, share, configuration.REVISION).net, repaid


def _row(
    slot: int, log: int, wallet: str, who: int, collateral: int, seized: int, debt: int, repaid: int, usd: float
) -> dict[str, object]:
    reserves = configuration.reserve_rows()
    return {
        "source": "sample", "chain_id": configuration.CHAIN_ID, "block_number": slot + 1, "log_index": log,
        "market": SAMPLE_MARKET, "protocol": PROTOCOL, "event": "LiquidationCall", "contract": None,
        "initiator": None, "block_hash": digest("block", slot),
        "block_timestamp": configuration.BLOCK_TIME - DAYS * 86_400 + slot * SLOT, "tx_hash": digest("tx", slot, log),
        "owner": wallet, "counterparty": digest("liquidator", who)[:42], "asset": reserves[collateral]["asset"],
        "amount_raw": str(seized), "debt_asset": reserves[debt]["asset"], "debt_amount_raw": str(repaid),
        "part": 0, "usd_e8": str(int(usd * 1e8)),
    }  # fmt: skip


def blocks_and_assets(
    tables: dict[str, pd.DataFrame], oracle: Oracle, planted: Sequence[Planted] = ()
) -> dict[str, pd.DataFrame]:
    """What goes with the events of all kinds: `raw_lending_blocks`, `raw_lending_reads`, assets and prices.

    Prices of a liquidation's assets are those of its time, but for those of `planted`, who say theirs; what the oracle
    of their collateral said later stands beside it. Of all other events they are the snapshot's, whenever the event
    was: what an account borrowed and repaid is then worth what it owes.
    """
    events = pd.concat(tables.values(), ignore_index=True)
    place = ["block_number", "block_hash", "block_timestamp"]
    blocks = events.groupby(place, as_index=False).size().rename(columns={"size": "n_events"})
    reserves = {row["asset"]: row for row in configuration.reserve_rows()}
    place_of = {row["asset"]: i for i, row in enumerate(configuration.reserve_rows())}
    weth = next(i for row, i in zip(reserves.values(), place_of.values(), strict=True) if row["symbol"] == "WETH")
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
    columns = ["block_number", "block_timestamp", "asset"]
    repaid = events[events["debt_asset"].notna()].assign(asset=events["debt_asset"])
    prices = pd.concat([events[columns], repaid[columns]]).drop_duplicates(ignore_index=True)
    other = events[events["debt_asset"].isna()]
    at_snapshot = set(zip(other["block_number"], other["asset"], strict=True))
    start = configuration.BLOCK_TIME - DAYS * 86_400
    said = {}
    later = []
    for one in planted:
        block = (one.time - start) // SLOT + 1
        for reserve, price in ((one.collateral, one.collateral_price), (one.debt, one.debt_price)):
            said[block, configuration.reserve_rows()[reserve]["asset"]] = price
        asset = configuration.reserve_rows()[one.collateral]["asset"]
        later.append((block + CORRECTED // SLOT, one.time + CORRECTED, asset))
    if later:
        prices = pd.concat([prices, pd.DataFrame(later, columns=columns)]).drop_duplicates(ignore_index=True)
    known_at = [
        configuration.BLOCK_TIME if (block, asset) in at_snapshot else time
        for block, time, asset in prices[columns].itertuples(index=False)
    ]
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
            price_raw=[
                str(said.get((block, asset)) or oracle.price_raw(place_of[asset], time))
                for block, asset, time in zip(prices["block_number"], prices["asset"], known_at, strict=True)
            ],
            eth_usd_raw=[str(oracle.price_raw(weth, time)) for time in known_at],
        ),
    }


def _pick(symbols: tuple[str, ...], rng: np.random.Generator) -> str:
    return symbols[min(int(rng.geometric(0.6)) - 1, len(symbols) - 1)]


def digest(*parts: object) -> str:
    """A made-up hash."""
    return "0x" + hashlib.sha256(f"sample:liquidation:{parts}".encode()).hexdigest()
