"""The value of each part of a market's score, from its newest snapshot and other stored rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from data.settings import SAMPLE_MARKET
from data.snapshot.loading import positions_at
from flows.scores.inputs import ORIGINS, Covering, Depth
from flows.scores.parts import Measured, not_known
from risk_core import accounts
from risk_core.analytics import scores
from risk_core.analytics.concentration import gini, hhi, top_share
from risk_core.interest import normalized_income, supply_balance
from risk_core.units import RAY

if TYPE_CHECKING:
    from data.results import RiskRun
    from data.store.reader import Reader
    from risk_core import Market

TOP = 10
MOST_CUSHION = 6.0
"""Daily volatilities: a wider cushion counts as this, so that a stablecoin does not dominate the mean."""
TREND_DAYS = 30
DAY = 86_400
SLUGS = {SAMPLE_MARKET: ("sample-aave-v3",)}
"""DefiLlama's names of a market's protocol, of which the first stored one is used; the sample has its own name."""
AAVE_SLUGS = ("aave-v3", "aave")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Stored data of a market at its block, in addition to the market. R reserves in the market's order.

    supplied, debt, liquidity: (R,) tokens supplied by all accounts, owed, and left to withdraw. kink: (R,) of the rate
    curve, NaN where none is known. deficit_usd: (R,) booked bad debt. supply: USD by account, None where only
    accounts with debt were read.
    """

    market: Market
    run: RiskRun | None
    supplied: np.ndarray
    debt: np.ndarray
    liquidity: np.ndarray
    kink: np.ndarray
    deficit_usd: np.ndarray
    price_source: tuple[str, ...]
    supply: np.ndarray | None

    @property
    def supplied_usd(self) -> float:
        """Supplies of all accounts, USD."""
        return float((self.supplied * self.market.price).sum())

    @property
    def debt_usd(self) -> float:
        """What everybody owes."""
        return float((self.debt * self.market.price).sum())


def read(store: Reader, market: Market, run: RiskRun | None) -> Stored:
    """Read the reserves of the snapshot and the supply of each account."""
    at = (market.snapshot.market, market.snapshot.block)
    columns = (
        "asset", "decimals", "scaled_atoken_supply", "liquidity_index", "liquidity_rate", "last_update_timestamp",
        "virtual_balance", "deficit", "optimal_usage_ratio", "price_source",
    )  # fmt: skip
    rows = store.rows(f"SELECT {', '.join(columns)} FROM raw_aave_reserves WHERE market = ? AND block = ?", at)
    found = {row[0]: dict(zip(columns, row, strict=True)) for row in rows}
    reserves = [found[asset] for asset in market.reserves.asset]
    unit = [10 ** row["decimals"] for row in reserves]
    supplied = np.array([
        supply_balance(
            int(row["scaled_atoken_supply"]),
            normalized_income(
                int(row["liquidity_index"]), int(row["liquidity_rate"]), row["last_update_timestamp"],
                market.snapshot.block_time,
            ),
        ) / one
        for row, one in zip(reserves, unit, strict=True)
    ])  # fmt: skip
    kink = [row["optimal_usage_ratio"] for row in reserves]
    deficit = np.array([int(row["deficit"]) / one for row, one in zip(reserves, unit, strict=True)])
    return Stored(
        market=market,
        run=run,
        supplied=supplied,
        debt=np.bincount(market.debt.reserve, market.debt.amount, market.n_reserves),
        liquidity=np.array([int(row["virtual_balance"]) / one for row, one in zip(reserves, unit, strict=True)]),
        kink=np.array([int(k) / RAY if k is not None and 0 < int(k) < RAY else np.nan for k in kink]),
        deficit_usd=deficit * market.price,
        price_source=tuple(row["price_source"] for row in reserves),
        supply=_supply(store, market),
    )


def _supply(store: Reader, market: Market) -> np.ndarray | None:
    at = (market.snapshot.market, market.snapshot.block)
    [(mode,)] = store.rows("SELECT read_mode FROM fact_snapshot WHERE market = ? AND block = ?", at)
    if mode == "borrowers":
        return None
    price = dict(zip(market.reserves.id.tolist(), market.price.tolist(), strict=True))
    held = positions_at(store, *at)
    owned: dict[str, float] = {}
    for account, reserve, supply in zip(held["account"], held["reserve_id"], held["supply"], strict=True):
        if supply > 0:
            owned[account] = owned.get(account, 0.0) + supply * price.get(reserve, 0.0)
    return np.array(list(owned.values()))


