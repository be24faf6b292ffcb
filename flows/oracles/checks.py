"""Findings about oracle prices for `fact_validation`: rounds that are no price, and two sources that disagree.

Chainlink and Binance are compared, never averaged. Binance has no price in dollars, so USDC in USDT is compared: the
quotient of the two Chainlink feeds with Binance's pair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.pipeline import Finding

if TYPE_CHECKING:
    from data.store.store import Store
    from flows.clients.block_reader import Block
    from flows.oracles.rounds import Progress

TWO_SOURCES = "chainlink and binance agree"
PEG_BAND = 0.005
"""Largest relative difference of USDC in USDT between the two: each feed may be 0.25 % off before it must update."""
SAME_TIME = 2 * 3600
"""Seconds by which a Binance bar may be older than the block and still be compared with it."""


def of_history(progress: Progress, n_feeds: int, refused: dict[str, str]) -> list[Finding]:
    """The findings of a run in the rounds that it read; empty where all is well."""
    rounds = "raw_chainlink_rounds"
    asked = progress.read + progress.missing + progress.unfinished
    found = [
        Finding(table=rounds, check="round is finished", column="updated_at", n_failed=progress.unfinished,
                n_rows=asked, example="updatedAt is 0"),
        Finding(table=rounds, check="round numbers have no holes", column="round_id", n_failed=progress.missing,
                n_rows=asked, example="getRoundData reverts or answers zeros"),
        Finding(table=rounds, check="answer is positive", column="answer", n_failed=progress.bad_answers,
                n_rows=progress.read, example=progress.example.get("answer", "")),
        Finding(table=rounds, check="answer is from its own round", column="answered_in_round",
                n_failed=progress.carried_over, n_rows=progress.read, example=progress.example.get("carried", "")),
        Finding(table="raw_chainlink_feeds", check="feed answers", column="feed", n_failed=len(refused),
                n_rows=n_feeds + len(refused),
                example=" ".join(next(iter(refused.items()), ("",)))[:120]),
    ]  # fmt: skip
    return [finding for finding in found if finding.n_failed]


def of_two_sources(store: Store, chain_id: int, block: Block) -> list[Finding]:
    """Compare USDC in USDT by Chainlink's two feeds at the block with Binance's newest bar up to then.

    Empty where they agree, and where one of the three is missing; `compared` tells these cases apart.
    """
    both = compared(store, chain_id, block)
    if both is None or abs(both[0] / both[1] - 1) <= PEG_BAND:
        return []
    chainlink, binance = both
    return [
        Finding(
            table="raw_chainlink_feeds",
            check=f"{TWO_SOURCES} on USDC in USDT within {PEG_BAND:.1%}",
            column="answer",
            n_failed=1,
            n_rows=1,
            example=f"chainlink {chainlink:.6f}, binance {binance:.6f}",
        )
    ]


def compared(store: Store, chain_id: int, block: Block) -> tuple[float, float] | None:
    """(Chainlink's USDC in USDT, Binance's), or None when they cannot be compared."""
    prices = dict(
        store.rows(
            "SELECT d.pair, m.price FROM mart_feed_staleness m JOIN dim_feed d USING (chain_id, feed) "
            "WHERE m.chain_id = ? AND m.block = ? AND d.pair IN ('USDC/USD', 'USDT/USD') AND m.price IS NOT NULL",
            (chain_id, block.number),
        )
    )
    pair = store.rows(
        "SELECT price_usdt FROM dim_prices WHERE symbol = 'USDCUSDT' AND source = 'binance' AND price_usdt IS NOT NULL "
        "AND ts <= ? AND ts > ? ORDER BY ts DESC LIMIT 1",
        (block.time, block.time - SAME_TIME),
    )
    if len(prices) < 2 or not pair:
        return None
    return prices["USDC/USD"] / prices["USDT/USD"], pair[0][0]
