"""Books of the past: recorded lives replayed in memory, every check on."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.benchmarks.table import Table

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "truth"
ROUNDS, STORED_ROUNDS = 40, 10
FLOOR, STORED_FLOOR = 150_000, 20_000


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
    rates, books = zip(*(stored(life, times) for _ in range(STORED_ROUNDS)), strict=True)
    what = f"decoded, replayed, and the book of the last block written; best of {STORED_ROUNDS}"
    table.add("history_stored_events_s", max(rates), "events/s", what, STORED_FLOOR)
    table.add("history_book_ms", 1e3 * min(books), "ms", "of which one book takes: its rows, checks and transaction")


def stored(life: dict[str, Any], times: dict[int, int]) -> tuple[float, float]:
    """(handled events a second from logs in memory to a written snapshot, seconds of the book alone)."""
    from data.store.store import Store
    from flows.aave.history import decode
    from flows.aave.past.market import Past, market_of
    from flows.aave.past.saving import SOURCES
    from flows.aave.rows import to_frames
    from flows.clients.block_reader import Block
    from flows.pipeline import recorded
    from tests.history.compare import replay_of

    # What a node says of the market's contracts alike at every block.
    constants = SimpleNamespace(
        read=lambda book: None, symbol=lambda asset: asset, description=lambda source: "", data_provider="0x" + "0" * 40
    )
    place = SimpleNamespace(market="bench", chain_id=1, provider=life["meta"]["provider"])
    past = Past(place=place, pool=life["meta"]["pool"], constants=constants, virtual={}, concurrency=1)  # type: ignore[arg-type]
    with (
        tempfile.TemporaryDirectory() as folder,
        Store.open(Path(folder) / "risk.sqlite") as store,
        recorded(store, "bench", {}) as run,
    ):
        began = time.process_time()
        replay = replay_of(life)
        replay.feed(decode(life["logs"], times))
        ready = time.process_time()
        book = replay.book()
        run.snapshot(SOURCES["logs"], to_frames(market_of(book, Block(book.block, "0x" + "1" * 64, book.time), past)))
        ended = time.process_time()
    return replay.handled / (ended - began), ended - ready
