"""Oracles: how each price is made, and what a wrong one does. Exact, every account; no drawing here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

import risk_core as rc
from dashboard.market.drivers import BY_KEY, FIXED
from dashboard.market.loaded import LoadedMarket
from data.headroom import Headroom
from data.oracle_adapters import Adapter
from risk_core.accounts import totals
from risk_core.cap_updates import DECIMALS, CapProposal, cap_update
from risk_core.oracle_gap import OracleGap, Unbacked, mispriced, oracle_gap, plain_feeds, unbacked
from risk_core.price_caps import UpdateLimits

ERRORS = np.arange(0, 41) * 0.0025
"""How far below the true ratio a cap is, on the curve: 0 to 10 %."""
FALLS = np.arange(0, 31) * 0.02
"""Falls of the market under a feed that does not move, on the curve: 0 to 60 %."""
MARKDOWNS = np.arange(0, 20) * 0.05
"""Markdowns of a token that nothing backs, on the curve: 0 to 95 %."""
FEEDS = ("eth", "btc", "usdc", "usdt", "stable", "other")
"""Drivers that a stuck feed may stand for."""
MINIMUM_DELAY = 7 * 86_400
"""MINIMUM_SNAPSHOT_DELAY of the adapters of liquid staking tokens at deployment (bgd-labs/aave-capo), seconds."""
PUBLISHED = {"accounts": 34, "tokens": 10_938, "symbol": "wstETH", "error": -0.0285}
"""10 March 2026, as published in governance thread 24275: a cap 2.85 % below the true ratio."""
DAY = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """How the price of one reserve is made.

    kind: feed, cap, ratio, linked, fixed. `of`: the reserve that it follows or is a ratio to; empty for none. room: how
    far its feed may rise, relative to the price, before a cap holds it down; None without a known cap. binds: whether
    one does; None where it cannot be told. collateral_usd, debt_usd: what rests on the price.
    """

    symbol: str
    kind: str
    of: str
    price: float
    cap: float | None
    room: float | None
    binds: bool | None
    collateral_usd: float
    debt_usd: float
    note: str


def priced(loaded: LoadedMarket, adapters: Mapping[int, Adapter]) -> list[Priced]:
    """Every reserve with collateral or debt, those on which most rests first."""
    market = loaded.market
    reserves, price = market.reserves, market.price
    usd = [_usd(market, side) for side in (market.collateral, market.debt)]
    found = []
    for r in np.argsort(-(usd[0] + usd[1]), kind="stable").tolist():
        if usd[0][r] + usd[1][r] <= 0:
            continue
        base, link, adapter = reserves.ratio_of[r], reserves.linked_to[r], adapters.get(r)
        cap = room = None
        kind, of = "feed", ""
        if reserves.fixed_price[r]:
            kind = "fixed"
        elif link >= 0:
            kind, of = "linked", reserves.symbol[link]
        elif base >= 0 or loaded.assets.is_lst[r]:
            kind, of = "ratio", reserves.symbol[base] if base >= 0 else "ETH"
            if base >= 0 and np.isfinite(reserves.ratio_cap[r]):
                cap = float(reserves.ratio_cap[r])
                room = cap / (float(price[r]) / float(price[base])) - 1.0
        elif np.isfinite(reserves.price_cap[r]):
            kind, cap = "cap", float(reserves.price_cap[r])
            room = cap / float(price[r]) - 1.0
        binds = adapter.binds if adapter is not None and adapter.binds is not None else None
        if binds is None and room is not None:
            binds = room <= 1e-9
        note = adapter.note if adapter is not None else ""
        found.append(
            Priced(
                symbol=reserves.symbol[r], kind=kind, of=of, price=float(price[r]), cap=cap, room=room, binds=binds,
                collateral_usd=float(usd[0][r]), debt_usd=float(usd[1][r]), note=note,
            )
        )  # fmt: skip
    return found


def _usd(market: rc.Market, side: rc.Positions) -> np.ndarray:
    """(R,) USD of one side of all accounts."""
    return np.bincount(side.reserve, weights=side.amount * market.price[side.reserve], minlength=market.n_reserves)


def _largest_first(market: rc.Market, side: rc.Positions) -> dict[str, str]:
    """Address to symbol of every reserve of one side, the largest first."""
    usd = _usd(market, side)
    order = [r for r in np.argsort(-usd, kind="stable").tolist() if usd[r] > 0]
    return {market.reserves.asset[r]: market.reserves.symbol[r] for r in order}


def collaterals(loaded: LoadedMarket) -> dict[str, str]:
    """Address to symbol of every reserve that is collateral of somebody, the largest first."""
    return _largest_first(loaded.market, loaded.market.collateral)


def borrowables(loaded: LoadedMarket) -> dict[str, str]:
    """Address to symbol of every reserve that somebody owes, the largest first."""
    return _largest_first(loaded.market, loaded.market.debt)


def ratios(loaded: LoadedMarket) -> dict[str, str]:
    """Address to symbol of the collaterals whose price is a ratio to another reserve's, the largest first."""
    found = collaterals(loaded)
    return {asset: symbol for asset, symbol in found.items() if base_of(loaded, asset) is not None}


