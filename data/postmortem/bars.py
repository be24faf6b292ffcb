"""Stored prices around a time, and the series that a reserve's price follows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.errors import DataError
from data.postmortem.record import Bar
from data.prices.pegs import PAIRS, peg_prices
from data.prices.rules import COLUMNS, mapped_reserves, rule_for
from data.prices.series import SERVED, SYNTHETIC
from data.store.reader import Reader

INTERVALS = ("1m", "5m", "15m", "30m", "1h", "4h", "1d", "latest")
"""Finest first: of two bars that end at the same time the finer one is used."""
FARTHEST = 7_200
"""Seconds: bars further away from a time are not used for it."""


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Prices of one series by time: times (n,) UTC seconds, rising; prices (n,) USD."""

    times: np.ndarray
    prices: np.ndarray

    def at(self, ts: np.ndarray) -> np.ndarray:
        """(T,) price at each time, interpolated between the bars on either side.

        With a bar on one side only it is that bar's price, without any NaN. Bars beyond `FARTHEST` do not count.
        """
        out = np.full(len(ts), np.nan)
        if not len(self.times):
            return out
        after = np.searchsorted(self.times, ts, side="right")
        left, right = np.maximum(after - 1, 0), np.minimum(after, len(self.times) - 1)
        has_left = (after > 0) & (ts - self.times[left] <= FARTHEST)
        has_right = (after < len(self.times)) & (self.times[right] - ts <= FARTHEST)
        both = has_left & has_right
        out[has_left], out[has_right & ~has_left] = (
            self.prices[left[has_left]],
            self.prices[right[has_right & ~has_left]],
        )
        part = (ts - self.times[left])[both] / (self.times[right] - self.times[left])[both]
        out[both] += part * (self.prices[right] - self.prices[left])[both]
        return out

    def around(self, ts: int) -> tuple[Bar | None, Bar | None]:
        """The last bar at or before a time and the first after it, None where it is further away than `FARTHEST`."""
        place = int(np.searchsorted(self.times, ts, side="right"))
        found = [
            (int(self.times[i]), float(self.prices[i]))
            if 0 <= i < len(self.times) and abs(int(self.times[i]) - ts) <= FARTHEST
            else None
            for i in (place - 1, place)
        ]
        return found[0], found[1]


def bars(store: Reader, symbol: str, first: int, last: int, *, synthetic: bool) -> Bars:
    """Prices of a series in [first, last], from all stored intervals."""
    marks = ", ".join("?" * len(INTERVALS))
    rows = store.rows(
        f"SELECT ts, interval, price_usd FROM dim_prices WHERE symbol = ? AND interval IN ({marks}) "
        "AND ts BETWEEN ? AND ? AND source = ? AND is_synthetic = ?",
        (symbol, *INTERVALS, first, last, SYNTHETIC if synthetic else SERVED, int(synthetic)),
    )
    found = {ts: price for ts, _, price in sorted(rows, key=lambda row: -INTERVALS.index(row[1]))}
    if not synthetic and symbol in PAIRS:
        peg = peg_prices(store, symbol, "1h", first, last, None, SERVED)
        found |= dict(peg.rows) if peg else {}
    times = sorted(ts for ts, price in found.items() if price is not None and 0 < price < float("inf"))
    return Bars(np.array(times, dtype=np.int64), np.array([found[ts] for ts in times], dtype=np.float64))


@dataclass(frozen=True, slots=True)
class Follows:
    """The series that a reserve's price follows: `kind` as in `dim_asset`; `own`: the series is the token's own price.

    kind is empty where it is not known.
    """

    series: str
    kind: str
    own: bool


def follows(store: Reader, market: str, chain_id: int, symbols: dict[str, str]) -> dict[str, Follows]:
    """Asset -> what it follows: by the market's map, else by the rules for its symbol. symbols: asset to symbol."""
    columns = [COLUMNS.index(name) for name in ("asset", "series", "kind")]
    try:
        rows = mapped_reserves(market, store.path)
    except DataError:  # no snapshot, or a reserve without a rule: the other reserves still have rules
        rows = []
    mapped = {row[columns[0]]: (row[columns[1]], row[columns[2]]) for row in rows}
    traded = dict(
        store.rows("SELECT asset, series FROM dim_lending_asset WHERE chain_id = ? AND series IS NOT NULL", (chain_id,))
    )
    found = {}
    for asset, symbol in symbols.items():
        rule = rule_for(symbol)
        series, kind = mapped.get(asset) or ((rule.series, rule.kind) if rule else ("", ""))
        if asset in traded and kind in ("", "series"):
            series, kind = str(traded[asset]), "series"
        found[asset] = Follows(series, kind, kind == "series")
    return found
