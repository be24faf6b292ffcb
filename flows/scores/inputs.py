"""Stored inputs of a score that are no part of the snapshot: how much can be sold, and what covers bad debt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.cover import load_cover
from data.quotes import AGE, quotes_of, with_curves

if TYPE_CHECKING:
    from data.store.reader import Reader
    from risk_core import Market


ORIGINS = ("quoted", "assumed", "stated")
"""Where a depth is from."""


@dataclass(frozen=True, slots=True)
class Depth:
    """USD of a reserve that can be sold within its bonus. `origin`: one of `ORIGINS`; quoted_at: UTC seconds.

    `cut`: more would fit by the curve, but no quote is as large, so it ends at the largest.
    """

    usd: float
    origin: str
    quoted_at: int | None = None
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Covering:
    """Tokens that cover bad debt, by symbol. `origin`: what said so, in words."""

    tokens: Mapping[str, float]
    offsets: Mapping[str, float]
    origin: str


def depths(store: Reader, market: Market, stated: Mapping[str, float]) -> dict[str, Depth]:
    """By symbol: what is stated, else the newest quotes of the week before the snapshot; the pair that takes most.

    The depth of a pair is the largest sale at which a liquidator still earns, before gas, by the reserve's own bonus
    (`data.quotes.sale_limit`), and no more than its largest quote. A pair whose quotes make no curve has none.
    """
    at, reserves = market.snapshot, market.reserves
    found: dict[str, Depth] = {}
    quoted = quotes_of(
        store, at.market, reserves.asset, synthetic=at.synthetic, first=at.block_time - AGE, last=at.block_time
    )
    for ladder, curve, inside in with_curves(market, quoted):
        usd = min(inside, curve.last_usd)
        symbol = reserves.symbol[ladder.sold]
        if symbol not in found or usd > found[symbol].usd:
            origin = "assumed" if ladder.assumed.any() else "quoted"
            found[symbol] = Depth(usd, origin, int(ladder.quoted_at.min()), inside > curve.last_usd)
    return found | {symbol: Depth(usd, "stated") for symbol, usd in stated.items()}


def covering(store: Reader, market: Market, stated: Mapping[str, float]) -> Covering | None:
    """What is stated, else what was read of Umbrella last, no later than the snapshot; None without either."""
    if stated:
        return Covering(dict(stated), {}, "stated (--cover)")
    found = load_cover(store, market)
    if found is None:
        return None
    return Covering(
        {one.symbol: one.tokens for one in found.reserves}, {one.symbol: one.offset for one in found.reserves},
        "assumed for the sample" if market.snapshot.synthetic else f"Umbrella at block {found.block:,}",
    )  # fmt: skip
