"""Flow `backtest`: what each price law would have forecast on every past day, and what followed.

For ETH, BTC and both in equal parts: the 1-day value-at-risk of each law at 95 and 99 %, from the prices before the day
only, its coverage (Kupiec), whether exceptions come together (Christoffersen), Basel's traffic light and the pinball
loss. Every law is shown, and the last line says which laws pass every test and whether the default does.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from tqdm import tqdm

from data import load_market, snapshot
from data.prices import assets
from data.prices.series import load_prices
from flows.risk import price_file
from flows.risk.options import BacktestOptions
from flows.risk.price_file import BadPrices, utc
from risk_core import backtest as past
from risk_core.analytics import accuracy, backtests
from risk_core.laws.calibrated import DEFAULT
from risk_core.laws.from_returns import NAMES, law_called

if TYPE_CHECKING:
    import pandas as pd

    from risk_core import Market

LEAST_DAYS = 100
"""With fewer days, the tests cannot tell laws apart."""
WARM_UP, LEAST_WARM_UP = 180, 10
SIGNIFICANCE = 0.05
STILL = ("USDC", "USDT", "USD", "EUR", "XAU")
"""Factors whose prices do not move where a book is held through past days of other assets."""
STORED = {"ETH": "ETHUSDT", "BTC": "BTCUSDT"}
"""The warehouse's series of the default symbols."""


class Prices(NamedTuple):
    """Hourly USD on every hour, a column for each symbol; hours bridged in each; their source; whether generated."""

    frame: pd.DataFrame
    bridged: dict[str, int]
    source: str
    synthetic: bool


def run(arguments: BacktestOptions) -> str:
    """Forecast, compare, write `out`; returns the table. Raises `flows.risk.price_file.BadPrices`, `NoPrices`."""
    symbols = list(dict.fromkeys(arguments.symbols))
    prices = _from_file(arguments, symbols) if arguments.prices else _from_warehouse(arguments, symbols)
    book = _book(symbols) if arguments.book else None
    found = backtest(prices, arguments.warm_up, book)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return f"{table(found)}\n{ending(found, DEFAULT)}\nwritten to {arguments.out}"


def _from_file(arguments: BacktestOptions, symbols: Sequence[str]) -> Prices:
    assert arguments.prices is not None
    frame, bridged = price_file.read(arguments.prices, symbols, arguments.longest_gap)
    return Prices(frame, bridged, str(arguments.prices), False)


def _from_warehouse(arguments: BacktestOptions, symbols: Sequence[str]) -> Prices:
    synthetic = snapshot.newest().synthetic
    parts = {}
    for symbol in symbols:
        name = STORED.get(symbol.upper(), symbol)
        frame = load_prices([name], synthetic=synthetic)
        grid = frame.index.to_numpy() % price_file.HOUR == frame.index[-1] % price_file.HOUR
        parts[symbol] = frame.loc[grid, name]
    frame, bridged = price_file.on_the_hour(parts, "dim_prices", arguments.longest_gap)
    return Prices(frame, bridged, "the warehouse", synthetic)


class HeldMarket(NamedTuple):
    """A market held unchanged, the column of prices that each reserve follows, (R,), and the symbols by column."""

    market: Market
    factor: np.ndarray
    follows: dict[str, list[str]]

    @property
    def debt_usd(self) -> float:
        """All debt at the market's prices."""
        amount = np.bincount(self.market.debt.reserve, self.market.debt.amount, self.market.n_reserves)
        return float(amount @ self.market.price)

    def record(self) -> dict[str, Any]:
        """Which book it is, as JSON values."""
        at = self.market.snapshot
        return {
            "market": at.market,
            "block": at.block,
            "hash": at.hash,
            "is_synthetic": at.synthetic,
            "debt_usd": self.debt_usd,
            "follows": self.follows,
        }


def _book(symbols: Sequence[str]) -> HeldMarket:
    """The newest snapshot's book: an asset follows the symbol of its name or else the first one; pegs do not move."""
    market = load_market()
    rows = assets.asset_map(market.snapshot.market).set_index("asset")
    columns = [symbol.upper() for symbol in symbols]
    factor, follows = np.empty(market.n_reserves, dtype=np.int64), {}
    for i, asset in enumerate(market.reserves.asset):
        row = rows.loc[asset]
        own = str(row["factor"]).upper()
        still = row["kind"] == "fixed" or own in STILL
        factor[i] = -1 if still else columns.index(own) if own in columns else 0
        follows.setdefault("stands still" if still else symbols[factor[i]], []).append(str(market.reserves.symbol[i]))
    return HeldMarket(market, factor, follows)


