"""Stored cover of a market's reserves against bad debt, in tokens of each reserve."""

from __future__ import annotations

from dataclasses import dataclass

from data.store.reader import Reader
from risk_core import Market
from risk_core.units import BPS, USD


@dataclass(frozen=True, slots=True)
class Cover:
    """What stands in for bad debt of one reserve, in its tokens: the treasury's offset, and the stake without fee."""

    symbol: str
    offset: float
    stake: float

    @property
    def tokens(self) -> float:
        """Both together."""
        return self.offset + self.stake


@dataclass(frozen=True, slots=True)
class StoredCover:
    """Cover by reserve, as it was read at a block at or before the market's own; UTC seconds."""

    block: int
    block_time: int
    source: str
    reserves: tuple[Cover, ...]


def load_cover(store: Reader, market: Market) -> StoredCover | None:
    """The newest stored cover that was read no later than the market's block, None without any.

    The stake is worth offset-free deficit: a deficit d takes d (1 + fee) of it (Umbrella's `slash`), at the stake's own
    price over the reserve's price at the market's block.
    """
    at = market.snapshot
    rows = store.rows(
        "SELECT asset, decimals, offset_raw, pending_raw, stake_raw, stake_price_raw, fee_bps, block, block_time, "
        "source FROM dim_deficit_cover WHERE market = ? AND is_synthetic = ? AND block = (SELECT max(block) FROM "
        "dim_deficit_cover WHERE market = ? AND is_synthetic = ? AND block <= ?) ORDER BY asset",
        (at.market, int(at.synthetic), at.market, int(at.synthetic), at.block),
    )
    if not rows:
        return None
    place = {asset: r for r, asset in enumerate(market.reserves.asset)}
    found = []
    for asset, decimals, offset, pending, stake, price, fee, *_ in rows:
        if asset not in place:
            continue
        r = place[asset]
        unit = 10 ** int(decimals)
        staked = 0.0
        if stake is not None and price is not None and market.price[r] > 0:
            worth = int(stake) / unit * int(price) / USD
            staked = worth / float(market.price[r]) / (1 + int(fee or 0) / BPS)
        found.append(Cover(market.reserves.symbol[r], (int(offset) + int(pending)) / unit, staked))
    return StoredCover(block=int(rows[0][7]), block_time=int(rows[0][8]), source=rows[0][9], reserves=tuple(found))
