"""What one thread of a run works with: its scratch, and the integers that it adds to."""

from __future__ import annotations

import numpy as np

from risk_core.cascade import Cascade
from risk_core.checks import IntArray
from risk_core.draws import Draws
from risk_core.kernels.book import HIT_BUCKETS, N_BINS, Book, Scratch, Totals, block_paths
from risk_core.kernels.paths import padded_steps
from risk_core.kernels.settle import N_TERMS


class Worker:
    """One thread's scratch and its own integer totals; added up at the end, in any order."""

    def __init__(
        self, book: Book, draw: Draws, n_steps: int, n_reserves: int, n_accounts: int, cascade: Cascade | None
    ) -> None:
        padded, rows, drawn = padded_steps(n_steps), draw.n_rows + 1, draw.n_factors + 1
        block = block_paths(padded)
        legs = max(int(np.diff(book.leg).max(initial=0)), 2)
        pairs = len(book.pair_collateral)
        x, step_repaid = np.ones((block, rows, padded)), np.zeros((block, n_steps), dtype=np.int64)
        self.scratch = Scratch(
            x=x, z=np.empty((drawn + drawn % 2, n_steps)), inverse=np.empty((rows, padded)),
            low=np.empty((pairs, block)), lowest=np.empty(pairs), bound=np.empty(block), value=np.empty(legs),
            now=np.empty(legs), weight=np.empty(legs), offset=np.zeros(legs, dtype=np.int64),
            factor=np.zeros(legs, dtype=np.int64), reserve=np.zeros(legs, dtype=np.int64),
            terms=np.zeros((legs, N_TERMS)), sums=np.empty((2, padded)), step_repaid=step_repaid, flat_x=x.reshape(-1),
            flat_step_repaid=step_repaid.reshape(-1),
        )  # fmt: skip
        self.by_step = np.zeros((n_steps, n_reserves, 4), dtype=np.int64)
        self.fan = np.zeros((n_steps, N_BINS), dtype=np.int64)
        self.hits = np.zeros((n_accounts, HIT_BUCKETS), dtype=np.int32)
        if cascade is not None:
            self.path_state = cascade.path_state(padded)
            self.multiplier = np.zeros((n_steps, cascade.n_markets + 1), dtype=np.int64)
            self.unsettled = np.zeros(n_steps, dtype=np.int64)
            if cascade.limits is not None:
                self.queue = cascade.queue()
                self.waiting_by_step = np.zeros(n_steps, dtype=np.int64)

    def totals(self, path: IntArray) -> Totals:
        """The totals that a shard over the paths of `path` (n, N_TOTALS) adds to."""
        return Totals(
            path=path,
            by_step=self.by_step,
            fan=self.fan,
            hits=self.hits,
            flat_path=path.reshape(-1),
            flat_by_step=self.by_step.reshape(-1),
            flat_hits=self.hits.reshape(-1),
        )
