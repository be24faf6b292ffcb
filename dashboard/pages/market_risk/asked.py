"""What the Market page asks of the stored prices, and the same as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

import risk_core as rc
from dashboard.market.page_data import PageData
from dashboard.market.series import DAY, HOUR, Closes
from dashboard.pages.market_risk.answers import LEVELS, Rolling, as_json, loss_curve, portfolio, rolling
from dashboard.pages.market_risk.over_time import Correlation, correlations, volatility
from data.prices.portfolio import name_of, parse

DEFAULT = "ETHUSDT"


def rolling_of(source: PageData, text: str, level: float) -> Rolling:
    """The rolling figures of a series or a portfolio. Raises `InputError` for an unknown series."""
    closes = portfolio(text, lambda series: daily(source, series))
    return rolling(closes, level, fits=source.fits(closes.symbol))


def daily(source: PageData, series: str) -> Closes:
    """Closes at midnight UTC. Raises `InputError` for an unknown series."""
    known = source.series()
    if series not in known:
        raise rc.InputError(
            f"series: expected one of {', '.join(known) or 'none, there are no prices'}, found {series[:40]!r}"
        )
    return source.closes(series, DAY)


MOST_OTHERS = 4


def correlation_of(source: PageData, series: str) -> Correlation:
    """The correlation of a series with the first few other series."""
    others = [name for name in source.series() if name != series][:MOST_OTHERS]
    return correlations(source.closes(series, HOUR), [source.closes(name, HOUR) for name in others])


def rolling_json(source: PageData, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/rolling-var?series=ETHUSDT&level=0.95`, or `portfolio=ETHUSDT=60 BTCUSDT=40` for `series`."""
    level = query.get("level", "0.95")
    if level not in {str(known) for known in LEVELS}:
        raise rc.InputError(f"level: expected one of {', '.join(map(str, LEVELS))}, found {level[:40]!r}")
    return as_json(rolling_of(source, query.get("portfolio") or _series(source, query), float(level)))


def curve_json(source: PageData, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/il-curve?low=-0.25&high=0.25`: the ends of the range as moves of the price."""
    ends = []
    for name, default in (("low", "-0.25"), ("high", "0.25")):
        try:
            ends.append(float(query.get(name, default)))
        except ValueError:
            raise rc.InputError(f"{name}: expected a number such as {default}, found {query[name][:40]!r}") from None
    if not -1 < ends[0] < 0 < ends[1] < np.inf:
        raise rc.InputError(f"low and high: expected -1 < low < 0 < high, found {ends[0]} and {ends[1]}")
    return as_json(loss_curve(ends[0], ends[1], source.closes(_series(source, query), HOUR)))


def volatility_json(source: PageData, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/market/volatility?series=ETHUSDT`."""
    series = _series(source, query)
    return as_json(volatility(source.closes(series, HOUR), source.fits(series)))


def correlation_json(source: PageData, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/market/correlation?series=ETHUSDT`."""
    return as_json(correlation_of(source, _series(source, query)))


def fits_json(source: PageData, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/market/fits?series=ETHUSDT`, or `portfolio=` as for the rolling figures."""
    name = name_of(parse(query.get("portfolio") or _series(source, query)))
    return {"portfolio": name, "fits": [asdict(one) for one in source.fits(name)]}


def _series(source: PageData, query: Mapping[str, str]) -> str:
    known = source.series()
    series = query.get("series", DEFAULT)
    if series not in known:
        raise rc.InputError(
            f"series: expected one of {', '.join(known) or 'none, there are no prices'}, found {series[:40]!r}"
        )
    return series
