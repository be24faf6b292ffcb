"""Random sequences of writes, such as sources make them: new rows, rows that came again, corrected ones, lost ones.

Each feeder writes one batch of its tables. A new mart is tested as soon as a feeder of its inputs is in `FEEDERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd

from data.sample.book import holdings
from data.sample.frames import frames
from data.snapshot.saving import save_snapshot
from data.store.store import Store
from tests.data.candles import candles
from tests.data.conftest import as_live
from tests.data.feeding_sources import chain_blocks, forecasts, lending_events
from tests.data.feeds import oracle_feed

DAY = 86_400
MIDNIGHT = 1_767_225_600
"""2026-01-01 00:00:00 UTC."""
SYMBOLS = ["ETHUSDT", "BTCUSDT", "USDCUSDT"]


@cache
def _book() -> dict[str, pd.DataFrame]:
    return frames(holdings(100, 5))


def candle_window(store: Store, random: np.random.Generator) -> None:
    """Candles of one symbol; the peg strays from 1 at times."""
    symbol = str(random.choice(SYMBOLS))
    level = 1.0 if symbol == "USDCUSDT" else 2_000.0
    hours = random.choice(24, size=random.integers(1, 6), replace=False)
    closes = {int(hour): f"{level * (1 + random.choice([-0.01, 0, 0.001, 0.3])):.8f}" for hour in hours}
    store.write_batch("binance", symbol, {"raw_binance_klines": candles(symbol, closes)})


def dollar_decisions(store: Store, random: np.random.Generator) -> None:
    """Which dollar held at some hours, for the ratio of their candle or for another one."""
    random = random.spawn(1)[0]  # what the other feeders draw stays as it is without this one
    rows = [
        {
            "interval": "1h",
            "ts": 3_600 * (int(hour) + 1),
            "usd_proxy": str(random.choice(["USDT", "USDC"])),
            "ratio": float(f"{1 + random.choice([-0.01, 0.3, 0.001]):.8f}"),
            "decided_by": str(random.choice(["chainlink USDC/USD", "not decided"])),
        }
        for hour in random.choice(24, size=random.integers(1, 12), replace=False)
    ]
    store.write_batch("binance", "dollar", {"dim_dollar": pd.DataFrame(rows)})


def snapshot(store: Store, random: np.random.Generator) -> None:
    """A market at a block: some of its accounts, with other debts; a block may be read again, with fewer of them."""
    market = str(random.choice(["AaveV3Ethereum", "AaveV2Polygon"]))
    hour = int(random.choice(range(0, 100, 6)))
    book = _book()
    accounts = book["raw_aave_account_states"]["account"]
    kept = set(accounts[random.random(len(accounts)) < random.choice([0.0, 0.3, 0.9])])
    positions = book["raw_aave_balances"]
    positions = positions[positions["account"].isin(kept)]
    factor = int(random.integers(1, 4))
    positions = positions.assign(scaled_debt=[str(int(raw) * factor) for raw in positions["scaled_debt"]])
    reserves = book["raw_aave_reserves"]
    if random.random() < 0.3:  # a market without WETH
        reserves = reserves.assign(symbol=reserves["symbol"].replace("WETH", "xETH"))
    parts = book | {
        "raw_aave_balances": positions,
        "raw_aave_reserves": reserves,
        "raw_aave_account_states": book["raw_aave_account_states"][accounts.isin(kept)],
    }
    moment = {"block": 1_000 + hour, "market": market, "block_time": MIDNIGHT + 3_600 * hour}
    if market == "AaveV2Polygon":
        moment |= {"protocol": "aave_v2", "base_currency_unit": str(random.choice([10**18, 10**8, 0]))}
    save_snapshot(store, "aave_rpc", as_live(parts, **moment))


def protocol_history(store: Store, random: np.random.Generator) -> None:
    """Points of some series of a protocol, seconds off a common time at times; what was lent comes by either key."""
    slug = str(random.choice(["aave", "compound"]))
    rows = [
        {
            "slug": slug,
            "series": str(series),
            "source": "defillama",
            "payload_sha256": "ab" * 32,
            "date": MIDNIGHT + DAY * int(day) + int(random.choice([0, 0, 3_600, 3_607])),
            "usd": float(random.integers(0, 5)) * 1e9,
        }
        for series in random.choice(
            ["Ethereum", "Base", "borrowed", "Base-borrowed", "staking", "(all)"], size=3, replace=False
        )
        for day in random.choice(14, size=random.integers(1, 4), replace=False)
    ]
    store.write_batch("defillama", slug, {"raw_defillama_protocol": pd.DataFrame(rows)})


FEEDERS: list[Callable[[Store, np.random.Generator], None]] = [
    candle_window,
    snapshot,
    protocol_history,
    oracle_feed,
    lending_events,
    chain_blocks,
    dollar_decisions,
    forecasts,
]
