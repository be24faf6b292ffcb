"""Who makes the tail: shares of liquidations at risk, of value at risk and of an expected shortfall.

By reserve (as collateral sold and as debt), by account and by driver of prices; each set of shares adds up to 1. What a
share is, and how large its error: `risk_core.analytics.euler`. The paths of the tail are followed again with an account
of every dollar (`risk_core.parts`), so the amounts are those of the run, to the last integer.

By driver: the Shapley value of each factor's moves on the paths of the tail. In a set of drivers those move as they did
on the path, the others stay where they start, and the liquidations of the path are computed anew. The most important
factors are drivers of their own, the others one driver together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from risk_core.analytics.euler import (
    Shares,
    quantile_shares,
    shapley,
    shortfall_shares,
    tail_weights,
    window_weights,
)
from risk_core.checks import FloatArray, IntArray, checked_choice, checked_int
from risk_core.estimates import FEW_DRAWS, Estimate
from risk_core.kernels.settle import DEFICIT, PROTOCOL_FEE, REPAID, SEIZED
from risk_core.measures import LOSSES, expected_shortfall, lar, losses
from risk_core.parts import Parts, Replay
from risk_core.result import MICRO_USD, Result
from risk_core.types import Market

MEASURES = ("quantile", "shortfall")
COLUMN = {"repaid": REPAID, "seized": SEIZED, "fee": PROTOCOL_FEE, "deficit": DEFICIT}
OTHERS = "others"
STAYED = "no move"
"""What follows from the start's prices alone: accounts that are below 1 before anything moves."""
PROBED = 24
"""Paths of the tail on which the importance of every factor is looked at."""
FOLLOWED = 2_000
"""Most paths of the tail that are followed again, evenly spaced by loss; a run of 40,000 has as many beyond 95 %."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contributions:
    """Shares of one figure. R reserves, T steps.

    measure: `quantile` (liquidations at risk, value at risk) or `shortfall`; of, level: as in `risk_core.measures`.
    estimate: the figure in USD. n_draws: paths with a loss that the shares rest on. no_shares: why there are none, in
    words; every other field is then None or empty. by_reserve: (R,) shares of `of`; sold: (R,) shares of the collateral
    that liquidators receive on the same paths, None without any. accounts: rows of the market of those with the largest
    shares, first the largest; by_account: their shares and, last, that of all others. drivers: names of the drivers, a
    share each in by_driver; the last is `STAYED`. by_step: (T, R, 4) USD by step and reserve, in the columns
    of `Result.by_step`: mean of those paths; of a shortfall the mean beyond the level, to which paths without a loss
    add nothing, so that the column of `of` adds up to the figure. first_liquidation, first_deficit: (T + 1,) share of
    those paths by the step of the first; the last entry is those without. Of more than 2,000 paths 2,000 are followed,
    evenly spaced by their loss; sums then differ from the figure by what that leaves out.
    """

    measure: str
    of: str
    level: float
    estimate: Estimate
    n_draws: int
    no_shares: str = ""
    by_reserve: Shares | None = None
    sold: Shares | None = None
    accounts: IntArray | None = None
    by_account: Shares | None = None
    drivers: tuple[str, ...] = ()
    by_driver: Shares | None = None
    by_step: FloatArray | None = None
    first_liquidation: FloatArray | None = None
    first_deficit: FloatArray | None = None


def contributions(
    market: Market,
    result: Result,
    level: float = 0.99,
    of: str = "repaid",
    measure: str = "quantile",
    accounts: int = 10,
    drivers: int = 5,
) -> Contributions:
    """Shares of the `level` quantile of `of` (repaid, seized, fee, deficit), or of the expected shortfall beyond it.

    market: the one that was simulated. accounts: how many are told one by one. drivers: how many factors are told one
    by one, at most 10; 0, none is. Fewer than 30 paths with a loss carry no shares: `no_shares` says so. Raises
    `InputError`, also for a result with an impact.
    """
    column = COLUMN[checked_choice("of", of, LOSSES)]
    checked_choice("measure", measure, MEASURES)
    checked_int("accounts", accounts, 1)
    checked_int("drivers", drivers, 0, 10)
    replay = Replay(market, result)
    quantile = lar(result, level, of)
    figure = quantile if measure == "quantile" else expected_shortfall(result, level, of)
    loss = losses(result, of)
    window = window_weights(loss, quantile.low, quantile.high) * (loss > 0)
    tail = tail_weights(loss, level) * (loss > 0)
    weight = window if measure == "quantile" else tail
    # Draws that tie at the boundary stand for fewer.
    drawn = int(np.count_nonzero(weight)) if measure == "quantile" else figure.n_positive
    shape = dict(measure=measure, of=of, level=figure.level, estimate=figure, n_draws=drawn)
    reason = _too_few(drawn, measure)
    if reason:
        return Contributions(**shape, no_shares=reason)
    at, part = _followed(loss, (window > 0) | (weight > 0))
    parts = replay.parts(at, weight[at])
    shape["n_draws"] = min(drawn, int(np.count_nonzero(weight[at])))
    shares = _Ratios(
        weight=weight[at], window=window[at], total=loss[at], quantile=quantile.value, n=part * result.n_paths,
        cluster=None if result.cluster is None else result.cluster[at], measure=measure,
    )  # fmt: skip
    # Paths of the tail without a loss are not followed; they count in the mean of a shortfall.
    mass = 1.0 if measure == "quantile" else float(weight.sum()) / (result.n_paths * (1 - figure.level))
    sold = parts.by_reserve[:, :, SEIZED] * MICRO_USD
    rows, by_row = _accounts(parts, column, shares, accounts)
    names, by_driver = _drivers(replay, parts, column, shares, drivers) if drivers else ((), None)
    return Contributions(
        **shape, by_reserve=shares.of(parts.by_reserve[:, :, column] * MICRO_USD),
        sold=shares.of(sold, sold.sum(axis=1)) if (sold.sum(axis=1) * weight[at]).any() else None,
        accounts=rows, by_account=by_row, drivers=names, by_driver=by_driver, by_step=parts.by_step * mass,
        first_liquidation=_by_step(parts.first_liquidation, weight[at], result.n_steps),
        first_deficit=_by_step(parts.first_deficit, weight[at], result.n_steps),
    )  # fmt: skip


def _followed(loss: FloatArray, wanted: np.ndarray) -> tuple[IntArray, float]:
    """(places of the wanted draws that are followed, which part of them that is)."""
    at = np.flatnonzero(wanted)
    if len(at) <= FOLLOWED:
        return at, 1.0
    ranked = at[np.argsort(loss[at], kind="stable")]
    kept = ranked[np.linspace(0, len(at) - 1, FOLLOWED).round().astype(int)]
    return np.sort(kept), FOLLOWED / len(at)


def _too_few(drawn: int, measure: str) -> str:
    if drawn >= FEW_DRAWS:
        return ""
    where = "within the 95 % interval of the quantile" if measure == "quantile" else "beyond the level"
    if drawn == 0:
        return f"no path {where} has a loss"
    paths = "1 path with a loss lies" if drawn == 1 else f"{drawn} paths with a loss lie"
    return f"{paths} {where}, {FEW_DRAWS} are needed"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Ratios:
    """The draws of one figure, and the ratio that a share of it is. K draws."""

    weight: FloatArray
    window: FloatArray
    total: FloatArray
    quantile: float
    n: float
    cluster: IntArray | None
    measure: str

    def of(self, part: FloatArray, total: FloatArray | None = None) -> Shares:
        """Shares of `part` (K, I), USD, in `total` (K,), by default the figure's own."""
        whole = self.total if total is None else total
        if self.measure == "quantile":
            near = self.weight > 0
            return quantile_shares(part[near], whole[near], None if self.cluster is None else self.cluster[near])
        near = self.window > 0
        around = float(whole[near].sum())
        own = self.quantile if total is None else around / max(int(near.sum()), 1)
        # The shares about the quantile, of the quantile: what is all of every total is then surely all of the tail.
        edge = part[near].sum(axis=0) * (own / around) if around > 0 else np.zeros(part.shape[1])
        return shortfall_shares(part, whole, self.weight, own, edge, self.n, self.cluster)


