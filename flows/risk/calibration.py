"""From stored prices to the scenario of a market: the factor that moves each reserve, volatilities, correlations.

The volatility of each law has a memory of its own (`risk_core.laws.calibrated`) and is computed from a year of hourly
prices of each series. Correlation is Ledoit-Wolf over the last 90 days that all series share, on returns divided by the
deviation known before them. Prices up to the snapshot's block are used, and no later price has any part in the result.
Where there are not enough of them the calibration is refused, unless its caller allows later ones: it is then marked as
looking ahead, good for a what-if and no forecast.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from data.errors import NoPrices
from data.prices import pegs
from data.prices.dollar import PEG, PEG_TOLERANCE
from data.prices.series import SYNTHETIC
from flows.errors import FlowError
from risk_core import GBM, InputError, Market, Scenario
from risk_core.analytics.dependence import shrunk_correlation
from risk_core.analytics.volatility import (
    TWO_SPEED,
    Memory,
    annual_volatility,
    mean_weekday_factor,
    standardised,
    variance_path,
)
from risk_core.laws.calibrated import DEFAULT, Calibrated
from risk_core.laws.from_returns import FromReturns, law_called
from risk_core.laws.law import Law
from risk_core.price_models import FIXED, MOST_VOLATILITY

INTERVAL = "1h"
HOUR = 3600
DAY = 86_400
WINDOW_DAYS = 90
"""Days that all series share, from which correlation is estimated."""
HISTORY_DAYS = 365
"""Days of each series' own prices, up to the same end, from which its volatility is computed."""
LONG_MEMORY_DAYS = 180
"""With a shorter history, the slow half of a two-speed volatility is a guess, and a note says so."""
LEAST_DAYS = 14
"""With less history a volatility is a guess."""
FLOOR = 0.005
"""Least annual volatility: a stable pair that did not move in the window still has risk."""
METHOD = {
    "version": 3,
    "history_days": HISTORY_DAYS,
    "floor": FLOOR,
    "correlation": "ledoit-wolf of standardised returns",
    "correlation_days": WINDOW_DAYS,
}
"""Part of every calibration's id, with the law's numbers: raise the version when the same prices may give others."""
STRESS = Memory(half_lives=TWO_SPEED.half_lives[:1], weights=(1.0,), week=TWO_SPEED.week)
STRESS_FROM = 7 * 24
"""Hours after which a mean with a half-life of a day rests on enough hours to be meaningful."""
STRESS_IN_WORDS = "every asset at its highest one-day volatility of the last year, all at once"
STALE_DAYS = 2
"""Prices that end this long before the block are used, with a note that they are old."""

LoadPrices = Callable[[Sequence[str], int | None, int | None], pd.DataFrame]
"""(series, first, last) -> hourly USD prices at the times all series share: one column each, index UTC seconds.

None is no bound. Empty where there are none. `data.prices.load_prices` gives such frames.
"""


class InsufficientHistory(FlowError):
    """A price series is too short to calibrate from."""


class LooksAhead(InsufficientHistory):
    """Only prices later than the block would do, and they were not allowed."""


class InconsistentMapping(FlowError):
    """`dim_asset` contradicts itself or the snapshot: a factor with several series, a reserve without a row."""


