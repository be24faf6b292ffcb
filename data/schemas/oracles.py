"""Oracle prices: rounds of Chainlink feeds, how fresh they were, and the source behind each price of an Aave market."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from data.schemas.fields import (
    address,
    block_hash,
    document,
    flag,
    integer,
    name,
    real,
    seconds,
    text,
    uint,
)
from data.schemas.model import DAY, Numbered, Received

INT = r"0|-?[1-9]\d{0,77}"
FACT_STATUS = ["reported", "configured", "unverified", "unknown"]
TRIGGERS = ["first", "heartbeat", "deviation", "both", "clock", "neither", "not heartbeat", "unknown"]
STALENESS = ["fresh", "late", "stale", "no price", "unknown"]
ADAPTER_KINDS = [
    "direct_feed",
    "stable_cap",
    "ratio_cap",
    "pendle_linear_discount",
    "fixed",
    "composite",
    "unknown",
]


def _answer(description: str, **checks: Any) -> Any:
    return text(description, "1 / 10**decimals of the quote", whole_text_matches=INT, **checks)


def _chain_id() -> Any:
    return integer("EIP-155 chain id", "id")


def _read_at() -> Any:
    """Block a round was read at. A round is the same at every later block, so this is not part of its content."""
    return pa.Field(description="block it was read at", metadata={"unit": "block", "provenance": True}, ge=0)


def _status(what: str) -> Any:
    wording = "reported by the named source, configured by the user, unverified (not checked), or unknown"
    return text(f"{what}: {wording}", isin=FACT_STATUS)


class ChainlinkRounds(Received, key=["chain_id", "feed", "phase_id", "round_id"]):
    """`raw_chainlink_rounds`: finished rounds as `getRoundData` of the feed gave them, also those with a bad answer."""

    chain_id: Series[np.int64] = _chain_id()
    feed: Series[str] = address("the feed's proxy")
    phase_id: Series[np.int64] = integer("phase of the proxy, from 1; 0 for a contract without phases", "id")
    round_id: Series[np.int64] = integer("the aggregator's own round number (low 64 bits of the proxy's)", "id")
    answer: Series[str] = _answer("the answer, signed, exact")
    started_at: Series[np.int64] = seconds("when the round began, as the feed says")
    updated_at: Series[np.int64] = seconds("when the answer was set")
    answered_in_round: Series[str] = uint("proxy round that the answer is from; the interface deprecates it", "id")
    is_carried_over: Series[np.int64] = flag("1 where answered_in_round is an earlier round than this one")
    decimals: Series[np.int64] = integer("decimals() of the feed, read at the same block", "digits", le=77)
    block: Series[np.int64] = _read_at()
    source: Series[str] = name("where it was read")


class ChainlinkFeeds(Received, key=["chain_id", "feed", "block"], late_after=2 * DAY):
    """`raw_chainlink_feeds`: what a feed said at one block: its newest round, aggregator, decimals."""

    chain_id: Series[np.int64] = _chain_id()
    feed: Series[str] = address("the feed's proxy")
    block: Series[np.int64] = integer("block everything was read at", "block")
    block_hash: Series[str] = block_hash("hash of that block")
    block_time: Series[np.int64] = seconds("timestamp of that block")
    description: Series[str] = text("description(), empty where the feed has none")
    decimals: Series[np.int64] = integer("decimals()", "digits", le=77)
    aggregator: Series[str] = text("aggregator() of the current phase; empty for a contract without phases", "address")
    phase_id: Series[np.int64] = integer("phase of the newest round", "id")
    round_id: Series[np.int64] = integer("newest round of that phase", "id")
    answer: Series[str] = _answer("newest answer, signed, exact")
    updated_at: Series[np.int64] = seconds("when it was set; 0 where the round is not finished")
    source: Series[str] = name("where it was read")


class Feeds(Numbered, key=["chain_id", "feed"], optional=["heartbeat_s", "deviation_pct"]):
    """`dim_feed`: each feed, what is known about when it updates, and the source of each of these facts."""

    chain_id: Series[np.int64] = _chain_id()
    feed: Series[str] = address("the feed's proxy")
    pair: Series[str] = name("pair by the address book, else the feed's description, else its address")
    description: Series[str] = text("description() of the feed")
    decimals: Series[np.int64] = integer("decimals() of the feed: read, never assumed", "digits", le=77)
    heartbeat_s: Series[pd.Int64Dtype] = integer(
        "longest time between updates the feed promises; empty where it is not published", "seconds", nullable=True
    )
    heartbeat_status: Series[str] = _status("heartbeat_s")
    heartbeat_source: Series[str] = text("who published the heartbeat")
    deviation_pct: Series[np.float64] = real(
        "move that triggers an update, percent of the last answer; empty where it is not published",
        "percent",
        gt=0,
        nullable=True,
    )
    deviation_status: Series[str] = _status("deviation_pct")
    deviation_source: Series[str] = text("who published the threshold")
    address_source: Series[str] = text("where the address is from; empty when it was read from a market's oracle")


class FeedPhases(Numbered, key=["chain_id", "feed", "phase_id"]):
    """`dim_feed_phase`: the aggregators a feed has had, and how much of each one's history is stored."""

    chain_id: Series[np.int64] = _chain_id()
    feed: Series[str] = address("the feed's proxy")
    phase_id: Series[np.int64] = integer("phase", "id")
    aggregator: Series[str] = text("the phase's aggregator; empty for a contract without phases", "address")
    last_round: Series[np.int64] = integer("newest round the chain has; 0 where it does not report it", "id")
    first_covered: Series[np.int64] = integer("first round of the range that was read; 0 for none yet", "id")
    last_covered: Series[np.int64] = integer("last round of the range that was read", "id")
    n_missing: Series[np.int64] = integer("numbers in that range that the aggregator left out", "rounds")
    n_unfinished: Series[np.int64] = integer("rounds in that range that began and were never answered", "rounds")


