"""Monte Carlo over every account: `simulate`.

Why it is fast, and exact. Group accounts by (collateral set, debt set, e-mode) and sort each group by health factor
h0 at the snapshot. On one path, with x the prices relative to the snapshot,

    health(t) >= h0 * B,   B = min over the group's (collateral, debt) pairs of min_t x_c(t) / x_d(t)

by the mediant inequality (sum u_i x_i / sum v_j y_j >= (min x_i / max y_j) * sum u / sum v for non-negative terms). So
only a prefix of the group, h0 < 1/B, can be liquidated, and the other accounts are never looked at. A liquidation only
lowers balances, so the same bound holds for what remains; an account whose health factor then lies above the bound is
not looked at again on this path. A slack of 1e-11 covers rounding. The brute-force kernel uses the same expressions for
each account, and money is added up in integers, so both give the same bits (tests/property/test_engine.py).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Literal

import numpy as np

from risk_core import memory
from risk_core.borrowers import Borrowers
from risk_core.cascade import Cascade
from risk_core.checks import IntArray, checked_int, checked_kind
from risk_core.draws import Draws, opening_steps
from risk_core.errors import Cancelled, InputError
from risk_core.feeds import Feeds
from risk_core.kernels.book import HIT_BUCKETS, LANES
from risk_core.kernels.cascade import run_cascade
from risk_core.kernels.draw import QUASI_PATHS
from risk_core.kernels.queue import N_WAITING, run_queue
from risk_core.kernels.settle import CALLS, DEFICIT, N_TOTALS, PROTOCOL_FEE, REPAID, SEIZED
from risk_core.kernels.shard import BRUTE, PRUNED, UNPRUNED, run_shard
from risk_core.liquidation import policy_code
from risk_core.liquidators import Liquidators
from risk_core.liquidity import Impact
from risk_core.plan import plan_of
from risk_core.price_models import PricePaths, Scenario
from risk_core.result import MICRO_USD, MILLI_USD, Result, require_countable
from risk_core.types import Market
from risk_core.version import code_version
from risk_core.worker import Worker

Progress = Callable[[int, int], object]
"""Called with (paths done, paths in all) from the calling thread; raise in it to cancel."""

MOST_PATHS = 2**40
"""Paths in one run, at most. Each needs 48 bytes of totals, so this is more than any machine holds."""
METHODS = {False: PRUNED, True: BRUTE, "simd": UNPRUNED}
CHUNK = 32 * LANES
"""Paths between two looks at the stop flag: tens of milliseconds on the default book. Fewer where a path is slow."""


def simulate(
    market: Market,
    scenario: Scenario | PricePaths,
    n_paths: int = 10_000,
    seed: int = 7,
    threads: int | None = None,
    paths: tuple[int, int] | None = None,
    policy: str = "largest_legs",
    progress: Progress | None = None,
    brute_force: bool | Literal["simd"] = False,
    impact: Impact | None = None,
    liquidators: Liquidators | None = None,
    feeds: Feeds | None = None,
    borrowers: Borrowers | None = None,
    memory_mb: float | None = None,
) -> Result:
    """Liquidate every account of `market` along random (or given) price paths, by the protocol's rules.

    Balances evolve along a path: what was seized is gone. Calls happen at the end of each step at oracle prices;
    interest does not accrue, nobody repays or tops up and liquidators always act where nothing else is said.

    n_paths: number of paths, ignored for `PricePaths`. seed: 64-bit; a path depends on (seed, path number) alone.
    threads: workers, None is every core; any number gives the same bits. paths: simulate only [start, stop), for
    sharding; results of adjacent ranges add up. policy: see `risk_core.liquidation.POLICIES`. progress: called from
    this thread; an exception in it, or KeyboardInterrupt, stops the run within a chunk of paths. brute_force: look at
    every account on every path, for the same bits, slowly. True is the audit: another kernel, plainly written. "simd"
    is the engine's own inner loop without its bounds, the baseline of its speed. impact: what liquidators sell lowers
    prices within the step, which may bring down others; None, it does not. liquidators: they act only where they earn
    and can pay; without an impact they sell into endless depth; None, they always act. feeds: when the oracle's feeds
    say a new price; None, at once. borrowers: who of them repays when a health factor is close to 1, and when; None,
    nobody. memory_mb: refuse a run that would allocate more (see `risk_core.memory` for what
    counts); None, never. Raises `InputError` before anything runs.
    """
    code = policy_code(policy)
    checked_kind("market", market, Market)
    if not hasattr(type(scenario), "draw"):
        raise InputError(
            f"scenario: expected a risk_core.Scenario or PricePaths, found {scenario!r:.60} ({type(scenario).__name__})"
        )
    if impact is not None:
        checked_kind("impact", impact, Impact)
    if liquidators is not None:
        checked_kind("liquidators", liquidators, Liquidators)
        if policy == "first_passage":
            raise InputError("liquidators: under the policy first_passage nobody liquidates, so nobody is limited")
    if feeds is not None:
        checked_kind("feeds", feeds, Feeds)
    if borrowers is not None:
        checked_kind("borrowers", borrowers, Borrowers)
    if progress is not None and not callable(progress):
        raise InputError(f"progress: expected a function of (done, total) or None, found {progress!r:.60}")
    if not isinstance(brute_force, bool | str) or brute_force not in METHODS:
        raise InputError(f"brute_force: expected False, True or 'simd', found {brute_force!r:.60}")
    for name, model in (("liquidators", liquidators), ("borrowers", borrowers)):
        if model is not None and brute_force == "simd":
            raise InputError(f"brute_force: 'simd' is the baseline of the plain engine; with {name} take True")
    method = METHODS[brute_force]
    first, stop = path_range(scenario, n_paths, paths)
    seed = checked_seed(seed)
    workers = threads if threads is not None else _cores()
    checked_int("threads", workers, 1)

    plan = plan_of(market)
    draw = Draws(market, scenario, feeds)
    require_countable("prices", plan.most_usd(draw.highest()) / MICRO_USD)
    opening, n_steps = opening_steps(market, scenario), scenario.n_steps
    if impact is None and (liquidators is not None or borrowers is not None):
        impact = Impact.exponential(np.full(market.n_reserves, np.inf))
    cascade = (
        None if impact is None else Cascade(plan, draw.oracle, opening, impact, scenario.step, liquidators, borrowers)
    )
    # Without caps fewer rows hold the same prices.
    capped, capped_walk = plan.bind(draw.factor, draw.n_rows, opening) if cascade is None else (cascade.book, None)
    fewer = cascade is None and draw.n_rows > draw.n_factors
    rows = draw.n_rows if len(draw.oracle.follows) else draw.n_factors
    book, walk = plan.bind(draw.oracle.feed_row, rows, opening) if fewer else (capped, capped_walk)
    if memory_mb is not None:
        sizes = memory.Sizes(
            paths=stop - first, steps=n_steps, workers=workers, accounts=market.n_accounts, engaged=plan.n_accounts,
            reserves=market.n_reserves, factors=draw.n_factors, rows=draw.n_rows + 1,
            pairs=len(capped.pair_collateral), legs=plan.most_legs, book=plan.nbytes + draw.kernel.given.nbytes,
            columns=N_TOTALS + (N_WAITING if liquidators is not None else 0) + (borrowers is not None),
        )  # fmt: skip
        memory.check(memory_mb, sizes, 0 if cascade is None else cascade.path_state_bytes)
    path_totals = np.zeros((stop - first, N_TOTALS), dtype=np.int64)
    waiting = None if liquidators is None else np.zeros((stop - first, N_WAITING), dtype=np.int64)
    responded = np.zeros(0 if borrowers is None else stop - first, dtype=np.int64)
    parts = [Worker(capped, draw, n_steps, market.n_reserves, plan.n_accounts, cascade) for _ in range(workers)]
    block = len(parts[0].scratch.x)
    chunk = (LANES if brute_force is True else block) if brute_force else CHUNK if cascade is None else CHUNK // 8
    ranges = iter([(a, min(a + chunk, stop)) for a in range(first, stop, chunk)])

    def run_range(worker: Worker, a: int, b: int) -> int:
        totals = worker.totals(path_totals[a - first : b - first])
        how = (draw.kernel, np.uint64(seed), a, b - a, n_steps, code)
        if cascade is None:
            run_shard(book, walk, capped, capped_walk, *how, method, worker.scratch, totals)
        elif cascade.limits is not None and waiting is not None:
            run_queue(
                book, cascade.sleepers, cascade.sales, cascade.borrowing, cascade.limits, *how, method == PRUNED,
                worker.path_state, worker.queue, worker.scratch, totals, worker.multiplier, worker.unsettled,
                responded[a - first : b - first], waiting[a - first : b - first], worker.waiting_by_step,
            )  # fmt: skip
        else:
            run_cascade(
                book, cascade.sleepers, cascade.sales, cascade.borrowing, *how, method == PRUNED, worker.path_state,
                worker.scratch, totals, worker.multiplier, worker.unsettled, responded[a - first : b - first],
            )  # fmt: skip
        return b - a

    _run(run_range, parts, ranges, stop - first, progress)
    hits = np.zeros((market.n_accounts, HIT_BUCKETS), dtype=np.int32)
    hits[plan.account] = sum(part.hits for part in parts)
    by_step = sum(part.by_step for part in parts)
    _require_whole(path_totals, by_step)
    return Result(
        path=path_totals, by_step=by_step, fan=sum(part.fan for part in parts), hits=hits,
        snapshot=market.snapshot, scenario=scenario, seed=int(seed), first_path=first, policy=policy,
        code_version=code_version(), impact=impact,
        oracle=market.reserves.oracle if market.reserves.oracle.any else None,
        multiplier=None if cascade is None else sum(part.multiplier for part in parts)[:, cascade.market_of],
        unsettled=None if cascade is None else sum(part.unsettled for part in parts),
        liquidators=liquidators, feeds=feeds, borrowers=borrowers, responded=None if borrowers is None else responded,
        waiting=waiting,
        waiting_by_step=None if waiting is None else sum(part.waiting_by_step for part in parts),
    )  # fmt: skip


def _cores() -> int:
    """Cores that this process may use (a container's share, where the system tells)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _require_whole(path: IntArray, by_step: IntArray) -> None:
    """Raise `InputError` where an integer total has overflowed: the sums over paths and over steps then differ.

    A path counts in micro-USD and wraps at 9.2e12 USD, a step in milli-USD over all paths and wraps at 9.2e15 USD, so
    a wrap of either shows as a difference of at least 1.8e13 USD. Rounding of each call makes at most half a milli-USD.
    """
    calls = float(path[:, CALLS].sum(dtype=np.float64))
    for name, column in (("repaid", REPAID), ("seized", SEIZED), ("fee", PROTOCOL_FEE), ("deficit", DEFICIT)):
        paths = path[:, column].sum(dtype=np.float64) * MICRO_USD
        steps = by_step[:, :, column].sum(dtype=np.float64) * MILLI_USD
        if (
            path[:, column].min(initial=0) < 0
            or by_step[:, :, column].min(initial=0) < 0
            or not (abs(paths - steps) <= 1e-6 * max(paths, steps) + calls * MILLI_USD + 1.0)
        ):
            raise InputError(
                f"{name}: amounts exceed what is counted (2^63 units: 9.2e12 USD on one path, 9.2e15 USD over all "
                "paths of a step and reserve). Check prices and volatility, or simulate fewer paths at a time"
            )


def checked_seed(seed: int) -> int:
    """`seed`, or `InputError` where it is no 64-bit number."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= int(seed) < 2**64:
        raise InputError(f"seed: expected an integer in [0, 2^64), found {seed!r:.60}")
    return int(seed)


def path_range(scenario: Scenario | PricePaths, n_paths: int, paths: tuple[int, int] | None) -> tuple[int, int]:
    """The range [first, stop) of paths that is asked for. Raises `InputError`."""
    given = scenario.price.shape[0] if isinstance(scenario, PricePaths) else None
    whole = isinstance(n_paths, int | np.integer) and not isinstance(n_paths, bool)
    if given is None and not (whole and 1 <= n_paths <= MOST_PATHS):
        raise InputError(f"n_paths: expected a positive integer, at most 2^40, found {n_paths!r:.60}")
    total = given if given is not None else int(n_paths)
    first, stop = (0, total) if paths is None else _two_integers(paths)
    if not 0 <= first < stop or (given is not None and stop > given):
        raise InputError(f"paths: expected 0 <= start < stop{f' <= {given}' if given else ''}, found ({first}, {stop})")
    if stop - first > MOST_PATHS:
        raise InputError(f"paths: expected at most 2^40 of them, found {stop - first}; take them in parts")
    if getattr(scenario, "sampling", None) == "quasi" and stop > QUASI_PATHS:
        raise InputError(f"paths: quasi sampling has {QUASI_PATHS} paths, found {stop}; take another sampling")
    return int(first), int(stop)


def _two_integers(paths: object) -> tuple[int, int]:
    if not isinstance(paths, tuple | list) or len(paths) != 2:
        raise InputError(f"paths: expected (start, stop), found {paths!r:.60}")
    return checked_int("paths: start", paths[0], 0), checked_int("paths: stop", paths[1], 0)


def _run(
    run_range: Callable[[Worker, int, int], int],
    workers: list[Worker],
    ranges: Iterator[tuple[int, int]],
    total: int,
    progress: Progress | None,
) -> None:
    """Hand ranges to idle workers from this thread, so that an exception here stops everything within a chunk."""
    done = 0
    stop = threading.Event()

    def guarded(worker: Worker, a: int, b: int) -> int:
        if stop.is_set():
            raise Cancelled("the run was stopped")
        return run_range(worker, a, b)

    with ThreadPoolExecutor(len(workers)) as pool:
        busy: dict[Future[int], Worker] = {}
        try:
            idle = list(workers)
            for a, b in ranges:
                while not idle:
                    finished, _ = wait(busy, return_when=FIRST_COMPLETED)
                    for future in finished:
                        idle.append(busy.pop(future))
                        done += future.result()
                    if progress is not None:
                        progress(done, total)
                worker = idle.pop()
                busy[pool.submit(guarded, worker, a, b)] = worker
            for future in list(busy):
                done += future.result()
                if progress is not None:
                    progress(done, total)
        except BaseException:
            stop.set()
            raise
