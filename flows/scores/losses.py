"""Parts of a score about losses: booked bad debt and its cover, the cushion of prices, room to sell collateral."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.scores.inputs import ORIGINS, Covering, Depth
from flows.scores.parts import AGAIN, COVER, DEPTH, RISK, Measured, not_known
from flows.scores.stored import Stored
from risk_core import accounts
from risk_core.analytics import scores

if TYPE_CHECKING:
    from data.store.reader import Reader


MOST_CUSHION = 6.0
"""Daily volatilities: a wider cushion counts as this, so that a stablecoin does not dominate the mean."""


def deficits(store: Reader, stored: Stored) -> Measured:
    """Booked bad debt as a share of all supplies, whoever will make it good; with the number of events."""
    market, tables = stored.market, "raw_aave_reserves, fact_lending_deficit_events"
    if not stored.supplied_usd > 0:
        return not_known("nobody has supplied anything", tables, AGAIN)
    [(n, usd, first)] = store.rows(
        "SELECT count(*), coalesce(sum(amount_usd), 0.0), min(block_timestamp) FROM fact_lending_deficit_events "
        "WHERE market = ? AND block_timestamp <= ?",
        (market.snapshot.market, market.snapshot.block_time),
    )
    booked = float(stored.deficit_usd.sum())
    figures: dict[str, Any] = {
        "booked_usd": booked, "n_reserves": int((stored.deficit_usd > 0).sum()), "n_events": n,
        "events_usd": float(usd), "first_event": first,
    }  # fmt: skip
    return Measured(value=booked / stored.supplied_usd, tables=tables, figures=figures)


LOSS_LEVEL = 0.99
"""Level of the expected shortfall of deficits that cover is held against."""


def covered(stored: Stored, found: Covering | None) -> Measured:
    """Booked bad debt and the next loss that nothing pays for, as a share of all supplies: 3 USD are nothing.

    The next loss is the expected shortfall of deficits of the newest risk run, spread over the reserves as its mean
    deficits are: cover of one reserve does not serve another.
    """
    market, run = stored.market, stored.run
    tables = "raw_aave_reserves, dim_deficit_cover, fact_risk_scenarios"
    if found is None:
        command = "" if market.snapshot.synthetic else COVER
        return not_known("no cover is stored: none is assumed", tables, command)
    cover_usd = market.reserves.spread("cover", found.tokens) * market.price
    # What past losses have not used up is there for the next one, whether or not that is known.
    left = {"cover_left_usd": float(np.maximum(cover_usd - stored.deficit_usd, 0.0).sum())}
    if not stored.supplied_usd > 0:
        return not_known("nobody has supplied anything", tables, AGAIN)
    if run is None:
        return not_known("no risk run of the snapshot, whose losses are to be covered", tables, RISK)
    if ("es_deficit", LOSS_LEVEL) not in run.figures:
        return not_known("the newest risk run has no expected shortfall of deficits", tables, RISK)
    next_usd = float(run.figures["es_deficit", LOSS_LEVEL].value)
    by_symbol = run.series.get("deficit_by_reserve", {})
    mean = np.array([float(by_symbol.get(symbol, 0.0)) for symbol in market.reserves.symbol])
    if next_usd > 0 and not mean.sum() > 0:
        return not_known("the newest risk run does not say which reserves its deficits are in", tables, RISK)
    coming = next_usd * mean / mean.sum() if mean.sum() > 0 else np.zeros(market.n_reserves)
    need = stored.deficit_usd + coming
    uncovered = scores.uncovered(need, cover_usd)
    worst = int(np.argmax(need - cover_usd))
    figures: dict[str, Any] = left | {
        "booked_usd": float(stored.deficit_usd.sum()), "next_usd": next_usd, "cover_usd": float(cover_usd.sum()),
        "offset_usd": float((market.reserves.spread("offset", found.offsets) * market.price).sum()),
        "uncovered_usd": uncovered, "origin": found.origin,
        "worst_reserve": market.reserves.symbol[worst] if uncovered > 0 else "",
        "reserves": [market.reserves.symbol[r] for r in np.flatnonzero(cover_usd > 0)],
    }  # fmt: skip
    return Measured(value=uncovered / stored.supplied_usd, tables=tables, figures=figures)


def parameters(stored: Stored) -> Measured:
    """How far prices may fall between liquidation and loss, in daily volatilities of the newest risk run.

    Weighted by the collateral of accounts with debt outside e-modes: in an e-mode, debt and collateral move together.
    """
    market, run = stored.market, stored.run
    tables = "raw_aave_reserves, fact_risk_run"
    if run is None:
        return not_known("no risk run of the snapshot, whose volatilities are needed", tables, RISK)
    scenario = run.scenario()
    volatility = np.append(scenario.volatility / np.sqrt(365), np.nan)[scenario.factor]
    bonus = np.maximum(market.reserves.liquidation_bonus, 0.0)
    cushion = scores.cushion(market.reserves.liquidation_threshold, bonus, volatility)
    _, debt = accounts.totals(market)
    whose = np.repeat((market.emode < 0) & (debt > 0), np.diff(market.collateral.indptr))
    size = np.bincount(
        market.collateral.reserve[whose], market.collateral.amount[whose], market.n_reserves
    ) * market.price  # fmt: skip
    counts = np.isfinite(cushion) & (size > 0)
    if not counts.any():
        return not_known("no collateral outside e-modes has a threshold and a volatility", tables, RISK)
    narrowest = int(np.flatnonzero(counts)[np.argmin(cushion[counts])])
    value = float(np.minimum(cushion[counts], MOST_CUSHION) @ size[counts] / size[counts].sum())
    figures = {
        "narrowest": float(cushion[narrowest]), "narrowest_reserve": market.reserves.symbol[narrowest],
        "collateral_usd": float(size[counts].sum()), "widest_counted": MOST_CUSHION,
    }  # fmt: skip
    return Measured(value=value, tables=tables, figures=figures)


LEAST_DEPTH = 1.0
"""USD: where no sale is small enough to pay, the depth counts as this, so that the ratio is a number."""


def depth(stored: Stored, depths: Mapping[str, Depth]) -> Measured:
    """Largest collateral of one account over the depth of its market within the bonus; the worst reserve."""
    market, tables = stored.market, "raw_aave_balances, dim_quote_ladder"
    takes = market.reserves.spread("depth", {symbol: max(one.usd, LEAST_DEPTH) for symbol, one in depths.items()})
    size = market.collateral.amount * market.price[market.collateral.reserve]
    largest = np.zeros(market.n_reserves)
    np.maximum.at(largest, market.collateral.reserve, size)
    known = takes > 0
    if not (known & (largest > 0)).any():
        words = "no quote of selling a collateral is stored of the week before the snapshot, and --depth states none"
        return not_known(words, tables, DEPTH)
    ratio = np.where(known, largest / np.where(known, takes, 1.0), -1.0)
    worst = int(np.argmax(ratio))
    total = np.bincount(market.collateral.reserve, size, market.n_reserves)
    of = {market.reserves.index(name): one for name, one in depths.items()}
    figures = {
        "worst_reserve": market.reserves.symbol[worst], "largest_usd": float(largest[worst]),
        "depth_usd": float(takes[worst]), "share_known": scores.share_of(total, known), "origin": of[worst].origin,
        "quoted_at": of[worst].quoted_at, "cut": of[worst].cut,
        "n_origins": {word: sum(one.origin == word for one in of.values()) for word in ORIGINS},
    }  # fmt: skip
    return Measured(value=float(ratio[worst]), tables=tables, figures=figures)
