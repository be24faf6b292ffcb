"""What a calibration depends on: the prices that it may see, the factor of each reserve, and notes for the reader."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from data.errors import NoPrices
from data.prices import pegs
from data.prices.dollar import PEG, PEG_TOLERANCE
from data.prices.series import SYNTHETIC
from flows.errors import FlowError
from flows.risk.factors import factors_of
from risk_core import Market
from risk_core.laws.calibrated import DEFAULT, Calibrated, calibrated

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
    law: Calibrated
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
    chosen, history = calibrated(law), _history(series, prices, load)
    short = _short_history(market, chosen, history)
    notes = (*_notes(market, prices, looks_ahead), *stood_in, *short) if series else ()
    return Inputs(
        series=series, factor=factor, prices=prices, history=history, law=chosen, looks_ahead=looks_ahead, notes=notes
    )


def _history(series: Mapping[str, str], prices: pd.DataFrame, load: LoadPrices) -> dict[str, pd.Series]:
    """Each series' own prices up to the window's end; over the window itself at least."""
    found = {}
    for name in dict.fromkeys(series.values()):
        last = int(prices.index.max())
        own = load([name], min(last - HISTORY_DAYS * DAY, int(prices.index.min())), last)
        found[name] = own[name]
    return found


def _short_history(market: Market, law: Calibrated, history: Mapping[str, pd.Series]) -> tuple[str, ...]:
    days = {name: len(prices) / 24 for name, prices in history.items()}
    if market.snapshot.synthetic or len(law.memory.half_lives) == 1 or not days:
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
            f"{market.snapshot.market} at block {market.snapshot.block} ({_day(block_time)}): {known / 24:.1f} days of "
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
    """Hourly log returns of prices, a column for each series; hours beside a hole have none."""
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
            f"calibrated on prices from {_day(prices.index.min())} to {_day(last)}, which are later than the block "
            f"({_day(block_time)}): too few were stored from before it"
        )
    elif last < block_time - STALE_DAYS * DAY:
        notes.append(f"prices end on {_day(last)}, before the block ({_day(block_time)}); market-prices renews them")
    return tuple(notes)


def _day(seconds: int) -> str:
    return f"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%d}"
