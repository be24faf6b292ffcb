"""From the prices of feeds to the oracle prices of a protocol. No other module does this.

Rules of the price adapters of Aave v3 (bgd-labs/aave-capo): a stablecoin's price is min(feed, cap), without a floor; a
staked token's is min(ratio, largest ratio) x the price of its base, where the base may have a cap of its own; some
reserves take the price of another one (USDe is priced by USDT), some have a constant (GHO). A *feed* price is what
the oracle would say without its caps. At the snapshot the two are the same: where a cap holds a price down, the
feed's price is not known, and the oracle's price is used instead.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from risk_core.errors import InputError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

NO_RESERVE = -1
"""Entry of `ratio_of` and `linked_to` of a reserve that depends on no other."""


FARTHEST_MOVE = 1e9
"""Caps are looked for up to a price that is this many times higher."""


class OracleModels(NamedTuple):
    """The oracle model of each of R reserves, as `Reserves` holds it."""

    price_cap: FloatArray
    """(R,) highest USD per token; inf, no cap"""
    ratio_cap: FloatArray
    """(R,) highest ratio to the price of `ratio_of`; inf, no cap"""
    ratio_of: IntArray
    """(R,) reserve whose price the ratio multiplies, -1"""
    linked_to: IntArray
    """(R,) reserve whose oracle price this one follows, -1"""
    fixed_price: NDArray[np.bool_]
    """(R,) the price is a constant"""

    @property
    def any(self) -> bool:
        """Whether some reserve has another model than a plain feed."""
        return bool(
            np.isfinite(self.price_cap).any()
            or (self.ratio_of >= 0).any()
            or (self.linked_to >= 0).any()
            or self.fixed_price.any()
        )


class OracleRows(NamedTuple):
    """A scenario's factors as rows of relative prices, and more rows where a feed or a cap makes another price.

    Rows 0 to F - 1 are the factors, row F is constant 1, row F + 1 + d is what a feed says of the factor `follows[d]`
    (`deviation`, `heartbeat`, `age`, `lag`, all (D,), in steps; see `kernels.paths.feed_rows`), row F + 1 + D + k is

        min(x[own] * (x[base] / x[feed]), most * x[base])        for entry k of the (K,) arrays.

    Of each of R reserves, all (R,):
    """

    row: IntArray
    """row of the oracle's price; -1 is the constant where no reserve has a model"""
    n_rows: int
    """F + D + K: rows without the constant"""
    market_row: IntArray
    """row of the market's price, as a sale sees it"""
    feed_row: IntArray
    """row of the price before any cap, as the feeds say it"""
    uncapped: IntArray
    """row of the price before the cap in USD"""
    cap: FloatArray
    """that cap as a relative price; inf, none"""
    source: IntArray
    """reserve whose feed makes the price: itself, the one it is linked to, -1 for a constant"""
    factor: IntArray
    """factor that this feed follows, -1 for a constant"""
    own: IntArray
    base: IntArray
    feed: IntArray
    plain: IntArray
    """(K,) row that each of these is equal to while no cap acts"""
    most: FloatArray
    follows: IntArray
    deviation: FloatArray
    heartbeat: FloatArray
    age: FloatArray
    lag: IntArray


def checked_models(models: OracleModels, symbols: tuple[str, ...]) -> None:
    """Raise `InputError` where a reserve has two models, or reserves depend on each other in a circle."""
    n = len(symbols)
    for name in ("ratio_of", "linked_to"):
        at = getattr(models, name)
        wrong = np.flatnonzero((at < NO_RESERVE) | (at >= n) | (at == np.arange(n)))
        if len(wrong):
            r = int(wrong[0])
            raise InputError(
                f"Reserves.{name}: entry {r} ({symbols[r]}) is {at[r]}; must be the index of another reserve in "
                f"[0, {n}), or -1 for none"
            )
    n_models = (models.ratio_of >= 0).astype(int) + (models.linked_to >= 0) + models.fixed_price
    if (n_models > 1).any():
        r = int(np.argmax(n_models > 1))
        raise InputError(
            f"Reserves: entry {r} ({symbols[r]}) has more than one of ratio_of, linked_to and fixed_price; an oracle "
            "has one model"
        )
    for name, bad, rule in (
        ("ratio_cap", np.isfinite(models.ratio_cap) & (models.ratio_of < 0), "a ratio has a base: set ratio_of"),
        ("price_cap", np.isfinite(models.price_cap) & models.fixed_price, "a fixed price has no cap: leave it at inf"),
        (
            "price_cap",
            np.isfinite(models.price_cap) & (models.linked_to >= 0),
            "a linked price has the cap of the one it follows: leave it at inf",
        ),
    ):
        if bad.any():
            r = int(np.argmax(bad))
            raise InputError(f"Reserves.{name}: entry {r} ({symbols[r]}) is {getattr(models, name)[r]}; {rule}")
    _order(models, symbols)


