"""Rows of feeds and their rounds to test layers on."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from data.store.store import Store

FEED = "0x" + "fe" * 20
OTHER = "0x" + "ee" * 20
SHA = "a" * 64
T0 = 1_699_999_200 + 800
"""800 s after a full hour, away from the clock of hourly feeds."""


def rounds(
    answers: Iterable[tuple[int, int, int]], feed: str = FEED, phase: int = 1, decimals: int = 8, block: int = 100
) -> pd.DataFrame:
    """Rows of `raw_chainlink_rounds` from (round, answer, updated_at)."""
    return pd.DataFrame([
        {
            "chain_id": 1, "feed": feed, "phase_id": phase, "round_id": number, "answer": str(answer),
            "started_at": updated_at, "updated_at": updated_at, "answered_in_round": str(phase << 64 | number),
            "is_carried_over": 0, "decimals": decimals, "block": block, "source": "chainlink", "payload_sha256": SHA,
        }
        for number, answer, updated_at in answers
    ])  # fmt: skip


def reading(
    block: int, block_time: int, answer: int, updated_at: int, feed: str = FEED, phase: int = 1, number: int = 1
) -> pd.DataFrame:
    """A row of `raw_chainlink_feeds`."""
    return pd.DataFrame([{
        "chain_id": 1, "feed": feed, "block": block, "block_hash": "0x" + "ab" * 32, "block_time": block_time,
        "description": "ETH / USD", "decimals": 8, "aggregator": "0x" + "cc" * 20, "phase_id": phase,
        "round_id": number, "answer": str(answer), "updated_at": updated_at, "source": "chainlink",
        "payload_sha256": SHA,
    }])  # fmt: skip


def dim_feed(heartbeat_s: int | None = 3600, deviation_pct: float | None = 0.5, feed: str = FEED) -> pd.DataFrame:
    """A row of `dim_feed`; None is a fact that nobody published."""
    return pd.DataFrame([{
        "chain_id": 1, "feed": feed, "pair": "ETH/USD", "description": "ETH / USD", "decimals": 8,
        "heartbeat_s": heartbeat_s, "heartbeat_status": "unknown" if heartbeat_s is None else "reported",
        "heartbeat_source": "", "deviation_pct": deviation_pct,
        "deviation_status": "unknown" if deviation_pct is None else "reported", "deviation_source": "",
        "address_source": "",
    }]).astype({"heartbeat_s": "Int64", "deviation_pct": "float64"})  # fmt: skip


def oracle_feed(store: Store, random: np.random.Generator) -> None:
    """Rounds of a feed in any order, some again with another answer or time; a reading, and what is known of it."""
    random = random.spawn(1)[0]  # what the other feeders draw stays as it is without this one
    feed, phase = str(random.choice([FEED, OTHER])), int(random.integers(1, 3))
    numbers = random.choice(12, size=random.integers(1, 6), replace=False) + 1
    steps = [
        (int(n), int(random.choice([100_000, 100_700, -1, 0])), T0 + int(n) * int(random.choice([600, 3590])))
        for n in numbers
    ]
    at = int(random.integers(0, 12)) * 3600
    store.write_batch(
        "chainlink",
        feed,
        {
            "raw_chainlink_rounds": rounds(steps, feed, phase),
            "raw_chainlink_feeds": reading(100 + at // 3600, T0 + at, 100_000, T0 + at // 2, feed, phase),
            "dim_feed": dim_feed(random.choice([3600, 86_400, None]), random.choice([0.5, None]), feed),
        },
    )