def base_of(loaded: LoadedMarket, asset: str) -> int | None:
    """The reserve that a token's price is a ratio of; None for a token that has a price of its own."""
    market = loaded.market
    r = market.reserves.index(asset)
    if market.reserves.ratio_of[r] >= 0:
        return int(market.reserves.ratio_of[r])
    if not loaded.assets.is_lst[r]:
        return None
    bases = [k for k, d in enumerate(loaded.assets.driver) if d == "eth" and not loaded.assets.is_lst[k]]
    return bases[0] if bases else None


@lru_cache(maxsize=64)
def cap_low(loaded: LoadedMarket, asset: str, error: float) -> OracleGap:
    """The oracle says `error` (negative) less of a reserve than it is worth, and the market does not move."""
    return oracle_gap(loaded.market, {}, errors={asset: error})


@lru_cache(maxsize=32)
def cap_curve(loaded: LoadedMarket, asset: str) -> tuple[np.ndarray, np.ndarray]:
    """(debt repaid (S,), borrowers' loss (S,)) in USD at each of `ERRORS`."""
    market = plain_feeds(loaded.market)
    repaid, lost = np.zeros(len(ERRORS)), np.zeros(len(ERRORS))
    for k, error in enumerate(ERRORS.tolist()):
        at = mispriced(loaded.market, {asset: -error})
        then = rc.what_if(market, at / market.price - 1.0)
        worth = market.price / at
        repaid[k] = then.repaid_by_reserve @ worth
        lost[k] = (then.seized_by_reserve + then.fee_by_reserve - then.repaid_by_reserve) @ worth
    return repaid, lost


def feeds(loaded: LoadedMarket) -> dict[str, str]:
    """Drivers whose feed may be stuck, in words, and each collateral with a price of its own by its address."""
    drivers = {key: BY_KEY[key].label for key in FEEDS if loaded.assets.moved_by(key).any()}
    market = loaded.market
    own = (market.reserves.linked_to < 0) & ~market.reserves.fixed_price
    alone = {
        asset: f"{symbol} alone"
        for asset, symbol in collaterals(loaded).items()
        if own[market.reserves.index(asset)] and loaded.assets.driver[market.reserves.index(asset)] != FIXED
    }
    return drivers | alone


def _feed(loaded: LoadedMarket, what: str, fall: float) -> tuple[np.ndarray, tuple[str, ...]]:
    """(relative moves (R,), reserves whose feed stays) for a fall of what one feed prices."""
    market = loaded.market
    reserves = market.reserves
    if what not in FEEDS:
        return reserves.moves("moves", {what: -fall}), (what,)
    moved = loaded.assets.moved_by(what)
    own = moved & (reserves.linked_to < 0) & ~reserves.fixed_price
    return loaded.assets.moves({what: -fall}), tuple(reserves.asset[r] for r in np.flatnonzero(own))


@lru_cache(maxsize=64)
def stuck(loaded: LoadedMarket, what: str, fall: float) -> OracleGap:
    """The market falls by `fall` and the feed says what it said before. what: one of `FEEDS`, or an address."""
    moves, stays = _feed(loaded, what, fall)
    return oracle_gap(loaded.market, moves, stuck=stays)


