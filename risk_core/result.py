"""The result of a simulation: integer totals, and the passport that says how they were made."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from datetime import timedelta
from typing import Any

import numpy as np

from risk_core.borrowers import Borrowers
from risk_core.checks import FloatArray, IntArray, checked_array, require
from risk_core.errors import InputError
from risk_core.feeds import Feeds
from risk_core.kernels.book import BINS_PER_OCTAVE, N_BINS
from risk_core.kernels.draw import REPLICATES
from risk_core.kernels.queue import BAD_DEBT_AT_END, MOST_WAITING, WAITING_AT_END
from risk_core.kernels.settle import ACCOUNTS, CALLS, DEFICIT, PROTOCOL_FEE, REPAID, SEIZED
from risk_core.liquidators import Liquidators
from risk_core.liquidity import Impact
from risk_core.oracles import OracleModels
from risk_core.types import Snapshot

MICRO_USD = 1e-6
MILLI_USD = 1e-3
NANO = 1e-9
MOST_COUNTED = 2.0**63 * (1.0 - 1e-9)
"""Integer totals of this size and above are refused in advance: int64 would turn them negative without an error."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Result:
    """Simulated liquidations of one market under one scenario. P paths, T steps, R reserves, N accounts.

    path: (P, 6) int64 per path: repaid, seized, protocol fee, deficit in micro-USD, calls, accounts.
    by_step: (T, R, 4) int64, sums over paths in milli-USD: repaid and deficit by debt reserve, seized and fee by
    collateral reserve. fan: (T, bins) int64, paths by cumulative repaid (log bins). hits: (N, 8) int32, paths by the
    part of the horizon in which the account was first liquidated.
    With an impact (else None): multiplier (T, R) int64, sums over paths of each reserve's effective over path price at
    the end of a step, in 1e-9; unsettled (T,) int64, paths on which the rounds of a step ended before prices stopped
    falling. With liquidators (else None): waiting (P, 3) int64, micro-USD of debt below health factor 1 that waits: the
    most at the end of a step, at the end of the path, and what of the latter is above its collateral; waiting_by_step
    (T,) int64, sums over paths in milli-USD; the multiplier is then that of the market. With borrowers who respond
    (else None): responded (P,) int64, micro-USD that they repaid themselves.
    `seized` is what liquidators receive (the event's amount); the borrower also loses the protocol fee.
    """

    path: IntArray
    by_step: IntArray
    fan: IntArray
    hits: np.ndarray
    snapshot: Snapshot
    scenario: Any
    seed: int
    first_path: int
    policy: str
    code_version: str
    impact: Impact | None = None
    oracle: OracleModels | None = None
    multiplier: IntArray | None = None
    unsettled: IntArray | None = None
    liquidators: Liquidators | None = None
    feeds: Feeds | None = None
    waiting: IntArray | None = None
    waiting_by_step: IntArray | None = None
    borrowers: Borrowers | None = None
    responded: IntArray | None = None

    def __post_init__(self) -> None:
        kept = ("path", "by_step", "fan", "hits", "multiplier", "unsettled", "waiting", "waiting_by_step", "responded")
        for name in kept:
            array = getattr(self, name)
            if array is not None:
                array.setflags(write=False)

    @property
    def n_paths(self) -> int:
        """Number of paths P."""
        return len(self.path)

    @property
    def n_steps(self) -> int:
        """Number of steps T."""
        return len(self.by_step)

    @property
    def horizon(self) -> timedelta:
        """Time from the snapshot to the last step."""
        return self.scenario.horizon

    @property
    def cluster(self) -> IntArray | None:
        """(P,) number of the cluster of each path; None where all paths are independent of each other.

        Paths of one cluster were drawn together: an antithetic pair, or a copy of a quasi-random sequence. Clusters are
        independent of each other.
        """
        path = np.arange(self.first_path, self.first_path + self.n_paths)
        return drawn_together(getattr(self.scenario, "sampling", "plain"), path)

    @property
    def repaid_usd(self) -> FloatArray:
        """Debt repaid by liquidators, USD per path."""
        return self.path[:, REPAID] * MICRO_USD

    @property
    def seized_usd(self) -> FloatArray:
        """Collateral received by liquidators, USD per path (oracle prices of the step)."""
        return self.path[:, SEIZED] * MICRO_USD

    @property
    def fee_usd(self) -> FloatArray:
        """Collateral taken by the treasury out of the bonus, USD per path."""
        return self.path[:, PROTOCOL_FEE] * MICRO_USD

    @property
    def deficit_usd(self) -> FloatArray:
        """Debt the pool burnt as deficit because no collateral was left, USD per path."""
        return self.path[:, DEFICIT] * MICRO_USD

    @property
    def n_liquidations(self) -> IntArray:
        """Liquidation calls per path."""
        return self.path[:, CALLS]

    @property
    def n_accounts_liquidated(self) -> IntArray:
        """Accounts with at least one call, per path."""
        return self.path[:, ACCOUNTS]

    @property
    def repaid_by_step(self) -> FloatArray:
        """(T, R) mean USD repaid per path, by debt reserve."""
        return self.by_step[:, :, REPAID] * (MILLI_USD / self.n_paths)

    @property
    def seized_by_step(self) -> FloatArray:
        """(T, R) mean USD seized per path, by collateral reserve."""
        return self.by_step[:, :, SEIZED] * (MILLI_USD / self.n_paths)

    @property
    def deficit_by_step(self) -> FloatArray:
        """(T, R) mean USD of deficit per path, by debt reserve."""
        return self.by_step[:, :, DEFICIT] * (MILLI_USD / self.n_paths)

    @property
    def multiplier_by_step(self) -> FloatArray:
        """(T, R) mean over paths of effective over path price at the end of each step; 1 is no impact."""
        if self.multiplier is None:
            return np.ones(self.by_step.shape[:2])
        return self.multiplier * (NANO / self.n_paths)

    @property
    def responded_usd(self) -> FloatArray:
        """(P,) USD of debt that warned borrowers repaid themselves; zeros without borrowers who respond."""
        return np.zeros(self.n_paths) if self.responded is None else self.responded * MICRO_USD

    @property
    def waiting_usd(self) -> FloatArray:
        """(P,) USD of debt that waits for a liquidator at the worst end of a step; zeros without liquidators."""
        return np.zeros(self.n_paths) if self.waiting is None else self.waiting[:, MOST_WAITING] * MICRO_USD

    @property
    def waiting_at_end_usd(self) -> FloatArray:
        """(P,) USD of debt that waits for a liquidator at the end of the path; zeros without liquidators."""
        return np.zeros(self.n_paths) if self.waiting is None else self.waiting[:, WAITING_AT_END] * MICRO_USD

    @property
    def shortfall_usd(self) -> FloatArray:
        """(P,) USD that lenders lose: the deficit, and what waits above its collateral at the end of the path."""
        left = 0 if self.waiting is None else self.waiting[:, BAD_DEBT_AT_END] * MICRO_USD
        return self.deficit_usd + left

    @property
    def waiting_steps(self) -> FloatArray:
        """(T,) mean USD of debt per path that waits at the end of each step."""
        if self.waiting_by_step is None:
            return np.zeros(self.n_steps)
        return self.waiting_by_step * (MILLI_USD / self.n_paths)

    @property
    def account_hits(self) -> IntArray:
        """(N,) paths on which each account was liquidated at least once."""
        return self.hits.sum(axis=1, dtype=np.int64)

    @property
    def first_liquidation(self) -> FloatArray:
        """(T + 1,) share of paths by the step of their first liquidation; the last entry is those without any.

        A path whose calls repaid less than half a micro-USD counts as without.
        """
        none_yet = np.concatenate([[self.n_paths], self.fan[:, 0]])
        return np.append(-np.diff(none_yet), none_yet[-1]) / self.n_paths

    def fan_usd(self, levels: tuple[float, ...] = (0.5, 0.95, 0.99)) -> FloatArray:
        """(T, len(levels)) quantiles of the cumulative repaid USD at the end of each step.

        From log bins, so within 1.6 % of the order statistic; the last row is exact. Raises `InputError`.
        """
        wanted = checked_array("levels", levels, np.float64, (None,))
        require("levels", wanted, (wanted > 0) & (wanted < 1), "must be a number between 0 and 1")
        middle = _bin_middles()
        cumulative = np.cumsum(self.fan, axis=1)
        out = np.empty((self.n_steps, len(wanted)))
        for i, level in enumerate(wanted.tolist()):
            rank = int(np.ceil(level * self.n_paths))
            out[:, i] = middle[(cumulative >= rank).argmax(axis=1)]
            out[-1, i] = np.sort(self.path[:, REPAID])[rank - 1] * MICRO_USD
        return out

    def __add__(self, other: Result) -> Result:
        """Two runs over adjacent path ranges as one, bit for bit the run over both."""
        if not isinstance(other, Result):
            return NotImplemented
        for name in (
            "snapshot",
            "seed",
            "policy",
            "code_version",
            "impact",
            "liquidators",
            "feeds",
            "borrowers",
            "oracle",
            "scenario",
        ):
            difference = _difference(name, getattr(self, name), getattr(other, name))
            if difference:
                many = name if name.endswith("s") else f"{name}s"
                raise InputError(f"results of different {many} cannot be added: {difference}")
        for name in ("by_step", "fan", "hits"):
            if getattr(self, name).shape != getattr(other, name).shape:
                raise InputError(
                    f"results of different runs cannot be added: {name} is {getattr(self, name).shape} and "
                    f"{getattr(other, name).shape}"
                )
        if other.first_path != self.first_path + self.n_paths:
            raise InputError(
                f"the second result begins at path {other.first_path}, expected {self.first_path + self.n_paths}"
            )
        require_countable("the sum of both results", np.abs(self.by_step).astype(float) + np.abs(other.by_step))
        return Result(
            path=np.concatenate([self.path, other.path]), by_step=self.by_step + other.by_step,
            fan=self.fan + other.fan, hits=self.hits + other.hits, snapshot=self.snapshot, scenario=self.scenario,
            seed=self.seed, first_path=self.first_path, policy=self.policy, code_version=self.code_version,
            impact=self.impact, oracle=self.oracle,
            multiplier=None if self.multiplier is None else self.multiplier + other.multiplier,
            unsettled=None if self.unsettled is None else self.unsettled + other.unsettled,
            liquidators=self.liquidators, feeds=self.feeds, borrowers=self.borrowers,
            responded=None if self.responded is None else np.concatenate([self.responded, other.responded]),
            waiting=None if self.waiting is None else np.concatenate([self.waiting, other.waiting]),
            waiting_by_step=None if self.waiting_by_step is None else self.waiting_by_step + other.waiting_by_step,
        )  # fmt: skip


