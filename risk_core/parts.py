"""Paths of a result once more, by their numbers: what their totals consist of, and what they were with fewer moves.

A path depends on (seed, path number) alone, so a few paths of a long run can be followed again at the cost of a few.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from risk_core.checks import FloatArray, IntArray, checked_array, checked_kind, require
from risk_core.draws import Draws, opening_steps
from risk_core.errors import InputError
from risk_core.kernels.parts import feed_prices, path_parts
from risk_core.kernels.settle import ACCOUNTS, N_TOTALS
from risk_core.kernels.shard import PRUNED, run_shard
from risk_core.liquidation import policy_code
from risk_core.plan import plan_of
from risk_core.price_models import Scenario
from risk_core.result import MICRO_USD, Result
from risk_core.types import Market
from risk_core.worker import Worker


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """What the totals of K paths consist of. M pairs of a path and an account, R reserves, T steps.

    path: (K,) places in the result. begin: (K + 1,) where each path's pairs begin. account: (M,) rows of the market.
    amount: (M, 4) int64 micro-USD: repaid, seized, fee, deficit; those of a path add up to its totals, to the last
    integer. by_reserve: (K, R, 4) int64 micro-USD, likewise: repaid and deficit by debt reserve, seized and fee by
    collateral reserve. by_step: (T, R, 4) USD, mean over the paths by their weights. first_liquidation, first_deficit:
    (K,) step of the first, T where there is none.
    """

    path: IntArray
    begin: IntArray
    account: IntArray
    amount: IntArray
    by_reserve: IntArray
    by_step: FloatArray
    first_liquidation: IntArray
    first_deficit: IntArray


class Replay:
    """Follows paths of a result again. Raises `InputError` for another market than the one simulated."""

    def __init__(self, market: Market, result: Result) -> None:
        checked_kind("market", market, Market)
        checked_kind("result", result, Result)
        if market.snapshot != result.snapshot:
            raise InputError(
                f"market: expected {result.snapshot.market} at block {result.snapshot.block}, of which the result is, "
                f"found {market.snapshot.market} at block {market.snapshot.block}"
            )
        if result.liquidators is not None:
            raise InputError(
                "result: expected one without limited liquidators, found one with: who waits depends on all accounts, "
                "so an account's loss is not its own part of the total. Simulate without `liquidators`"
            )
        if result.borrowers is not None:
            raise InputError(
                "result: expected one whose borrowers do not respond, found one with: its paths cannot be taken apart "
                "by account yet. Simulate without `borrowers`"
            )
        if result.impact is not None:
            raise InputError(
                "result: expected one without an impact, found one with: where sales move prices an account's loss is "
                "not its own part of the total. Simulate without `impact`"
            )
        scenario = result.scenario
        self.market, self.result = market, result
        self.plan, self.draw = plan_of(market), Draws(market, scenario, result.feeds)
        self.book, self.walk = self.plan.bind(self.draw.factor, self.draw.n_rows, opening_steps(market, scenario))
        self.worker = Worker(
            self.book, self.draw, result.n_steps, market.n_reserves, max(self.plan.n_accounts, 1), None
        )
        random = isinstance(scenario, Scenario)
        self.names: tuple[str, ...] = scenario.factors if random else tuple(market.reserves.symbol)
        self.factor: IntArray = scenario.factor if random else np.arange(market.n_reserves)
        self.start: FloatArray = self.draw.kernel.start if random else np.ones(market.n_reserves)

    def prices(self, path: ArrayLike) -> FloatArray:
        """(K, F, T) prices of the feeds relative to the snapshot, before caps, on the paths at these places."""
        at = self._places(path)
        out = np.empty((len(at), self.draw.n_factors, self.result.n_steps))
        work = self.worker.scratch
        feed_prices(
            self.draw.kernel, np.uint64(self.result.seed), at + self.result.first_path, self.result.n_steps, work.z,
            work.x, out,
        )  # fmt: skip
        return out

    def totals(self, prices: FloatArray) -> IntArray:
        """(K, 6) totals, as in `Result.path`, where the feeds' relative prices are those of `prices` (K, F, T)."""
        path = np.zeros((len(prices), N_TOTALS), dtype=np.int64)
        given = self.draw.kernel._replace(given=np.ascontiguousarray(prices, dtype=np.float64))
        if len(prices):
            run_shard(
                self.book, self.walk, self.book, self.walk, given, np.uint64(0), 0, len(prices), self.result.n_steps,
                policy_code(self.result.policy), PRUNED, self.worker.scratch, self.worker.totals(path),
            )  # fmt: skip
        return path

    def parts(self, path: ArrayLike, weight: ArrayLike | None = None) -> Parts:
        """What the paths at these places of the result (K,) consist of; `weight` (K,) counts in `by_step`."""
        at, result = self._places(path), self.result
        k, t, r = len(at), result.n_steps, self.market.n_reserves
        weights = np.ones(k) if weight is None else np.array(checked_array("weight", weight, np.float64, (k,)))
        most = int(result.path[at, ACCOUNTS].sum())
        begin, account = np.zeros(k + 1, dtype=np.int64), np.zeros(most, dtype=np.int64)
        amount, by_reserve = np.zeros((most, 4), dtype=np.int64), np.zeros((k, r, 4), dtype=np.int64)
        by_step, begun = np.zeros((t, r, 4)), np.zeros((k, 2), dtype=np.int64)
        work = self.worker.scratch
        found = path_parts(
            self.book, self.walk, self.draw.kernel, np.uint64(result.seed), at + result.first_path, weights, t,
            policy_code(result.policy), work, np.zeros((1, N_TOTALS), dtype=np.int64),
            np.zeros((t, r, 4), dtype=np.int64), np.zeros((1, 1), dtype=np.int32), begin, account, amount, by_reserve,
            by_step, begun,
        )  # fmt: skip
        work.step_repaid[:] = 0
        sums = np.add.reduceat(np.vstack([amount, np.zeros((1, 4), dtype=np.int64)]), begin[:-1]) if k else amount
        sums[begin[1:] == begin[:-1]] = 0
        if found != most or (sums != result.path[at, :4]).any():
            raise InputError(
                "market: expected the market that was simulated, found one on which the same paths bring other amounts"
            )
        return Parts(
            path=at, begin=begin, account=self.plan.account[account], amount=amount, by_reserve=by_reserve,
            by_step=by_step * (MICRO_USD / max(float(weights.sum()), 1e-300)), first_liquidation=begun[:, 0],
            first_deficit=begun[:, 1],
        )  # fmt: skip

    def _places(self, path: ArrayLike) -> IntArray:
        at = checked_array("path", path, np.int64, (None,))
        require("path", at, (at >= 0) & (at < self.result.n_paths), f"must be in [0, {self.result.n_paths})")
        return at