class ChainlinkPrices(
    Numbered,
    key=["chain_id", "feed", "phase_id", "round_id"],
    optional=["price"],
    indexes=[["batch"], ["chain_id", "feed", "updated_at"]],
):
    """`stg_chainlink_prices`: one row for each round. `price` is empty where the answer is no price (not positive)."""

    chain_id: Series[np.int64] = _chain_id()
    feed: Series[str] = address("the feed's proxy")
    phase_id: Series[np.int64] = integer("phase", "id")
    round_id: Series[np.int64] = integer("the aggregator's round number", "id")
    updated_at: Series[np.int64] = seconds("when the price was set")
    price: Series[np.float64] = real("the answer in whole units", "quote per base", gt=0, nullable=True)
    is_carried_over: Series[np.int64] = flag("1 where answeredInRound is an earlier round: an old answer again")


class FeedUpdates(
    Numbered,
    key=["chain_id", "feed", "phase_id", "round_id"],
    optional=["gap_s", "move_pct"],
    indexes=[["batch"], ["chain_id", "feed", "updated_at"]],
):
    """`fact_feed_update`: what triggered each round, judged by the feed's own heartbeat and deviation threshold."""

    chain_id: Series[np.int64] = _chain_id()
    feed: Series[str] = address("the feed's proxy")
    phase_id: Series[np.int64] = integer("phase", "id")
    round_id: Series[np.int64] = integer("the aggregator's round number", "id")
    updated_at: Series[np.int64] = seconds("when the price was set")
    gap_s: Series[pd.Int64Dtype] = integer(
        "since the finished round before; empty for the first of a phase, and where times run backwards",
        "seconds",
        nullable=True,
    )
    move_pct: Series[np.float64] = real(
        "change from the round before, percent of it; empty where one of the two is no price", "percent", nullable=True
    )
    trigger: Series[str] = text(
        "first: no earlier round is stored; heartbeat: a heartbeat after the round before; deviation: a move beyond "
        "the threshold; clock: neither of these, but near a multiple of the heartbeat since 1970 UTC; neither: not "
        "that either; unknown: the heartbeat is not known; heartbeat or not heartbeat: the threshold is not known",
        isin=TRIGGERS,
    )


