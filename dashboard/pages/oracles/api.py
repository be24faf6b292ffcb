"""What the Oracles page shows as JSON, and how what is typed or sent becomes a question."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

import risk_core as rc
from dashboard.market.loaded import LoadedMarket
from dashboard.market.page_data import PageData
from dashboard.pages.oracles.answers import (
    ERRORS,
    FALLS,
    MARKDOWNS,
    PUBLISHED,
    borrowables,
    cap_curve,
    cap_low,
    collaterals,
    feeds,
    gap_json,
    minted,
    minted_curve,
    pre_flight,
    priced,
    ratios,
    stuck,
    stuck_curve,
)
from dashboard.pages.oracles.parts import token_name
from risk_core.cap_updates import CapProposal

START = {"error": 2.85, "fall": 30, "usd": 100, "markdown": 15, "ratio": 1.1919, "days": 7, "growth": 9.68, "pace": 3}
"""What the page opens on: per cent, millions of USD, a ratio, days. Cap and update are those of 10 March 2026."""


def asked(value: object, label: str, low: float, high: float) -> float:
    """A number that was typed or sent, in [low, high]. Raises `InputError`."""
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        found = math.nan
    if isinstance(value, bool) or not low <= found <= high:
        raise rc.InputError(f"{label}: expected a number from {low:g} to {high:g}, found {value!r:.40}")
    return found


def lends(source: PageData, loaded: LoadedMarket) -> float | None:
    """USD that all reserves together can still lend; None where it is not stored."""
    room = source.headroom(loaded.market).borrowable * loaded.market.price
    return None if np.isnan(room).all() or np.isinf(room).any() else float(np.nansum(room))


def update_of(source: PageData, loaded: LoadedMarket, query: Mapping[str, object]) -> CapProposal:
    """The check that fields or a query ask for. Raises `InputError`."""
    return pre_flight(
        loaded,
        source.adapters(loaded.market),
        str(query.get("reserve")),
        asked(query.get("ratio", START["ratio"]), "ratio", 1e-9, 1e6),
        asked(query.get("days", START["days"]), "days", 0, 3_650),
        asked(query.get("growth", START["growth"]), "growth", 0, 655),
        asked(query.get("pace", START["pace"]), "pace", -100, 1_000),
    )


def _reserve(query: Mapping[str, str], known: Mapping[str, str], name: str = "reserve", chosen: int = 0) -> str:
    """Address of the reserve that a query names by symbol or address; by default that of the page."""
    text = query.get(name)
    if text is None:
        if not known:
            raise rc.InputError(f"{name}: this market has none to choose from")
        return list(known)[min(chosen, len(known) - 1)]
    for asset, symbol in known.items():
        if text.lower() == asset or text == symbol:
            return asset
    raise rc.InputError(f"{name}: expected one of {', '.join(known.values())[:200]}, found {text!r:.40}")


def oracles_json(source: PageData, _query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/oracles`: how each price is made."""
    loaded = source.loaded()
    rows = priced(loaded, source.adapters(loaded.market))
    names = ("symbol", "kind", "of", "price", "cap", "room", "binds", "collateral_usd", "debt_usd", "note")
    return {
        "block": loaded.market.snapshot.block,
        "is_synthetic": loaded.market.snapshot.synthetic,
        "prices": [{name: getattr(one, name) for name in names} for one in rows],
    }


def cap_json(source: PageData, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/oracles/cap?reserve=wstETH&by=2.85`: an oracle that says so many per cent less than the truth."""
    loaded = source.loaded()
    asset = _reserve(query, ratios(loaded) if "reserve" not in query else collaterals(loaded))
    error = -asked(query.get("by", START["error"]), "by", 0, 90) / 100
    repaid, lost = cap_curve(loaded, asset)
    return gap_json(cap_low(loaded, asset, error)) | {
        "reserve": token_name(loaded.market, asset),
        "error": error,
        "published": dict(PUBLISHED),
        "curve": {"too_low": ERRORS.tolist(), "repaid_usd": repaid.tolist(), "borrower_loss_usd": lost.tolist()},
    }


def stuck_json(source: PageData, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/oracles/stuck?feed=eth&by=30`: `feed` is a driver, a symbol or an address."""
    loaded = source.loaded()
    known = feeds(loaded)
    what = query.get("feed", next(iter(known)))
    if what not in known:
        what = _reserve({"feed": what}, {k: v for k, v in collaterals(loaded).items() if k in known}, "feed")
    fall = asked(query.get("by", START["fall"]), "by", 0, 95) / 100
    bad_debt, missed = stuck_curve(loaded, what)
    return gap_json(stuck(loaded, what, fall)) | {
        "feed": what,
        "fall": fall,
        "can_lend_usd": lends(source, loaded),
        "curve": {
            "fall": FALLS.tolist(), "bad_debt_usd": bad_debt.tolist(), "not_liquidated_usd": missed.tolist()
        },
    }  # fmt: skip


def unbacked_json(source: PageData, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/oracles/unbacked?reserve=rsETH&borrowed=WETH&usd=100&markdown=15&seen=yes`, USD in millions."""
    loaded = source.loaded()
    asset = _reserve(query, collaterals(loaded), chosen=1)
    borrowed = _reserve(query, borrowables(loaded), "borrowed")
    usd = asked(query.get("usd", START["usd"]), "usd", 0, 1e6) * 1e6
    markdown = asked(query.get("markdown", START["markdown"]), "markdown", 0, 99) / 100
    seen = query.get("seen", "yes")
    if seen not in ("yes", "no"):
        raise rc.InputError(f"seen: expected yes or no, found {seen!r:.40}")
    room = source.headroom(loaded.market)
    answer = minted(loaded, room, asset, usd, borrowed, markdown, oracle_sees=seen == "yes")
    found = answer.found
    return gap_json(found.gap) | {
        "reserve": token_name(loaded.market, asset),
        "borrowed": token_name(loaded.market, borrowed),
        "markdown": markdown,
        "supplied_tokens": answer.tokens,
        "borrowed_usd": found.borrowed_usd,
        "limited_by_liquidity": found.limited,
        "own_deficit_usd": found.attacker_deficit_usd,
        "others_deficit_usd": found.others_deficit_usd,
        "curve": {"markdown": MARKDOWNS.tolist(), "deficit_usd": minted_curve(loaded, asset).tolist()},
    }


def update_json(source: PageData, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/oracles/update?reserve=wstETH&ratio=1.1919&days=7&growth=9.68&pace=3`."""
    loaded = source.loaded()
    found = update_of(source, loaded, dict(query) | {"reserve": _reserve(query, ratios(loaded))})
    update = found.update
    return {
        "reserve": found.symbol,
        "base": found.base,
        "ratio": found.ratio,
        "largest_ratio": {
            "before": found.largest_before,
            "after": found.largest_after,
        },
        "binds": update.binds,
        "binds_from": update.binds_from,
        "headroom": update.headroom,
        "price_move": update.move,
        "refused_because": list(update.broken),
        "then": None if found.gap is None else gap_json(found.gap),
        "block": loaded.market.snapshot.block,
        "is_synthetic": loaded.market.snapshot.synthetic,
    }