def _accounts(parts: Parts, column: int, shares: _Ratios, top: int) -> tuple[IntArray, Shares]:
    """Rows of the accounts with the largest shares, and the shares of each and of all others together."""
    of = np.repeat(np.arange(len(parts.path)), np.diff(parts.begin))
    usd = parts.amount[:, column] * MICRO_USD
    known, name = np.unique(parts.account, return_inverse=True)
    weighted = np.bincount(name, usd * shares.weight[of], minlength=len(known))
    largest = np.argsort(-weighted, kind="stable")[:top]
    largest = largest[weighted[largest] > 0]
    place = np.full(len(known), len(largest))
    place[largest] = np.arange(len(largest))
    table = np.zeros((len(parts.path), len(largest) + 1))
    np.add.at(table, (of, place[name]), usd)
    return known[largest], shares.of(table)


def _drivers(replay: Replay, parts: Parts, column: int, shares: _Ratios, most: int) -> tuple[tuple[str, ...], Shares]:
    """Names of the drivers and their shares, the largest first; last `OTHERS`, where there are any, and `STAYED`."""
    moved = replay.prices(parts.path)
    still = np.broadcast_to(replay.start[:, None], moved.shape[1:])
    groups = _groups(replay, moved, still, column, most)
    worth = np.empty((1 << len(groups), len(moved)))
    for chosen in range(len(worth)):
        moves = np.zeros(moved.shape[1], dtype=bool)
        for g, group in enumerate(groups):
            moves[group] = (chosen >> g) & 1
        worth[chosen] = replay.totals(np.where(moves[None, :, None], moved, still))[:, column] * MICRO_USD
    found = shares.of(np.column_stack([*shapley(worth), worth[0]]))
    names = [replay.names[group[0]] if len(group) == 1 else OTHERS for group in groups]
    alone = np.array([name != OTHERS for name in names])
    at = np.lexsort((-found.share[:-1], ~alone))
    at = np.append(at, len(groups))
    return (*(names[g] for g in at[:-1]), STAYED), Shares(share=found.share[at], se=found.se[at])


