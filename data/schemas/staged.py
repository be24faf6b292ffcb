"""Staging: typed, deduplicated rows that `data/marts` makes of raw tables."""

from __future__ import annotations

import numpy as np
import pandera.pandas as pa
from pandera.typing import Series

from data.schemas.fields import batch, name, real, seconds, text


class StagedPrices(pa.DataFrameModel):
    """`stg_prices`: closing price of every finished candle, in USD by the rule of `usd_proxy`."""

    symbol: Series[str] = name("series such as ETHUSDT")
    interval: Series[str] = name("length of the candle such as 1h")
    ts: Series[np.int64] = seconds("end of the candle, the time the price holds at")
    source: Series[str] = name("where the candle was read")
    price_usd: Series[np.float64] = real("closing price, see usd_proxy", "USD per unit", gt=0)
    price_usdt: Series[np.float64] = real("closing price as quoted in USDT", "USDT per unit", gt=0)
    usd_proxy: Series[str] = text(
        "USDT where 1 USDT is taken as 1 USD; USDC where USDT was more than 0.2 % off it and the price is divided by "
        "USDCUSDT",
        isin=["USDT", "USDC"],
    )
    batch: Series[np.int64] = batch()

    class Config:
        strict = True
        coerce = True
        unique = ["symbol", "interval", "ts", "source"]  # noqa: RUF012
        metadata = {"indexes": [["batch"]]}  # noqa: RUF012
