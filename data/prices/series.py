"""Price series out of the warehouse, and which source they are served from.

`dim_prices` keeps the sources side by side. One of them is served, `SERVED`, for every series and every time: Binance,
because its candles are trades on one book with a stated end, where an aggregator's price is an estimate at a time near
the one asked for. Sources are never averaged, and one never fills another's gap: a series that Binance does not have is
refused by name (`NoPrices` says who else has it), and can then be asked for with `source=`. The other sources serve to
check the served one: see `data.prices.agreement`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import NoPrices
from data.prices import pegs
from data.store.reader import Reader

if TYPE_CHECKING:
    import pandas as pd

SYNTHETIC = "synthetic"
"""`source` of generated prices; never mixed with observed ones."""
LATEST = "latest"
"""`interval` of a last traded price in dim_prices."""
SERVED = "binance"
"""`source` of the observed prices that are served by default."""


def load_prices(
    symbols: Sequence[str],
    interval: str = "1h",
    start: int | None = None,
    end: int | None = None,
    *,
    source: str | None = None,
    synthetic: bool = False,
    db: Path | str | None = None,
) -> pd.DataFrame:
    """Prices in USD: a column for each symbol, in the order given, a row for each time (index `ts`, UTC seconds).

    Only times at which every symbol has a price are kept, so returns are simultaneous. `start` and `end` are both
    included. `synthetic` chooses the sample's generated prices, otherwise observed ones, of `source` (None: `SERVED`).
    `attrs["source"]` of the frame names the source. Pegs such as USDT/USD, which no exchange has, come from
    `data.prices.pegs`, and `attrs["pegs"]` names the source of each. Raises `NoPrices` with the symbols that have none
    in the window.
    """
    # Imported here, not at the top: the workbench takes the names of the series from this module and never loads
    # pandas.
    import pandas as pd

    wanted = list(dict.fromkeys(symbols))
    if not wanted:
        return pd.DataFrame(index=pd.Index([], name="ts", dtype="int64"))
    pairs = [] if synthetic else [symbol for symbol in wanted if symbol in pegs.PAIRS]
    plain = [symbol for symbol in wanted if symbol not in pairs]
    marks = ", ".join("?" * len(plain))
    where = f"symbol IN ({marks}) AND interval = ? AND is_synthetic = ?"
    params: list[object] = [*plain, interval, int(synthetic)]
    served = source or (SYNTHETIC if synthetic else SERVED)
    for clause, value in (("ts >= ?", start), ("ts <= ?", end), ("source = ?", served)):
        if value is not None:
            where, params = f"{where} AND {clause}", [*params, value]
    with Reader.open(db) as store:
        rows = store.rows(f"SELECT ts, symbol, price_usd FROM dim_prices WHERE {where} ORDER BY ts", params)
        own = {pair: pegs.peg_prices(store, pair, interval, start, end, source, served) for pair in pairs}
        rows += [(ts, pair, price) for pair, found in own.items() if found for ts, price in found.rows]
        missing = sorted(set(wanted) - {row[1] for row in rows})
        others = [] if synthetic else _others(store, missing, interval, served)
    kind = "synthetic" if synthetic else "observed"
    if missing:
        raise NoPrices(
            f"dim_prices: no {kind} {interval} prices of {', '.join(missing)} in the window; run "
            + ("`python -m data.sample`" if synthetic else "`python -m flows market-prices`")
            + (" (pegs: `oracle-prices`)" if set(missing) & set(pairs) else "")
            + (
                f". {served} is served; other sources have {', '.join(others)}, see load_prices(source=)"
                if others
                else ""
            )
        )
    frame = pd.DataFrame(rows, columns=["ts", "symbol", "price_usd"])
    table = frame.pivot_table(index="ts", columns="symbol", values="price_usd", aggfunc="last")[wanted].dropna()
    table.columns.name = None
    table.attrs["source"] = served
    table.attrs["pegs"] = {pair: found.source for pair, found in own.items() if found}
    if not len(table):
        raise NoPrices(f"dim_prices: {', '.join(wanted)} have no {interval} time in common; widen the window")
    return table


def _others(store: Reader, symbols: Sequence[str], interval: str, served: str) -> list[str]:
    """Which other sources have the symbols, for a message."""
    if not symbols:
        return []
    rows = store.rows(
        f"SELECT symbol, source, count(*) FROM dim_prices WHERE symbol IN ({', '.join('?' * len(symbols))}) "
        "AND interval = ? AND is_synthetic = 0 AND source <> ? GROUP BY symbol, source ORDER BY symbol, source",
        [*symbols, interval, served],
    )
    return [f"{n:,} of {symbol} ({source})" for symbol, source, n in rows]