def measure(
    store: Reader,
    stored: Stored,
    *,
    depths: Mapping[str, Depth],
    cover: Covering | None,
    slugs: Sequence[str] | None = None,
) -> dict[str, Measured]:
    """Part key -> its value.

    depths: by symbol, what can be sold within the liquidation bonus. cover: what covers bad debt, None where nothing is
    known of it. slugs: names of the protocol in fact_protocol_snapshot. Raises
    `InputError` for a symbol that the market does not have.
    """
    return {
        "utilisation": use(stored),
        **concentrations(stored),
        "oracle_model": oracle_model(stored),
        "oracle_staleness": staleness(store, stored),
        "tvl_trend": trend(store, stored, slugs or SLUGS.get(stored.market.snapshot.market, AAVE_SLUGS)),
        "deficits": deficits(store, stored),
        "cover": covered(stored, cover),
        "parameters": parameters(stored),
        "depth": depth(stored, depths),
    }


def use(stored: Stored) -> Measured:
    """Utilisation of the reserves. A reserve that is minted, not supplied, has no lender and is left out."""
    tables = "raw_aave_reserves, raw_aave_balances"
    market = stored.market
    used = scores.utilisation(stored.debt, stored.liquidity)
    used = np.where(stored.supplied > 0, used, np.nan)
    debt_usd = stored.debt * market.price
    value = scores.use_points(used, stored.kink, debt_usd)
    if np.isnan(value):
        return not_known("no reserve with debt has a kink of its rate curve stored", tables, AGAIN)
    counts = np.isfinite(used) & np.isfinite(stored.kink) & (debt_usd > 0)
    top = int(np.flatnonzero(counts)[np.argmax(used[counts])])
    figures = {
        "mean_utilisation": float(used[counts] @ debt_usd[counts] / debt_usd[counts].sum()),
        "highest_utilisation": float(used[top]),
        "highest_reserve": market.reserves.symbol[top],
        "share_of_debt": float(debt_usd[counts].sum() / debt_usd.sum()),
    }
    return Measured(value=value, tables=tables, figures=figures)


def concentrations(stored: Stored) -> dict[str, Measured]:
    """Shares of the ten largest accounts in debt, collateral and supply."""
    collateral, debt = accounts.totals(stored.market)
    tables = "raw_aave_balances, raw_aave_reserves"
    found = {
        "concentration_debt": _spread(debt, "nobody has debt", tables),
        "concentration_collateral": _spread(collateral, "nobody has collateral", tables),
    }
    if stored.supply is None:
        words = "only accounts with debt were read: supplies of other accounts are not known"
        found["concentration_supply"] = not_known(words, tables, AGAIN)
    else:
        found["concentration_supply"] = _spread(stored.supply, "nobody has supplied anything", tables)
    return found


def _spread(amounts: np.ndarray, nothing: str, tables: str) -> Measured:
    has = amounts[amounts > 0]
    if not len(has):
        return not_known(nothing, tables, AGAIN)
    figures = {
        "hhi": hhi(has), f"top_{TOP}": top_share(has, TOP), "gini": gini(has), "n": len(has),
        "largest_usd": float(has.max()),
    }  # fmt: skip
    return Measured(value=figures[f"top_{TOP}"], tables=tables, figures=figures)


def _size_usd(stored: Stored) -> np.ndarray:
    """(R,) debt plus collateral, USD: the amount that a wrong price of the reserve would affect."""
    market = stored.market
    collateral = np.bincount(market.collateral.reserve, market.collateral.amount, market.n_reserves)
    return (collateral + stored.debt) * market.price


