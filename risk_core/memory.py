"""How much memory a run will take, computed from its sizes before it starts.

It counts what a run allocates: the book in the engine's layouts, the totals, and the work space of each worker. It does
not count the market that it is given, the interpreter and compiled code (about 250 MB together for a process that only
simulates). Nothing grows with paths x accounts or paths x steps: 48 bytes a path (72 where liquidators are
limited, 8 more where borrowers respond), and 80 bytes an account and worker.
"""

from __future__ import annotations

from typing import NamedTuple

from risk_core.checks import SMALLEST, checked_number
from risk_core.errors import InputError
from risk_core.kernels.book import HIT_BUCKETS, N_BINS, block_paths
from risk_core.kernels.paths import padded_steps
from risk_core.kernels.settle import N_TERMS, N_TOTALS

MB = 1e6
HITS = 4 * HIT_BUCKETS
"""Bytes of an account's first passages."""


class Sizes(NamedTuple):
    """What the memory of a run depends on."""

    paths: int
    steps: int
    workers: int
    accounts: int
    """of the market"""
    engaged: int
    """accounts with debt and collateral, which the engine keeps"""
    reserves: int
    factors: int
    rows: int
    """of relative prices: factors, the constant, and prices that an oracle caps"""
    pairs: int
    legs: int
    """most legs of an account"""
    book: int
    """bytes of the prepared book, with its prices where they are given"""
    columns: int = N_TOTALS
    """integers that are kept of each path"""


def worker_bytes(sizes: Sizes) -> int:
    """Bytes of one worker: its scratch and its own totals."""
    padded, rows, steps = padded_steps(sizes.steps), sizes.rows, sizes.steps
    drawn = sizes.factors + 1
    block = block_paths(padded)
    scratch = block * (rows * padded + steps) + (drawn + drawn % 2) * steps + (rows + 2) * padded
    scratch += sizes.pairs * (block + 1) + block + max(sizes.legs, 2) * (6 + N_TERMS)
    totals = steps * (sizes.reserves * 4 + N_BINS)
    return 8 * (scratch + totals) + HITS * sizes.engaged


def run_bytes(sizes: Sizes, path_state: int = 0) -> int:
    """Bytes of the whole run. path_state: bytes of one worker's balances, where sales move prices."""
    workers = sizes.workers * (worker_bytes(sizes) + path_state)
    # At the end the workers' totals are added up, two sums at a time, and first passages put in the market's order.
    sums = min(sizes.workers, 2)
    ending = HITS * (sizes.accounts + sums * sizes.engaged) + sums * 8 * sizes.steps * (sizes.reserves * 4 + N_BINS)
    return sizes.book + 8 * sizes.columns * sizes.paths + workers + ending


def check(memory_mb: float, sizes: Sizes, path_state: int = 0) -> None:
    """Raise `InputError` where a run of these sizes does not fit into `memory_mb`."""
    memory_mb = checked_number(
        "memory_mb", memory_mb, SMALLEST, rule="a positive number of megabytes, or None for no limit"
    )
    needed = run_bytes(sizes, path_state)
    if needed > memory_mb * MB:
        one = worker_bytes(sizes) + path_state
        raise InputError(
            f"memory_mb: this run needs {needed / MB:,.1f} MB, given {memory_mb:,.1f}: the book {sizes.book / MB:,.1f},"
            f" {sizes.paths:,} paths {8 * sizes.columns * sizes.paths / MB:,.1f}, and {one / MB:,.1f} for each of "
            f"{sizes.workers} threads, the rest to add up; take fewer threads, or the paths in parts (paths=...)"
        )