def _difference(label: str, own: object, other: object) -> str:
    """The first field in which two parts of a result's identity differ, in words; empty where they are the same."""
    if type(own) is not type(other):
        return f"{label} is {own!r:.60} and {other!r:.60}"
    if isinstance(own, np.ndarray):
        same = own.shape == other.shape and np.array_equal(own, other)  # type: ignore[attr-defined]
        return "" if same else f"{label} differs"
    if isinstance(own, tuple) and hasattr(own, "_fields"):
        found = (_difference(f"{label}.{name}", getattr(own, name), getattr(other, name)) for name in own._fields)
        return next((words for words in found if words), "")
    if is_dataclass(own):
        found = (_difference(f"{label}.{f.name}", getattr(own, f.name), getattr(other, f.name)) for f in fields(own))
        return next((words for words in found if words), "")
    return "" if own == other else f"{label} is {own!r:.60} and {other!r:.60}"


def drawn_together(sampling: str, path: IntArray) -> IntArray | None:
    """Number of the cluster of each path of a scenario, None where all are independent; see `Result.cluster`."""
    match sampling:
        case "antithetic":
            return path // 2
        case "quasi":
            return path % REPLICATES
    return None


def require_countable(what: str, amounts: FloatArray | float) -> None:
    """Raise `InputError` where integer money (int64) could not hold `amounts`, which are in its units."""
    if np.max(amounts, initial=0.0) >= MOST_COUNTED:
        raise InputError(
            f"{what}: amounts exceed what is counted (2^63 units: {2**63 * MICRO_USD:.3g} USD on one path, "
            f"{2**63 * MILLI_USD:.3g} USD over all paths of a step). Check prices and shocks, or take fewer paths"
        )


def _bin_middles() -> FloatArray:
    """USD near the middle of each log bin of `kernels.shard.log_bin`; bin 0 is nothing."""
    index = np.arange(1, N_BINS)
    octave, part = np.divmod(index - 1, BINS_PER_OCTAVE)
    low = np.exp2(octave) * (1 + part / BINS_PER_OCTAVE)
    return np.concatenate([[0.0], low * (1 + 0.5 / (BINS_PER_OCTAVE + part)) * MICRO_USD])
