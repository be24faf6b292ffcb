"""The lane of simulations: newest wins, the abandoned is stopped, equal questions are shared, a failure is told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.market.lane import Lane, State

PATIENCE = 5.0


class Clock:
    """A clock that a test turns by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Held:
    """Work that reports progress until it is let go; `starts` counts how often it began."""

    def __init__(self, value: Any = "answer") -> None:
        self.value, self.starts = value, 0
        self.began, self.let_go, self.ended = threading.Event(), threading.Event(), threading.Event()

    def __call__(self, progress: Callable[[int, int], object]) -> Any:
        self.starts += 1
        self.began.set()
        try:
            while not self.let_go.wait(0.005):
                progress(1, 4)
            return self.value
        finally:
            self.ended.set()


def until(lane: Lane, reader: str, key: str, work: Any, name: str) -> State:
    """Ask until the state has a name; the loop ends by the suite's own time limit at the latest."""
    for _ in range(4_000):
        state = lane.ask(reader, key, work)
        if state.name == name:
            return state
        threading.Event().wait(0.005)
    raise AssertionError(f"{key} never was {name}, but {state}")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lane(clock: Clock) -> Lane:
    return Lane(PATIENCE, clock)


def test_a_question_waits_runs_and_is_answered(lane: Lane) -> None:
    first, second = Held("one"), Held("two")
    lane.ask("a", "1", first)
    assert first.began.wait(20)
    assert lane.ask("a", "1", first).name == "running"
    assert lane.ask("b", "2", second) == State("waiting", ahead=1)
    assert lane.ask("c", "3", Held()) == State("waiting", ahead=2)
    assert lane.length == 3
    first.let_go.set()
    second.let_go.set()
    assert until(lane, "a", "1", first, "done").value == "one"
    assert until(lane, "b", "2", second, "done").value == "two"
    assert (first.starts, second.starts) == (1, 1)


def test_the_newest_question_of_a_reader_takes_the_place_of_the_one_before(lane: Lane) -> None:
    old, queued, new = Held(), Held(), Held("new")
    lane.ask("a", "old", old)
    assert old.began.wait(20)
    lane.ask("a", "queued", queued)
    new.let_go.set()
    assert until(lane, "a", "new", new, "done").value == "new"
    assert old.ended.is_set()  # stopped without being let go
    assert queued.starts <= 1
    assert lane.ask("z", "old", Held()).name != "done"  # half an answer is none


def test_what_its_reader_left_is_stopped_and_the_next_one_runs(lane: Lane, clock: Clock) -> None:
    left = Held()
    lane.ask("gone", "1", left)
    assert left.began.wait(20)
    for n in range(12):
        lane.ask(f"gone too {n}", f"left {n}", Held())
    clock.now += PATIENCE + 1
    wanted = Held("mine")
    wanted.let_go.set()
    assert until(lane, "here", "2", wanted, "done").value == "mine"
    assert left.ended.is_set()
    assert lane.length == 0


def test_two_readers_of_one_question_share_its_work_and_one_may_leave(lane: Lane) -> None:
    shared = Held()
    lane.ask("a", "1", shared)
    lane.ask("b", "1", shared)
    assert shared.began.wait(20)
    lane.ask("a", "2", Held())
    shared.let_go.set()
    assert until(lane, "b", "1", shared, "done").value == "answer"
    assert shared.starts == 1


@pytest.mark.parametrize("error", [KeyError("x"), ZeroDivisionError(), UnicodeDecodeError("utf-8", b"x", 0, 1, "bad")])
def test_any_failure_is_told_and_the_lane_lives_on(lane: Lane, error: Exception) -> None:
    def fails(_: object) -> None:
        raise error

    assert until(lane, "a", "1", fails, "failed").error is error
    good = Held()
    good.let_go.set()
    assert until(lane, "a", "1", good, "done").value == "answer"  # the same question is tried again


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 4)), max_size=20))
def test_a_lane_never_holds_more_questions_than_readers_and_the_one_it_stops(asked: list[tuple[str, int]]) -> None:
    lane = Lane(PATIENCE, Clock())
    blocker = Held()
    lane.ask("blocker", "blocker", blocker)
    assert blocker.began.wait(20)
    for reader, key in asked:
        lane.ask(reader, str(key), Held())
    assert lane.length <= 1 + len({reader for reader, _ in asked})
    blocker.let_go.set()
