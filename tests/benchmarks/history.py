"""Books of the past: recorded lives replayed in memory, every check on."""

from __future__ import annotations

import time
from pathlib import Path

from tests.benchmarks.table import Table

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "truth"
ROUNDS = 40
FLOOR = 150_000


def run(table: Table) -> None:
    """Handled events a second: logs as dictionaries in memory, and already decoded. Transfers are read, not counted."""
    from flows.aave.history import decode
    from tests.history.compare import load, replay_of

    life = load(FIXTURES / "history_small.json.xz")
    times = {int(number): int(seconds) for number, seconds in life["blocks"]}
    whole, alone = [], []
    for _ in range(ROUNDS):
        replay, began = replay_of(life), time.process_time()
        happenings = decode(life["logs"], times)
        decoded = time.process_time()
        replay.feed(happenings)
        ended = time.process_time()
        whole.append(replay.handled / (ended - began))
        alone.append(replay.handled / (ended - decoded))
    table.title(f"history: {len(life['logs']):,} logs of one market, v3.3 to v3.7, {replay.checks:,} checks")
    table.add("history_events_s", max(whole), "events/s", f"decoded and replayed, best of {ROUNDS}, one core", FLOOR)
    table.add("history_replayed_s", max(alone), "events/s", "the same, replay alone")
