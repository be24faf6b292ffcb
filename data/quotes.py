"""Stored quotes of a market: the newest ladder of each pair and source, as plain arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.store.reader import Reader
from risk_core import InputError, Market
from risk_core.analytics.slippage import SlippageCurve, fit, slippage_limit


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ladder:
    """N quotes for selling one reserve's asset for another's, by size: of each source the newest ladder.

    `sold`, `bought`: places of the reserves in the market. `size_usd`, `received_usd`: (N,) USD at oracle prices.
    `source`: who said so, `quoted_at`: UTC seconds, `assumed`: nobody quoted it; each (N,).
    """

    sold: int
    bought: int
    size_usd: np.ndarray
    received_usd: np.ndarray
    source: tuple[str, ...]
    quoted_at: np.ndarray
    assumed: np.ndarray


AGE = 7 * 86_400
"""Seconds before a time of the past within which a quote still tells of it."""
ALWAYS = 2**62
"""A time after every quote."""
TOGETHER = 86_400
"""Seconds by which a source's ladder may be older than the newest of its pair."""

# Quotes of one market up to a time, of each pair and source the newest ladder.
_NEWEST = """
SELECT q.sold, q.bought, q.size_usd, q.received_usd, q.source, q.quoted_at, q.kind
FROM dim_quote_ladder AS q
JOIN (SELECT sold, bought, source, max(quoted_at) AS quoted_at FROM dim_quote_ladder
      WHERE market = :market AND is_synthetic = :synthetic AND quoted_at BETWEEN :first AND :last
      GROUP BY sold, bought, source) AS n
  ON n.sold = q.sold AND n.bought = q.bought AND n.source = q.source AND n.quoted_at = q.quoted_at
-- What nobody quoted is not set against what somebody did.
LEFT JOIN (SELECT DISTINCT sold, bought FROM dim_quote_ladder
           WHERE market = :market AND is_synthetic = :synthetic AND kind = 'quote'
           AND quoted_at BETWEEN :first AND :last) AS k
  ON k.sold = q.sold AND k.bought = q.bought AND q.kind = 'assumed'
WHERE k.sold IS NULL AND q.market = :market AND q.is_synthetic = :synthetic
ORDER BY q.sold, q.bought, q.size_usd, q.source
"""


def load_quotes(market: Market, db: Path | str | None = None) -> tuple[Ladder, ...]:
    """The newest quotes of each pair of the market's reserves, in the order of what is sold; none without any.

    `db`: file, None is `RISK_DB`. Left out are the assumptions about a pair that somebody quoted, ladders over a day
    older than the pair's newest (the market may have been deeper then), and pairs with an asset that is no reserve of
    the market. Values are as stored: `risk_core.analytics.slippage.fit` says which of them can be used.
    """
    with Reader.open(db) as store:
        return quotes_of(
            store, market.snapshot.market, market.reserves.asset, synthetic=market.snapshot.synthetic, last=ALWAYS
        )


def quotes_of(
    store: Reader, market: str, assets: Sequence[str], *, synthetic: bool, last: int, first: int = 0
) -> tuple[Ladder, ...]:
    """The quotes of a market that were the newest at `last`, those before `first` left out; UTC seconds.

    As `load_quotes`, with `sold` and `bought` as places in `assets`. Nothing quoted later is looked at.
    """
    place = {asset: r for r, asset in enumerate(assets)}
    rows = store.rows(_NEWEST, {"market": market, "synthetic": int(synthetic), "first": first, "last": last})
    pairs: dict[tuple[int, int], list[tuple]] = {}
    for sold, bought, *quote in rows:
        if sold in place and bought in place:
            pairs.setdefault((place[sold], place[bought]), []).append(tuple(quote))
    return tuple(_ladder(sold, bought, _recent(quotes)) for (sold, bought), quotes in sorted(pairs.items()))


def sale_limit(market: Market, sold: int) -> float:
    """Slippage at which selling a reserve at its own bonus earns nothing, before gas; 0 for what is no collateral."""
    bonus = max(float(market.reserves.liquidation_bonus[sold]), 0.0)
    return slippage_limit(bonus=bonus, protocol_fee=float(market.reserves.protocol_fee[sold]))


def with_curves(market: Market, ladders: Sequence[Ladder]) -> Iterator[tuple[Ladder, SlippageCurve, float]]:
    """Each ladder through which a curve can be drawn: (ladder, curve, USD of the largest sale within `sale_limit`)."""
    for ladder in ladders:
        try:
            curve = fit(ladder.size_usd, ladder.received_usd).curve
        except InputError:
            continue
        yield ladder, curve, curve.size_within(sale_limit(market, ladder.sold))


def depth_curves(market: Market, ladders: Sequence[Ladder]) -> tuple[SlippageCurve | None, ...]:
    """(R,) of each reserve the curve of the pair into which most can be sold inside its bonus; None without one.

    The bonus is the reserve's own; a ladder through which no curve can be drawn is left out.
    """
    found: list[tuple[float, SlippageCurve] | None] = [None] * market.n_reserves
    for ladder, curve, depth in with_curves(market, ladders):
        best = found[ladder.sold]
        if best is None or depth > best[0]:
            found[ladder.sold] = (depth, curve)
    return tuple(None if best is None else best[1] for best in found)


def _recent(quotes: list[tuple]) -> list[tuple]:
    newest = max(quoted_at for _, _, _, quoted_at, _ in quotes)
    return [quote for quote in quotes if quote[3] >= newest - TOGETHER]


def _ladder(sold: int, bought: int, quotes: list[tuple]) -> Ladder:
    size, received, source, quoted_at, kind = zip(*quotes, strict=True)
    return Ladder(
        sold=sold,
        bought=bought,
        size_usd=np.array(size, dtype=np.float64),
        received_usd=np.array(received, dtype=np.float64),
        source=tuple(source),
        quoted_at=np.array(quoted_at, dtype=np.int64),
        assumed=np.array([one == "assumed" for one in kind], dtype=np.bool_),
    )