def _groups(replay: Replay, moved: FloatArray, still: FloatArray, column: int, most: int) -> list[IntArray]:
    """The drivers as rows of factors: the `most` important ones alone, all others that somebody holds together.

    Important is what adds most when it alone moves, and takes most when it alone does not, on a few of the paths.
    """
    market = replay.market
    held = np.union1d(market.collateral.reserve, market.debt.reserve)
    used = np.unique(replay.factor[held])
    used = used[used >= 0]
    rest = np.setdiff1d(np.arange(moved.shape[1]), used)
    probe = moved[np.unique(np.linspace(0, len(moved) - 1, min(PROBED, len(moved))).astype(int))]
    every = replay.totals(probe)[:, column].sum()
    none = replay.totals(np.broadcast_to(still, probe.shape))[:, column].sum()
    weight = np.empty(len(used))
    for i, factor in enumerate(used.tolist()):
        mine = (np.arange(probe.shape[1]) == factor)[None, :, None]
        alone = replay.totals(np.where(mine, probe, still))[:, column].sum()
        without = replay.totals(np.where(mine, still, probe))[:, column].sum()
        weight[i] = abs(float(alone - none)) + abs(float(every - without))
    order = used[np.argsort(-weight, kind="stable")]
    cut = len(order) if len(order) <= most + 1 else most
    groups = [np.array([factor]) for factor in order[:cut].tolist()]
    others = np.concatenate([order[cut:], rest])
    # Factors that nobody holds move no account, but another reserve's oracle may be told by them.
    return [*groups, others] if len(others) else groups


def _by_step(first: IntArray, weight: FloatArray, n_steps: int) -> FloatArray:
    """(T + 1,) weighted share of paths by `first`."""
    return np.bincount(first, weights=weight, minlength=n_steps + 1) / weight.sum()
