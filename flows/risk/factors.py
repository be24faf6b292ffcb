"""The factor that moves each reserve of a market, and the price series that each factor follows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from flows.errors import FlowError
from risk_core import InputError, Market
from risk_core.price_models import FIXED


class InconsistentMapping(FlowError):
    """`dim_asset` contradicts itself or the snapshot: a factor with several series, a reserve without a row."""


class SharedSeries(InconsistentMapping, InputError):
    """Two factors follow one price series, so that they would always move alike."""


def factors_of(market: Market, mapping: pd.DataFrame) -> tuple[dict[str, str], np.ndarray]:
    """Factor -> price series, in order of the reserves, and the factor of each reserve, (R,) int64, -1 for fixed.

    `mapping`: rows of dim_asset of this market. Reserves that are the same asset have the same factor; two factors
    with one series are refused (`SharedSeries`). Raises `InconsistentMapping`.
    """
    rows = mapping.set_index("asset")
    series: dict[str, str] = {}
    index = np.full(market.n_reserves, FIXED, dtype=np.int64)
    for number, asset in enumerate(market.reserves.asset):
        if asset not in rows.index:
            raise InconsistentMapping(
                f"dim_asset: reserve {market.reserves.symbol[number]} ({asset}) of {market.snapshot.market} at block "
                f"{market.snapshot.block} is not in the mapping; see "
                "data.prices.assets.set_series"
            )
        row = rows.loc[asset]
        if row["kind"] == "fixed":
            continue
        factor = str(row["factor"])
        known = series.setdefault(factor, str(row["series"]))
        if known != row["series"]:
            raise InconsistentMapping(
                f"dim_asset: factor {factor} follows {known} for one reserve and {row['series']} for {row['symbol']}; "
                "one factor has one series"
            )
        index[number] = list(series).index(factor)
    refuse_shared(series)
    return series, index


def refuse_shared(series: Mapping[str, str]) -> None:
    """Raises `SharedSeries` where two factors have one series: their correlation would be 1 by construction."""
    first: dict[str, str] = {}
    for factor, name in series.items():
        other = first.setdefault(name, factor)
        if other != factor:
            raise SharedSeries(
                f"dim_asset: the factors {other} and {factor} both follow {name}, so they would always move alike. "
                "Give each a series of its own, or one factor to the reserves of both if they are the same asset: "
                "data.prices.assets.set_series(market, asset, series=..., kind=..., factor=..., note=...)"
            )
