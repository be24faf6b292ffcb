"""Rows of the warehouse from what was read of feeds and oracle sources; pure functions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from flows.oracles import known_feeds as chainlink_book
from flows.oracles.caps import cap_of, implied_ratio, kind_of
from flows.oracles.known_feeds import KnownFeed, same_words
from flows.oracles.rounds import SOURCE
from risk_core.units import USD

if TYPE_CHECKING:
    from flows.clients.block_reader import Block
    from flows.oracles.adapters import OracleSource
    from flows.oracles.chainlink import Feed


def readings(chain_id: int, block: Block, feeds: Sequence[Feed]) -> pd.DataFrame:
    """Rows of `raw_chainlink_feeds`."""
    return pd.DataFrame([
        {
            "chain_id": chain_id, "feed": feed.address, "block": block.number, "block_hash": block.hash,
            "block_time": block.time, "description": feed.description, "decimals": feed.decimals,
            "aggregator": feed.aggregator, "phase_id": feed.latest.phase_id, "round_id": feed.latest.round_id,
            "answer": str(feed.latest.answer), "updated_at": feed.latest.updated_at, "source": SOURCE,
            "payload_sha256": feed.latest.payload_sha256,
        }
        for feed in feeds
    ])  # fmt: skip


def dim_feed(chain_id: int, feeds: Sequence[Feed]) -> pd.DataFrame:
    """Rows of `dim_feed`: decimals as read, the rest from the book; nothing is assumed about a feed that it lacks."""
    book = chainlink_book.feeds(chain_id)
    rows = []
    for feed in feeds:
        known = book.get(feed.address) or KnownFeed(
            chain_id=chain_id, feed=feed.address, pair=feed.description or feed.address
        )
        rows.append({
            "chain_id": chain_id, "feed": feed.address, "pair": known.pair, "description": feed.description,
            "decimals": feed.decimals, "heartbeat_s": known.heartbeat_s, "heartbeat_status": known.heartbeat_status,
            "heartbeat_source": known.heartbeat_source, "deviation_pct": known.deviation_pct,
            "deviation_status": known.deviation_status, "deviation_source": known.deviation_source,
            "address_source": known.address_source,
        })  # fmt: skip
    frame = pd.DataFrame(rows)
    return frame.assign(heartbeat_s=frame["heartbeat_s"].astype("Int64"))


def sources(market: str, chain_id: int, oracle: str, block: Block, found: Sequence[OracleSource]) -> pd.DataFrame:
    """Rows of `raw_oracle_sources`."""
    rows = []
    for source in found:
        document: dict[str, Any] = {
            "oracle_source": source.source,
            "description": source.description,
            "decimals": source.decimals,
            "answer": _text(source.answer),
            "price_raw": _text(source.price),
            "parameters": _document({name: str(value) for name, value in source.parameters.items()}),
        }
        rows.append({
            "market": market, "asset": source.asset, "block": block.number, "block_hash": block.hash,
            "block_time": block.time, "chain_id": chain_id, "oracle": oracle, "symbol": source.symbol, **document,
            "source": SOURCE, "payload_sha256": hashlib.sha256(_document(document).encode()).hexdigest(),
        })  # fmt: skip
    frame = pd.DataFrame(rows)
    return frame.assign(decimals=frame["decimals"].astype("Int64"))


def adapters(market: str, chain_id: int, block: Block, found: Sequence[OracleSource]) -> pd.DataFrame:
    """Rows of `dim_oracle_adapter`."""
    feeds, deployed = chainlink_book.feeds(chain_id), chainlink_book.adapters(chain_id)
    known = [deployed.get(same_words(source.description)) for source in found]
    kinds = [kind_of(source, feeds.keys(), adapter) for source, adapter in zip(found, known, strict=True)]
    direct = {
        same_words(source.description): source.price
        for source, (kind, _) in zip(found, kinds, strict=True)
        if kind == "direct_feed" and source.price
    }
    rows = []
    for source, adapter, (kind, basis) in zip(found, known, kinds, strict=True):
        cap = cap_of(source, kind, adapter, block.time)
        rows.append({
            "market": market, "asset": source.asset, "block": block.number, "block_time": block.time,
            "symbol": source.symbol, "oracle_source": source.source, "description": source.description, "kind": kind,
            "kind_basis": basis, "pair": feeds[source.source].pair if source.source in feeds else "",
            "parameters": _document({name: str(value) for name, value in cap.parameters.items()}),
            "parameters_status": cap.parameters_status,
            "price": source.price / USD if source.price else None, "price_cap": cap.price_cap,
            "ratio": None if cap.ratio is None else float(cap.ratio), "max_ratio": cap.max_ratio,
            "implied_ratio": implied_ratio(source, kind, direct), "cap_binds": cap.binds,
            "note": _note(source, cap.note),
        })  # fmt: skip
    frame = pd.DataFrame(rows)
    reals = dict.fromkeys(["price", "price_cap", "ratio", "max_ratio", "implied_ratio"], "float64")
    return frame.astype(reals | {"cap_binds": "Int64"})


def _note(source: OracleSource, of_cap: str) -> str:
    """The cap's note, and whether the oracle used the source at all: it does not where the answer is not positive."""
    notes = []
    if source.price is None:
        notes.append("the oracle has no price")
    elif source.answer is not None and source.answer <= 0:
        notes.append("the source's answer is not positive: the price is the oracle's fallback")
    return "; ".join([*notes, *([of_cap] if of_cap else [])])


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)


def _document(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
