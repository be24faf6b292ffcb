"""When a market that follows the chain is read again: what is touched meanwhile, seen already, or failed."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from threading import Event

import pytest

from flows.aave import live_refresh as live_market
from flows.aave.live_refresh import EVERYTHING, NOTHING, MarketRefresh
from flows.errors import SourceUnavailable


class Reads(MarketRefresh):
    """Reads that wait until they are let go, and end at the block, or with the error, that `outcomes` names."""

    def __init__(self, *outcomes: int | Exception) -> None:
        super().__init__("market", Path("unused"), lambda line: self.lines.append(line))
        self.lines: list[str] = []
        self.outcomes, self.begun, self.let_go = list(outcomes), Event(), Event()

    def _read(self) -> tuple[str, int]:
        self.begun.set()
        assert self.let_go.wait(10)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return f"read at {outcome}", outcome


@pytest.fixture
def hear(monkeypatch):
    """`hear(refresh, block)`: a stored block that touched the market; NOTHING for one that did not."""

    def say(refresh: MarketRefresh, block: int) -> None:
        monkeypatch.setattr(live_market, "touched", lambda *_: block)
        refresh.blocks(None, 1, 0)

    return say


def ended(refresh: Reads) -> list[str]:
    last: Future[None] | None = refresh._last
    refresh.let_go.set()
    if last is not None:
        last.result(10)
    return refresh.lines


@pytest.mark.parametrize(
    ("meanwhile", "said"),
    [
        (NOTHING, ["read at 5"]),
        (5, ["read at 5"]),
        (6, ["read at 5", "read at 6"]),
        (EVERYTHING, ["read at 5", "read at 6"]),
    ],
    ids=["nothing more", "what the read has seen", "a later block", "a block taken away"],
)
def test_what_is_touched_while_a_read_runs_is_read_without_waiting_for_another_block(hear, meanwhile, said):
    with Reads(5, 6) as refresh:
        hear(refresh, 5)
        assert refresh.begun.wait(10)
        hear(refresh, meanwhile)

        assert ended(refresh) == said
        assert refresh.done == len(said)


def test_a_source_that_was_away_is_asked_again_with_the_next_block_touched_or_not(hear):
    with Reads(SourceUnavailable("the node is away"), 7) as refresh:
        hear(refresh, 6)
        assert "was not refreshed: SourceUnavailable" in ended(refresh)[0]
        hear(refresh, NOTHING)

        assert ended(refresh)[1:] == ["read at 7"]


def test_a_block_that_did_not_touch_the_market_starts_no_read(hear):
    with Reads(5) as refresh:
        hear(refresh, NOTHING)

        assert ended(refresh) == []
        assert not refresh.begun.is_set()
