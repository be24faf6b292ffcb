"""Compound's own figures, exact; the shared tables of a snapshot (`data.schemas.aave`) have them in Aave's terms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from data.schemas.fields import (
    address,
    flag,
    integer,
    name,
    text,
    uint,
)
from data.schemas.model import Read


class CompoundMarkets(
    Read, key=["market", "block", "asset"], optional=["close_factor", "exchange_rate", "accrual_block"]
):
    """`raw_compound_markets`: one row for each cToken of Compound v2, or each asset of a Comet, at a block."""

    market: Series[str] = name("market name")
    block: Series[np.int64] = integer("block number", "block")
    asset: Series[str] = address("as in raw_aave_reserves")
    reserve_id: Series[np.int64] = integer("place in getAllMarkets; of a Comet 0 is the base, i + 1 the asset i", "id")
    protocol: Series[str] = text("compound_v2 or compound_v3", isin=["compound_v2", "compound_v3"])
    contract: Series[str] = address("cToken, or Comet")
    underlying: Series[str] = address("token; zero for the chain's own coin")
    is_base: Series[np.int64] = flag("1: the asset that a Comet lends")
    collateral_factor: Series[str] = uint("v2 collateralFactor, v3 borrowCollateralFactor", "wad")
    liquidation_factor: Series[str] = uint("used as the threshold: v2 collateralFactor, v3 liquidateCF", "wad")
    penalty_factor: Series[str] = uint("v2 liquidationIncentive (above 1e18), v3 liquidationFactor (below)", "wad")
    close_factor: Series[pd.StringDtype] = uint("share of a debt one call may repay; v3 has none", "wad", nullable=True)
    price: Series[str] = uint("v2: USD of one unit, scaled by 1e36 / 10^decimals; v3: 8 decimals", "oracle units")
    price_feed: Series[str] = address("feed of a Comet's asset, oracle of v2")
    price_description: Series[str] = text("description() of the feed, empty where it has none")
    exchange_rate: Series[pd.StringDtype] = uint("v2: underlying for a cToken, as stored", "wad", nullable=True)
    accrual_block: Series[pd.Int64Dtype] = pa.Field(
        description="v2: block up to which interest is in the stored figures",
        metadata={"unit": "block"},
        ge=0,
        nullable=True,
    )
