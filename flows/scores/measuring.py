"""The value of each part of a market's score, from its newest snapshot and other stored rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from data.settings import SAMPLE_MARKET
from flows.scores.inputs import Covering, Depth
from flows.scores.losses import covered, deficits, depth, parameters
from flows.scores.parts import AGAIN, Measured, not_known
from flows.scores.stored import Stored
from risk_core import accounts
from risk_core.analytics import scores
from risk_core.analytics.concentration import gini, hhi, top_share

if TYPE_CHECKING:
    from data.store.reader import Reader

TOP = 10
TREND_DAYS = 30
DAY = 86_400
SLUGS = {SAMPLE_MARKET: ("sample-aave-v3",)}
"""DefiLlama's names of a market's protocol, of which the first stored one is used; the sample has its own name."""
AAVE_SLUGS = ("aave-v3", "aave")


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
