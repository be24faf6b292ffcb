"""About: what the figures mean, how they are made, and what they leave out."""

from __future__ import annotations

from dash import html

import risk_core as rc
from dashboard.look import formatting as fmt
from dashboard.look.components import card, row
from dashboard.look.shell import Page
from dashboard.market.holdings import LOOP_SHARE
from dashboard.market.page_data import PageData
from dashboard.pages.about.published import publications_json, published_card
from dashboard.pages.overview.answers import SEVERITY
from dashboard.pages.what_if.outlook import PATHS

_WHAT = (
    "The workbench shows how much debt of an Aave v3 market could be liquidated, how much collateral would be sold "
    "for it, and how much the protocol could lose. Every account takes part, with its e-mode and every collateral and "
    "debt, and liquidations follow the contracts' rules of the pool's revision.",
    "The risk figures on the Overview are read from the warehouse (fact_risk_scenarios). What-if answers are computed "
    "here: exactly for prices as they are set, and by Monte Carlo with "
    f"{fmt.count(PATHS)} paths once the slider rests. Baseline and scenario share their random numbers.",
)
_TERMS = (
    (
        "Liquidations at risk (LaR)",
        "Debt that liquidators would repay over the horizon, at a level: LaR 99\u202f% is exceeded on one path in a "
        "hundred.",
    ),
    ("Collateral seized", "What liquidators receive for it at oracle prices, the liquidation bonus included."),
    ("Deficit", "Debt that the pool burns because an account has no collateral left: the protocol's loss."),
    ("VaR 99\u202f%", "The deficit that is exceeded on one path in a hundred."),
    ("Expected shortfall (ES 99\u202f%)", "The mean deficit over the worst one per cent of paths."),
    (
        "Share of the tail",
        "The mean part of a reserve or an account on the worst paths, over the mean of the whole; for LaR on the paths "
        "within its 95\u202f% interval (Euler's allocation). Of a price: what its moves add to the loss of those "
        "paths, averaged over all orders in which prices may move (Shapley value). Each set adds up to 100\u202f%.",
    ),
    ("Health factor (HF)", "Collateral times its liquidation threshold, over debt. Below 1 it can be liquidated."),
    (
        "Same-asset loop",
        f"An account with {fmt.share(LOOP_SHARE, 0)} of its collateral and of its debt in one kind of asset, such as "
        "staked ETH against ETH. Its health factor is low on purpose.",
    ),
    (
        "± and ranges",
        "95\u202f% intervals of the Monte Carlo. A figure that rests on fewer than 30 paths is marked “few draws” and "
        "has no error; a mean of the worst paths needs 100 of them. Exact figures are marked “exact” and have none.",
    ),
    (
        "Burst, cluster",
        "Several liquidations within a short time, as the Clusters page states. Its chance comes from a Hawkes "
        "process: each liquidation makes further ones more likely for a while.",
    ),
    (
        "Score, letter",
        "The score of a market is a weighted mean of parts from 0 to 100, higher is riskier; no standard has one, so "
        "the Market page shows every part, scale and weight. The letter is a published scale of the chance that "
        "lenders lose more than 1\u202f% of what they supplied within a year.",
    ),
    (
        "Published, round",
        "A figure that was written into a contract on a chain, for others to read; each is one round of it. Confirmed: "
        "its block has others on top of it. Replaced: another transaction took its place.",
    ),
    (
        "Basis point (bp), z-score",
        "A hundredth of a per cent. The z-score is the distance of a price from its mean of the last 24 hours, in "
        "standard deviations, each price weighted by the time it stood.",
    ),
)
_LIMITS = (
    "Aave v4 is not read and is in no total. Aave v2 and Compound are read into the warehouse, and are in no figure of "
    "this workbench: their liquidations follow other rules.",
    "Stored figures use Student-t moves with 5 degrees, without drift: large moves hit all assets at the same time. "
    "Volatility is estimated from hourly prices with half-lives of one day and of 90 days, and is lower at weekends. "
    "On ETH and BTC of 2021 and 2022, where the law was chosen, losses exceeded its 95\u202f% and 99\u202f% levels "
    "about as often as expected; python -m flows backtest repeats that on other prices. A shock after a long calm is "
    "larger than this law expects. The footer of the first chart of the Overview names the law of its figures.",
    "In the forecasts liquidators always act, at oracle prices, at the end of each step. How much waits where depth "
    "and capital are finite is simulated beside them, on the Liquidity page.",
    "In the forecasts borrowers do not repay or top up; the envelope on Risk and What-if show what it changes if a "
    "share does: on Risk the one that python -m flows borrower-response has fitted to the market, else an assumed one. "
    "Interest does not accrue within the horizon.",
    "Staked tokens follow ETH at the ratio their oracle reports; a discount on a market alone does not reach the "
    "protocol.",
)


def _severity_words() -> list[str]:
    words, low = [], 0.0
    for limit, _colour, word in SEVERITY:
        upper = f" to {fmt.share(limit, 0)}" if limit < 1 else " and above"
        words.append(f"{word}: {fmt.share(low, 0)}{upper}")
        low = limit
    return words


def build(source: PageData, _search: str) -> html.Div:
    """The page; only the card of publications needs data."""
    link = html.A("/api/v1/summary", href="/api/v1/summary", target="_blank")
    api = html.P(
        ["The same figures as JSON: ", link, ". The arrow in the footer of a card opens what that card shows."]
    )
    terms = html.Dl([part for term, text in _TERMS for part in (html.Dt(term), html.Dd(text))], className="prose")
    rule = [
        html.P("The word beside the first sentence is a rule of thumb: LaR 99\u202f% as a share of all debt."),
        html.Ul([html.Li(text) for text in _severity_words()]),
    ]
    right = [
        card("What is left out", html.Ul([html.Li(text) for text in _LIMITS], className="prose")),
        card("Calm or not", html.Div(rule, className="prose")),
        card("Version", html.P(["Engine ", html.Span(rc.code_version(), className="mono")], className="prose")),
    ]
    columns = row([(card("Words", terms), {"md": 6}), (html.Div(right, className="grid"), {"md": 6})])
    return html.Div(
        [
            card("What this is", html.Div([*[html.P(text) for text in _WHAT], api], className="prose")),
            published_card(source),
            columns,
        ],
        className="page",
    )


CHARTS = {"about/publications": publications_json}
PAGE = Page("/about", "About", "How are the figures made?", "about", "Trust", build, charts=CHARTS)
