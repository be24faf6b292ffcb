"""After a warm-up nothing is compiled any more: not by another process, another market, another scenario."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from numba import config

from risk_core import warmup
from risk_core.kernels.settle import settle

pytestmark = pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled with NUMBA_DISABLE_JIT")
REPOSITORY = Path(__file__).resolve().parents[2]
USE = """
from dataclasses import replace
import numpy as np
import risk_core as rc
from risk_core.warmup import compiled, dispatchers
from tests.markets import KINDS, random_market, scenario

for kind in KINDS:
    market = random_market(1, kind, 30)
    n = market.n_reserves
    rc.health_factor(market)
    rc.what_if(market, np.full(n, -0.3), "most_profitable").health_factor
    rc.sweep(market, np.full(n, -1.0), 20, "most_profitable")
    path = scenario(n, 3)
    rc.simulate(market, path, 10)
    rc.simulate(market, replace(path, law=rc.StudentT(4.0)), 10, brute_force=True)
    rc.simulate(market, replace(path, sampling="antithetic"), 10, brute_force="simd")
    rc.simulate(market, replace(path, sampling="quasi"), 10)
    rc.simulate(market, rc.PricePaths.one_step(market, market.price[None] * 0.8))
    rc.simulate(market, path, 10, impact=rc.Impact.exponential(np.full(n, 1e6)))
    rc.tails.probability_of_deficit(market, path, n_paths=50)
    rc.two_phase.sample(market, path, rc.two_phase.find_screen(market, path, n_paths=50), 50)
used = [kernel for kernel in dispatchers() if kernel.stats.cache_hits]
print(len(used), compiled())
"""

WARM_UP = """
from risk_core.warmup import dispatchers, main

main([])
print("more than one form:", sorted(kernel.__name__ for kernel in dispatchers() if len(kernel.signatures) > 1))
"""
TWO_FORMS = ["call", "look"]
"""Kernels of the sweep that have a form for one leg a side and one for several, on purpose."""


def python(*arguments: str, cache: Path) -> str:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_nothing_is_compiled_after_a_warm_up(tmp_path):
    said = python("-c", WARM_UP, cache=tmp_path)
    # A literal, or an array that is read-only in one place, is a type of its own: the kernel is compiled once more.
    assert said.splitlines()[-1] == f"more than one form: {TWO_FORMS}"
    assert all(f"  {part:<10}" in said for part in warmup.PARTS)
    assert list(tmp_path.rglob("*.nbc")), "kernels are kept in NUMBA_CACHE_DIR"

    used, compiled = map(int, python("-c", USE, cache=tmp_path).split())
    assert compiled == 0
    assert used >= 8

    again = python("-m", "risk_core.warmup", cache=tmp_path)
    assert again.count("was compiled") == len(warmup.PARTS)


def test_every_kernel_is_found():
    names = {kernel.__name__ for kernel in warmup.dispatchers()}
    assert {"health_factors", "settle_below", "sweep", "run_shard", "run_cascade"} <= names


def test_a_kernel_for_other_kernels_says_so_when_python_calls_it():
    """numba itself would jump to address 0."""
    with pytest.raises(TypeError, match="settle: only kernels can call it"):
        settle()


def test_an_unknown_part_is_refused(capsys):
    with pytest.raises(SystemExit) as refused:
        warmup.main(["everything"])
    assert refused.value.code == 2
    assert "expected parts of health" in capsys.readouterr().err
