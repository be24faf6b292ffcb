"""Flow `market-prices`: Binance klines of every price series that the market's reserves follow, into `dim_prices`.

The window may be hours or years, in several intervals: what is stored is not requested again, and a killed run can be
continued (`flows.prices.backfill`). How USDT prices become USD: `flows.prices.rows`.

With `--sources binance defillama` DefiLlama's prices are stored beside them and compared with them
(`flows.prices.second_source`). Sources that disagree are noted in `fact_validation` and in the run's line; Binance's
are served (`data.prices`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tqdm import tqdm

from data.foreign_text import safe_print
from data.prices import assets
from data.prices.dollar import PEG
from data.prices.pegs import PAIRS
from data.prices.settling import settle
from data.snapshot import loading as snapshot
from data.store.store import Store
from flows.continuous import run_as_asked
from flows.errors import ConfigurationError, MalformedAnswer
from flows.pipeline import Run, recorded
from flows.prices import second_source as second_prices
from flows.prices.backfill import BATCH, MOST_MISSING_AT_END, Backfill
from flows.prices.binance import INTERVAL_SECONDS, PAGE, Binance, UnknownSymbol
from flows.prices.options import DAYS, MarketPricesOptions
from flows.prices.rows import SOURCE, exchange_info_frame, latest_frames

if TYPE_CHECKING:
    import pandas as pd

    from flows.prices.backfill import Progress

WAIT, LONG_WAIT = 180.0, 1800.0
"""Seconds that a run may wait because Binance asks it to; a backfill of years gets more than one 429."""
NOTABLE_SKEW = 30.0
"""Seconds between our clock and Binance's above which a run reports the difference."""

Window = tuple[str, int, int]
"""Interval, and the opening times [start, end) in UTC seconds on its grid."""


def series_of(mapping: pd.DataFrame) -> list[str]:
    """Trading pairs that the reserves of a `dim_asset` mapping follow, sorted; fixed oracle prices need none.

    Pegs such as USDT/USD are not pairs: from the exchange they need USDCUSDT.
    """
    followed = set(mapping.loc[mapping["kind"] != "fixed", "series"])
    return sorted({PEG if series in PAIRS else series for series in followed})


