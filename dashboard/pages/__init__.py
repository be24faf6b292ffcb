"""The pages of the workbench, in the order of the navigation. A new page is one line in `PAGES`."""

from __future__ import annotations

from dashboard.pages.about import page as about
from dashboard.pages.accounts import page as accounts
from dashboard.pages.chain import page as chain
from dashboard.pages.clusters import page as clusters
from dashboard.pages.forecasts import page as forecasts
from dashboard.pages.liquidity import page as liquidity
from dashboard.pages.market_risk import page as market_risk
from dashboard.pages.oracles import page as oracles
from dashboard.pages.overview import page as overview
from dashboard.pages.pegs import page as pegs
from dashboard.pages.risk import page as risk
from dashboard.pages.what_if import page as what_if

PAGES = (
    overview.PAGE,
    what_if.PAGE,
    risk.PAGE,
    accounts.PAGE,
    liquidity.PAGE,
    oracles.PAGE,
    forecasts.PAGE,
    clusters.PAGE,
    pegs.PAGE,
    market_risk.PAGE,
    chain.PAGE,
    about.PAGE,
)
