"""What stands in for bad debt of a market's reserves: Umbrella's offsets and stakes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pandera.typing import Series

from data.schemas.fields import address, flag, ingested_at, integer, name, seconds, uint
from data.schemas.model import Numbered


class DeficitCovers(
    Numbered, key=["market", "asset", "block"], optional=["stake", "stake_raw", "stake_price_raw", "fee_bps"]
):
    """`dim_deficit_cover`: for each reserve with an offset or a stake, what covers its deficit at one block.

    A deficit up to offset and pending is for the treasury to cover; what is above is taken from the stake, with a fee
    on top. The stake's asset has the reserve's decimals. A row with offsets of 0 and no stake says that nothing covers.
    """

    market: Series[str] = name("market name")
    asset: Series[str] = address("the reserve")
    symbol: Series[str] = name("its symbol")
    decimals: Series[np.int64] = integer("its decimals", "digits", le=77)
    chain_id: Series[np.int64] = integer("EIP-155 chain id", "id")
    block: Series[np.int64] = integer("block it was read at", "block")
    block_time: Series[np.int64] = seconds("time of that block")
    umbrella: Series[str] = address("the contract that says so")
    offset_raw: Series[str] = uint("deficit that no stake is taken for (getDeficitOffset)", "raw")
    pending_raw: Series[str] = uint("deficit that stakes were taken for already (getPendingDeficit)", "raw")
    stake: Series[pd.StringDtype] = address("the stake token; empty where not exactly one covers it", nullable=True)
    stake_raw: Series[pd.StringDtype] = uint("most that can be taken (getMaxSlashableAssets)", "raw", nullable=True)
    stake_price_raw: Series[pd.StringDtype] = uint("price of one unit of what is staked", "1e-8 USD", nullable=True)
    fee_bps: Series[pd.Int64Dtype] = integer("what is taken on top of the deficit", "bps", nullable=True)
    source: Series[str] = name("where it was read")
    is_synthetic: Series[np.int64] = flag("1 for the sample")
    ingested_at: Series[np.int64] = ingested_at()