class SharedSeries(InconsistentMapping, InputError):
    """Two factors follow one price series, so that they would always move alike."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inputs:
    """Everything that a calibration depends on; `id` is the digest of it.

    series: factor -> price series, in order of the factors' first reserve. factor: (R,) factor of each reserve, -1 for
    a fixed oracle price. prices: hourly USD at the times that all series share, one column for each distinct series.
    history: the hourly prices of each series alone, up to the same end, over `HISTORY_DAYS`. law: what is fitted.
    `notes`: remarks that a reader must see.
    """

    series: dict[str, str]
    factor: np.ndarray
    prices: pd.DataFrame
    history: Mapping[str, pd.Series]
    law: Calibrated | FromReturns
    looks_ahead: bool
    notes: tuple[str, ...]

    @property
    def method(self) -> dict[str, Any]:
        """Estimators with all their numbers."""
        return METHOD | {"law": self.law.record()}

    @property
    def id(self) -> str:
        """SHA-256 of the method, the series and the prices: equal inputs have equal ids."""
        digest = hashlib.sha256(json.dumps([self.method, self.series, self.looks_ahead]).encode())
        if self.series:
            names = list(dict.fromkeys(self.series.values()))
            for prices in (self.prices[names], *(self.history[name] for name in names)):
                digest.update(prices.index.to_numpy(dtype="<i8").tobytes())
                digest.update(prices.to_numpy(dtype="<f8").tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """Annual volatility (F,), on a day of weekday factor 1, and correlation (F, F) of the factors of `inputs`."""

    inputs: Inputs
    volatility: np.ndarray
    correlation: np.ndarray

    def scenario(self, name: str, horizon: timedelta, n_steps: int, begins_at: int) -> Scenario:
        """The zero-drift scenario of the market over `horizon` in `n_steps` equal steps.

        begins_at: UTC epoch seconds; weekends in the horizon count with the law's weekday factors.
        """
        volatility, law = self.moves(begins_at, horizon)
        return Scenario(
            name=name,
            horizon=horizon,
            n_steps=n_steps,
            factors=tuple(self.inputs.series),
            volatility=volatility,
            correlation=self.correlation,
            factor=self.inputs.factor,
            law=law,
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks that a reader must see."""
        return self.inputs.notes

    def moves(self, begins_at: int, horizon: timedelta) -> tuple[np.ndarray, Law]:
        """(annual volatility over the horizon (F,), law)."""
        if not isinstance(self.inputs.law, Calibrated):
            return self.volatility, GBM()  # without a factor, no law has anything to move
        ahead = mean_weekday_factor(begins_at, horizon.total_seconds(), self.inputs.law.memory.week)
        return self.inputs.law.shape(self.volatility * np.sqrt(ahead))

    def row(self, market: str) -> dict[str, Any]:
        """The row of `fact_calibration`."""
        times = self.inputs.prices.index
        return {
            "calibration_id": self.inputs.id,
            "market": market,
            "method": json.dumps(self.inputs.method),
            "factors": json.dumps(self.inputs.series),
            "first_ts": int(times.min()) if len(times) else 0,
            "last_ts": int(times.max()) if len(times) else 0,
            "n_returns": len(log_returns(self.inputs.prices)),
            "looks_ahead": int(self.inputs.looks_ahead),
            "volatility": json.dumps(self.volatility.tolist()),
            "correlation": json.dumps(self.correlation.tolist()),
            "fitted": None,
        }

    @classmethod
    def from_row(cls, inputs: Inputs, row: Mapping[str, Any]) -> Calibration:
        """A stored calibration of the same inputs; JSON keeps every bit of a float."""
        n = len(inputs.series)
        return cls(
            inputs=inputs,
            volatility=np.array(json.loads(row["volatility"]), dtype=np.float64).reshape(n),
            correlation=np.array(json.loads(row["correlation"]), dtype=np.float64).reshape(n, n),
        )


