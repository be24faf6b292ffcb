"""`--every`: rounds on a grid, a source that goes away and comes back, a clean end by a signal."""

from __future__ import annotations

import os
import signal
import threading
from argparse import Namespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import WarehouseLocked
from flows import registry
from flows.continuous import LONGEST_PAUSE, Stop, pause_until_next, repeat, run_as_asked, stop_on_signals
from flows.errors import MalformedAnswer, SourceUnavailable


class FakeStop(Stop):
    """Time passes only by waiting; asks itself after so many waits."""

    def __init__(self, waits: int, now: float = 1_000_003.0) -> None:
        super().__init__()
        self.left, self.now, self.paused = waits, now, []

    def wait(self, seconds: float) -> bool:
        self.paused.append(seconds)
        self.now += seconds
        self.left -= 1
        if not self.left:
            self.ask("SIGTERM")
        return not self.left


def played(outcomes: list, every: float = 10.0, takes: float = 0.0) -> tuple[str, list[float], list[str]]:
    """Times at which rounds began while each had the outcome given: a line, or an error to raise."""
    stop, began, said = FakeStop(len(outcomes)), [], []

    def once() -> str:
        began.append(stop.now)
        stop.now += takes
        outcome = outcomes[len(began) - 1]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return repeat(once, every, stop, clock=lambda: stop.now, say=said.append), began, said


def test_rounds_begin_at_multiples_of_the_interval_the_first_one_at_once():
    line, began, said = played(["a", "b", "c"], every=10.0, takes=2.0)
    assert began == [1_000_003.0, 1_000_010.0, 1_000_020.0]
    assert said == ["a", "b", "c"]
    assert line == "3 rounds; stopped by SIGTERM"


def test_a_round_that_outlasts_the_grid_skips_what_it_missed():
    _, began, _ = played(["a", "b", "c"], every=10.0, takes=25.0)
    assert began == [1_000_003.0, 1_000_030.0, 1_000_060.0]


def test_a_source_that_is_away_is_asked_later_and_later_and_at_once_on_the_grid_when_it_is_back():
    away = SourceUnavailable("Binance is away")
    line, began, said = played([away, away, away, "back", "on time"], every=10.0)
    assert [began[i + 1] // 10 - began[i] // 10 for i in range(4)] == [1, 2, 4, 1]
    assert line == "2 rounds, 3 while the source was away; stopped by SIGTERM"
    assert "SourceUnavailable: Binance is away" in said


def test_another_writer_is_waited_for():
    assert played([WarehouseLocked("busy"), "done"])[0].startswith("1 round, 1 while")


def test_a_refusal_ends_the_loop_because_waiting_does_not_mend_it():
    with pytest.raises(MalformedAnswer, match="another shape"):
        played(["a", MalformedAnswer("another shape"), "never reached"])


@given(st.floats(0, 4e9, allow_nan=False), st.sampled_from([1.0, 7.0, 60.0, 3600.0, 86_400.0]), st.integers(0, 200))
def test_every_pause_ends_on_the_grid_within_an_hour_or_one_interval(now, every, failures):
    pause = pause_until_next(now, every, failures)
    assert 0 < pause <= max(LONGEST_PAUSE, every)
    assert abs((now + pause) / every - round((now + pause) / every)) < 1e-6


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_round_finish_and_wakes_the_sleeper(number):
    finished = []

    def once(arguments: Namespace) -> str:
        if not finished:
            threading.Timer(0.05, os.kill, (os.getpid(), number)).start()
        finished.append(1)
        return "round"

    before = signal.getsignal(number)
    line = run_as_asked(once, Namespace(every=604_800.0))

    assert line == f"1 round; stopped by {number.name}"
    assert signal.getsignal(number) is before


def test_a_signal_during_a_round_does_not_interrupt_it():
    def once(arguments: Namespace) -> str:
        os.kill(os.getpid(), signal.SIGTERM)
        return "written whole"

    assert run_as_asked(once, Namespace(every=604_800.0)) == "1 round; stopped by SIGTERM"


def test_a_second_signal_ends_at_once():
    # A shell starts background jobs with Ctrl-C switched off; what is restored is what stood before.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def twice() -> None:
        with stop_on_signals() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.reason == "SIGINT"
            os.kill(os.getpid(), signal.SIGINT)
            stop.wait(5)

    try:
        with pytest.raises(KeyboardInterrupt):
            twice()
    finally:
        signal.signal(signal.SIGINT, before)


def test_outside_the_main_thread_no_signal_is_touched():
    seen = []

    def elsewhere() -> None:
        with stop_on_signals() as stop:
            seen.append((stop.reason, signal.getsignal(signal.SIGTERM)))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [("", before)]


def test_without_every_it_runs_once():
    assert run_as_asked(lambda arguments: "once", Namespace(every=None)) == "once"


@pytest.mark.parametrize("word", ["0", "-5", "soon", "inf", "nan", "604801"])
@pytest.mark.parametrize("name", ["market-prices", "protocol-snapshot", "oracle-prices"])
def test_a_senseless_interval_is_a_usage_error(name, word, capsys):
    with pytest.raises(SystemExit):
        registry.parser(registry.load(name)).parse_args(["--every", word])
    assert f"--every: expected seconds from 1 to 604,800, found {word!r}" in capsys.readouterr().err
