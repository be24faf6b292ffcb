"""Liquidity: what a fall of prices makes liquidators sell, beside what the quotes say can be sold inside the bonus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

import risk_core as rc
from dashboard.market.liquidators import Repaid
from dashboard.market.loaded import LoadedMarket
from data.quotes import Ladder, sale_limit
from risk_core.analytics.slippage import Fit, SlippageCurve, fit, liquidator_profit

FALLERS: Mapping[str, tuple[str, ...]] = {"eth": ("eth",), "both": ("eth", "btc"), "all": ("eth", "btc", "other")}
"""Which drivers fall together, by the key of the choice."""
FALLERS_SAY = {"eth": "ETH", "both": "ETH and BTC", "all": "every asset but stablecoins"}
STEPS = 61
"""Falls of 0 to 60 %, one per cent apart."""
DAY = 86_400
CARRIED_DAYS = 30


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Way:
    """A way to sell a reserve: its newest quotes, the curve through them, and what fits inside the bonus.

    `curve` is None where no curve can be drawn; `problem` then says why. `depth_usd`: the largest sale at which a
    liquidator of the reserve's own bonus still earns, before gas. `guessed`: that size is beyond the last quote.
    """

    sold: int
    bought: int
    ladder: Ladder
    curve: SlippageCurve | None
    state: tuple[str, ...]
    problem: str
    limit: float
    depth_usd: float

    @property
    def guessed(self) -> bool:
        """Whether the depth rests on the part of the curve that no quote stands behind."""
        return self.curve is not None and self.depth_usd > self.curve.last_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What is sold of one reserve at a fall, against its depth inside the bonus.

    `used`: share of the depth, None without quotes. `reached`: the fall, as a positive fraction, at which it is used
    up; None where the falls that were computed do not reach it. `kept_usd`: what liquidators earn or lose by the sale.
    `guessed`: the depth, `unquoted`: the sale itself is larger than any quote, so that the curve is a bound there.
    """

    symbol: str
    bought: str
    sold_usd: float
    depth_usd: float | None
    used: float | None
    reached: float | None
    kept_usd: float | None
    guessed: bool
    unquoted: bool
    assumed: bool
    problem: str


@dataclass(frozen=True, slots=True, eq=False)
class Sales:
    """What liquidators sell, exactly, at each of `fall` (S,), positive fractions. USD.

    `sold`: (S, R) collateral that liquidators receive, so without the treasury's fee. `repaid`: (S,) debt.
    """

    fall: np.ndarray
    sold: np.ndarray
    repaid: np.ndarray


def ways(market: rc.Market, ladders: Sequence[Ladder]) -> tuple[Way, ...]:
    """Each pair that is quoted, with its curve."""
    return tuple(_way(market, ladder) for ladder in ladders)


def _way(market: rc.Market, ladder: Ladder) -> Way:
    limit = sale_limit(market, ladder.sold)
    found: Fit | None = None
    problem = ""
    try:
        found = fit(ladder.size_usd, ladder.received_usd)
    except rc.InputError as error:
        problem = str(error)
    return Way(
        sold=ladder.sold,
        bought=ladder.bought,
        ladder=ladder,
        curve=found.curve if found else None,
        state=found.state if found else ("refused",) * len(ladder.size_usd),
        problem=problem,
        limit=limit,
        depth_usd=found.curve.size_within(limit) if found else 0.0,
    )


def best(found: Sequence[Way]) -> dict[int, Way]:
    """Of each reserve the pair into which most can be sold inside the bonus."""
    chosen: dict[int, Way] = {}
    for way in found:
        if way.sold not in chosen or way.depth_usd > chosen[way.sold].depth_usd:
            chosen[way.sold] = way
    return chosen


@lru_cache(maxsize=12)
def sales(loaded: LoadedMarket, falling: str) -> Sales:
    """The exact sales at falls of 0 to 60 % of the drivers `FALLERS[falling]` together, every account.

    All at once: no time for depth to come back, none for borrowers to act.
    """
    market = loaded.market
    direction = loaded.assets.moves(dict.fromkeys(FALLERS[falling], -1e-6)) * 1e6
    swept = rc.sweep(market, np.clip(direction, -1.0, 0.0), STEPS)
    return Sales(swept.shock, swept.seized_by_reserve, swept.repaid_usd)


