"""Figures of the Market page: value-at-risk by method with its tests, impermanent loss, volatility."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import risk_core as rc
from dashboard.market.fits import StoredFit
from dashboard.market.series import Closes
from dashboard.pages.market_risk.over_time import Correlation, Volatility
from data.prices.portfolio import combined, name_of, parse
from risk_core.analytics import backtests, garch, impermanent_loss
from risk_core.analytics.rolling import METHODS, value_at_risk

POSITION_USD = 1_000_000.0
WINDOW = 30
"""Days of the rolling window."""
LONG_WINDOW = 120
"""Days of the window at a level of 99 %, where 30 are too few for a tail."""
LEVELS = (0.95, 0.99)
SIGNIFICANCE = 0.05
NAMES = {
    "historical": "Historical",
    "ewma": "EWMA, normal law",
    "filtered": "Filtered historical",
    "garch": "GARCH, normal law",
    "garch-filtered": "GARCH, filtered",
}
GARCH = ("garch", "garch-filtered")
FILL_FITS = "python -m flows volatility-fits"
LEAST_DAYS = 60
"""With fewer days of forecasts a method gets no verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One method over the series. var, shortfall (n,): the forecast for each day, NaN before the first.

    `coverage` is None where too few days had a forecast; `today` and `today_shortfall` are the forecasts for the next
    day, NaN where there are none. `tail_draws`: number of returns of the window whose mean is its shortfall.
    `refused`: why there is no forecast for the next day; `withheld_days`: past days for which a fit had failed.
    """

    key: str
    var: np.ndarray
    shortfall: np.ndarray
    exceeded: np.ndarray
    today: float
    today_shortfall: float
    tail_draws: int
    coverage: backtests.Coverage | None
    refused: str = ""
    withheld_days: int = 0

    @property
    def name(self) -> str:
        """The method's name on the page."""
        return NAMES[self.key]

    @property
    def verdict(self) -> str:
        """`holds`, `too many`, `too few`, `in a row`; `withheld` or `too short` where there is no verdict."""
        if self.refused:
            return "withheld"
        if self.coverage is None:
            return "too short"
        coverage = self.coverage
        if coverage.kupiec.rejects(SIGNIFICANCE):
            return "too many" if coverage.exceptions > coverage.expected else "too few"
        return "in a row" if coverage.independence.rejects(SIGNIFICANCE) else "holds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rolling:
    """Losses of a position by day, and the forecasts of each method. ts (n,): the end of each day."""

    symbol: str
    level: float
    window: int
    position_usd: float
    ts: np.ndarray
    result_usd: np.ndarray
    methods: tuple[Method, ...]
    source: str
    synthetic: bool

    def method(self, key: str) -> Method:
        """The method with this key."""
        return next(method for method in self.methods if method.key == key)


def portfolio(text: str, closes_of: Callable[[str], Closes]) -> Closes:
    """Daily closes of a series, or of a portfolio such as `ETHUSDT=60 BTCUSDT=40`.

    Shares are restored at the end of every day. Raises `InputError`.
    """
    weights = parse(text)
    parts = [closes_of(series) for series in weights]
    if len(parts) == 1:
        return parts[0]
    step = parts[0].step
    ts, value = combined([(part.ts, part.price) for part in parts], list(weights.values()), step)
    return Closes(
        symbol=name_of(weights), step=step, ts=ts, price=value, source=parts[0].source, synthetic=parts[0].synthetic
    )


def rolling(
    closes: Closes, level: float = 0.95, position_usd: float = POSITION_USD, fits: Sequence[StoredFit] = ()
) -> Rolling:
    """Every method on the newest stretch of days without a gap. Raises `InputError` for fewer than a window of days.

    fits: the stored volatility fits of this series or portfolio; without one for its days GARCH is withheld.
    """
    whole = closes.whole()
    window = WINDOW if round((1 - level) * WINDOW, 9) >= 1 else LONG_WINDOW
    if len(whole.ts) < window + 2:
        raise rc.InputError(
            f"{closes.symbol}: expected at least {window + 2} days in a row, found {len(whole.ts)} up to the newest; "
            f"a window of {window} days is needed at {level:g}"
        )
    returns = whole.returns()
    made = [
        _method(
            key, -position_usd * returns, level, window,
            value_at_risk(returns, window=window, level=level, position=position_usd, method=key),
        )
        for key in METHODS
    ]  # fmt: skip
    made += [_garch(key, whole.ts[1:], returns, level, window, position_usd, fits) for key in GARCH]
    methods = tuple(made)
    return Rolling(
        symbol=closes.symbol, level=level, window=window, position_usd=position_usd, ts=whole.ts[1:],
        result_usd=position_usd * returns, methods=methods, source=closes.source, synthetic=closes.synthetic,
    )  # fmt: skip


