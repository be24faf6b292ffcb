"""Quotes: what a sale of a stated size brings in, by the source that said so, or by assumption."""

from __future__ import annotations

import numpy as np
from pandera.typing import Series

from data.schemas.fields import address, flag, ingested_at, name, payload_sha256, real, seconds, text
from data.schemas.model import DAY, Numbered

KINDS = ["quote", "assumed"]


class QuoteLadder(
    Numbered,
    key=["market", "sold", "bought", "source", "quoted_at", "size_usd"],
    late_after=2 * DAY,
):
    """`dim_quote_ladder`: what selling `size_usd` of one reserve's asset for another's brings in.

    The quotes of one pair, source and time are a ladder. Amounts are at the market's oracle prices of that time.
    """

    market: Series[str] = name("market name")
    sold: Series[str] = address("asset that is sold")
    bought: Series[str] = address("asset that it is sold for")
    source: Series[str] = name("who quoted it, or where the assumption stands")
    quoted_at: Series[np.int64] = seconds("time of the quote")
    size_usd: Series[np.float64] = real("what is sold", "USD", gt=0)
    received_usd: Series[np.float64] = real("what comes in", "USD", gt=0)
    kind: Series[str] = text("quote, or assumed for a figure that nobody quoted", isin=KINDS)
    is_synthetic: Series[np.int64] = flag("1 for a quote of the sample")
    ingested_at: Series[np.int64] = ingested_at()
    payload_sha256: Series[str] = payload_sha256()
