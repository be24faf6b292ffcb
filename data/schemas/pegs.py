"""The state of stablecoins over time, as `peg-health` computes it."""

from __future__ import annotations

import numpy as np
from pandera.typing import Series

from data.schemas.fields import flag, integer, name, real, seconds, text
from data.schemas.model import DAY, Numbered


class PegHealth(
    Numbered, key=["token", "source", "ts"], optional=["mean_24h", "deviation_24h", "z_24h"], late_after=2 * DAY
):
    """`mart_peg_health`: a row for each update of a token by its leading source; NULL where 24 hours hold too few."""

    token: Series[str] = name("stablecoin")
    source: Series[str] = name("whose price it is")
    ts: Series[np.int64] = seconds("when the price was set, or the end of its hour")
    price_usd: Series[np.float64] = real("price", "USD", gt=0)
    deviation_bps: Series[np.float64] = real("distance from 1 USD", "basis points")
    mean_24h: Series[np.float64] = real("mean of the 24 hours before, weighted by time", "USD", nullable=True)
    deviation_24h: Series[np.float64] = real("standard deviation of it", "USD", ge=0, nullable=True)
    z_24h: Series[np.float64] = real("standard deviations from that mean", "1", nullable=True)
    updates_24h: Series[np.int64] = integer("updates in the 24 hours", "updates")
    status: Series[str] = text("healthy, warning or critical", isin=["healthy", "warning", "critical"])
    n_sources: Series[np.int64] = integer("sources that had a price of the token", "sources")
    is_synthetic: Series[np.int64] = flag("1 for the sample's prices")