def checked_snapshot(models: OracleModels, price: FloatArray, symbols: tuple[str, ...]) -> None:
    """Raise `InputError` where a price (R,) is above what its oracle can report."""
    high = price > models.price_cap * (1 + 1e-9)
    if high.any():
        r = int(np.argmax(high))
        raise InputError(
            f"Market.price: entry {r} ({symbols[r]}) is {price[r]}, above the cap of its oracle "
            f"(Reserves.price_cap is {models.price_cap[r]}); one of the two is wrong"
        )
    has = models.ratio_of >= 0
    most = np.where(has, models.ratio_cap * price[models.ratio_of], np.inf)
    high = price > most * (1 + 1e-6)
    if high.any():
        r = int(np.argmax(high))
        base = int(models.ratio_of[r])
        raise InputError(
            f"Market.price: entry {r} ({symbols[r]}) is {price[r]}, {price[r] / price[base]:.9g} times the price of "
            f"{symbols[base]}; its oracle lets through {models.ratio_cap[r]:.9g} (Reserves.ratio_cap)"
        )


def oracle_prices(models: OracleModels, snapshot: FloatArray, feeds: FloatArray) -> FloatArray:
    """Oracle prices (..., R) for feed prices (..., R), USD per token; `snapshot` (R,) is what both are now.

    A fixed price stays, whatever its feed. A linked one follows the other reserve: its own feed is not read. A ratio
    keeps its feed's ratio to the base's feed, and is limited by the base's cap and its own.
    """
    return _resolved(models, snapshot, feeds)[1] if models.any else feeds


def no_cap_acts(models: OracleModels, snapshot: FloatArray, feeds: FloatArray) -> bool:
    """Whether no cap changes an oracle price at any of the feed prices (..., R)."""
    if not models.any:
        return True
    uncapped, oracle = _resolved(models, snapshot, feeds)
    return bool(np.array_equal(uncapped, oracle))