def oracle_model(stored: Stored) -> Measured:
    """Share of debt and collateral without a market price; caps are stated separately, as they only lower a price."""
    oracle, size = stored.market.reserves.oracle, _size_usd(stored)
    tables = "raw_aave_reserves"
    fixed, linked = oracle.fixed_price, oracle.linked_to >= 0
    value = scores.share_of(size, fixed | linked)
    if np.isnan(value):
        return not_known("there is neither debt nor collateral", tables, AGAIN)
    figures = {
        "constant": scores.share_of(size, fixed),
        "follows_another": scores.share_of(size, linked),
        "price_capped": scores.share_of(size, np.isfinite(oracle.price_cap)),
        "ratio": scores.share_of(size, oracle.ratio_of >= 0),
        "ratio_capped": scores.share_of(size, np.isfinite(oracle.ratio_cap)),
    }
    return Measured(value=value, tables=tables, figures=figures)


MOST_READING_AGE = DAY
"""Seconds before the snapshot within which a feed must have been read."""


def inputs_seen(store: Reader) -> dict[str, list[int]]:
    """Rows and newest batch of each table that a score reads beside the snapshot and its risk run."""
    names = (
        "mart_feed_staleness", "fact_protocol_snapshot", "fact_lending_deficit_events", "dim_quote_ladder",
        "dim_deficit_cover",
    )  # fmt: skip
    return {name: list(store.rows(f"SELECT count(*), coalesce(max(batch), 0) FROM {name}")[0]) for name in names}


def staleness(store: Reader, stored: Stored) -> Measured:
    """Share on late feeds, among debt and collateral whose feed's age and heartbeat are known.

    A feed that was read last more than `MOST_READING_AGE` seconds before the snapshot is not known.
    """
    snapshot, tables = stored.market.snapshot, "mart_feed_staleness, raw_aave_reserves"
    rows = store.rows(
        "SELECT feed, staleness, max(block) FROM mart_feed_staleness WHERE chain_id = ? AND block <= ? "
        "AND block_time >= ? GROUP BY feed",
        (snapshot.chain_id, snapshot.block, snapshot.block_time - MOST_READING_AGE),
    )
    state = {feed: word for feed, word, _ in rows if word != "unknown"}
    known = np.array([source in state for source in stored.price_source])
    size = _size_usd(stored)
    seen = scores.share_of(size, known)
    if not seen > 0:
        words = "no feed that prices a reserve directly has been read with its heartbeat"
        return not_known(words, tables, "python -m flows oracle-prices")
    bad = np.array([state.get(source, "fresh") != "fresh" for source in stored.price_source])
    value = scores.share_of(size[known], bad[known])
    late = [symbol for symbol, wrong in zip(stored.market.reserves.symbol, bad, strict=True) if wrong]
    return Measured(value=value, tables=tables, figures={"share_known": seen, "late": late})


def trend(store: Reader, stored: Stored, slugs: Sequence[str]) -> Measured:
    """Change of the value locked over `TREND_DAYS`, up to the snapshot's time."""
    tables, at = "fact_protocol_snapshot", stored.market.snapshot.block_time
    sql = (
        "SELECT snapshot_ts, tvl_usd FROM fact_protocol_snapshot WHERE slug = ? AND snapshot_ts <= ? "
        "AND snapshot_ts > ? ORDER BY snapshot_ts DESC LIMIT 1"
    )
    for slug in slugs:
        now = store.rows(sql, (slug, at, at - 3 * DAY))
        before = store.rows(sql, (slug, at - TREND_DAYS * DAY, at - (TREND_DAYS + 3) * DAY))
        if now and before and before[0][1] > 0:
            figures = {"slug": slug, "tvl_usd": now[0][1], "tvl_before_usd": before[0][1], "as_of": now[0][0]}
            return Measured(value=now[0][1] / before[0][1] - 1, tables=tables, figures=figures)
    words = f"no value locked of {' or '.join(slugs)} at the snapshot and {TREND_DAYS} days before it"
    fetch = f"python -m flows protocol-snapshot --slugs {slugs[0]}"
    return not_known(words, tables, "python -m data.sample" if stored.market.snapshot.synthetic else fetch)


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


AGAIN = "python -m flows aave-market"
RISK = "python -m flows risk-scenarios"
DEPTH = "python -m flows sale-quotes --file FILE"
COVER = "python -m flows umbrella-cover"
