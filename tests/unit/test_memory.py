"""The memory that a run says it needs: what it really allocates, refused before it is taken."""

from __future__ import annotations

import tracemalloc
from datetime import timedelta

import numpy as np
import pytest

import risk_core as rc
from risk_core import draws, engine, memory
from risk_core.errors import InputError
from risk_core.plan import plan_of
from risk_core.worker import Worker
from tests.markets import random_market, scenario


@pytest.fixture(scope="module")
def market() -> rc.Market:
    return random_market(5, "plain", 20_000)


def needed_mb(market: rc.Market, *arguments, **options) -> float:
    with pytest.raises(InputError, match=r"memory_mb: this run needs ([\d,.]+) MB, given 0.0") as refused:
        rc.simulate(market, *arguments, memory_mb=1e-3, **options)
    return float(str(refused.value).split("needs ")[1].split(" MB")[0].replace(",", ""))


@pytest.mark.parametrize(("n_paths", "n_steps", "threads"), [(20_000, 4, 1), (1_000, 288, 1), (500, 24, 3)])
def test_a_run_allocates_what_it_says(market, n_paths, n_steps, threads):
    plan = scenario(5, n_steps, horizon=timedelta(hours=n_steps))
    said = needed_mb(market, plan, n_paths, threads=threads)
    book = plan_of(market).nbytes / 1e6
    rc.simulate(market, plan, 16, threads=1)  # compiled before memory is watched
    tracemalloc.start()
    try:
        rc.simulate(market, plan, n_paths, threads=threads)
        peak = tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()

    assert peak <= said - book + 0.3, "no more than was said (0.3 MB for threads and small objects)"
    assert peak >= 0.6 * (said - book), "and not much less"


def test_a_worker_has_the_size_of_its_formula(market):
    plan, path = plan_of(market), scenario(5, 30)
    draw = draws.Draws(market, path)
    book, _ = plan.bind(draw.factor, draw.n_factors, draws.opening_steps(market, path))
    worker = Worker(book, draw, 30, 5, plan.n_accounts, None)
    sizes = memory.Sizes(
        paths=1, steps=30, workers=1, accounts=market.n_accounts, engaged=plan.n_accounts, reserves=5, factors=5,
        rows=6, pairs=len(book.pair_collateral), legs=plan.most_legs, book=0,
    )  # fmt: skip

    own = [*worker.scratch, worker.by_step, worker.fan, worker.hits]
    assert sum(array.nbytes for array in own if array.base is None) == memory.worker_bytes(sizes)


def test_more_threads_paths_and_accounts_need_more(market):
    plan = scenario(5)
    base = needed_mb(market, plan, 1_000, threads=1)
    assert needed_mb(market, plan, 1_000, threads=2) > base
    assert needed_mb(market, plan, 101_000, threads=1) == pytest.approx(base + 4.8, abs=0.2)
    assert needed_mb(random_market(5, "plain", 100), plan, 1_000, threads=1) < base


def test_an_impact_needs_its_pools(market):
    plan = scenario(5)
    impact = rc.Impact.exponential(np.full(5, 1e6))
    assert needed_mb(market, plan, 100, threads=1, impact=impact) > needed_mb(market, plan, 100, threads=1)


def test_limited_liquidators_need_three_integers_more_a_path(market):
    plan, limits = scenario(5), rc.Liquidators()
    base, more = (needed_mb(market, plan, n, threads=1, liquidators=limits) for n in (1_000, 101_000))
    assert more == pytest.approx(base + 7.2, abs=0.2)
    few, many = (needed_mb(market, plan, n, threads=1, borrowers=rc.Borrowers()) for n in (1_000, 101_000))
    assert many == pytest.approx(few + 5.6, abs=0.2)
    impact = rc.Impact.exponential(np.full(5, 1e6))
    plain = needed_mb(market, plan, 1_000, threads=1, impact=impact)
    assert needed_mb(market, plan, 1_000, threads=1, impact=impact, liquidators=limits) > plain


def test_a_sufficient_budget_changes_nothing(market):
    plan = scenario(5)
    free, bound = rc.simulate(market, plan, 64), rc.simulate(market, plan, 64, memory_mb=2_000)
    np.testing.assert_array_equal(free.path, bound.path)


def test_nothing_runs_when_the_budget_is_too_small(market, monkeypatch):
    monkeypatch.setattr(engine, "run_shard", lambda *_: pytest.fail("a kernel ran"))
    with pytest.raises(InputError, match=r"given 1\.0"):
        rc.simulate(market, scenario(5), 10_000, memory_mb=1)


@pytest.mark.parametrize("budget", [0, -1, float("nan"), float("inf"), "2GB", True])
def test_a_budget_is_a_positive_number(market, budget):
    with pytest.raises(InputError, match="memory_mb: expected a positive number of megabytes"):
        rc.simulate(market, scenario(5), 10, memory_mb=budget)
