"""Rows of the warehouse from Binance's answers: candles as text, prices as numbers in USD. Pure functions.

Prices are quoted in USDT and needed in USD. One USDT counts as one USD, unless USDC and USDT differ and a third quote
shows that USDT moved: then every price of that time, USDC's too, is divided by USDCUSDT. The column `usd_proxy` says
which of the two counts as one dollar, `usd_decided_by` which quote decided it (`data.prices.dollar`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from data.prices.dollar import PEG, USDC_HELD, USDT_HELD, Decision
from data.prices.dollar import known as decision_at
from data.prices.series import LATEST

if TYPE_CHECKING:
    from flows.prices.binance_shapes import Kline, SymbolInfo, Tickers

SOURCE = "binance"


def to_frames(
    klines: Mapping[str, Sequence[Kline]],
    symbols: Sequence[str],
    interval: str,
    peg: Iterable[tuple[int, str]] = (),
    decisions: Mapping[int, Decision] | None = None,
) -> dict[str, pd.DataFrame]:
    """Rows of `raw_binance_klines` and `dim_prices` of `symbols`; times become UTC seconds, exactly.

    The peg pair is looked up in `klines`, and in `peg`: (close_time in UTC seconds, close) of bars stored before.
    `decisions`: which dollar held, by close_time (None: nothing is decided).
    """
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
    prices = _prices(raw["symbol"], raw["close_time"], raw["close"], closes, decisions)
    return {
        "raw_binance_klines": raw,
        "dim_prices": prices.assign(interval=interval),
    }


def latest_frames(tickers: Tickers) -> dict[str, pd.DataFrame]:
    """Rows of `raw_binance_ticker` and `dim_prices` (interval `latest`) for last traded prices."""
    raw = pd.DataFrame(
        [
            {
                "symbol": symbol,
                "fetched_at": tickers.at,
                "price": price,
                "source": SOURCE,
                "payload_sha256": tickers.payload_sha256,
            }
            for symbol, price in tickers.prices.items()
        ]
    )
    peg = {tickers.at: tickers.prices[PEG]} if PEG in tickers.prices else {}
    prices = _prices(raw["symbol"], raw["fetched_at"], raw["price"], peg)
    return {"raw_binance_ticker": raw, "dim_prices": prices.assign(interval=LATEST)}


def exchange_info_frame(infos: Sequence[SymbolInfo]) -> pd.DataFrame:
    """Rows of `raw_binance_exchange_info`."""
    return pd.DataFrame(
        [
            {
                "symbol": info.symbol,
                "status": info.status,
                "base_asset": info.base_asset,
                "quote_asset": info.quote_asset,
                "document": info.document,
                "source": SOURCE,
                "payload_sha256": info.payload_sha256,
            }
            for info in infos
        ]
    )


def close_time(bar: Kline) -> int:
    """UTC second at which the bar's last price holds: it closes a millisecond before the next one opens."""
    return -(-bar.close_time // 1000)


def _prices(
    symbol: pd.Series,
    ts: pd.Series,
    close: pd.Series,
    peg: Mapping[int, str],
    decisions: Mapping[int, Decision] | None = None,
) -> pd.DataFrame:

    price = pd.to_numeric(close, errors="coerce")
    at = {}
    for moment, text in peg.items():
        decision = decision_at(_number(text), moment, decisions or {})
        if decision is not None:
            at[moment] = decision
    usdc = ts.map({moment: decided.ratio for moment, decided in at.items()}).astype(float)
    proxy = ts.map({moment: decided.proxy for moment, decided in at.items()}).astype(object).fillna(USDT_HELD)
    return pd.DataFrame(
        {
            "symbol": symbol,
            "ts": ts,
            "source": SOURCE,
            "price_usd": price.where(proxy != USDC_HELD, price / usdc),
            "price_usdt": price,
            "usd_proxy": proxy,
            "usd_decided_by": ts.map({moment: decided.by for moment, decided in at.items()}).astype("string"),
            "is_synthetic": 0,
        }
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
