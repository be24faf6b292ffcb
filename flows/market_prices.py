"""Flow `market-prices`: Binance klines of every price series that the market's reserves follow, into `dim_prices`.

USDT is quoted, USD is needed. One USDT counts as one USD while it is within 0.2 % of USDC; beyond that the price is
divided by USDCUSDT, so that a depeg of USDT is not read as a rally of everything else. The column `usd_proxy` says
which of the two stood in for the dollar.
"""

from __future__ import annotations

import re
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flows.errors import MalformedAnswer
from flows.pipeline import FlowSpec, recorded

if TYPE_CHECKING:
    import pandas as pd

    from flows.sources.binance import Binance, Kline

SOURCE = "binance"
PEG = "USDCUSDT"
PEG_TOLERANCE = 0.002
PLAUSIBLE_PEG = (0.5, 2.0)
"""USDCUSDT outside this is no dollar pair at all (a test server, a relisted name): then nothing is corrected by it."""
MOST_MISSING_AT_END = 2
"""Bars that may be missing at the end of the window; more means the pair no longer trades."""
LATEST = "latest"
"""`interval` of a last traded price in dim_prices."""


def fetch(
    binance: Binance, symbols: Sequence[str], interval: str, start: int, end: int, *, allow_gaps: bool = False
) -> dict[str, list[Kline]]:
    """Finished bars of every symbol that open in [start, end), UTC seconds; the peg pair too, where Binance has it.

    Raises `MalformedAnswer` for a symbol without bars, or whose bars end early; `UnknownSymbol`, `SourceUnavailable`.
    """
    from tqdm import tqdm

    from flows.sources.binance import INTERVAL_SECONDS, UnknownSymbol

    found = {}
    for symbol in tqdm(dict.fromkeys([*symbols, PEG]), desc="klines", unit="series", disable=None, leave=False):
        try:
            bars = binance.klines(symbol, interval, start, end, allow_gaps=allow_gaps)
        except UnknownSymbol:
            if symbol not in symbols:
                continue
            raise
        if symbol in symbols:
            _require_up_to_date(symbol, bars, INTERVAL_SECONDS[interval], start, end)
        found[symbol] = bars
    return found


