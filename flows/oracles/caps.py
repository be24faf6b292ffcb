"""The kind of price that an Aave reserve follows, and whether a cap limits it: pure functions of what was read.

Formulas of the adapters (bgd-labs/aave-capo): a stable cap is min(feed, cap) without a floor; a ratio cap is
base price x min(ratio, snapshot ratio x (1 + yearly growth x (now - snapshot time) / 365 days)).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from flows.oracles.adapters import OracleSource
from flows.oracles.known_feeds import KnownAdapter, same_words
from risk_core.price_caps import largest_ratio
from risk_core.units import USD

KINDS = ("direct_feed", "stable_cap", "ratio_cap", "pendle_linear_discount", "fixed", "composite", "unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """What is known of a cap. `binds`: 1, 0, or None where it is not known; `note` says why, or how it is known.

    `parameters_status`: chain (read at the block), deployment (known when it was deployed), none. `max_ratio` and
    `ratio` are in units of the ratio's own decimals; `implied_ratio` is price over the base's price, after the cap.
    """

    parameters_status: str
    parameters: Mapping[str, float | int]
    ratio: int | None = None
    max_ratio: float | None = None
    price_cap: float | None = None
    binds: int | None = None
    note: str = ""


def kind_of(source: OracleSource, known_feeds: Sequence[str] | set[str], known: KnownAdapter | None) -> tuple[str, str]:
    """(kind, how it was recognised) of a source; kinds are `KINDS`.

    Descriptions are the deployers' free text, so the order matters: first an address in the feed book, then a
    description in the adapters' deployment script, then the functions of a proxy, and last the words of the
    description.
    """
    if source.source in known_feeds:
        return "direct_feed", "feed book"
    if known is not None:
        return known.kind, "known adapter"
    if source.aggregator:
        return "direct_feed", "aggregator()"
    words = source.description
    parts = [part for part in re.split(r"\s*/\s*", re.sub(r"^capped\s+", "", words, flags=re.I)) if part]
    if re.search(r"linear discount", words, re.I):
        return "pendle_linear_discount", "description"
    if re.match(r"capped\s", words, re.I):
        # "Capped USDC / USD" caps a price, "Capped wstETH / stETH(ETH) / USD" and longer chains cap a ratio.
        return ("stable_cap" if len(parts) == 2 else "ratio_cap" if len(parts) > 2 else "unknown"), "description"
    if re.match(r"(fixed\b|one usd$)", words, re.I):
        return "fixed", "description"
    if len(parts) == 3:
        return "composite", "description"
    return "unknown", "no description" if not words else "description"


def cap_of(source: OracleSource, kind: str, known: KnownAdapter | None, at: int) -> Cap:
    """What is known of a source's cap at time `at` (the block's). Sources without a cap give an empty `Cap`."""
    read = source.parameters
    if kind == "stable_cap":
        return _stable_cap(source, read.get("price_cap"), known.price_cap if known else None)
    if kind == "ratio_cap":
        return _ratio_cap(read, known, at)
    if kind == "pendle_linear_discount" and known is not None and known.discount_rate_per_year_pct is not None:
        return Cap(
            parameters_status="deployment", parameters={"discount_rate_per_year_pct": known.discount_rate_per_year_pct}
        )
    return Cap(parameters_status="none", parameters={})


def _stable_cap(source: OracleSource, read: int | None, deployed: float | None) -> Cap:
    if read is None and deployed is None:
        return Cap(
            parameters_status="none",
            parameters={},
            note="the cap is not known: the source has no function that returns it",
        )
    on_chain = read is not None and source.decimals is not None
    cap = Fraction(read, 10**source.decimals) if on_chain else Fraction(str(deployed))
    status, parameters = ("chain", {"price_cap": read}) if on_chain else ("deployment", {"price_cap": float(cap)})
    found = {"parameters_status": status, "parameters": parameters, "price_cap": float(cap)}
    if source.price is None:
        return Cap(**found, note="the oracle has no price")
    price = Fraction(source.price, USD)
    if price > cap:
        return Cap(**found, note="the price is above the cap: the cap known here is not the one in force")
    if price == cap:
        return Cap(**found, binds=1, note="the price is the cap: the feed is at or above it")
    return Cap(**found, binds=0, note="" if on_chain else "with the cap of the deployment")


def _ratio_cap(read: Mapping[str, int], known: KnownAdapter | None, at: int) -> Cap:
    terms = ("snapshot_ratio", "snapshot_timestamp", "max_yearly_growth_bps")
    if all(term in read for term in terms):
        highest = largest_ratio(*(read[term] for term in terms), at)
        parameters = {term: read[term] for term in terms}
        if "ratio" not in read:
            missing = "the uncapped ratio is not known: the source has no function that returns it"
            return Cap(parameters_status="chain", parameters=parameters, max_ratio=float(highest), note=missing)
        binds = int(read["ratio"] > highest)
        return Cap(
            parameters_status="chain", parameters=parameters, ratio=read["ratio"], max_ratio=float(highest), binds=binds
        )
    if known is not None and known.snapshot_ratio is not None:
        parameters = {term: getattr(known, term) for term in terms}
        return Cap(
            parameters_status="deployment",
            parameters=parameters,
            max_ratio=float(largest_ratio(*parameters.values(), at)),
            ratio=read.get("ratio"),
            note="stewards move the snapshot: with the deployment's parameters it is not known whether the cap binds",
        )
    return Cap(
        parameters_status="none", parameters={}, ratio=read.get("ratio"), note="the cap's parameters are not known"
    )


def implied_ratio(source: OracleSource, kind: str, prices: Mapping[str, int]) -> float | None:
    """Price over the price of the base that the description names, where the market has that base's direct feed.

    `prices`: oracle price by `same_words` of a direct feed's description, such as "eth/usd". This is the ratio after
    the cap. None where the description names no base, or the base has no direct feed in the market.
    """
    if kind != "ratio_cap" or source.price is None:
        return None
    parts = re.split(r"\s*/\s*", source.description)
    if len(parts) != 3:
        return None
    inner = re.search(r"\(([^)]+)\)", parts[1])  # "stETH(ETH)": stETH counted as one ETH
    base = prices.get(same_words(f"{inner.group(1) if inner else parts[1]}/{parts[2]}"))
    return source.price / base if base else None
