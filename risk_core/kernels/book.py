"""How a book, its work space and its totals are laid out for the kernels of the Monte Carlo."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

LANES = 8
"""float64 numbers in one vector; the number of paths in a block is a multiple of this."""
BLOCK_STEPS = 1024
MOST_LANES = 32
"""Vectors of paths in a block, at most. A block visits a group once for all its paths, so a larger one saves visits;
but
the prices of a block should stay in the cache."""
SLACK = 1.0 + 1e-11
"""Bounds and health factors here carry a relative rounding error below 1e-13; the slack is far above it."""
HIT_BUCKETS = 8
"""Equal parts of the horizon in which an account's first liquidation is counted."""
BINS_PER_OCTAVE = 32
N_BINS = 1 + 63 * BINS_PER_OCTAVE


class Book(NamedTuple):
    """Accounts grouped by (collateral set, debt set, e-mode), sorted by health factor inside a group. G groups."""

    first: np.ndarray  # (G + 1,) int64, first account of each group
    leg: np.ndarray  # (G + 1,) int64, first leg of each group
    n_collateral: np.ndarray  # (G,) int64
    value_at: np.ndarray  # (G,) int64, where the values of the group's first account begin; stride = number of legs
    value: np.ndarray  # (nnz,) float64, snapshot dollars, collateral then debt
    health: np.ndarray  # (n,) float64 at the snapshot
    factor: np.ndarray  # (legs,) int64
    reserve: np.ndarray  # (legs,) int64
    terms: np.ndarray  # (legs, N_TERMS) float64, columns in kernels.settle
    pair_at: np.ndarray  # (G + 1,) int64
    pair: np.ndarray  # (sum of pairs,) int64, rows of the two below
    pair_collateral: np.ndarray  # (n_pairs,) int64 factor
    pair_debt: np.ndarray  # (n_pairs,) int64 factor
    open_from: np.ndarray  # (R,) int64, first step at which a reserve may be liquidated


class Walk(NamedTuple):
    """The same book in the order in which the pruned engine reads it: what is read together lies together.

    The cost of an event is mostly cache misses; this layout has two of them instead of seven.
    """

    weakest: np.ndarray  # (G,) float64, health factor of the group's first account
    shape: np.ndarray  # (G, 6) int64: first account, end, collateral legs, legs, first record, first leg
    record: np.ndarray  # (n + nnz,) float64, an account's health factor and then its values
    kind: np.ndarray  # (legs,) int64, rows of the three below: the few distinct legs of the whole book
    factor: np.ndarray  # (kinds,) int64
    reserve: np.ndarray  # (kinds,) int64
    terms: np.ndarray  # (kinds, N_TERMS) float64


class Totals(NamedTuple):
    """Everything a shard adds to. Integers only, so that the order of accounts, paths and shards cannot matter."""

    path: np.ndarray  # (n_paths, N_TOTALS) int64, micro-USD and counts
    by_step: np.ndarray  # (n_steps, R, 4) int64, milli-USD
    fan: np.ndarray  # (n_steps, N_BINS) int64, paths by cumulative repaid
    hits: np.ndarray  # (n, HIT_BUCKETS) int32, paths by the account's first liquidation
    flat_path: np.ndarray  # the same memory as `path`, `by_step` and `hits`, one axis
    flat_by_step: np.ndarray
    flat_hits: np.ndarray


class Scratch(NamedTuple):
    """Work space of one shard, for blocks of B paths; its size does not depend on the number of accounts or paths."""

    x: np.ndarray  # (B, F + 1, padded steps) relative prices of a block
    z: np.ndarray  # (F + 1 rounded up to even, n_steps) normals, and a row for common jumps
    inverse: np.ndarray  # (F + 1, padded steps)
    low: np.ndarray  # (pairs, B)
    lowest: np.ndarray  # (pairs,)
    bound: np.ndarray  # (B,)
    value: np.ndarray  # (most legs,) balances of the current account, snapshot dollars
    now: np.ndarray  # (most legs,) their relative prices at the current step
    weight: np.ndarray  # (most legs,) what they count for in the health factor
    offset: np.ndarray  # (most legs,) int64, where their prices begin in `flat_x`
    factor: np.ndarray  # (most legs,) int64, legs of the current group
    reserve: np.ndarray  # (most legs,) int64
    terms: np.ndarray  # (most legs, N_TERMS) float64
    sums: np.ndarray  # (2, padded steps)
    step_repaid: np.ndarray  # (B, n_steps) int64, micro-USD
    flat_x: np.ndarray  # the same memory as `x` and `step_repaid`, one axis
    flat_step_repaid: np.ndarray


def block_paths(padded: int) -> int:
    """Paths of one block, B: a multiple of LANES, fewer the longer they are."""
    return min(max(BLOCK_STEPS // padded // LANES, 1) * LANES, MOST_LANES)
