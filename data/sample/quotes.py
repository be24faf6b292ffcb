"""Assumed quotes for the sample: what selling each collateral would bring in if its market were as deep as stated here.

Nobody quoted them. Each reserve is sold into one constant-product pool whose side is `DEPTH_SHARE` of what the sample's
accounts have supplied; the same ladders stand some days earlier as well, for the liquidations in between. One quote is
planted that brings in less than a smaller one, so that a refusal can be seen.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from data.prices.series import SYNTHETIC
from data.sample import configuration
from data.sample.book import Holdings
from data.settings import SAMPLE_MARKET

SCOPE = {"market": SAMPLE_MARKET}
DEPTH_SHARE = 0.2
"""Side of the assumed pool over what is supplied of the reserve."""
LEAST_DEPTH = 2e6
"""USD."""
SIZES = (1e5, 3e5, 1e6, 3e6, 1e7, 2.5e7, 5e7, 1e8)
LARGEST = 0.3
"""Quotes end where this share of the sale would be lost."""
EARLIER = 5 * 86_400
"""Seconds before the snapshot at which the same ladders stand as well."""
PLANTED = ("cbBTC", 1.3, 0.6)
"""Reserve, size over its largest quote, and what comes in over what that quote brings in."""


def frames(held: Holdings, seed: int = 7) -> dict[str, pd.DataFrame]:
    """Rows of `dim_quote_ladder` for every reserve that can be collateral and is supplied."""
    reserves = configuration.reserves()
    usd = np.zeros(len(reserves))
    price = configuration.prices()
    np.add.at(usd, held.reserve, held.supply * price[held.reserve] / 10.0 ** held.digits[held.reserve])
    rows = []
    for r in np.flatnonzero((reserves.liquidation_threshold > 0) & (usd > 0)):
        depth = max(float(usd[r]) * DEPTH_SHARE, LEAST_DEPTH)
        sizes = [size for size in SIZES if size <= depth * LARGEST / (1 - LARGEST)]
        ladder = [(size, size * depth / (depth + size)) for size in sizes]
        if reserves.symbol[r] == PLANTED[0]:
            ladder.append((ladder[-1][0] * PLANTED[1], ladder[-1][1] * PLANTED[2]))
        rows += [(reserves.asset[r], reserves.asset[_bought(int(r))], size, received) for size, received in ladder]
    table = pd.DataFrame(rows, columns=["sold", "bought", "size_usd", "received_usd"])
    table = table.assign(market=SAMPLE_MARKET, source=SYNTHETIC, kind="assumed", is_synthetic=1)
    table = pd.concat([table.assign(quoted_at=configuration.BLOCK_TIME - ago) for ago in (0, EARLIER)])
    digest = hashlib.sha256(f"sample:quotes:{seed}".encode()).hexdigest()
    return {"dim_quote_ladder": table.assign(payload_sha256=digest)}


def _bought(r: int) -> int:
    """What a reserve is sold for: the asset it is a ratio of; USDC, and USDT for USDC itself."""
    reserves = configuration.reserves()
    if reserves.ratio_of[r] >= 0:
        return int(reserves.ratio_of[r])
    return reserves.symbol.index("USDT" if reserves.symbol[r] == "USDC" else "USDC")
