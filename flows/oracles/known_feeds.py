"""What is known about feeds and price adapters before a node is asked.

It is in `flows/oracles/chainlink_feeds.csv` and `flows/oracles/price_cap_adapters.csv`, each value with its source.

Addresses: npm `@aave-dao/aave-address-book` 4.68.1 (MIT). Heartbeats and deviation thresholds are not in the contracts:
`reported` ones were published by a named source, `unverified` ones were not checked, and most feeds have none. The file
named by CHAINLINK_FEEDS (same columns, without those of status) adds feeds and replaces facts; those are `configured`.
Adapter parameters: bgd-labs/aave-capo, deployment script of 2025-12-22; stewards change them.
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from flows import settings
from flows.errors import ConfigurationError

ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFeed:
    """A feed of the book; `heartbeat_s` seconds and `deviation_pct` percent are None where they are not published.

    `*_status`: reported, configured, unverified or unknown.
    """

    chain_id: int
    feed: str
    pair: str
    heartbeat_s: int | None = None
    heartbeat_status: str = "unknown"
    heartbeat_source: str = ""
    deviation_pct: float | None = None
    deviation_status: str = "unknown"
    deviation_source: str = ""
    address_source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAdapter:
    """A price adapter as it was deployed; None where a kind has no such parameter.

    `kind`: ratio_cap, stable_cap or pendle_linear_discount. `snapshot_ratio` in the ratio's own decimals,
    `price_cap` in USD.
    """

    description: str
    kind: str
    snapshot_ratio: int | None
    snapshot_timestamp: int | None
    max_yearly_growth_bps: int | None
    price_cap: float | None
    discount_rate_per_year_pct: float | None


def feeds(chain_id: int) -> dict[str, KnownFeed]:
    """Feeds of a chain by lower-case address, built in and configured. Raises `ConfigurationError`."""
    path = settings.get("CHAINLINK_FEEDS")
    return _built_in(chain_id) | (_configured(Path(path), chain_id) if path else {})


@cache
def _built_in(chain_id: int) -> dict[str, KnownFeed]:
    return {
        row["feed"]: KnownFeed(
            chain_id=chain_id,
            feed=row["feed"],
            pair=row["pair"],
            heartbeat_s=int(row["heartbeat_s"]) if row["heartbeat_s"] else None,
            heartbeat_status=row["heartbeat_status"],
            heartbeat_source=row["heartbeat_source"],
            deviation_pct=float(row["deviation_pct"]) if row["deviation_pct"] else None,
            deviation_status=row["deviation_status"],
            deviation_source=row["deviation_source"],
            address_source=row["address_source"],
        )
        for row in _rows("chainlink_feeds.csv")
        if int(row["chain_id"]) == chain_id
    }


@cache
def adapters(chain_id: int) -> dict[str, KnownAdapter]:
    """Adapters deployed on a chain, by `same_words` of their description()."""
    return {
        same_words(row["description"]): KnownAdapter(
            description=row["description"],
            kind=row["kind"],
            snapshot_ratio=_int(row["snapshot_ratio"]),
            snapshot_timestamp=_int(row["snapshot_timestamp"]),
            max_yearly_growth_bps=_int(row["max_yearly_growth_bps"]),
            price_cap=_float(row["price_cap"]),
            discount_rate_per_year_pct=_float(row["discount_rate_per_year_pct"]),
        )
        for row in _rows("price_cap_adapters.csv")
        if int(row["chain_id"]) == chain_id
    }


def find(chain_id: int, wanted: Iterable[str]) -> list[str]:
    """Lower-case addresses of `wanted`: addresses as they are, pairs such as ETH/USD by the book, `all` for the book.

    Raises `ConfigurationError` with near names for a pair that the book does not have on this chain.
    """
    known = feeds(chain_id)
    by_pair = {feed.pair.casefold(): feed.feed for feed in known.values()}
    found: list[str] = []
    for word in wanted:
        if ADDRESS.fullmatch(word):
            found.append(word.lower())
        elif word.casefold() == "all":
            found += known
        elif word.casefold() in by_pair:
            found.append(by_pair[word.casefold()])
        else:
            near = difflib.get_close_matches(word, [feed.pair for feed in known.values()], n=3)
            hint = f" Did you mean {', '.join(near)}?" if near else ""
            raise ConfigurationError(
                f"--feeds: expected a feed's address or a pair of the book on chain {chain_id} ({len(known)} feeds), "
                f"found {word!r:.60}.{hint}"
            )
    return list(dict.fromkeys(found))


def same_words(description: str) -> str:
    """A description without what varies between deployments: spaces and case.

    >>> same_words("Capped USDT / USD") == same_words("Capped USDT/USD")
    True
    """
    return "".join(description.split()).casefold()


def _configured(path: Path, chain_id: int) -> dict[str, KnownFeed]:
    """Feeds of the user's file; values that a row leaves empty stay those of the book."""
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(
            f"CHAINLINK_FEEDS: cannot read {path} ({type(exc).__name__}); fix or unset it"
        ) from exc
    found = {}
    for line, row in enumerate(rows, start=2):
        try:
            address, of_chain = row["feed"].lower(), int(row["chain_id"])
            heartbeat, deviation = _int(row.get("heartbeat_s") or ""), _float(row.get("deviation_pct") or "")
            if (heartbeat is not None and heartbeat <= 0) or (deviation is not None and not 0 < deviation < 100):
                raise ValueError
            if not ADDRESS.fullmatch(address):
                raise ValueError
        except (KeyError, ValueError, AttributeError):
            raise ConfigurationError(
                f"CHAINLINK_FEEDS: line {line} of {path}: expected chain_id, feed (an address), and optionally pair, "
                "heartbeat_s above 0, heartbeat_source, deviation_pct between 0 and 100, deviation_source"
            ) from None
        if of_chain != chain_id:
            continue
        known = found.get(address) or _built_in(chain_id).get(address)
        known = known or KnownFeed(chain_id=chain_id, feed=address, pair=address, address_source="CHAINLINK_FEEDS")
        facts: dict[str, Any] = {"pair": row.get("pair") or known.pair}
        for name, unit, value in (("heartbeat", "s", heartbeat), ("deviation", "pct", deviation)):
            if value is not None:
                facts |= {
                    f"{name}_{unit}": value,
                    f"{name}_status": "configured",
                    f"{name}_source": row.get(f"{name}_source") or "",
                }
        found[address] = replace(known, **facts)
    return found


def _rows(name: str) -> Iterator[dict[str, str]]:
    return csv.DictReader(files("flows.oracles").joinpath(name).read_text(encoding="utf-8").splitlines())


def _int(text: str) -> int | None:
    return int(text) if text else None


def _float(text: str) -> float | None:
    return float(text) if text else None
