"""Assumed cover of the sample's reserves: offsets and stakes that no contract holds.

Which reserves are covered is as on Ethereum; a stake is a stated share of what the sample's accounts have supplied.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from data.sample import configuration
from data.sample.book import Holdings
from data.sample.frames import synthetic_address
from data.settings import SAMPLE_MARKET

SCOPE = {"market": SAMPLE_MARKET}
COVERED = {"USDC": 100_000.0, "USDT": 100_000.0, "WETH": 50.0}
"""Symbol, and tokens of deficit for which no stake is taken."""
STAKED = 0.02
"""Stake over supply."""


def frames(held: Holdings) -> dict[str, pd.DataFrame]:
    """Rows of `dim_deficit_cover`."""
    supplied = np.zeros(len(configuration.reserves()))
    np.add.at(supplied, held.reserve, held.supply / 10.0 ** held.digits[held.reserve])
    price = configuration.prices()
    rows = []
    for r, row in enumerate(configuration.reserve_rows()):
        if row["symbol"] in COVERED:
            unit = 10 ** int(row["decimals"])
            rows.append({
                "asset": row["asset"], "symbol": row["symbol"], "decimals": int(row["decimals"]),
                "offset_raw": str(int(COVERED[row["symbol"]]) * unit), "pending_raw": "0",
                "stake": synthetic_address(f"stake of {row['symbol']}"),
                "stake_raw": str(int(supplied[r] * STAKED) * unit),
                "stake_price_raw": str(round(price[r] * 1e8)), "fee_bps": 0,
            })  # fmt: skip
    table = pd.DataFrame(rows).assign(
        market=SAMPLE_MARKET, chain_id=configuration.CHAIN_ID, block=1, block_time=configuration.BLOCK_TIME,
        umbrella=synthetic_address("umbrella"), source="sample", is_synthetic=1,
    )  # fmt: skip
    return {"dim_deficit_cover": table}