def factors_of(market: Market, mapping: pd.DataFrame) -> tuple[dict[str, str], np.ndarray]:
    """Factor -> price series, in order of the reserves, and the factor of each reserve, (R,) int64, -1 for fixed.

    `mapping`: rows of dim_asset of this market. Reserves that are the same asset have the same factor; two factors
    with one series are refused (`SharedSeries`). Raises `InconsistentMapping`.
    """
    rows = mapping.set_index("asset")
    series: dict[str, str] = {}
    index = np.full(market.n_reserves, FIXED, dtype=np.int64)
    for number, asset in enumerate(market.reserves.asset):
        if asset not in rows.index:
            raise InconsistentMapping(
                f"dim_asset: reserve {market.reserves.symbol[number]} ({asset}) of {market.snapshot.market} at block "
                f"{market.snapshot.block} is not in the mapping; see "
                "data.prices.assets.set_series"
            )
        row = rows.loc[asset]
        if row["kind"] == "fixed":
            continue
        factor = str(row["factor"])
        known = series.setdefault(factor, str(row["series"]))
        if known != row["series"]:
            raise InconsistentMapping(
                f"dim_asset: factor {factor} follows {known} for one reserve and {row['series']} for {row['symbol']}; "
                "one factor has one series"
            )
        index[number] = list(series).index(factor)
    refuse_shared(series)
    return series, index


def refuse_shared(series: Mapping[str, str]) -> None:
    """Raises `SharedSeries` where two factors have one series: their correlation would be 1 by construction."""
    first: dict[str, str] = {}
    for factor, name in series.items():
        other = first.setdefault(name, factor)
        if other != factor:
            raise SharedSeries(
                f"dim_asset: the factors {other} and {factor} both follow {name}, so they would always move alike. "
                "Give each a series of its own, or one factor to the reserves of both if they are the same asset: "
                "data.prices.assets.set_series(market, asset, series=..., kind=..., factor=..., note=...)"
            )


def inputs_of(
    market: Market, mapping: pd.DataFrame, load: LoadPrices, law: str = DEFAULT, *, look_ahead: bool = False
) -> Inputs:
    """The `Inputs` of the calibration of `market` for the law of that name.

    `look_ahead`: use prices later than the block where there are too few before it; `Inputs.looks_ahead` says whether
    they were. Raises `LooksAhead` where only later prices would do, `InsufficientHistory` (names the series),
    `InconsistentMapping`, `InputError` for an unknown law.

    A peg without enough prices of its own follows its stand-in (`data.prices.pegs.STAND_INS`), and the notes say so.
    """
    at = market.snapshot
    mapping, stood_in = _with_stand_ins(mapping, at.block_time, None if look_ahead else at.block_time, load)
    series, factor = factors_of(market, mapping)
    prices, looks_ahead = _window(list(series.values()), market, load, look_ahead=look_ahead)
    chosen, history = law_called(law), _history(series, prices, load)
    short = _short_history(market, chosen, history)
    notes = (*_notes(market, prices, looks_ahead), *stood_in, *short) if series else ()
    return Inputs(
        series=series, factor=factor, prices=prices, history=history, law=chosen, looks_ahead=looks_ahead, notes=notes
    )


def fit(inputs: Inputs) -> Calibration:
    """Estimate volatility and correlation from the window's hourly log returns. Raises `SharedSeries`."""
    if not inputs.series:
        return Calibration(inputs=inputs, volatility=np.zeros(0), correlation=np.zeros((0, 0)))
    refuse_shared(inputs.series)
    if not isinstance(inputs.law, Calibrated):
        raise TypeError(f"law {inputs.law.name}: is fitted by flows.risk.resampled")
    memory = inputs.law.memory
    variance, moves = {}, {}
    for name in dict.fromkeys(inputs.series.values()):
        returns = log_returns(inputs.history[name].to_frame())[name]
        ends = returns.index.to_numpy(dtype=np.int64)
        column = returns.to_numpy(dtype=np.float64)[:, None]
        variance[name] = variance_path(column, ends, memory)[-1, 0]
        moves[name] = pd.Series(standardised(column, ends, memory)[:, 0], index=ends[1:])
    volatility = annual_volatility([variance[name] for name in inputs.series.values()], floor=FLOOR)
    shared = log_returns(inputs.prices).index.intersection(pd.DataFrame(moves).dropna().index)
    together = np.column_stack([moves[name].loc[shared] for name in inputs.series.values()])
    return Calibration(inputs=inputs, volatility=volatility, correlation=shrunk_correlation(together))


