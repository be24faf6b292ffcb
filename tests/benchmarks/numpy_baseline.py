"""What a good notebook would do: dense arrays, one path and one step at a time, the full rules vectorised.

Gives the engine's answers (asserted in the bench), and is what its speed is measured against.
"""

from __future__ import annotations

import numpy as np

import risk_core as rc
from risk_core.accounts import account_terms
from risk_core.kernels.paths import padded_steps, price_block


class Dense:
    """(N, R) collateral, debt, threshold and 1 + bonus of a market."""

    def __init__(self, market: rc.Market) -> None:
        n, r = market.n_accounts, market.n_reserves
        threshold, factor = account_terms(market)
        self.collateral, self.debt = np.zeros((n, r)), np.zeros((n, r))
        for side, dense in ((market.collateral, self.collateral), (market.debt, self.debt)):
            dense[np.repeat(np.arange(n), np.diff(side.indptr)), side.reserve] = side.amount
        held = self.collateral > 0
        self.threshold = np.where(held, threshold[market.emode], 0.0)
        self.factor = np.where(held, factor[market.emode], 1.0)
        self.weighted = self.collateral * self.threshold


def price_paths(market: rc.Market, scenario: rc.Scenario, n_paths: int, seed: int = 7) -> np.ndarray:
    """(n_paths, T, R) oracle prices, the ones that the engine draws."""
    f, steps = len(scenario.factors), scenario.n_steps
    out = np.empty((n_paths, f + 1, padded_steps(steps)))
    scratch = np.empty((f + 1 + (f + 1) % 2, steps))
    price_block(scenario.draw(), np.uint64(seed), 0, n_paths, steps, scratch, out)
    relative = out[:, scenario.factor, :steps]  # -1 picks the last row, which is the constant
    feeds = np.ascontiguousarray((relative * market.price[:, None]).transpose(0, 2, 1))
    return market.oracle_prices(feeds)


def simulate(dense: Dense, paths: np.ndarray) -> np.ndarray:
    """(n_paths, 3) repaid, taken (fee included) and deficit, USD; balances evolve, policy largest_legs."""
    out = np.zeros((len(paths), 3))
    for k, path in enumerate(paths):
        c, d = dense.collateral.copy(), dense.debt.copy()
        weighted = dense.weighted.copy()
        for price in path:
            for _ in range(64):
                margin, owed = weighted @ price, d @ price
                rows = np.flatnonzero(margin < owed)
                if not len(rows):
                    break
                made, step = _call(dense, c, d, rows, price, margin[rows], owed[rows])
                out[k] += step
                weighted[rows] = c[rows] * dense.threshold[rows]
                if not made:
                    break
    return out


def _call(dense, c, d, rows, price, margin, owed):
    worth, debts = c[rows] * price, d[rows] * price
    i, j, r = worth.argmax(1), debts.argmax(1), np.arange(len(rows))
    held, debt, factor = worth[r, i], debts[r, j], dense.factor[rows, i]
    half = (held >= 2000) & (debt >= 2000) & (margin > 0.95 * owed)
    repaid = np.where(half, np.minimum(debt, 0.5 * owed), debt)
    all_held = repaid * factor >= held
    repaid = np.where(all_held, np.minimum(repaid, held / factor), repaid)
    partial = ~all_held & (repaid < debt)
    repaid = np.where(partial, np.minimum(repaid, np.minimum(debt - 1000, (held - 1000) / factor)), repaid)
    taken = np.where(all_held, held, repaid * factor)
    ok = (held > 0) & (debt > 0)
    repaid, taken = np.where(ok, repaid, 0.0), np.where(ok, taken, 0.0)
    c[rows, i] = np.where(all_held, 0.0, np.maximum(c[rows, i] - taken / price[i], 0.0))
    d[rows, j] = np.where(repaid >= debt, 0.0, np.maximum(d[rows, j] - repaid / price[j], 0.0))
    gone = all_held & ~((c[rows] * price >= 1e-8).any(1))
    deficit = (d[rows[gone]] * price).sum()
    d[rows[gone]] = 0.0
    c[rows[gone]] = 0.0
    return ok.any(), (repaid.sum(), taken.sum(), deficit)


def first_passage_gemm(dense: Dense, paths: np.ndarray, columns: int = 256) -> np.ndarray:
    """(n_paths,) debt in USD of accounts at their first step below 1, by one matrix product of the margins.

    The smartest dense way: margin = (collateral x threshold - debt) @ prices, for many steps at once.
    """
    n_paths, n_steps, n_reserves = paths.shape
    margins = dense.weighted - dense.debt
    out = np.zeros(n_paths)
    chunk = max(1, columns // n_steps)
    for p in range(0, n_paths, chunk):
        some = paths[p : p + chunk]
        below = ((margins @ some.reshape(-1, n_reserves).T) < 0).reshape(len(margins), -1, n_steps)
        row, path = np.nonzero(below.any(2))
        first = below.argmax(2)[row, path]
        np.add.at(out, p + path, (dense.debt[row] * some[path, first]).sum(1))
    return out