@lru_cache(maxsize=32)
def stuck_curve(loaded: LoadedMarket, what: str) -> tuple[np.ndarray, np.ndarray]:
    """USD at each of `FALLS`: (debt above collateral at market prices, debt that an exact oracle would have repaid)."""
    market = loaded.market
    bad_debt, missed = np.zeros(len(FALLS)), np.zeros(len(FALLS))
    for k, fall in enumerate(FALLS.tolist()):
        moves, _ = _feed(loaded, what, fall)
        held, owed = totals(market, market.price * (1.0 + moves))
        bad_debt[k] = np.maximum(owed - held, 0.0).sum()
        missed[k] = rc.what_if(market, moves).repaid_usd
    return bad_debt, missed - missed[0]


@dataclass(frozen=True, slots=True, eq=False)
class Minted:
    """`unbacked` with its limits: tokens that the supply cap lets in, USD that the reserve can lend; None, unknown."""

    found: Unbacked
    tokens: float
    lets_in: float | None
    lends_usd: float | None
    oracle_sees: bool


def minted(
    loaded: LoadedMarket, room: Headroom, asset: str, usd: float, borrowed: str, markdown: float, *, oracle_sees: bool
) -> Minted:
    """Tokens of `usd` that nothing backs are supplied, as far as the supply cap allows, and borrowed against."""
    market = loaded.market
    c, d = market.reserves.index(asset), market.reserves.index(borrowed)
    tokens = usd / float(market.price[c])
    lets_in = None if np.isnan(room.suppliable[c]) else float(room.suppliable[c])
    lends = None if np.isnan(room.borrowable[d]) else float(room.borrowable[d] * market.price[d])
    supplied = tokens if lets_in is None else min(tokens, lets_in)
    found = unbacked(
        market, asset, supplied, borrowed, markdown, available_usd=None if lends is None or np.isinf(lends) else lends,
        oracle_sees=oracle_sees,
    )  # fmt: skip
    return Minted(found, supplied, lets_in, lends, oracle_sees)


@lru_cache(maxsize=16)
def minted_curve(loaded: LoadedMarket, asset: str) -> np.ndarray:
    """(S,) deficit in USD of those who hold the token already, at each of `MARKDOWNS`; without the minted tokens."""
    market = loaded.market
    return np.array([rc.what_if(market, {asset: -cut}).deficit_usd for cut in MARKDOWNS.tolist()])


def pre_flight(
    loaded: LoadedMarket,
    adapters: Mapping[int, Adapter],
    asset: str,
    ratio: float,
    days_old: float,
    growth_pct: float,
    pace_pct: float,
) -> CapProposal:
    """`cap_update` by what is stored of the adapter, per cent a year. Raises `InputError`."""
    market = loaded.market
    base = base_of(loaded, asset)
    r = market.reserves.index(asset)
    if base is None:
        raise rc.InputError(f"{market.reserves.symbol[r]} has a price of its own: there is no ratio to cap")
    adapter = adapters.get(r)
    return cap_update(
        market, asset, ratio, days_old, growth_pct / 100, base=market.reserves.asset[base],
        ratio=adapter.ratio if adapter else None, ratio_growth=pace_pct / 100,
        present=adapter.terms if adapter else None, limits=UpdateLimits(minimum_delay=MINIMUM_DELAY),
        decimals=adapter.decimals if adapter else DECIMALS,
    )  # fmt: skip


def gap_json(gap: OracleGap) -> dict[str, Any]:
    """The figures of a gap, USD at market prices."""
    return {
        "liquidated_accounts": gap.first.n_accounts,
        "repaid_usd": gap.repaid_usd,
        "seized_usd": gap.seized_usd,
        "fee_usd": gap.fee_usd,
        "borrower_loss_usd": gap.borrower_loss_usd,
        "bonus_usd": gap.bonus_usd,
        "mispricing_usd": gap.mispricing_usd,
        "bad_debt_usd": gap.bad_debt_usd,
        "could_borrow_usd": gap.could_borrow_usd,
        "could_leave_usd": gap.could_leave_usd,
        "deficit_usd": gap.deficit_usd,
        "extra_deficit_usd": gap.extra_deficit_usd,
        "honest": {
            "liquidated_accounts": gap.honest.n_accounts,
            "repaid_usd": gap.honest.repaid_usd,
            "deficit_usd": gap.honest.deficit_usd,
        },
        "block": gap.market.snapshot.block,
        "is_synthetic": gap.market.snapshot.synthetic,
    }