def stressed(calibration: Calibration) -> Calibration:
    """The calibration with every asset at its highest one-day volatility of the history, at least its present one.

    A law that learns from the past cannot foresee a sudden shock; this is how bad the worst days were. It is the
    highest value of the mean of squares with a half-life of one day, without weekday factors, after its first week.
    """
    inputs = calibration.inputs
    highest = {}
    for name in dict.fromkeys(inputs.series.values()):
        returns = log_returns(inputs.history[name].to_frame())[name]
        path = variance_path(returns.to_numpy()[:, None], returns.index.to_numpy(dtype=np.int64), STRESS)
        highest[name] = float(path[STRESS_FROM:].max())
    volatility = annual_volatility([highest[name] for name in inputs.series.values()], floor=FLOOR)
    # One wrong price must not end the run: the volatility is limited to what a scenario accepts, with weekday factor.
    held = np.minimum(volatility, MOST_VOLATILITY / np.sqrt(max(STRESS.week)))
    return replace(calibration, volatility=np.maximum(held, calibration.volatility))


def _history(series: Mapping[str, str], prices: pd.DataFrame, load: LoadPrices) -> dict[str, pd.Series]:
    """Each series' own prices up to the window's end; over the window itself at least."""
    found = {}
    for name in dict.fromkeys(series.values()):
        last = int(prices.index.max())
        own = load([name], min(last - HISTORY_DAYS * DAY, int(prices.index.min())), last)
        found[name] = own[name]
    return found


def _short_history(market: Market, law: Calibrated | FromReturns, history: Mapping[str, pd.Series]) -> tuple[str, ...]:
    days = {name: len(prices) / 24 for name, prices in history.items()}
    if market.snapshot.synthetic or isinstance(law, FromReturns) or len(law.memory.half_lives) == 1 or not days:
        return ()
    name = min(days, key=lambda series: days[series])
    if days[name] >= LONG_MEMORY_DAYS:
        return ()
    return (
        f"the slow part of the volatility needs {LONG_MEMORY_DAYS} days of prices, {name} has {days[name]:.0f}; "
        f"`market-prices --days {HISTORY_DAYS}` reads more",
    )


