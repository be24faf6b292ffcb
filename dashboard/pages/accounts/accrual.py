"""Interest alone: when it makes accounts liquidatable, at today's prices and rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from dash import html

import risk_core as rc
from dashboard import ids
from dashboard.look import formatting as fmt
from dashboard.look import theme as themes
from dashboard.look.axes import STANDOFF, Figure, layout, money_axis
from dashboard.look.components import card, empty, graph
from dashboard.market.loaded import LoadedMarket
from dashboard.market.page_data import PageData, Unavailable
from risk_core.accrual import MOST_DAYS

FILL = "python -m flows aave-market"
DAY = 86_400
EDGES = (0.0, 7.0, 30.0, 90.0, 365.0, 1_095.0, MOST_DAYS)
"""Days: the ends of the bars."""
NAMES = ("now", "7 days", "30 days", "90 days", "1 year", "3 years", "10 years", "later or never")


@dataclass(frozen=True, slots=True)
class Bar:
    """Accounts that interest alone brings below 1 after the bar before and up to `name`, and their debt now."""

    name: str
    accounts: int
    debt_usd: float


def days_of(source: PageData, loaded: LoadedMarket) -> np.ndarray | None:
    """(n_accounts,) days until interest alone is enough, inf for never; None where no rates are stored."""
    rates = source.rates(loaded.market)
    if rates is None:
        return None
    return rc.accrual_time(loaded.market, rates.supply, rates.borrow, rates.since_update)


def bars(days: np.ndarray, debt_usd: np.ndarray) -> tuple[Bar, ...]:
    """Accounts with debt by the time that is left; every one of them is in one bar."""
    place = np.where(np.isinf(days), len(EDGES), np.searchsorted(EDGES, days))
    owes = debt_usd > 0
    return tuple(
        Bar(name, int((owes & (place == k)).sum()), float(debt_usd[owes & (place == k)].sum()))
        for k, name in enumerate(NAMES)
    )


def in_words(days: float, block_time: int) -> str:
    """One account's time as a sentence."""
    held = "with today's prices, balances and rates"
    if days == 0:
        return ""
    if np.isinf(days):
        return f"Interest alone does not bring it below 1 within {MOST_DAYS / 365:.0f} years, {held}."
    date = fmt.utc(block_time + days * DAY).split(",")[0]
    left = f"{days:.1f} days" if days < 10 else f"{fmt.count(days)} days"
    return f"Interest alone: below 1 on {date}, in {left}, {held}."


def accrual_card(source: PageData, loaded: LoadedMarket) -> Any:
    """How much debt interest alone makes liquidatable, and when."""
    title, sub = "Interest alone", "debt by the time in which interest makes it liquidatable"
    days = days_of(source, loaded)
    if days is None:
        return card(title, empty("No rates are stored", "Rates are read with an Aave v3 market:", FILL), "", sub)
    soon = sum(bar.accounts for bar in bars(days, loaded.debt_usd)[:4])
    words = f"{fmt.count(soon)} accounts within 90 days if nobody acts."
    chart = graph(ids.ACCOUNTS_ACCRUAL, 220, "Debt by the time until interest alone brings the health factor below 1")
    footer = (
        "USD of debt now, accounts above the bars · later: after 10 years or never · exact growth of supply and "
        f"variable debt · prices, balances and rates held at {fmt.utc(loaded.market.snapshot.block_time)}"
    )
    return card(title, [html.P(words, className="t2 micro"), chart], footer, sub, source="/api/v1/accounts/accrual")


def histogram(found: tuple[Bar, ...], theme: str | None) -> Figure:
    """Debt in USD by time left, the number of accounts above each bar."""
    c = themes.colours(theme)
    short = [bar.name.replace(" days", " d").replace(" years", " y").replace(" year", " y") for bar in found]
    names = ["now", *(f"≤ {name}" for name in short[1:-1]), "later"]
    usd = [bar.debt_usd for bar in found]
    return {
        "data": [
            {
                "type": "bar",
                "x": names,
                "y": usd,
                "width": 0.7,
                "marker": {"color": c["scenario"]},
                "text": [fmt.count(bar.accounts) for bar in found],
                "textposition": "outside",
                "cliponaxis": False,
                "constraintext": "none",
                "textfont": {"color": c["text-2"], "size": 11},
                "customdata": [[fmt.money_full(bar.debt_usd), fmt.count(bar.accounts)] for bar in found],
                "hovertemplate": "%{x}: <b>%{customdata[0]}</b> of %{customdata[1]} accounts<extra></extra>",
            }
        ],
        "layout": layout(
            theme,
            220,
            hovermode="closest",
            margin={"l": 52, "r": 12, "t": 10, "b": 36},
            xaxis={"type": "category", "showgrid": False, "fixedrange": True, **STANDOFF},
            yaxis=money_axis(max(usd, default=0.0), 1.18),
        ),
    }


def accrual_json(source: PageData, _query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/accounts/accrual`: debt and accounts by days until interest is enough. Raises `Unavailable`."""
    loaded = source.loaded()
    days = days_of(source, loaded)
    if days is None:
        raise Unavailable("No rates are stored", "Rates are read with an Aave v3 market.", FILL)
    found = bars(days, loaded.debt_usd)
    upto = [*EDGES, None]
    return {
        "block": loaded.market.snapshot.block,
        "block_time": loaded.market.snapshot.block_time,
        "bars": [
            {"up_to_days": end, "accounts": bar.accounts, "debt_usd": bar.debt_usd}
            for end, bar in zip(upto, found, strict=True)
        ],
    }