def _garch(
    key: str, ts: np.ndarray, returns: np.ndarray, level: float, window: int, size: float, fits: Sequence[StoredFit]
) -> Method:
    """A method with stored fits; there is no forecast for days whose newest fit had failed or was too old."""
    place = {int(t): i for i, t in enumerate(ts)}
    # Only fits to days of this stretch are used.
    mine = [one for one in fits if one.fitted_ts in place and one.first_ts in place]
    known = [garch.Refit(at=place[one.fitted_ts], fit=one.fit) for one in mine]
    filtered = key == "garch-filtered"
    var, shortfall = garch.value_at_risk(
        returns, known, level=level, window=window, position=size, filtered=filtered
    )  # fmt: skip
    # A fit that is twice as old as it should be is not used.
    ends = [*(one.at for one in known[1:]), len(ts)]
    for one, refit, end in zip(mine, known, ends, strict=False):
        lapsed = refit.at + 2 * one.refit_days
        var[lapsed:end], shortfall[lapsed:end] = np.nan, np.nan
    age = len(ts) - 1 - known[-1].at if known else 0
    refused = ""
    if not mine:
        refused = f"no fit of these days is stored; {FILL_FITS} makes them"
    elif age >= 2 * mine[-1].refit_days:
        refused = f"the newest fit is {age} days old; {FILL_FITS} renews it"
    elif known[-1].fit.refused:
        refused = f"the fit of {str(np.datetime64(mine[-1].fitted_ts, 's'))[:10]} failed: {known[-1].fit.refused}"
    begun = known[0].at + 1 if known else len(ts)
    method = _method(key, -size * returns, level, window, (var, shortfall))
    return replace(method, refused=refused, withheld_days=int(np.isnan(method.var[begun:]).sum()))


def _method(key: str, losses: np.ndarray, level: float, window: int, forecast: tuple[np.ndarray, np.ndarray]) -> Method:
    var, shortfall = forecast
    # The forecast for a day was made at the end of the day before.
    for_day, tail_for_day = _later(var), _later(shortfall)
    known = np.isfinite(for_day)
    exceeded = np.zeros(len(losses), bool)
    exceeded[known] = losses[known] > for_day[known]
    days = int(known.sum())
    beyond = window - int(np.ceil(window * level - 1e-9)) + 1
    return Method(
        key=key,
        var=for_day,
        shortfall=tail_for_day,
        exceeded=exceeded,
        today=float(var[-1]),
        today_shortfall=float(shortfall[-1]),
        tail_draws=0 if key in ("ewma", "garch") else beyond,
        coverage=backtests.coverage(exceeded[known], level) if days >= LEAST_DAYS else None,
    )


def _later(values: np.ndarray) -> np.ndarray:
    return np.concatenate([[np.nan], values[:-1]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Loss compared with holding, by price move, fractions <= 0: constant product, and one range."""

    moves: np.ndarray
    constant_product: np.ndarray
    concentrated: np.ndarray
    low: float
    high: float
    in_range: float | None
    days: int


def loss_curve(low: float, high: float, closes: Closes | None = None) -> Curve:
    """For moves from -50 to +50 %; the range goes from `low` to `high`, moves as fractions, low < 0 < high.

    `in_range`: share of the last 30 days' hourly prices inside the same range around the newest price.
    """
    moves = np.linspace(-0.5, 0.5, 201)
    inside = None
    if closes is not None and len(closes.price) > 30 * 24:
        recent = closes.price[-30 * 24 :] / closes.price[-1] - 1
        inside = float(((recent >= low) & (recent <= high)).mean())
    return Curve(
        moves=moves,
        constant_product=impermanent_loss.constant_product(1 + moves),
        concentrated=impermanent_loss.concentrated(1 + moves, 1.0, 1 + low, 1 + high),
        low=low,
        high=high,
        in_range=inside,
        days=30,
    )


def as_json(answer: Rolling | Curve | Volatility | Correlation) -> dict[str, Any]:
    """The same figures for machines, as arrays (`dashboard.api.finite`)."""
    if isinstance(answer, Rolling):
        return {
            "symbol": answer.symbol,
            "level": answer.level,
            "window_days": answer.window,
            "position_usd": answer.position_usd,
            "source": answer.source,
            "is_synthetic": answer.synthetic,
            "ts": answer.ts,
            "result_usd": answer.result_usd,
            "methods": {m.key: _method_json(m) for m in answer.methods},
        }
    return {name: getattr(answer, name) for name in answer.__slots__}


def _method_json(method: Method) -> dict[str, Any]:
    coverage = method.coverage
    return {
        "var_usd": method.var,
        "shortfall_usd": method.shortfall,
        "exceptions": np.flatnonzero(method.exceeded),
        "next_day_var_usd": method.today,
        "next_day_shortfall_usd": method.today_shortfall,
        "verdict": method.verdict,
        "withheld": method.refused or None,
        "withheld_days": method.withheld_days,
        "n_exceptions": coverage.exceptions if coverage else None,
        "expected": coverage.expected if coverage else None,
        "kupiec_p": coverage.kupiec.p_value if coverage else None,
        "independence_p": coverage.independence.p_value if coverage else None,
    }
