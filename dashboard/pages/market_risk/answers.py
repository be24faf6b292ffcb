"""Figures of the Market page: value-at-risk by three methods and how each held, impermanent loss, volatility."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import risk_core as rc
from dashboard.market.series import Closes
from risk_core.analytics import backtests, impermanent_loss
from risk_core.analytics.rolling import METHODS, term_structure, value_at_risk

POSITION_USD = 1_000_000.0
WINDOW = 30
"""Days of the rolling window."""
LONG_WINDOW = 120
"""Days at a level of 99 %, where 30 hold no tail."""
LEVELS = (0.95, 0.99)
SIGNIFICANCE = 0.05
NAMES = {"historical": "Historical", "ewma": "EWMA, normal law", "filtered": "Filtered historical"}
LEAST_DAYS = 60
"""With fewer days of forecasts a method gets no verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One method along the series. var, shortfall (n,): what was forecast for each day, NaN before the first.

    `coverage` is None where too few days had a forecast; `today` and `today_shortfall` are the forecasts for the next
    day, NaN where there are none. `tail_draws`: how many returns of the window its shortfall is the mean of.
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

    @property
    def name(self) -> str:
        """What a reader sees: the method's name in words."""
        return NAMES[self.key]

    @property
    def verdict(self) -> str:
        """`holds`, `too many`, `too few`, `in a row`, or `too short` where the days are too few to say."""
        if self.refused or self.coverage is None:
            return "too short"
        coverage = self.coverage
        if coverage.kupiec.rejects(SIGNIFICANCE):
            return "too many" if coverage.exceptions > coverage.expected else "too few"
        return "in a row" if coverage.independence.rejects(SIGNIFICANCE) else "holds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rolling:
    """Losses of a position day by day, and what each method had forecast for them. ts (n,): the end of each day."""

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


def rolling(closes: Closes, level: float = 0.95, position_usd: float = POSITION_USD) -> Rolling:
    """Every method on the newest stretch of days without a gap. Raises `InputError` for fewer than a window of days."""
    whole = closes.whole()
    window = WINDOW if round((1 - level) * WINDOW, 9) >= 1 else LONG_WINDOW
    if len(whole.ts) < window + 2:
        raise rc.InputError(
            f"{closes.symbol}: expected at least {window + 2} days in a row, found {len(whole.ts)} up to the newest; "
            f"a window of {window} days is needed at {level:g}"
        )
    returns = whole.returns()
    methods = tuple(_method(key, returns, level, window, position_usd) for key in METHODS)
    return Rolling(
        symbol=closes.symbol, level=level, window=window, position_usd=position_usd, ts=whole.ts[1:],
        result_usd=position_usd * returns, methods=methods, source=closes.source, synthetic=closes.synthetic,
    )  # fmt: skip


def _method(key: str, returns: np.ndarray, level: float, window: int, position_usd: float) -> Method:
    var, shortfall = value_at_risk(returns, window=window, level=level, position=position_usd, method=key)
    # The forecast for a day was made at the end of the day before.
    for_day, tail_for_day = _later(var), _later(shortfall)
    losses = -position_usd * returns
    known = np.isfinite(for_day)
    exceeded = np.zeros(len(returns), bool)
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
        tail_draws=0 if key == "ewma" else beyond,
        coverage=backtests.coverage(exceeded[known], level) if days >= LEAST_DAYS else None,
    )


def _later(values: np.ndarray) -> np.ndarray:
    return np.concatenate([[np.nan], values[:-1]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Loss against holding by price move, fractions that are zero or negative: constant product, and one range."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Volatility:
    """Annualised volatility by horizon in hours: of the whole stretch with its 95 % interval, and of the last 30 days.

    The interval is of a variance from as many independent windows as the stretch holds: wide at long horizons.
    """

    hours: np.ndarray
    whole: np.ndarray
    low: np.ndarray
    high: np.ndarray
    recent: np.ndarray
    days: int


def volatility(closes: Closes) -> Volatility:
    """From hourly closes without a gap. Raises `InputError` for fewer than 30 days."""
    from scipy.stats import chi2

    whole = closes.whole()
    returns = np.diff(np.log(whole.price))
    days = len(returns) // 24
    if days < 30:
        raise rc.InputError(f"{closes.symbol}: expected at least 30 days of hours in a row, found {days}")
    hours = np.array([h for h in (1, 6, 12, 24, 48, 72, 168, 336, 720) if h * 8 <= len(returns)])
    per_year = 365 * 24
    sigma = term_structure(returns, hours, per_year)
    n = np.maximum(len(returns) / hours, 2)
    recent = term_structure(returns[-30 * 24 :], hours[hours * 2 < 30 * 24], per_year)
    return Volatility(
        hours=hours,
        whole=sigma,
        low=sigma * np.sqrt(n / chi2.ppf(0.975, n)),
        high=sigma * np.sqrt(n / chi2.ppf(0.025, n)),
        recent=recent,
        days=days,
    )


def as_json(answer: Rolling | Curve | Volatility) -> dict[str, Any]:
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
        "n_exceptions": coverage.exceptions if coverage else None,
        "expected": coverage.expected if coverage else None,
        "kupiec_p": coverage.kupiec.p_value if coverage else None,
        "independence_p": coverage.independence.p_value if coverage else None,
    }