def _resolved(models: OracleModels, snapshot: FloatArray, feeds: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(prices without any cap, with caps), both (..., R)."""
    feed = np.where(models.fixed_price, snapshot, feeds)
    # Rounding may put a price at its cap a little above it: the snapshot's own price is always allowed.
    cap = np.maximum(models.price_cap, snapshot)
    oracle = np.minimum(feed, cap)
    for r in _order(models):
        link, base = models.linked_to[r], models.ratio_of[r]
        if link >= 0:
            feed[..., r] = snapshot[r] * (feed[..., link] / snapshot[link])
            oracle[..., r] = snapshot[r] * (oracle[..., link] / snapshot[link])
        else:
            most = max(models.ratio_cap[r], snapshot[r] / snapshot[base])
            limited = np.minimum(feed[..., r] * (oracle[..., base] / feed[..., base]), most * oracle[..., base])
            oracle[..., r] = np.minimum(limited, cap[r])
    return feed, oracle


def leaders(models: OracleModels, snapshot: FloatArray) -> tuple[IntArray, FloatArray]:
    """(reserve that each follows in the end, or itself; highest price it can reach over today's), each (R,)."""
    has = models.ratio_of >= 0
    most = np.where(has, models.ratio_cap * snapshot[models.ratio_of], np.inf)
    most = np.maximum(np.minimum(models.price_cap, most) / snapshot, 1.0)
    most = np.where(models.fixed_price, 0.0, most)
    leader = np.arange(len(snapshot))
    for r in _order(models):
        if models.linked_to[r] >= 0:
            leader[r] = leader[models.linked_to[r]]
    return leader, most[leader]


def kinks(models: OracleModels, snapshot: FloatArray, weights: FloatArray, farthest: float) -> list[float]:
    """Where in (0, farthest) a cap begins or ends to hold along feeds `snapshot * (1 + s * weights)`, rising.

    Found by bisection, to the last bits of s: where the same caps hold at both ends of a stretch they hold all along
    it, since each price is the least of a few that are linear in s (or, for a ratio to a base at its cap, linear over
    linear).
    """
    if not models.any:
        return []

    def holding(at: float) -> bytes:
        feed, oracle = _resolved(models, snapshot, snapshot * (1.0 + at * weights))
        base = np.maximum(models.ratio_of, 0)
        most = np.maximum(models.ratio_cap, snapshot / snapshot[base]) * oracle[base]
        own = models.linked_to < 0
        return np.concatenate(
            [
                own & (oracle == np.maximum(models.price_cap, snapshot)),
                (models.ratio_of >= 0) & (oracle == most),
                own & (oracle == feed),
            ]
        ).tobytes()

    found: list[float] = []
    least, most = 1e-14, min(farthest, FARTHEST_MOVE)
    stretches = [(least, most, holding(least), holding(most))]
    while stretches:
        begin, end, first, last = stretches.pop()
        middle = 0.5 * (begin + end)
        if first == last:
            continue
        if end - begin <= 4e-16 * end or not begin < middle < end:
            found.append(end)
            continue
        between = holding(middle)
        stretches += [(begin, middle, first, between), (middle, end, between, last)]
    return sorted(found)


class FeedTimes(NamedTuple):
    """When the feed of each of R reserves answers, in steps of a scenario; see `risk_core.feeds.Feeds`. All (R,)."""

    deviation: FloatArray
    heartbeat: FloatArray
    age: FloatArray
    lag: IntArray


def oracle_rows(
    models: OracleModels, snapshot: FloatArray, factor: IntArray, n_factors: int, times: FeedTimes | None = None
) -> OracleRows:
    """`oracle_prices` as rows of relative prices, for feeds that follow factors: `factor` (R,), -1 fixed.

    times: when the feeds answer; None, they follow their factors at once.
    """
    n, none = len(factor), np.zeros(0, dtype=np.int64)
    unlimited = np.full(n, np.inf)
    if not models.any and times is None:
        return OracleRows(
            factor, n_factors, factor, factor, factor, unlimited, np.arange(n), factor, none, none, none, none,
            np.zeros(0), none, np.zeros(0), np.zeros(0), np.zeros(0), none,
        )  # fmt: skip
    source = np.where(models.fixed_price, -1, np.arange(n))
    market = np.where((factor < 0) | models.fixed_price, n_factors, factor)
    feed, told = _feeds(models, market, n_factors, times)
    n_feeds = len(told)
    row, uncapped, cap = feed.copy(), feed.copy(), unlimited
    made: dict[tuple[int, int, int, float], int] = {}
    before: list[int] = []

    def limited(own: int, base: int, of: int, most: float, plain: int | None = None) -> int:
        """The row of a price under a cap; `plain`: the row that it is while the cap does not act, itself where None."""
        if base == of and most == np.inf:
            return own
        if n_feeds and own == of and most == np.inf:
            return base
        at = n_factors + 1 + n_feeds + len(made)
        if (own, base, of, most) not in made:
            before.append(at if plain is None else plain)
        return made.setdefault((own, base, of, most), at)

    dependent = _order(models)
    for r in [*np.setdiff1d(np.arange(n), dependent).tolist(), *dependent]:
        link, base = models.linked_to[r], models.ratio_of[r]
        if link >= 0:
            for array in (source, market, feed, row, uncapped, cap):
                array[r] = array[link]
        elif base >= 0:
            # The ratio is the market's, the base's price what its feed says.
            own, of = int(market[r]), int(market[base])
            if n_feeds:
                feed[r] = limited(own, int(feed[base]), of, np.inf)
            most = float(max(models.ratio_cap[r] * snapshot[base] / snapshot[r], 1.0))
            row[r] = uncapped[r] = limited(own, int(row[base]), of, most, int(feed[r]))
        if np.isfinite(models.price_cap[r]):
            most = float(max(models.price_cap[r] / snapshot[r], 1.0))
            row[r], cap[r] = limited(int(row[r]), n_factors, n_factors, most, int(feed[r])), most
    own_, base_, of_ = (np.array([key[i] for key in made], dtype=np.int64) for i in range(3))
    highest = np.array([key[3] for key in made], dtype=np.float64)
    follows = np.where(source < 0, -1, factor[source])
    follow, deviation, heartbeat, age, lag = zip(*told, strict=True) if told else ((), (), (), (), ())
    return OracleRows(
        row, n_factors + n_feeds + len(made), market, feed, uncapped, cap, source, follows, own_, base_, of_,
        np.array(before, dtype=np.int64), highest, np.array(follow, dtype=np.int64), np.array(deviation, dtype=float),
        np.array(heartbeat, dtype=float), np.array(age, dtype=float), np.array(lag, dtype=np.int64),
    )  # fmt: skip


def _feeds(
    models: OracleModels, market: IntArray, n_factors: int, times: FeedTimes | None
) -> tuple[IntArray, list[tuple[int, float, float, float, int]]]:
    """(R,) rows of what feeds say, and the (factor, deviation, heartbeat, age, lag) of each row that is not a factor.

    A ratio has no feed of its own here, a linked or constant price has none at all.
    """
    feed, told = market.copy(), {}
    if times is not None:
        own = (market < n_factors) & (models.ratio_of < 0) & (models.linked_to < 0)
        for r in np.flatnonzero(own).tolist():
            key = (
                int(market[r]), float(times.deviation[r]), float(times.heartbeat[r]), float(times.age[r]),
                int(times.lag[r]),
            )  # fmt: skip
            if key[1] > 0 or key[4] > 0:
                feed[r] = told.setdefault(key, n_factors + 1 + len(told))
    return feed, list(told)


def _order(models: OracleModels, symbols: tuple[str, ...] | None = None) -> list[int]:
    """Reserves that depend on another, each after that one. Raises `InputError` for a circle."""
    depends = np.where(models.linked_to >= 0, models.linked_to, models.ratio_of).tolist()
    done: dict[int, None] = {}
    for start in [r for r, on in enumerate(depends) if on >= 0]:
        chain, r = [], start
        while depends[r] >= 0 and r not in done:
            if r in chain:
                names = " -> ".join(symbols[i] if symbols else str(i) for i in [*chain[chain.index(r) :], r])
                raise InputError(f"Reserves: the oracle prices of {names} depend on each other in a circle")
            chain.append(r)
            r = depends[r]
        done.update(dict.fromkeys(reversed(chain)))
    return list(done)