def limits(loaded: LoadedMarket, found: Sequence[Way], sold: Sales, fall: float) -> list[Limit]:
    """Every reserve that is sold at this fall or has quotes, the one closest to its depth first."""
    market, chosen = loaded.market, best(found)
    at = int(np.abs(sold.fall - fall).argmin())
    rows = [
        _limit(market, r, chosen.get(r), sold, at)
        for r in range(market.n_reserves)
        if sold.sold[:, r].max() > 0 or r in chosen
    ]
    return sorted(rows, key=lambda row: (-(row.used if row.used is not None else np.inf), -row.sold_usd, row.symbol))


def _limit(market: rc.Market, r: int, way: Way | None, sold: Sales, at: int) -> Limit:
    usd, symbol = float(sold.sold[at, r]), market.reserves.symbol
    found = Limit(
        symbol=symbol[r],
        bought=symbol[way.bought] if way else "",
        sold_usd=usd,
        depth_usd=None,
        used=None if usd else 0.0,
        reached=None,
        kept_usd=None,
        guessed=False,
        unquoted=False,
        assumed=bool(way.ladder.assumed.all()) if way else False,
        problem=way.problem if way else "no quotes",
    )
    if way is None or way.curve is None:
        return found
    depth = way.depth_usd
    over = np.flatnonzero((sold.sold[:, r] > 0) & (sold.sold[:, r] >= depth))
    return replace(
        found,
        depth_usd=depth,
        used=usd / depth if depth else np.inf if usd else 0.0,
        reached=float(sold.fall[over[0]]) if len(over) else None,
        kept_usd=_kept(market, r, way.curve, usd),
        guessed=way.guessed,
        unquoted=usd > way.curve.last_usd,
    )


def _kept(market: rc.Market, r: int, curve: SlippageCurve, sold_usd: float) -> float:
    """What liquidators keep of one sale of all of it, before gas and bids."""
    bonus, fee = max(float(market.reserves.liquidation_bonus[r]), 0.0), float(market.reserves.protocol_fee[r])
    repaid = sold_usd / (1 + bonus * (1 - fee))
    return float(liquidator_profit(curve, repaid, bonus=bonus, protocol_fee=fee))


def rolling_day(repaid: Repaid) -> np.ndarray:
    """Debt repaid in the 24 hours up to and with each liquidation, (n,) USD; unpriced ones count nothing."""
    usd = np.concatenate([[0.0], np.cumsum(np.nan_to_num(repaid.usd))])
    first = np.searchsorted(repaid.ts, repaid.ts - DAY, side="right")
    last = np.searchsorted(repaid.ts, repaid.ts, side="right")
    return usd[last] - usd[first]


@dataclass(frozen=True, slots=True)
class Carrier:
    """A liquidator: its address, debt repaid, share of all, number of liquidations."""

    address: str
    usd: float
    share: float
    n: int


def carriers(repaid: Repaid, days: int = CARRIED_DAYS) -> list[Carrier]:
    """Who repaid in the newest `days` days that have a liquidation, most first."""
    if not len(repaid.ts):
        return []
    recent = repaid.ts > repaid.ts[-1] - days * DAY
    by: dict[str, list[float]] = {}
    for address, usd, counts in zip(repaid.liquidator, np.nan_to_num(repaid.usd), recent, strict=True):
        if counts:
            by.setdefault(address, []).append(float(usd))
    total = sum(map(sum, by.values()))
    rows = [Carrier(a, sum(v), sum(v) / total if total else 0.0, len(v)) for a, v in by.items()]
    return sorted(rows, key=lambda row: (-row.usd, row.address))


def as_json(loaded: LoadedMarket, found: Sequence[Way], falling: str, fall: float) -> dict[str, Any]:
    """Limits at a fall, and every curve with its quotes."""
    symbol = loaded.market.reserves.symbol
    return {
        "falling": FALLERS_SAY[falling],
        "fall": fall,
        "limits": [
            {name: getattr(row, name) for name in Limit.__slots__}
            for row in limits(loaded, found, sales(loaded, falling), fall)
        ],
        "curves": [
            {
                "sold": symbol[way.sold],
                "bought": symbol[way.bought],
                "slippage_limit": way.limit,
                "depth_usd": way.depth_usd if way.curve else None,
                "size_usd": way.curve.size_usd if way.curve else [],
                "slippage": way.curve.slippage if way.curve else [],
                "quotes": [
                    {"size_usd": size, "received_usd": got, "source": source, "quoted_at": int(at), "assumed": bool(a),
                     "state": state}
                    for size, got, source, at, a, state in zip(
                        way.ladder.size_usd.tolist(), way.ladder.received_usd.tolist(), way.ladder.source,
                        way.ladder.quoted_at, way.ladder.assumed, way.state, strict=True)
                ],
            }
            for way in found
        ],
    }  # fmt: skip
