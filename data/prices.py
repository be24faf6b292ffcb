"""Price series out of the warehouse."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import NoPrices
from data.store import Store

if TYPE_CHECKING:
    import pandas as pd

SYNTHETIC = "synthetic"
"""`source` of generated prices; never mixed with observed ones."""


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
    """Prices in USD: one column a symbol, in the order given, one row a time (index `ts`, unix seconds UTC, rising).

    Only times at which every symbol has a price are kept, so returns are simultaneous. `start` and `end` are both
    included. `synthetic` chooses the sample's generated prices, otherwise observed ones; `source` narrows further.
    Raises `NoPrices` with the symbols that have none in the window.
    """
    import pandas as pd

    wanted = list(dict.fromkeys(symbols))
    if not wanted:
        return pd.DataFrame(index=pd.Index([], name="ts", dtype="int64"))
    marks = ", ".join("?" * len(wanted))
    where = f"symbol IN ({marks}) AND interval = ? AND is_synthetic = ?"
    params: list[object] = [*wanted, interval, int(synthetic)]
    for clause, value in (("ts >= ?", start), ("ts <= ?", end), ("source = ?", source)):
        if value is not None:
            where, params = f"{where} AND {clause}", [*params, value]
    with Store.open(db, readonly=True) as store:
        rows = store.rows(f"SELECT ts, symbol, price_usd FROM dim_prices WHERE {where} ORDER BY ts, source", params)
    kind = "synthetic" if synthetic else "observed"
    missing = sorted(set(wanted) - {row[1] for row in rows})
    if missing:
        raise NoPrices(
            f"dim_prices: no {kind} {interval} prices of {', '.join(missing)} in the window; run "
            + ("`python -m data.sample`" if synthetic else "`python -m flows market-prices`")
        )
    frame = pd.DataFrame(rows, columns=["ts", "symbol", "price_usd"])
    table = frame.pivot_table(index="ts", columns="symbol", values="price_usd", aggfunc="last")[wanted].dropna()
    table.columns.name = None
    if not len(table):
        raise NoPrices(f"dim_prices: {', '.join(wanted)} have no {interval} time in common; widen the window")
    return table
