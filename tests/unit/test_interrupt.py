"""Ctrl-C stops a run: the calling thread hears it, and the workers finish at most the paths in hand."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
RUN = """
import signal, sys
import risk_core as rc
from tests.markets import random_market, scenario

# A shell starts what runs in its background with Ctrl-C switched off.
signal.signal(signal.SIGINT, signal.default_int_handler)

def told(done, total):
    print("running", flush=True)

how = {"brute_force": True} if sys.argv[1] == "brute" else {}
market = random_market(1, "plain", 3_000)
rc.simulate(market, scenario(5, 288), 10_000_000, threads=2, progress=told, **how)
"""


@pytest.mark.parametrize("kind", ["pruned", "brute"])
def test_an_interrupt_ends_a_run_of_hours(kind):
    run = subprocess.Popen(
        [sys.executable, "-c", RUN, kind], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert run.stdout.readline() == "running\n"
        run.send_signal(signal.SIGINT)
        _, complaint = run.communicate(timeout=60)  # to be killed, not to be measured: the run would take hours
    finally:
        run.kill()

    assert run.returncode not in (0, None)
    assert complaint.rstrip().endswith("KeyboardInterrupt")
