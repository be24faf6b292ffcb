"""Rows of the warehouse from what Binance sent: candles as text, prices as numbers in USD. Pure.

USDT is quoted, USD is needed. One USDT counts as one USD while it is within 0.2 % of USDC; beyond that the price is
divided by USDCUSDT, so that a depeg of USDT is not read as a rally of everything else. The column `usd_proxy` says
which of the two stood in for the dollar.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from flows.prices.binance_shapes import Kline, SymbolInfo, Tickers

SOURCE = "binance"
PEG = "USDCUSDT"
PEG_TOLERANCE = 0.002
PLAUSIBLE_PEG = (0.5, 2.0)
"""USDCUSDT outside this is no dollar pair at all (a test server, a relisted name): then nothing is corrected by it."""
LATEST = "latest"
"""`interval` of a last traded price in dim_prices."""


def to_frames(
    klines: Mapping[str, Sequence[Kline]],
    symbols: Sequence[str],
    interval: str,
    peg: Iterable[tuple[int, str]] = (),
) -> dict[str, pd.DataFrame]:
    """Rows of `raw_binance_klines` and `dim_prices` of `symbols`; times become UTC seconds, exactly.

    The peg pair is looked up in `klines`, and in `peg`: (close_time in UTC seconds, close) of bars stored before.
    """
    import pandas as pd

    raw = pd.DataFrame(
        [
            {
                "symbol": symbol, "interval": interval, "open_time": bar.open_time // 1000, "open": bar.open,
                "high": bar.high, "low": bar.low, "close": bar.close, "volume": bar.volume,
                "close_time": close_time(bar), "trades": bar.trades, "quote_volume": bar.quote_volume,
                "taker_buy_base": bar.taker_buy_base, "taker_buy_quote": bar.taker_buy_quote, "source": SOURCE,
                "payload_sha256": bar.payload_sha256,
            }
            for symbol in symbols
            for bar in klines[symbol]
        ]
    )  # fmt: skip
    closes = dict(peg) | {close_time(bar): bar.close for bar in klines.get(PEG, ())}
    return {
        "raw_binance_klines": raw,
        "dim_prices": _prices(raw["symbol"], raw["close_time"], raw["close"], closes).assign(interval=interval),
    }


def latest_frames(tickers: Tickers) -> dict[str, pd.DataFrame]:
    """Rows of `raw_binance_ticker` and `dim_prices` (interval `latest`) for last traded prices."""
    import pandas as pd

    raw = pd.DataFrame(
        [
            {
                "symbol": symbol, "fetched_at": tickers.at, "price": price, "source": SOURCE,
                "payload_sha256": tickers.payload_sha256,
            }
            for symbol, price in tickers.prices.items()
        ]
    )  # fmt: skip
    peg = {tickers.at: tickers.prices[PEG]} if PEG in tickers.prices else {}
    prices = _prices(raw["symbol"], raw["fetched_at"], raw["price"], peg)
    return {"raw_binance_ticker": raw, "dim_prices": prices.assign(interval=LATEST)}


def exchange_info_frame(infos: Sequence[SymbolInfo]) -> pd.DataFrame:
    """Rows of `raw_binance_exchange_info`."""
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "symbol": info.symbol, "status": info.status, "base_asset": info.base_asset,
                "quote_asset": info.quote_asset, "document": info.document, "source": SOURCE,
                "payload_sha256": info.payload_sha256,
            }
            for info in infos
        ]
    )  # fmt: skip


def close_time(bar: Kline) -> int:
    """UTC second at which the bar's last price holds: it closes a millisecond before the next one opens."""
    return -(-bar.close_time // 1000)


def _prices(symbol: pd.Series, ts: pd.Series, close: pd.Series, peg: Mapping[int, str]) -> pd.DataFrame:
    import pandas as pd

    price = pd.to_numeric(close, errors="coerce")
    plausible = pd.Series({at: float(text) for at, text in peg.items() if _is_peg(text)}, dtype=float)
    usdc = ts.map(plausible).astype(float) if len(plausible) else pd.Series(1.0, index=ts.index)
    # USDT's own price in USDC; the pair that measures it cannot correct itself.
    corrected = ((1.0 / usdc - 1.0).abs() > PEG_TOLERANCE) & (symbol != PEG)
    return pd.DataFrame(
        {
            "symbol": symbol,
            "ts": ts,
            "source": SOURCE,
            "price_usd": price.where(~corrected, price / usdc),
            "price_usdt": price,
            "usd_proxy": corrected.map({True: "USDC", False: "USDT"}),
            "is_synthetic": 0,
        }
    )


def _is_peg(text: str) -> bool:
    try:
        return PLAUSIBLE_PEG[0] < float(text) < PLAUSIBLE_PEG[1]
    except ValueError:
        return False