def _window(
    series: list[str], market: Market, load: LoadPrices, *, look_ahead: bool = False
) -> tuple[pd.DataFrame, bool]:
    """The window of prices to use, and whether it reaches beyond the block.

    Up to the block where enough is stored; else the last one long before it; else, with `look_ahead`, the first one
    after it. None of them changes when newer prices arrive, so a re-run on the same snapshot gives the same
    calibration.
    """
    block_time = market.snapshot.block_time
    if not series:
        return pd.DataFrame(), False
    before = load(series, block_time - WINDOW_DAYS * DAY, block_time)
    if _long_enough(before):
        return before, False
    onwards = load(series, block_time - WINDOW_DAYS * DAY, None)
    if len(onwards):
        onwards = onwards.loc[onwards.index < onwards.index.min() + WINDOW_DAYS * DAY]
    earlier = load(series, None, block_time)
    if len(earlier):
        earlier = earlier.loc[earlier.index > earlier.index.max() - WINDOW_DAYS * DAY]
    if _long_enough(earlier):
        return earlier, False
    if look_ahead and _long_enough(onwards):
        return onwards, True
    shortest = min(dict.fromkeys(series), key=lambda name: len(load([name], None, None)))
    if _long_enough(onwards):
        known = max(len(log_returns(frame)) for frame in (before, earlier))
        reach = -(-(int(onwards.index.max()) - block_time) // DAY) + HISTORY_DAYS
        raise LooksAhead(
            f"{market.snapshot.market} at block {market.snapshot.block} ({day(block_time)}): {known / 24:.1f} days of "
            f"hourly prices up to the block are stored for all series together, at least {LEAST_DAYS} are needed. "
            "Later prices are stored, which a forecast may not see. Run "
            f"`python -m flows market-prices --days {reach}` "
            "for earlier ones; `--allow-look-ahead` uses the later ones, and the run is marked as no forecast"
        )
    longest = max(len(log_returns(frame)) for frame in (before, onwards, earlier))
    raise InsufficientHistory(
        f"{longest / 24:.1f} days of hourly prices are stored for all series together (the shortest is {shortest}), "
        f"at least {LEAST_DAYS} are needed; run `python -m flows market-prices --days {HISTORY_DAYS}`"
    )


def _with_stand_ins(
    mapping: pd.DataFrame, block_time: int, last: int | None, load: LoadPrices
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """(mapping in which a peg with too few prices follows its stand-in, notes about it).

    Too few: under nine tenths of the stand-in's in the window before the block (of all up to `last`, where that has
    none).
    """
    notes = []
    for peg, (factor, series) in pegs.STAND_INS.items():
        mine = mapping["series"] == peg
        if not mine.any():
            continue
        own, other = _counts(peg, series, block_time - WINDOW_DAYS * DAY, block_time, load)
        if not other:
            own, other = _counts(peg, series, None, last, load)
        if other and own < pegs.ENOUGH * other:
            changed = {"series": series, "factor": factor, "kind": "proxy"}
            mapping = mapping.assign(**{name: mapping[name].mask(mine, value) for name, value in changed.items()})
            notes.append(
                f"too few prices of {peg} are stored: its reserves follow {factor} ({series}); `oracle-prices --rounds "
                "3000` or `market-prices --sources binance defillama` brings them"
            )
    return mapping, tuple(notes)


def _counts(first: str, second: str, start: int | None, end: int | None, load: LoadPrices) -> tuple[int, int]:
    def count(series: str) -> int:
        try:
            return len(load([series], start, end))
        except NoPrices:
            return 0

    return count(first), count(second)


def _long_enough(prices: pd.DataFrame) -> bool:
    return len(log_returns(prices)) >= LEAST_DAYS * 24


def log_returns(prices: pd.DataFrame) -> pd.DataFrame:
    """Hourly log returns of hours that have a price at both ends, index UTC seconds of the end."""
    # On the full grid first: otherwise a return over a hole would count as the move of one hour.
    if len(prices) < 2:
        return prices.iloc[:0]
    # The grid is that of most prices: after a halt of the exchange some bars are off it.
    place = prices.index.to_numpy() % HOUR
    values, counts = np.unique(place, return_counts=True)
    on = prices.index[place == values[counts.argmax()]]
    grid = range(int(on.min()), int(on.max()) + 1, HOUR)
    return np.log(prices.reindex(grid)).diff().dropna()


def _notes(market: Market, prices: pd.DataFrame, looks_ahead: bool) -> tuple[str, ...]:
    last, block_time = int(prices.index.max()), market.snapshot.block_time
    notes = []
    source = prices.attrs.get("source", SYNTHETIC)
    if source != SYNTHETIC:
        notes.append(f"calibrated on prices of one source, {source}")
    for pair, whose in prices.attrs.get("pegs", {}).items():
        split = f", split by which of USDC and USDT had moved: within {PEG_TOLERANCE:.1%} it does not move"
        notes.append(f"{pair} by {whose}" + (f"'s {PEG}{split}" if whose == source else ""))
    if looks_ahead:
        notes.append(
            f"calibrated on prices from {day(prices.index.min())} to {day(last)}, which are later than the block "
            f"({day(block_time)}): too few were stored from before it"
        )
    elif last < block_time - STALE_DAYS * DAY:
        notes.append(f"prices end on {day(last)}, before the block ({day(block_time)}); market-prices renews them")
    return tuple(notes)


def day(seconds: int) -> str:
    """UTC epoch seconds as an ISO date."""
    return f"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%d}"
