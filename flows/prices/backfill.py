"""Klines of years into the warehouse, in pages: stored bars are not requested again, a killed run can be continued.

The progress of each series is stored beside its bars (`ingest_checkpoint`, key `klines:SYMBOL:INTERVAL`: the ranges of
opening times that are complete) and written in the same transaction. Bars are written in batches of `BATCH`, so a
smaller window is stored whole or not at all, and a run over a longer one loses at most one batch when it is killed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from data.prices.dollar import PEG
from data.prices.settling import decisions
from flows.errors import MalformedAnswer
from flows.pipeline import Mark, Run
from flows.prices.binance_shapes import INTERVAL_SECONDS
from flows.prices.rows import SOURCE, close_time, to_frames

if TYPE_CHECKING:
    from flows.prices.binance import Binance, Kline

BATCH = 50_000
"""Bars in one transaction."""
MOST_MISSING_AT_END = 2
"""Bars that may be missing at the end of the window; more means the pair no longer trades."""

Range = tuple[int, int]
"""Opening times [first, end), UTC seconds."""


def joined(ranges: Sequence[Range], more: Range) -> list[Range]:
    """`ranges` and `more` as sorted ranges that neither overlap nor touch.

    >>> joined([(0, 10), (20, 30)], (10, 15))
    [(0, 15), (20, 30)]
    """
    found: list[Range] = []
    for first, end in sorted([*ranges, more]):
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        elif first < end:
            found.append((first, end))
    return found


def missing(ranges: Sequence[Range], start: int, end: int) -> list[Range]:
    """The parts of [start, end) that the sorted `ranges` leave out.

    >>> missing([(0, 10), (20, 30)], 5, 40)
    [(10, 20), (30, 40)]
    """
    found = []
    for first, stop in [*ranges, (end, end)]:
        if start < min(first, end):
            found.append((start, min(first, end)))
        start = max(start, stop)
    return found


@dataclass(slots=True)
class Progress:
    """Counts of a backfill: bars read from Binance and stored, prices new or changed."""

    read: int = 0
    stored: int = 0
    changed: int = 0


@dataclass(slots=True)
class Backfill:
    """Fills series one after another; call `flush` at the end. `page_done` is called after each answer.

    `again` reads stored bars as well.

    Ranges that were read with `allow_gaps` are kept under a key of their own: a run without it reads them again, and
    raises where there is a hole.
    """

    run: Run
    binance: Binance
    again: bool = False
    page_done: Callable[[], object] = lambda: None
    done: Progress = field(default_factory=Progress)
    _bars: dict[tuple[str, str], list[Kline]] = field(default_factory=dict)
    _covered: dict[str, list[Range]] = field(default_factory=dict)
    _saved: dict[str, list[Range]] = field(default_factory=dict)

    def to_read(self, symbol: str, interval: str, start: int, end: int, *, allow_gaps: bool = False) -> list[Range]:
        """The parts of [start, end) still to be asked for."""
        return missing([] if self.again else self._ranges(symbol, interval, allow_gaps), start, end)

    def fill(self, symbol: str, interval: str, start: int, end: int, *, allow_gaps: bool = False) -> None:
        """Read what is missing of [start, end), on the grid of the bars. Arguments and errors: see `Binance.pages`."""
        step = INTERVAL_SECONDS[interval]
        for first, stop in self.to_read(symbol, interval, start, end, allow_gaps=allow_gaps):
            # Where stored ranges touch this part, there must be no gap between their bars and the new ones, on either
            # side.
            stored = self._ranges(symbol, interval, allow_gaps)
            before = self._neighbour(symbol, interval, "max", first) if any(e == first for _, e in stored) else None
            after = self._neighbour(symbol, interval, "min", stop) if any(b == stop for b, _ in stored) else None
            last = before
            for page in self.binance.pages(symbol, interval, first, stop, after=before, allow_gaps=allow_gaps):
                last = page[-1].open_time // 1000
                # After a bar off the grid the next one may open at any time: only this bar is known to be read.
                known = page[-1].next_open(step * 1000) // 1000 if last % step == 0 else last + 1
                self._take(symbol, interval, page, _key(symbol, interval, allow_gaps), (first, max(known, last + 1)))
                self.page_done()
            if after is not None and last is not None and after - last != step and not allow_gaps:
                raise MalformedAnswer(
                    f"Binance's {interval} bars of {symbol} have a gap between {_utc(last)} and {_utc(after)}, where "
                    "they meet what is stored. Nothing was written; --allow-gaps if the pair was really halted then"
                )
            # Long past and still no bar: the pair was not listed (or halted) then; this range is not requested again.
            if stop + (MOST_MISSING_AT_END + 1) * step <= self.binance.now():
                self._cover(_key(symbol, interval, allow_gaps), (first, stop))

    def last_bar(self, symbol: str, interval: str, end: int) -> int | None:
        """Opening time of the newest bar before `end` that is stored or about to be, UTC seconds."""
        return self._neighbour(symbol, interval, "max", end)

    def flush(self) -> None:
        """Write what was read since the last call, and the progress of each series, in one transaction."""
        frames: dict[str, list[pd.DataFrame]] = {}
        for interval in dict.fromkeys(interval for _, interval in self._bars):
            mine = {symbol: bars for (symbol, of), bars in self._bars.items() if of == interval}
            ends = [close_time(bar) for bars in mine.values() for bar in (bars[0], bars[-1])]
            decided = decisions(self.run.store, interval, min(ends), max(ends))
            for table, rows in to_frames(mine, list(mine), interval, self._peg(interval, mine), decided).items():
                frames.setdefault(table, []).append(rows)
        batch: dict[str, Any] = {table: pd.concat(parts, ignore_index=True) for table, parts in frames.items()}
        marks = [
            Mark(SOURCE, key, {"ranges": ranges})
            for key, ranges in self._covered.items()
            if ranges != self._saved.get(key)
        ]
        if not batch and not marks:
            return
        report = self.run.write(SOURCE, self._named(), batch, marks=marks)
        if "dim_prices" in batch:
            self.done.changed += report.changed["dim_prices"]
        self.done.stored += sum(map(len, self._bars.values()))
        self._saved = dict(self._covered)
        self._bars.clear()

    def _take(self, symbol: str, interval: str, page: list[Kline], key: str, whole: Range) -> None:
        self._bars.setdefault((symbol, interval), []).extend(page)
        self._cover(key, whole)
        self.done.read += len(page)
        if sum(map(len, self._bars.values())) >= BATCH:
            self.flush()

    def _cover(self, key: str, whole: Range) -> None:
        self._covered[key] = joined(self._ranges_of(key), whole)

    def _ranges(self, symbol: str, interval: str, allow_gaps: bool) -> list[Range]:
        ranges = self._ranges_of(_key(symbol, interval, False))
        if allow_gaps:
            for more in self._ranges_of(_key(symbol, interval, True)):
                ranges = joined(ranges, more)
        return ranges

    def _ranges_of(self, key: str) -> list[Range]:
        if key not in self._covered:
            stored = self.run.store.checkpoint(SOURCE, key) or {"ranges": []}
            self._covered[key] = self._saved[key] = [(first, end) for first, end in stored["ranges"]]
        return self._covered[key]

    def _neighbour(self, symbol: str, interval: str, which: str, at: int) -> int | None:
        """Nearest known bar that opens before `at` (max) or from `at` on (min)."""
        side = "<" if which == "max" else ">="
        stored = self.run.store.rows(
            f"SELECT {which}(open_time) FROM raw_binance_klines WHERE symbol = ? AND interval = ? "
            f"AND open_time {side} ?",
            (symbol, interval, at),
        )[0][0]
        read = [bar.open_time // 1000 for bar in self._bars.get((symbol, interval), ())]
        known = [open_time for open_time in read if (open_time < at) == (which == "max")]
        known += [] if stored is None else [stored]
        if not known:
            return None
        return max(known) if which == "max" else min(known)

    def _peg(self, interval: str, mine: dict[str, list[Kline]]) -> Iterator[tuple[int, str]]:
        """Stored closes of the peg pair at the times of `mine`; those of this batch are among `mine`."""
        opens = [bar.open_time // 1000 for bars in mine.values() for bar in (bars[0], bars[-1])]
        return iter(
            self.run.store.rows(
                "SELECT close_time, close FROM raw_binance_klines WHERE symbol = ? AND interval = ? "
                "AND open_time BETWEEN ? AND ? ORDER BY open_time, batch",
                (PEG, interval, min(opens), max(opens)),
            )
        )

    def _named(self) -> str:
        if not self._bars:
            return "checkpoints"
        (symbol, interval), bars = next(iter(self._bars.items()))
        return f"{symbol}:{interval}:{bars[0].open_time // 1000}:{sum(map(len, self._bars.values()))}"


def _key(symbol: str, interval: str, allow_gaps: bool) -> str:
    return f"klines:{symbol}:{interval}" + (":with-holes" if allow_gaps else "")


def _utc(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
