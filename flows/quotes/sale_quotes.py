"""Flow `sale-quotes`: quotes of what selling a reserve's asset brings in, from a file.

No public source of such quotes is assumed: an aggregator, an exchange or a colleague gives them. Each row says who
quoted it and when, and whether it is a quote or an assumption. What cannot be used beside the other quotes of its pair
is stored and named, not left out: the Liquidity page shows it with the reason.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pandas as pd

from data.quotes import Ladder, load_quotes
from data.snapshot.loading import load_market
from data.store.store import Store
from flows.errors import FlowError, WrongOption
from flows.pipeline import recorded
from flows.quotes.options import HEADER, SaleQuotesOptions
from flows.table_file import read_table
from risk_core import InputError, Market
from risk_core.analytics.slippage import USED, fit

SOURCE = "sale-quotes"
NEEDED = ("sold", "bought", "size_usd", "received_usd", "quoted_at", "source")
KIND = "kind"
AHEAD = 300
"""Seconds by which the clock of a source may be ahead of ours."""


class BadQuotes(FlowError):
    """A file of quotes cannot be read: the message says which row, what was expected, and what was found."""


def run(arguments: SaleQuotesOptions) -> str:
    """Store the quotes of a file; returns one line. Raises `BadQuotes`, `ConfigurationError`, `BatchRefused`."""
    path = arguments.file
    if path is None:
        raise WrongOption(f"--file: expected a Parquet or CSV file with {HEADER}; found none")
    market = load_market()
    table = read(path, market, int(time.time()))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with Store.open() as store, recorded(store, "sale-quotes", {"file": path.name, "sha256": digest}) as run:
        report = run.write(SOURCE, digest, {"dim_quote_ladder": table}, payload_sha256=digest)
    new = report.changed["dim_quote_ladder"]
    refused = [text for ladder in load_quotes(market) for text in _refused(market, ladder)]
    done = f"{len(table):,} quotes of {table.groupby(['sold', 'bought']).ngroups} pairs, {new:,} of them new"
    return done + (f"; not used: {'; '.join(refused)}" if refused else "; every newest quote can be used")


def read(path: Path, market: Market, now: int) -> pd.DataFrame:
    """The rows of a file as `dim_quote_ladder` has them. `now`: UTC seconds, after which no quote can be.

    Raises `BadQuotes` for a missing column, a reserve that the market does not have or has twice, the same asset on
    both sides, a time that is no whole second or lies ahead; `ConfigurationError` for a file that is not there.
    """
    table = read_table(path, "--file", BadQuotes)
    missing = [name for name in NEEDED if name not in table.columns]
    if missing:
        found = ", ".join(map(str, table.columns)) or "none"
        raise BadQuotes(f"{path}: has no column {', '.join(missing)}; expected {HEADER}; found {found}")
    if not len(table):
        raise BadQuotes(f"{path}: holds no row")
    table = table.assign(**({} if KIND in table.columns else {KIND: "quote"}))[[*NEEDED, KIND]]
    for side in ("sold", "bought"):
        table[side] = [_asset(value, market, f"{path}: row {n}: {side}") for n, value in enumerate(table[side], 1)]
    for n, row in enumerate(table.itertuples(index=False), 1):
        if row.sold == row.bought:
            raise BadQuotes(f"{path}: row {n}: sold and bought are one asset, {row.sold}")
        if not _seconds(row.quoted_at, now):
            raise BadQuotes(
                f"{path}: row {n}: quoted_at: expected whole seconds UTC up to now ({now}), found {row.quoted_at!r:.40}"
            )
    twice = table.duplicated(["sold", "bought", "source", "quoted_at", "size_usd"])
    if twice.any():
        n = int(twice.argmax()) + 1
        raise BadQuotes(f"{path}: row {n}: a row before it has the same pair, source, time and size")
    return table.assign(market=market.snapshot.market, is_synthetic=int(market.snapshot.synthetic))


def _seconds(value: object, now: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= now + AHEAD


def _asset(value: object, market: Market, where: str) -> str:
    """The address of a reserve, from it or from its symbol."""
    reserves, text = market.reserves, str(value).strip()
    if text.lower() in reserves.asset:
        return text.lower()
    named = [a for s, a in zip(reserves.symbol, reserves.asset, strict=True) if s.lower() == text.lower()]
    if len(named) == 1:
        return named[0]
    if named:
        raise BadQuotes(f"{where}: {len(named)} reserves are called {text}; give the address, one of {named}")
    raise BadQuotes(
        f"{where}: expected a reserve of {market.snapshot.market} by symbol or address, found {text!r:.60}; "
        f"known: {', '.join(reserves.symbol)}"
    )


def _refused(market: Market, ladder: Ladder) -> list[str]:
    """What `fit` does not use of a pair's newest quotes, in words."""
    names = [market.reserves.symbol[place] for place in (ladder.sold, ladder.bought)]
    pair = " to ".join(names)
    try:
        states = fit(ladder.size_usd, ladder.received_usd).state
    except InputError as error:
        return [f"{pair} ({error})"]
    return [
        f"{pair} {size:,.0f} USD of {source} ({state})"
        for size, source, state in zip(ladder.size_usd, ladder.source, states, strict=True)
        if state != USED
    ]
