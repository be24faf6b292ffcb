"""Rows of feeds and their rounds to test layers on."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

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