def windows(arguments: MarketPricesOptions, now: float) -> list[Window]:
    """One window for each interval. Raises `ConfigurationError` for one that holds no bar."""
    end = arguments.until if arguments.until is not None else int(now)
    start = arguments.since if arguments.since is not None else end - (arguments.days or DAYS) * 86_400
    found = []
    for interval in dict.fromkeys(arguments.interval):
        # On the grid of the bars, so that a re-run within the same bar asks for the same window.
        step = INTERVAL_SECONDS[interval]
        found.append((interval, start // step * step, end // step * step))
        if found[-1][1] >= found[-1][2]:
            raise ConfigurationError(
                f"no {interval} bar lies between {_day(start)} and {_day(end)}; choose --from, --until"
            )
    return found


def run(arguments: MarketPricesOptions) -> str:
    """Collect once, or every so many seconds until stopped (`--every`); see `collect`."""
    return run_as_asked(collect, arguments)


def collect(arguments: MarketPricesOptions) -> str:
    """Fetch, validate and store the windows; if anything is refused, nothing of its batch (50,000 bars) is stored.

    Raises `SourceUnavailable`, `MalformedAnswer`, `UnknownSymbol`; `data.errors.NoSnapshot`, `UnmappedReserve` (by
    name) and `BatchRefused`.
    """
    mapping = None if arguments.symbols else assets.asset_map(arguments.market)
    symbols = list(dict.fromkeys(arguments.symbols)) if mapping is None else series_of(mapping)
    if not symbols:
        return "every reserve has a fixed oracle price: there is no series to fetch"
    asked = windows(arguments, time.time())
    chain_id = 0 if mapping is None else snapshot.newest(arguments.market).chain_id
    # A market's coins include those that show which of USDC and USDT had moved, and DAI's price.
    named = symbols if mapping is None else dict.fromkeys([*symbols, PEG, *PAIRS])
    coins = second_prices.coins_of(named, mapping, chain_id, dict(arguments.coins))
    second_prices.band()  # an unusable setting is reported before anything is read
    parameters = {"symbols": symbols, "windows": [list(window) for window in asked], "sources": arguments.sources}
    with (
        Store.open() as store,
        recorded(store, "market-prices", parameters) as run,
        Binance.from_environment(_patience(symbols, asked)) as binance,
    ):
        states = _exchange_info(run, binance, symbols) if arguments.exchange_info else ""
        done, has_peg = backfill(run, binance, symbols, asked, arguments)
        if arguments.latest:
            wanted = dict.fromkeys([*symbols, PEG] if has_peg else symbols)
            tickers = binance.tickers(list(wanted))
            report = run.write(SOURCE, f"latest:{tickers.at}", latest_frames(tickers))
            done.changed += report.changed["dim_prices"]
        if mapping is not None:
            assets.save_map(store, mapping, run.id)
        compared = ""
        if second_prices.SOURCE in arguments.sources:
            compared = second_prices.collected(run, symbols, coins, asked, latest=arguments.latest)
        # Between the two: a price just read may show which dollar had moved, and prices are compared in dollars.
        dollar = settle(store, run.id)
        compared += second_prices.cross_check(run, symbols, asked, latest=arguments.latest)
        run.refresh(["stg_prices"])
        skew = binance.clock_ahead
    return (
        f"{len(symbols)} series up to {_day(max(end for _, _, end in asked))}, {done.read:,} bars read, "
        f"{done.changed:,} new or changed; 1 USDT = 1 USD{dollar}"
        + compared
        + states
        + (f"; this machine's clock is {skew:+,.0f} s off Binance's" if abs(skew) > NOTABLE_SKEW else "")
    )


def _patience(symbols: Sequence[str], asked: Iterable[Window]) -> float:
    bars = sum((end - start) // INTERVAL_SECONDS[interval] for interval, start, end in asked) * len(symbols)
    return WAIT if bars <= BATCH else LONG_WAIT


def backfill(
    run: Run, binance: Binance, symbols: Sequence[str], asked: Iterable[Window], arguments: MarketPricesOptions
) -> tuple[Progress, bool]:
    """Bring every series of every window into the warehouse; returns (progress, whether Binance has the peg pair).

    Raises `MalformedAnswer` for a symbol without bars, or whose bars end early; `UnknownSymbol`, `SourceUnavailable`.
    """
    # The peg comes first: the prices of every other series are computed with it.
    names = list(dict.fromkeys([PEG, *symbols]))
    asked, has_peg = list(asked), True
    with tqdm(desc="klines", unit="answers", disable=None, leave=False) as bar:
        filler = Backfill(run, binance, again=arguments.again, page_done=bar.update)
        bar.reset(total=sum(_answers(filler, name, window) for window in asked for name in names))
        try:
            for interval, start, end in asked:
                for name in names:
                    bar.set_postfix_str(f"{name} {interval}", refresh=False)
                    # Where the peg was not asked for, holes are allowed: 1 USDT stays 1 USD there.
                    holes = arguments.allow_gaps or name not in symbols
                    try:
                        filler.fill(name, interval, start, end, allow_gaps=holes)
                    except UnknownSymbol:
                        if name in symbols:
                            raise
                        has_peg = False
                        continue
                    if name in symbols:
                        _require_up_to_date(filler, binance.now(), name, interval, start, end)
            filler.flush()
        except BaseException:
            # The error is about what is refused; earlier batches of a long window stay stored.
            if filler.done.stored:
                safe_print(
                    f"{filler.done.stored:,} bars of this run are stored; the next run continues after them", flush=True
                )
            raise
    return filler.done, has_peg


def _answers(filler: Backfill, name: str, window: Window) -> int:
    interval, start, end = window
    seconds = INTERVAL_SECONDS[interval] * PAGE
    return sum(-(-(stop - first) // seconds) for first, stop in filler.to_read(name, interval, start, end))


def _exchange_info(run: Run, binance: Binance, symbols: Sequence[str]) -> str:
    """Store Binance's entries of the symbols; returns a text that names those that do not trade."""
    infos = binance.exchange_info(symbols)
    run.write(SOURCE, "exchangeInfo", {"raw_binance_exchange_info": exchange_info_frame(infos)})
    halted = [f"{info.symbol} is {info.status}" for info in infos if info.status != "TRADING"]
    return f"; not trading now: {', '.join(halted)}" if halted else ""


def _require_up_to_date(filler: Backfill, now: float, symbol: str, interval: str, start: int, end: int) -> None:
    window = f"between {_day(start)} and {_day(end)}"
    last = filler.last_bar(symbol, interval, end)
    if last is None or last < start:
        raise MalformedAnswer(
            f"Binance has no finished bar of {symbol} {window}. Nothing was written; "
            "choose another window (--days, --until) or another series for that reserve in dim_asset"
        )
    missing = (min(end, int(now)) - last) // INTERVAL_SECONDS[interval] - 1
    if missing > MOST_MISSING_AT_END:
        raise MalformedAnswer(
            f"Binance's bars of {symbol} {window} end at {_day(last)}, {missing:,} bars too early: halted or delisted? "
            "Nothing was written; give that reserve another series in dim_asset, or choose another window (--until)"
        )


def _day(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
