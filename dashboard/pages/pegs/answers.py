"""Figures of the Pegs page: distance from the peg, how unusual it is, episodes, and which reserves follow each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dashboard.market.loaded import LoadedMarket
from dashboard.market.series import DAY, HOUR, Closes
from risk_core.analytics import pegs
from risk_core.analytics.pegs import CRITICAL, HEALTHY, WARNING, Episode, Rolling
from risk_core.oracles import oracle_prices

UNUSUAL, OUTLIER = 1.0, 2.0
"""|z| above which a price is unusual, and an outlier."""
LIFT = 1e6
"""Factor by which every feed is raised to find caps: a price that stays far below it is capped."""
FACTORS = {"USDC": "USDC", "USDT": "USDT", "USD": "DAI"}
"""Peg factor of the reserves to the token whose price is followed."""
SEVERITY = {HEALTHY: "ok", WARNING: "watch", CRITICAL: "crit"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Peg:
    """One token by its served source. `others`: the other sources; `status`: of the newest price.

    `debt_usd`, `collateral_usd`: of all reserves whose price follows the token. `apart_bps`: the largest distance
    between two sources now, basis points, None with one source.
    """

    token: str
    closes: Closes
    others: tuple[Closes, ...]
    rolling: Rolling
    status: str
    episodes: tuple[Episode, ...]
    apart_bps: float | None
    debt_usd: float
    collateral_usd: float
    followers: tuple[str, ...]

    @property
    def deviation_bps(self) -> float:
        """Distance of the newest price from 1 USD, basis points, negative below."""
        return float((self.closes.price[-1] - 1) * 1e4)

    @property
    def z(self) -> float:
        """Newest 24 h z-score; NaN where there is none."""
        return float(self.rolling.z[-1])

    @property
    def word(self) -> str:
        """How unusual the newest price is beside the 24 hours before it."""
        size = abs(self.z)
        if not np.isfinite(size):
            return "no 24 h score"
        return "outlier" if size > OUTLIER else "unusual" if size > UNUSUAL else "usual"


def peg(token: str, sources: tuple[Closes, ...], loaded: LoadedMarket | None = None) -> Peg | None:
    """The state of a token from its sources, of which the served one is first; None without prices."""
    sources = tuple(series for series in sources if len(series.ts))
    if not sources:
        return None
    served, others = sources[0], sources[1:]
    rolling = pegs.rolling(served.ts, served.price)
    agreed = pegs.confirmed(served.ts, served.price, ((other.ts, other.price, other.step) for other in others))
    states = pegs.status(served.ts, served.price, confirmed=agreed)
    debt, collateral, followers = _exposure(token, loaded)
    return Peg(
        token=token, closes=served, others=others, rolling=rolling, status=states[-1],
        episodes=tuple(pegs.episodes(served.ts, served.price, calm=6 * HOUR)),
        apart_bps=_apart(served, others), debt_usd=debt, collateral_usd=collateral, followers=followers,
    )  # fmt: skip


def _apart(served: Closes, others: tuple[Closes, ...]) -> float | None:
    newest = int(served.ts[-1])
    now = [served.price[-1], *(o.price[-1] for o in others if abs(int(o.ts[-1]) - newest) <= max(o.step, DAY))]
    return float((max(now) - min(now)) * 1e4) if len(now) > 1 else None


def _exposure(token: str, loaded: LoadedMarket | None) -> tuple[float, float, tuple[str, ...]]:
    if loaded is None:
        return 0.0, 0.0, ()
    market = loaded.market
    factor = next((f for f, t in FACTORS.items() if t == token), None)
    follows = np.array([f == factor for f in loaded.assets.factor], bool)
    usd = [
        float((side.amount * market.price[side.reserve])[follows[side.reserve]].sum())
        for side in (market.debt, market.collateral)
    ]
    return usd[0], usd[1], tuple(s for s, f in zip(market.reserves.symbol, follows, strict=True) if f)


@dataclass(frozen=True, slots=True, kw_only=True)
class Follower:
    """A reserve whose oracle follows a peg. `cap_usd`: the highest price its oracle can give, inf without a cap."""

    symbol: str
    token: str
    kind: str
    price_usd: float
    cap_usd: float
    collateral_usd: float
    debt_usd: float


def followers(loaded: LoadedMarket) -> tuple[Follower, ...]:
    """Every reserve that follows a stablecoin or has a constant price, largest debt first."""
    market, r = loaded.market, loaded.market.reserves
    debt, collateral = np.zeros(market.n_reserves), np.zeros(market.n_reserves)
    np.add.at(debt, market.debt.reserve, market.debt.amount)
    np.add.at(collateral, market.collateral.reserve, market.collateral.amount)
    # The oracle's price when every feed rises far: it stays low where the reserve, or what it is priced by, has a cap.
    most = oracle_prices(r.oracle, market.price, market.price * LIFT)
    found = []
    for i, (symbol, factor) in enumerate(zip(r.symbol, loaded.assets.factor, strict=True)):
        constant = bool(r.fixed_price[i])
        if factor not in FACTORS and not constant:
            continue
        kind = (
            "constant"
            if constant
            else f"priced by {r.symbol[r.linked_to[i]]}"
            if r.linked_to[i] >= 0
            else f"ratio to {r.symbol[r.ratio_of[i]]}"
            if r.ratio_of[i] >= 0
            else "capped above"
            if np.isfinite(r.price_cap[i])
            else "its feed"
        )
        found.append(
            Follower(
                symbol=symbol,
                token=FACTORS.get(factor, "none"),
                kind=kind,
                price_usd=float(market.price[i]),
                cap_usd=float(most[i]) if most[i] < LIFT / 2 * market.price[i] else np.inf,
                collateral_usd=float(collateral[i] * market.price[i]),
                debt_usd=float(debt[i] * market.price[i]),
            )
        )
    return tuple(sorted(found, key=lambda f: (-f.debt_usd, -f.collateral_usd)))


def as_json(found: Peg) -> dict[str, Any]:
    """The figures of a token for JSON; times and prices as arrays."""
    return {
        "token": found.token, "source": found.closes.source, "is_synthetic": found.closes.synthetic,
        "ts": found.closes.ts, "price_usd": found.closes.price,
        "mean_24h": found.rolling.mean, "deviation_24h": found.rolling.deviation,
        "z_24h": found.rolling.z, "status": found.status, "deviation_bps": found.deviation_bps,
        "other_sources": {o.source: {"ts": int(o.ts[-1]), "price_usd": float(o.price[-1])} for o in found.others},
        "episodes": [_episode(e) for e in found.episodes], "followers": list(found.followers),
    }  # fmt: skip


def _episode(episode: Episode) -> Mapping[str, Any]:
    return {name: getattr(episode, name) for name in episode.__slots__}
