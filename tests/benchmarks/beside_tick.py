"""Our Hawkes likelihood beside that of `tick` (PyPI), on one problem of one kind of events, with one value.

tick needs packages of its own versions, so it runs in an environment of its own, made once in `build/tick`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np

from risk_core.analytics import hawkes
from tests.benchmarks.table import RESULT, Table
from tests.benchmarks.timing import ROUNDS

FOLDER = RESULT.parent / "tick"
PINNED = "tick==0.8.0.2"
N = 1_000_000
THEIRS = """
import json, sys, time
import numpy as np
from tick.hawkes.model.build.hawkes_model import ModelHawkesExpKernLogLik

times, (mu, alpha, beta, end), rounds = np.load(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])
at, slope = np.array([mu, alpha / beta]), np.empty(2)

def once():
    model = ModelHawkesExpKernLogLik(beta, 1)
    model.set_data([[times]], np.array([end]))
    return model, model.loss_and_grad(at, slope)

def clocked(run):
    start = time.process_time()
    run()
    return time.process_time() - start

model, loss = once()
new = sorted(clocked(once) for _ in range(rounds))
kept = sorted(clocked(lambda: model.loss_and_grad(at, slope)) for _ in range(rounds))
print(json.dumps([loss, slope.tolist(), new[rounds // 2], kept[rounds // 2]]))
"""
"""tick's compiled class itself: the constructor of its Python class fails in this version ("no settable attribute
'dtype'"). A new rate of decay means new sums over the events; at a kept one they are kept, too."""
OURS = """
import json, sys, time
import numpy as np
from risk_core.analytics import hawkes

times, (mu, alpha, beta, end), rounds = np.load(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])
model = hawkes.Hawkes(mu=[mu], alpha=[[alpha]], beta=[[beta]])
events = hawkes.EventTimes(times=times, kinds=np.zeros(len(times), int), end=end, n_kinds=1)
value, slope = hawkes.log_likelihood(model, events)

def clocked():
    start = time.process_time()
    hawkes.log_likelihood(model, events)
    return time.process_time() - start

taken = sorted(clocked() for _ in range(rounds))
print(json.dumps([value, [slope.mu.item(), slope.alpha.item()], taken[rounds // 2]]))
"""


def python_with_tick() -> Path | None:
    """The interpreter of the environment with tick, made where it is missing; None where it cannot be installed."""
    python = FOLDER / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (FOLDER / PINNED).exists():
        venv.create(FOLDER, clear=True, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--only-binary", ":all:", PINNED]
        if subprocess.run(install, capture_output=True).returncode:
            return None
        (FOLDER / PINNED).touch()
    return python


def run(table: Table) -> None:
    """Time of tick over ours for a value and its gradient; both values must be the same."""
    theirs = python_with_tick()
    if theirs is None:
        table.note(f"hawkes_vs_tick: not measured, {PINNED} cannot be installed here")
        return
    mu, alpha, beta = 0.5, 1.0, 2.0
    model = hawkes.Hawkes(mu=[mu], alpha=[[alpha]], beta=[[beta]])
    events = hawkes.simulate(model, N / float(model.mean_rates.sum()), seed=7, most=2 * N)
    np.save(FOLDER / "times.npy", events.times)
    words = [str(FOLDER / "times.npy"), json.dumps([mu, alpha, beta, events.end]), str(ROUNDS)]

    def asked(python: str | Path, code: str) -> list:
        return json.loads(subprocess.run([str(python), "-c", code, *words], capture_output=True, check=True).stdout)

    value, slope, ours = asked(sys.executable, OURS)
    loss, their_slope, new, kept = asked(theirs, THEIRS)
    # tick's loss is the negative mean over events, without the length of the window; its second parameter alpha / beta.
    np.testing.assert_allclose(-loss * len(events) - events.end, value, rtol=1e-10)
    np.testing.assert_allclose(-np.array(their_slope) * len(events) / [1, beta], slope, rtol=1e-6)
    what = f"time of {PINNED} over ours, value and gradient of {len(events):,} events of one kind, new decay each time"
    table.add("hawkes_vs_tick", new / ours, "x", what, 0.7)
    table.add("hawkes_vs_tick_kept", kept / ours, "x", "the same where tick keeps its sums of one rate of decay")