def to_frames(klines: Mapping[str, Sequence[Kline]], symbols: Sequence[str], interval: str) -> dict[str, pd.DataFrame]:
    """Rows of `raw_binance_klines` and `dim_prices` of `symbols`; times become UTC seconds, exactly."""
    import pandas as pd

    raw = pd.DataFrame(
        [
            {
                "symbol": symbol, "interval": interval, "open_time": bar.open_time // 1000, "open": bar.open,
                "high": bar.high, "low": bar.low, "close": bar.close, "volume": bar.volume,
                # Binance closes a bar one millisecond before the next one opens; its price holds at that opening.
                "close_time": -(-bar.close_time // 1000), "trades": bar.trades, "source": SOURCE,
                "payload_sha256": bar.payload_sha256,
            }
            for symbol in symbols
            for bar in klines[symbol]
        ]
    )  # fmt: skip
    price = pd.to_numeric(raw["close"], errors="coerce")
    peg = pd.Series({-(-bar.close_time // 1000): float(bar.close) for bar in klines.get(PEG, ()) if _is_peg(bar)})
    usdc = raw["close_time"].map(peg).astype(float) if len(peg) else pd.Series(1.0, index=raw.index)
    # USDT's own price in USDC; the pair that measures it cannot correct itself.
    corrected = ((1.0 / usdc - 1.0).abs() > PEG_TOLERANCE) & (raw["symbol"] != PEG)
    prices = pd.DataFrame(
        {
            "symbol": raw["symbol"],
            "interval": interval,
            "ts": raw["close_time"],
            "source": SOURCE,
            "price_usd": price.where(~corrected, price / usdc),
            "price_usdt": price,
            "usd_proxy": corrected.map({True: "USDC", False: "USDT"}),
            "is_synthetic": 0,
        }
    )
    return {"raw_binance_klines": raw, "dim_prices": prices}


def latest_frame(prices: Mapping[str, str], at: int) -> pd.DataFrame:
    """Rows of `dim_prices` for last traded prices, read at `at` (UTC seconds)."""
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "symbol": symbol, "interval": LATEST, "ts": at, "source": SOURCE, "price_usd": float(price),
                "price_usdt": float(price), "usd_proxy": "USDT", "is_synthetic": 0,
            }
            for symbol, price in prices.items()
        ]
    )  # fmt: skip


def series_of(mapping: pd.DataFrame) -> list[str]:
    """Price series that the reserves of a `dim_asset` mapping follow, sorted; fixed oracle prices need none."""
    return sorted(set(mapping.loc[mapping["kind"] != "fixed", "series"]))


def run(arguments: Namespace) -> str:
    """Fetch, validate and store the window in one batch; nothing is stored when any symbol is refused.

    Raises `SourceUnavailable`, `MalformedAnswer`, `UnknownSymbol`; `data.errors.NoSnapshot`, `UnmappedReserve` (by
    name) and `BatchRefused`.
    """
    from data import assets
    from data.store import Store
    from flows.sources.binance import INTERVAL_SECONDS, Binance

    mapping = None if arguments.symbols else assets.asset_map(arguments.market)
    symbols = list(dict.fromkeys(arguments.symbols)) if mapping is None else series_of(mapping)
    if not symbols:
        return "every reserve has a fixed oracle price: there is no series to fetch"
    step = INTERVAL_SECONDS[arguments.interval]
    end = arguments.until if arguments.until is not None else int(time.time())
    # On the grid of the bars, so that a re-run within the same bar asks for the same window.
    end, start = end // step * step, (end - arguments.days * 86_400) // step * step
    parameters = {"symbols": symbols, "interval": arguments.interval, "start": start, "end": end}
    with Store.open() as store, recorded(store, FLOW.name, parameters) as run_id, Binance.from_environment() as binance:
        klines = fetch(binance, symbols, arguments.interval, start, end, allow_gaps=arguments.allow_gaps)
        frames = to_frames(klines, symbols, arguments.interval)
        if arguments.latest:
            import pandas as pd

            now = latest_frame(binance.latest_prices(symbols), int(time.time()))
            frames["dim_prices"] = pd.concat([frames["dim_prices"], now], ignore_index=True)
        key = f"{arguments.interval}:{start}:{end}"
        report = store.write_batch(SOURCE, key, frames, run_id=run_id)
        if mapping is not None:
            assets.save_map(store, mapping, run_id)
    corrected = int((frames["dim_prices"]["usd_proxy"] == "USDC").sum())
    return (
        f"{len(symbols)} series, {report.rows['dim_prices']:,} prices up to {_day(end)}, "
        f"{report.changed['dim_prices']:,} new or changed; 1 USDT = 1 USD"
        + (f" except for {corrected:,} prices corrected by {PEG}" if corrected else "")
    )


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the parameters of the flow."""
    # In step with `flows.sources.binance.INTERVAL_SECONDS`; importing that would make --help wait for requests.
    intervals = ("1m", "5m", "15m", "30m", "1h", "4h", "1d")
    parser.add_argument("--days", type=_positive, default=90, help="length of the window (default: %(default)s)")
    parser.add_argument("--interval", choices=intervals, default="1h", help="length of a bar (default: %(default)s)")
    parser.add_argument("--until", type=_moment, help="end of the window, UTC, such as 2026-03-01 (default: now)")
    parser.add_argument(
        "--symbols", nargs="+", type=_symbol, metavar="SYMBOL",
        help="Binance pairs such as ETHUSDT (default: the series that the newest snapshot's reserves follow)",
    )  # fmt: skip
    parser.add_argument("--market", help="market whose reserves are meant (default: the newest snapshot's)")
    parser.add_argument("--allow-gaps", action="store_true", help="let holes in a series pass (the pair was halted)")
    parser.add_argument("--latest", action="store_true", help="store the last traded price of each series too")


def _require_up_to_date(symbol: str, bars: Sequence[Kline], step: int, start: int, end: int) -> None:
    window = f"between {_day(start)} and {_day(end)}"
    if not bars:
        raise MalformedAnswer(
            f"Binance has no finished bar of {symbol} {window}. Nothing was written; "
            "choose another window (--days, --until) or another series for that reserve in dim_asset"
        )
    last = bars[-1].open_time // 1000
    missing = (min(end, int(time.time())) - last) // step - 1
    if missing > MOST_MISSING_AT_END:
        raise MalformedAnswer(
            f"Binance's bars of {symbol} {window} end at {_day(last)}, {missing:,} bars too early: halted or delisted? "
            "Nothing was written; give that reserve another series in dim_asset, or choose another window (--until)"
        )


def _is_peg(bar: Kline) -> bool:
    try:
        return PLAUSIBLE_PEG[0] < float(bar.close) < PLAUSIBLE_PEG[1]
    except ValueError:
        return False


def _day(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise ArgumentTypeError(f"expected a whole number above 0, found {text!r}")
    return int(text)


def _moment(text: str) -> int:
    if text.isdigit():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"expected a date such as 2026-03-01 or UTC seconds, found {text!r}") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _symbol(text: str) -> str:
    if not re.fullmatch(r"[A-Z0-9]{2,20}", text.upper()):
        raise ArgumentTypeError(f"expected a Binance pair such as ETHUSDT, found {text!r}")
    return text.upper()


FLOW = FlowSpec(
    name="market-prices",
    summary="Binance prices of every series that the market's reserves follow",
    add_arguments=add_arguments,
    run=run,
)