def backtest(prices: Prices, warm_up: int | None = None, book: HeldMarket | None = None) -> dict[str, Any]:
    """Results of every law on every series, for JSON. Raises `BadPrices` where the warm-up leaves too few days."""
    frame = prices.frame
    ends = frame.index.to_numpy(dtype=np.int64)[1:]
    returns = np.diff(np.log(frame.to_numpy(dtype=float)), axis=0)
    for symbol, column in zip(frame.columns, returns.T, strict=True):
        if not column.any():
            raise BadPrices(f"{prices.source}: {symbol} never moves; there is nothing to forecast")
    if warm_up is None:
        warm_up = min(WARM_UP, max(LEAST_WARM_UP, (len(frame) - 1) // 24 - LEAST_DAYS - 1))
    days = past.starts(ends, warm_up * 24)
    if len(days) < LEAST_DAYS:
        raise BadPrices(
            f"{prices.source}: {len(frame) / 24:,.0f} days of prices leave {len(days)} to forecast after a warm-up of "
            f"{warm_up}; at least {LEAST_DAYS} are needed. Give more prices, or a shorter --warm-up"
        )
    n = len(frame.columns)
    portfolios = {symbol: np.eye(n)[i] for i, symbol in enumerate(frame.columns)}
    if n > 1:
        portfolios["mix"] = np.full(n, 1 / n)
    weights = np.array(list(portfolios.values()))
    lost = past.losses(returns, weights, days)
    happened = dict(zip(portfolios, lost.T, strict=True))
    if book is not None:
        happened["book"] = past.liquidated(book.market, book.factor, returns, days) / book.debt_usd
    laws = {}
    rounds = len(NAMES) * (1 if book is None else 2)
    with tqdm(total=rounds * len(days), desc="forecasting", unit="day", mininterval=0.5) as bar:
        for name in NAMES:
            law = law_called(name)
            bar.set_postfix_str(name)
            forecast = past.value_at_risk(returns, ends, weights, days, law, progress=bar.update)
            forecasts = {portfolio: forecast[:, p] for p, portfolio in enumerate(portfolios)}
            if book is not None:
                usd = past.liquidations_at_risk(book.market, book.factor, returns, ends, days, law, progress=bar.update)
                forecasts["book"] = usd / book.debt_usd
            scores = {
                series: [_held(happened[series], values[:, i], level) for i, level in enumerate(past.LEVELS)]
                for series, values in forecasts.items()
            }
            holds = all(score["holds"] for by_level in scores.values() for score in by_level)
            laws[name] = {"method": law.record(), "words": law.words, "holds": holds, "series": scores}
            laws[name]["forecasts"] = {series: values.tolist() for series, values in forecasts.items()}
    _beside_the_default(laws, happened)
    return {
        "source": prices.source,
        "is_synthetic": prices.synthetic,
        "bridged_hours": prices.bridged,
        "first_price": int(frame.index[0]),
        "last_price": int(frame.index[-1]),
        "warm_up_days": warm_up,
        "levels": list(past.LEVELS),
        "significance": SIGNIFICANCE,
        "portfolios": {name: dict(zip(frame.columns, w.tolist(), strict=True)) for name, w in portfolios.items()},
        "day_begins": ends[days].tolist(),
        "losses": {name: values.tolist() for name, values in happened.items()},
        "book": None if book is None else book.record(),
        "laws": laws,
    }


def _held(lost: np.ndarray, forecast: np.ndarray, level: float) -> dict[str, Any]:
    """How good one forecast was: counts, p-values, zone, scores."""
    cover = backtests.coverage(backtests.exceptions(lost, forecast), level)
    values = (cover.kupiec.p_value, cover.independence.p_value, cover.conditional.p_value)
    return {
        "level": level, "days": cover.n, "exceptions": cover.exceptions, "expected": cover.expected,
        "kupiec_p": values[0], "independence_p": values[1], "conditional_p": values[2], "zone": cover.zone,
        "pinball": float(backtests.pinball_loss(lost, forecast, level).mean()), "mean_var": float(forecast.mean()),
        "holds": min(values) >= SIGNIFICANCE,
    }  # fmt: skip


def _beside_the_default(laws: dict[str, Any], happened: dict[str, np.ndarray]) -> None:
    """Adds `beyond_default` to every score: the pinball loss beyond that of the default on the same days."""
    for law in laws.values():
        for series, scores in law["series"].items():
            for place, score in enumerate(scores):
                losses = (
                    backtests.pinball_loss(
                        happened[series], np.array(one["forecasts"][series])[:, place], score["level"]
                    )
                    for one in (law, laws[DEFAULT])
                )
                gap = accuracy.loss_difference(*losses)
                score["beyond_default"] = None if gap is None else asdict(gap)


def _gap(score: dict[str, Any]) -> str:
    gap = score["beyond_default"]
    return f"{'-':>9}{'-':>7}" if gap is None else f"{gap['mean'] * 1e4:>+9.2f}{gap['p_value']:>7.3f}"


def table(found: dict[str, Any]) -> str:
    """The results as text: one line for each law, series and level."""
    begins = found["day_begins"]
    bridged = ", ".join(f"{hours} of {symbol}" for symbol, hours in found["bridged_hours"].items())
    head = [
        "SAMPLE: generated prices; the results only show how a law fits the generator" if found["is_synthetic"] else "",
        f"{len(begins):,} days from {utc(begins[0])} to {utc(begins[-1] + 86_400)} UTC of {found['source']}; "
        f"hours bridged: {bridged}",
        f"warm-up of {found['warm_up_days']} days"
        + (f"; {WARM_UP} are better for volatility of two speeds" if found["warm_up_days"] < WARM_UP else ""),
        *_of_the_book(found["book"]),
        "value-at-risk of the 24 h after each midnight UTC, from earlier prices alone; p: Kupiec, Christoffersen's "
        "independence and conditional coverage; pinball in 0.01 % of the position, smaller is better",
        f"beyond: pinball less that of the default, {DEFAULT}; its p: Diebold-Mariano",
        "",
        f"{'law':<17}{'series':<7}{'level':>6}{'exceptions':>11}{'expected':>9}{'kupiec':>8}{'indep.':>8}{'cond.':>8}"
        f"  {'light':<7}{'pinball':>8}{'beyond':>9}{'p':>7}{'mean VaR':>9}  holds",
    ]
    rows = []
    for name, law in found["laws"].items():
        for series, scores in law["series"].items():
            rows += [
                f"{name:<17}{series:<7}{s['level']:>6.0%}{s['exceptions']:>11}{s['expected']:>9.1f}{s['kupiec_p']:>8.3f}"
                f"{s['independence_p']:>8.3f}{s['conditional_p']:>8.3f}  {s['zone']:<7}{s['pinball'] * 1e4:>8.2f}"
                f"{_gap(s)}{s['mean_var']:>9.2%}  {'yes' if s['holds'] else 'no'}"
                for s in scores
            ]
    return "\n".join([*head[1 - bool(head[0]) :], *rows, ""])


def _of_the_book(book: dict[str, Any] | None) -> list[str]:
    if book is None:
        return []
    kind = "sample " if book["is_synthetic"] else ""
    who = "; ".join(f"{name}: {len(reserves)} reserves" for name, reserves in book["follows"].items())
    return [
        f"book: {kind}{book['market']}, block {book['block']:,}, held as it is through every day; liquidations at risk "
        f"as a share of its debt, 2,000 quasi-random paths of 24 hourly steps a day; who follows what: {who}"
    ]


def ending(found: dict[str, Any], default: str) -> str:
    """Which laws hold at both levels on all series, and whether the default is one of them."""
    holding = [name for name, law in found["laws"].items() if law["holds"]]
    every = f"every test at both levels on {', '.join(found['losses'])} (p of at least {SIGNIFICANCE:g})"
    if not holding:
        return f"No law holds {every}; neither does the default, {default}."
    verb = "holds" if len(holding) == 1 else "hold"
    verdict = "does not" if default not in holding else "is it" if len(holding) == 1 else "is one of them"
    return f"{' and '.join(holding)} {verb} {every}; the default, {default}, {verdict}."
