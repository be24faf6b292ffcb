"""`stg_prices` (SQL, over what is stored) and `flows.prices.rows` (pandas, over what arrives) state one rule twice.

They are held equal to the last bit, on prices on both sides of every bound of the peg rule.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from data import marts
from data.prices.dollar import Decision
from data.prices.settling import decisions, settle
from data.store.store import Store
from flows.prices.binance_shapes import Kline
from flows.prices.rows import PEG, to_frames

HOUR_MS = 3_600_000


def bars(symbol: str, closes: list[str]) -> list[Kline]:
    return [
        Kline(
            open_time=hour * HOUR_MS, open=close, high=close, low=close, close=close, volume="1",
            close_time=(hour + 1) * HOUR_MS - 1, quote_volume="1", trades=1, taker_buy_base="1", taker_buy_quote="1",
            ignored="0", payload_sha256="a" * 64,
        )
        for hour, close in enumerate(closes)
    ]  # fmt: skip


def test_both_give_the_same_prices(own_warehouse):
    random = np.random.default_rng(11)
    edges = [0.5, 0.50000001, 1 / 1.002, 1 / 0.998, 0.998, 1.002, 1.9999999, 2.0, 1.0, 3.0]
    peg = [f"{value:.8f}" for value in [*edges, *random.uniform(0.99, 1.01, 1_000)]]
    eth = [f"{value:.8f}" for value in np.exp(random.uniform(-12, 13, len(peg) + 5))]  # the last five have no peg
    # A third of the times is decided for either reading, a third is not decided; some for another ratio than is stored.
    decided = {
        (hour + 1) * 3_600: Decision(float(text) + (hour % 7 == 0), ("USDC", "USDT")[hour % 2], f"quote {hour % 4}")
        for hour, text in enumerate(peg)
        if hour % 3
    }
    frames = to_frames({"ETHUSDT": bars("ETHUSDT", eth), PEG: bars(PEG, peg)}, ["ETHUSDT", PEG], "1h", (), decided)
    rows = [
        {"interval": "1h", "ts": ts, "ratio": one.ratio, "usd_proxy": one.proxy, "decided_by": one.by}
        for ts, one in decided.items()
    ]
    columns = "symbol, interval, ts, source, price_usd, price_usdt, usd_proxy, usd_decided_by"

    with Store.open() as store:
        store.write_batch("binance", "k", frames | {"dim_dollar": pd.DataFrame(rows)})
        marts.refresh(store, ["stg_prices"])
        staged, direct = (store.rows(f"SELECT {columns} FROM {table}") for table in ("stg_prices", "dim_prices"))

    assert len(staged) == len(eth) + len(peg)
    assert 300 < sum(row[6] == "USDC" for row in staged) < 1_000
    assert 300 < sum(row[7] == "not decided" for row in staged) < 1_000
    assert staged == direct


@pytest.mark.parametrize("seed", range(4))
def test_whatever_arrives_in_whatever_order_both_tell_the_same_prices(own_warehouse, seed):
    """Candles, corrected candles and quotes at random: what is served, what SQL makes step by step, and made anew."""
    random = np.random.default_rng(seed)
    columns = "symbol, interval, ts, price_usd, price_usdt, usd_proxy, usd_decided_by"
    names = ["ETHUSDT", PEG, "FDUSDUSDT"]
    seen = set()

    with Store.open() as store:
        for _ in range(30):
            if random.random() < 0.7:
                name = str(random.choice(names))
                level = 2_000.0 if name == "ETHUSDT" else random.choice([0.87, 0.9995, 1.0, 1.06, 3.0])
                hours = random.choice(10, size=4, replace=False)
                some = {name: [bars(name, [f"{level:.8f}"] * 10)[hour] for hour in sorted(hours)]}
                peg = store.rows(
                    "SELECT close_time, close FROM raw_binance_klines WHERE symbol = ? ORDER BY open_time, batch", [PEG]
                )
                known = decisions(store, "1h", 0, 2**40)
                store.write_batch("binance", name, to_frames(some, [name], "1h", peg, known))
            else:
                quotes = [
                    {
                        "symbol": str(random.choice([PEG, "USDT/USD"])),
                        "interval": "1h",
                        "ts": 3_600 * (int(hour) + 1),
                        "source": "defillama",
                        "price_usd": float(random.choice([0.87, 1.0, 1.06])),
                        "usd_proxy": "",
                        "is_synthetic": 0,
                    }
                    for hour in random.choice(10, size=5, replace=False)
                ]
                store.write_batch("defillama", "q", {"dim_prices": pd.DataFrame(quotes)})
            settle(store, "manual")
            marts.refresh(store, ["stg_prices"])

            staged = store.rows(f"SELECT {columns} FROM stg_prices ORDER BY 1, 2, 3")
            served = store.rows(f"SELECT {columns} FROM dim_prices WHERE source = 'binance' ORDER BY 1, 2, 3")
            assert served == staged
            seen |= {row[5:] for row in staged}
        changed = settle(store, "manual").changed
        marts.refresh(store, ["stg_prices"], full=True)
        assert store.rows(f"SELECT {columns} FROM stg_prices ORDER BY 1, 2, 3") == staged
    assert changed == 0
    assert len(seen) > 2
