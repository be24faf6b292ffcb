"""Synthetic history of the value that the sample's market holds and has lent, in the form of a source's rows.

It ends at the snapshot's totals and is a random walk before that. No value is observed.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from data.prices.series import SYNTHETIC
from data.sample import configuration
from data.sample.book import Holdings

SLUG = "sample-aave-v3"
DAYS = 90
DAY = 86_400
WANDER = 0.012
"""Standard deviation of a day's relative change."""
DRIFT = 0.001
"""Mean relative change of a day: the synthetic market has grown."""


def frames(held: Holdings, seed: int = 7) -> dict[str, pd.DataFrame]:
    """Rows of `raw_defillama_protocol`: daily points of value locked and value lent, up to the block's time."""
    price = configuration.prices()[held.reserve] / 10.0 ** held.digits[held.reserve]
    supplied, owed = float((held.supply * price).sum()), float((held.debt * price).sum())
    rng = np.random.Generator(np.random.PCG64([seed, 5]))
    dates = configuration.BLOCK_TIME - DAY * np.arange(DAYS, -1, -1)
    digest = hashlib.sha256(f"sample:protocol:{seed}".encode()).hexdigest()
    tables = []
    for series, last in (("Ethereum", max(supplied - owed, 0.0)), ("borrowed", owed)):
        moves = DRIFT + WANDER * rng.normal(size=DAYS)
        usd = last * np.exp(-np.concatenate([np.cumsum(moves[::-1])[::-1], [0.0]]))
        tables.append(
            pd.DataFrame(
                {
                    "slug": SLUG, "series": series, "date": dates, "usd": usd, "payload_sha256": digest,
                    "source": SYNTHETIC,
                }
            )
        )  # fmt: skip
    return {"raw_defillama_protocol": pd.concat(tables, ignore_index=True)}