class FeedStaleness(
    Numbered,
    key=["chain_id", "feed", "block"],
    optional=["price", "age_s", "heartbeat_s", "gap_median_s", "gap_p99_s", "gap_max_s"],
    indexes=[["batch"]],
):
    """`mart_feed_staleness`: how old a feed's newest price was at a block, compared with its heartbeat and its past.

    The distribution of gaps is that of the updates in the `window_s` seconds up to the block.
    """

    chain_id: Series[np.int64] = _chain_id()
    feed: Series[str] = address("the feed's proxy")
    block: Series[np.int64] = integer("block", "block")
    block_time: Series[np.int64] = seconds("timestamp of the block")
    pair: Series[str] = name("pair, see dim_feed")
    price: Series[np.float64] = real(
        "newest price at the block; empty where the answer is no price", "quote per base", gt=0, nullable=True
    )
    updated_at: Series[np.int64] = seconds("when that price was set; 0 where the round is not finished")
    age_s: Series[pd.Int64Dtype] = integer(
        "block_time - updated_at; empty without a finished round", "seconds", nullable=True
    )
    heartbeat_s: Series[pd.Int64Dtype] = integer("the feed's heartbeat; empty where unknown", "seconds", nullable=True)
    heartbeat_status: Series[str] = _status("heartbeat_s")
    staleness: Series[str] = text(
        "fresh: age within the heartbeat; late: within 1.1 heartbeats; stale: older; no price: the answer is not "
        "positive or not finished; unknown: the heartbeat is not known",
        isin=STALENESS,
    )
    window_s: Series[np.int64] = integer("length of the window of the gaps", "seconds")
    n_updates: Series[np.int64] = integer("updates in the window whose gap is known", "updates")
    gap_median_s: Series[pd.Int64Dtype] = integer("median gap (nearest rank)", "seconds", nullable=True)
    gap_p99_s: Series[pd.Int64Dtype] = integer(
        "99 % of the gaps are no longer (nearest rank)", "seconds", nullable=True
    )
    gap_max_s: Series[pd.Int64Dtype] = integer("longest gap", "seconds", nullable=True)
    n_heartbeat: Series[np.int64] = integer("updates by the heartbeat", "updates")
    n_deviation: Series[np.int64] = integer("updates by the deviation threshold", "updates")
    n_both: Series[np.int64] = integer("updates that both explain", "updates")
    n_clock: Series[np.int64] = integer("updates near a multiple of the heartbeat that neither explains", "updates")
    n_neither: Series[np.int64] = integer("updates that nothing known explains", "updates")


class OracleSources(Received, key=["market", "asset", "block"], optional=["decimals", "answer", "price_raw"]):
    """`raw_oracle_sources`: where a market's oracle takes the price of a reserve from at a block, and what it says."""

    market: Series[str] = name("market name")
    asset: Series[str] = address("underlying token")
    block: Series[np.int64] = integer("block everything was read at", "block")
    block_hash: Series[str] = block_hash("hash of that block")
    block_time: Series[np.int64] = seconds("timestamp of that block")
    chain_id: Series[np.int64] = _chain_id()
    oracle: Series[str] = address("AaveOracle")
    symbol: Series[str] = name("token symbol")
    oracle_source: Series[str] = address("getSourceOfAsset: a feed or an adapter around one")
    description: Series[str] = text("description() of the source, empty where it has none")
    decimals: Series[pd.Int64Dtype] = integer("decimals() of the source", "digits", le=77, nullable=True)
    answer: Series[pd.StringDtype] = _answer("latestAnswer() of the source", nullable=True)
    price_raw: Series[pd.StringDtype] = uint(
        "getAssetPrice; differs from the answer where the oracle's fallback is used", "1e-8 USD", nullable=True
    )
    parameters: Series[str] = document("what the configured getters of the source answered")
    source: Series[str] = name("where it was read")


class OracleAdapters(
    Numbered,
    key=["market", "asset", "block"],
    optional=["price", "price_cap", "ratio", "max_ratio", "implied_ratio", "cap_binds"],
):
    """`dim_oracle_adapter`: the kind of price a reserve follows at a block, its cap, and whether the cap binds."""

    market: Series[str] = name("market name")
    asset: Series[str] = address("underlying token")
    block: Series[np.int64] = integer("block", "block")
    block_time: Series[np.int64] = seconds("timestamp of the block")
    symbol: Series[str] = name("token symbol")
    oracle_source: Series[str] = address("the feed or adapter")
    description: Series[str] = text("description() of the source")
    kind: Series[str] = text("kind of the source", isin=ADAPTER_KINDS)
    kind_basis: Series[str] = name(
        "what the kind was recognised by: feed book, known adapter, aggregator(), description"
    )
    pair: Series[str] = text("pair of the feed book for a direct feed, empty otherwise")
    parameters: Series[str] = document("parameters of the cap or discount, in the adapter's units")
    parameters_status: Series[str] = text(
        "chain: read at the block; deployment: as deployed, may have been changed since; none",
        isin=["chain", "deployment", "none"],
    )
    price: Series[np.float64] = real("price of the oracle", "USD per token", gt=0, nullable=True)
    price_cap: Series[np.float64] = real("cap of a stable cap", "USD per token", gt=0, nullable=True)
    ratio: Series[np.float64] = real("ratio before the cap, in the ratio's decimals", "ratio units", nullable=True)
    max_ratio: Series[np.float64] = real(
        "largest ratio that the cap lets through at the block's time", "ratio units", nullable=True
    )
    implied_ratio: Series[np.float64] = real(
        "price over the price of the base, after the cap", "base per token", nullable=True
    )
    cap_binds: Series[pd.Int64Dtype] = pa.Field(
        description="1: the cap holds the price down; 0: it does not; empty: it cannot be told, see note",
        metadata={"unit": "0/1"},
        isin=[0, 1],
        nullable=True,
    )
    note: Series[str] = text("what the verdict rests on, or why there is none")
