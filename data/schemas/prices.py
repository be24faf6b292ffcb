"""Market prices: candles as the exchange sends them, the served price series, and which reserve follows which."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from data.schemas.fields import (
    address,
    document,
    flag,
    integer,
    name,
    real,
    seconds,
    text,
)
from data.schemas.model import DAY, Numbered, ReceivedFrom, TableModel

DECIMAL = r"\d{1,40}(\.\d{1,40})?"
INTERVALS = ["1m", "5m", "15m", "30m", "1h", "4h", "1d"]


def _decimal(description: str, unit: str) -> Any:
    return text(description, unit, whole_text_matches=DECIMAL)


def _positive_decimal(description: str, unit: str) -> Any:
    return text(description, unit, whole_text_matches=r"(?=.*[1-9])" + DECIMAL)


def decided_by() -> Any:
    """The quote that decided which of USDC and USDT had moved."""
    return text(
        "quote that decided which of USDC and USDT had moved, such as chainlink USDC/USD; `not decided` where they "
        "differed and none decided (then 1 USDT is 1 USD); empty where they did not differ",
        nullable=True,
    )


class BinanceKlines(
    ReceivedFrom,
    key=["symbol", "interval", "open_time"],
    optional=["quote_volume", "taker_buy_base", "taker_buy_quote"],
    late_after=2 * DAY,
):
    """`raw_binance_klines`: finished candles, numbers as the text that was received; a corrected one is a new row."""

    symbol: Series[str] = name("exchange symbol such as ETHUSDT")
    interval: Series[str] = name("candle length such as 1h")
    open_time: Series[np.int64] = seconds("start of the candle")
    open: Series[str] = _positive_decimal("first price", "quote per base")
    high: Series[str] = _positive_decimal("highest price", "quote per base")
    low: Series[str] = _positive_decimal("lowest price", "quote per base")
    close: Series[str] = _positive_decimal("last price", "quote per base")
    volume: Series[str] = _decimal("traded volume", "base units")
    close_time: Series[np.int64] = seconds("end of the candle")
    trades: Series[np.int64] = integer("number of trades", "trades")
    # Candles stored by versions without these columns have none.
    quote_volume: Series[pd.StringDtype] = text(
        "traded volume in the quote", "quote units", nullable=True, whole_text_matches=DECIMAL
    )
    taker_buy_base: Series[pd.StringDtype] = text(
        "volume that takers bought", "base units", nullable=True, whole_text_matches=DECIMAL
    )
    taker_buy_quote: Series[pd.StringDtype] = text(
        "volume that takers bought, in the quote", "quote units", nullable=True, whole_text_matches=DECIMAL
    )


class BinanceTickers(ReceivedFrom, key=["symbol", "fetched_at"]):
    """`raw_binance_ticker`: last traded prices, numbers as the text that was received."""

    symbol: Series[str] = name("exchange symbol such as ETHUSDT")
    fetched_at: Series[np.int64] = seconds("when it was asked for, by the source's clock")
    price: Series[str] = _positive_decimal("last traded price", "quote per base")


class BinanceExchangeInfo(ReceivedFrom, key=["symbol"]):
    """`raw_binance_exchange_info`: what the exchange says of a symbol, as JSON; a row for each state it was in."""

    symbol: Series[str] = name("exchange symbol such as ETHUSDT")
    status: Series[str] = name("TRADING for one that trades")
    base_asset: Series[str] = name("what is bought and sold")
    quote_asset: Series[str] = name("what it is priced in")
    document: Series[str] = document("the symbol's whole entry, keys sorted")


class StagedPrices(
    Numbered, key=["symbol", "interval", "ts", "source"], optional=["usd_decided_by"], indexes=[["batch"]]
):
    """`stg_prices`: closing price of every finished candle, in USD by the rule of `usd_proxy`."""

    symbol: Series[str] = name("series such as ETHUSDT")
    interval: Series[str] = name("length of the candle such as 1h")
    ts: Series[np.int64] = seconds("end of the candle, the time the price holds at")
    source: Series[str] = name("where the candle was read")
    price_usd: Series[np.float64] = real("closing price, see usd_proxy", "USD per unit", gt=0)
    price_usdt: Series[np.float64] = real("closing price as quoted in USDT", "USDT per unit", gt=0)
    usd_proxy: Series[str] = text(
        "USDT where 1 USDT is taken as 1 USD; USDC where the two differed by more than 0.2 %, a third quote showed "
        "that USDT had moved, and the price is divided by USDCUSDT",
        isin=["USDT", "USDC"],
    )
    usd_decided_by: Series[pd.StringDtype] = decided_by()


class Prices(
    Numbered,
    key=["symbol", "interval", "ts", "source"],
    optional=["price_usdt", "usd_decided_by"],
    indexes=[["batch"]],
    late_after=2 * DAY,
):
    """`dim_prices`: the served price series. `ts` is the time the price holds at (the end of its candle)."""

    symbol: Series[str] = name("series such as ETHUSDT")
    interval: Series[str] = name("sampling interval such as 1h")
    ts: Series[np.int64] = seconds("time of the price")
    source: Series[str] = name("binance, or synthetic for generated prices")
    price_usd: Series[np.float64] = real("price, see usd_proxy", "USD per unit", gt=0)
    price_usdt: Series[np.float64] = real("price as quoted in USDT", "USDT per unit", gt=0, nullable=True)
    usd_proxy: Series[str] = text(
        "what stands in for USD: USDT where 1 USDT is taken as 1 USD, USDC where 1 USDC is; empty for none"
    )
    usd_decided_by: Series[pd.StringDtype] = decided_by()
    is_synthetic: Series[np.int64] = flag("1 for generated prices")


class Dollars(Numbered, key=["interval", "ts"], optional=["decided_by"], indexes=[["batch"]]):
    """`dim_dollar`: which of USDC and USDT counts as one USD at the times at which the two differed."""

    interval: Series[str] = name("interval of the prices, see dim_prices")
    ts: Series[np.int64] = seconds("time of the prices")
    ratio: Series[np.float64] = real("USDCUSDT that was judged", "USDT per USDC", gt=0)
    usd_proxy: Series[str] = text("which counts as one USD", isin=["USDT", "USDC"])
    decided_by: Series[pd.StringDtype] = decided_by()


class Assets(TableModel, key=["market", "asset"]):
    """`dim_asset`: which price series each reserve follows. Rows with origin `user` win, and are kept."""

    market: Series[str] = name("market name")
    asset: Series[str] = address("underlying token")
    symbol: Series[str] = name("token symbol")
    series: Series[str] = text("symbol in dim_prices whose returns move the reserve; empty when kind is fixed")
    kind: Series[str] = text(
        "series: its own price; ratio: a ratio to it; proxy: a stated stand-in; fixed: constant oracle price",
        isin=["series", "ratio", "proxy", "fixed"],
    )
    factor: Series[str] = text("risk factor of the scenarios, such as ETH; empty when kind is fixed")
    note: Series[str] = text("why")
    origin: Series[str] = text("rule: from the built-in rules; user: set by hand", isin=["rule", "user"])

    @pa.dataframe_check(error="a reserve that is not fixed needs a series and a factor; a fixed one has neither")
    def series_unless_fixed(cls, frame: pd.DataFrame) -> pd.Series:
        """A series and a factor exactly where the price is not fixed."""
        fixed = frame["kind"] == "fixed"
        return ((frame["series"] == "") == fixed) & ((frame["factor"] == "") == fixed)
