"""Reverse stress: the smallest move of prices that liquidates a stated amount of debt, or books a stated deficit.

The size of a move is its Mahalanobis distance d = sqrt(y' C^-1 y): y (F,) log moves of a scenario's factors, C their
covariance over the horizon. In z with y = L z, L L' = C, it is the length |z|, so the question is for the point nearest
to the origin at which the loss reaches the target: the design point of A. M. Hasofer and N. C. Lind, "Exact and
invariant second-moment code format", Journal of the Engineering Mechanics Division 100 (1974).

How it is searched. Radii rise in small steps. At each, `what_if` gives the exact loss in a set of directions: each
factor alone, each with what usually moves along, all together, and those that bring down the accounts of the largest
pairs of collateral and debt. From the best, and from the best of the radius before, the direction is turned as long as
the loss rises, along each factor and along the gradient of the loss. At the first radius that reaches the target the
distance is then halved in along the best directions. Up to there nothing depends on the target, so a larger target
never has a smaller distance. The loss has jumps and need not rise along a direction (beyond some fall the collateral
that is left repays less), so what is found is the best found, not proven the least.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

import numpy as np

from risk_core.accounts import main_reserve
from risk_core.checks import FloatArray, IntArray, checked_int, checked_kind, checked_number
from risk_core.errors import InputError
from risk_core.laws import GBM, StudentT
from risk_core.price_models import YEAR, Scenario
from risk_core.shocks import WhatIf, what_if
from risk_core.types import Market

MEASURES = {"liquidated": "debt liquidated", "deficit": "deficit"}
"""What a target may be an amount of, and its words."""
RADII = 0.25 * 1.25 ** np.arange(24)
"""Distances that are looked at first: 0.25 to 42 standard deviations."""
FINE = 8
"""Parts of the step between two radii that a finer look takes."""
FARTHEST = float(np.log(100.0))
"""Largest log move of a factor that is looked at: prices between a hundredth and a hundred times."""
TURNS, FINE_TURNS = (0.4, 0.15), ((0.15, 0.05), (0.05, 0.02))
"""How far a direction is turned, as tangents: at the radii, and in each of the finer looks between two of them."""
SWEEPS = 4
"""Turns of one size, at most."""
HALVINGS = 14
PAIRS = 12
"""Pairs of collateral and debt, those with the most debt."""
CIRCLE = 120
"""Directions where only two numbers move the prices: every 3 degrees."""
TINY = 1e-10
"""Smallest eigenvalue of a correlation that counts: what is below moves in no direction of its own."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReverseStress:
    """The nearest move found that reaches a target.

    measure: `liquidated` or `deficit`. target_usd: what was asked for; reached_usd: what the move does. log_move: (F,)
    of the scenario's factors from its start; expm1 of it is the relative move. distance: Mahalanobis, in standard
    deviations. outcome: the `what_if` at this move. n_tried: moves looked at.

    chance: of a log move over the horizon at least this far in this direction, and chance_any: at least this far in any
    direction, both under the scenario's normal or Student-t law at the end of the horizon (`exact_law`), else under the
    normal law of the same covariance. The first is the chance of the target itself if losses were linear in log prices
    (first-order reliability); neither is a forecast of the loss: `simulate` follows paths, and other moves reach the
    target too.
    """

    market: Market
    scenario: Scenario
    measure: str
    target_usd: float
    reached_usd: float
    log_move: FloatArray
    distance: float
    chance: float
    chance_any: float
    exact_law: bool
    outcome: WhatIf
    n_tried: int

    @property
    def moves(self) -> FloatArray:
        """(F,) relative move of each factor from the scenario's start; -0.2 is a fall by 20 %."""
        return np.expm1(self.log_move)

    def most_hit(self, n: int = 10) -> IntArray:
        """(at most n,) places in `outcome`'s arrays of the accounts with the most of what was asked for, most first."""
        n = checked_int("n", n, 1)
        usd = self.outcome.account_repaid_usd if self.measure == "liquidated" else self.outcome.account_deficit_usd
        order = np.argsort(-usd, kind="stable")[:n]
        return order[usd[order] > 0]


def reverse_stress(
    market: Market, scenario: Scenario, liquidated_usd: float | None = None, deficit_usd: float | None = None
) -> ReverseStress:
    """The nearest move found that liquidates at least `liquidated_usd` of debt, or books at least `deficit_usd`.

    Exactly one of the two, USD above 0. Moves are of the feeds, from the scenario's start (its shock included, its
    drift not); oracles' caps, links and constants are obeyed, and liquidations are executed at once, as in `what_if`.
    The best found, not proven the least; a larger target never has a smaller distance. Deterministic.

    Raises `InputError` for a target that no move looked at reaches, with the most that one did: distances up to 42,
    prices between a hundredth and a hundred times; and where no factor moves.
    """
    checked_kind("market", market, Market)
    checked_kind("scenario", scenario, Scenario)
    if (liquidated_usd is None) == (deficit_usd is None):
        raise InputError("liquidated_usd, deficit_usd: expected exactly one of the two, found both or none")
    measure = "deficit" if liquidated_usd is None else "liquidated"
    label = f"{measure}_usd"
    given = deficit_usd if liquidated_usd is None else liquidated_usd
    target = checked_number(label, given, np.nextafter(0.0, 1.0), rule="USD above 0")
    if len(scenario.factor) != market.n_reserves:
        raise InputError(
            f"Scenario.factor: expected {market.n_reserves} entries, one for each reserve, found {len(scenario.factor)}"
        )
    search = _Search(market, scenario, measure)
    z = search.nearest(target, label)
    outcome = search.outcome(z)
    distance = float(np.linalg.norm(z))
    chance, chance_any = chances(scenario, distance, len(z))
    return ReverseStress(
        market=market, scenario=scenario, measure=measure, target_usd=target, reached_usd=_usd(outcome, measure),
        log_move=search.root @ z, distance=distance, chance=chance, chance_any=chance_any,
        exact_law=isinstance(scenario.law, GBM | StudentT), outcome=outcome, n_tried=search.n_tried,
    )  # fmt: skip


def horizon_root(scenario: Scenario) -> FloatArray:
    """(F, k) L with L L' = the covariance of the log moves over the horizon; k numbers move the prices."""
    covariance = scenario.law.total_covariance(scenario.volatility, scenario.correlation, scenario.horizon / YEAR)
    sd = np.sqrt(np.diag(covariance))
    scale = np.where(sd > 0, sd, 1.0)
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    keep = values > TINY
    return scale[:, None] * vectors[:, keep] * np.sqrt(values[keep])


def chances(scenario: Scenario, distance: float, k: int) -> tuple[float, float]:
    """(at least this far in one direction, at least this far in any): see `ReverseStress`. k numbers move the prices.

    Normal: the upper tails of the normal and of the chi-square law with k degrees. Student-t with nu degrees, scaled
    to the covariance: those of t with nu and of F with k and nu degrees. 1 where nothing has to move.
    """
    if distance == 0:
        return 1.0, 1.0
    from scipy import special  # here: the engine starts without scipy

    if isinstance(scenario.law, StudentT):
        nu = scenario.law.nu
        wide = distance * sqrt(nu / (nu - 2))
        return float(special.stdtr(nu, -wide)), float(special.fdtrc(k, nu, wide**2 / k))
    return float(special.ndtr(-distance)), float(special.chdtrc(k, distance**2))


def _usd(outcome: WhatIf, measure: str) -> float:
    return outcome.repaid_usd if measure == "liquidated" else outcome.deficit_usd


class _Search:
    """The loss in z, and the climb from radius to radius."""

    def __init__(self, market: Market, scenario: Scenario, measure: str) -> None:
        self.market, self.scenario, self.measure = market, scenario, measure
        self.root = horizon_root(scenario)
        self.n_tried = 0
        # One entry more, which stays: what a fixed price follows.
        self.start = np.append(1.0 + scenario.shock, 1.0)
        used = np.unique(scenario.factor[np.union1d(market.collateral.reserve, market.debt.reserve)])
        used = used[used >= 0]
        if not self.root[used].any():
            raise InputError(
                "Scenario.volatility: expected a factor that moves and that somebody holds or owes, found none"
            )
        self.along = _units(self.root[used])
        self.starts = self._starts(used)

    def outcome(self, z: FloatArray) -> WhatIf:
        """What the move does."""
        factor = self.start * np.append(np.exp(self.root @ z), 1.0)
        return what_if(self.market, factor[self.scenario.factor] - 1.0)

    def loss(self, z: FloatArray) -> float:
        """USD of what is asked for; -1 for a move that is not looked at."""
        if np.abs(self.root @ z).max() > FARTHEST:
            return -1.0
        self.n_tried += 1
        return _usd(self.outcome(z), self.measure)

    def nearest(self, target: float, label: str) -> FloatArray:
        """The nearest z found whose loss is at least `target`."""
        most, at = self.loss(np.zeros(self.root.shape[1])), 0.0
        if most >= target:
            return np.zeros(self.root.shape[1])
        low, carried = 0.0, self.starts[:1]
        for high in RADII.tolist():
            rung = self._rung(high, np.vstack([self.starts, carried]), TURNS)
            if rung[0][0] >= target:
                return self._between(low, high, most, rung, target)
            if rung[0][0] > most:
                most, at = rung[0][0], high
            low, carried = high, np.array([rung[0][1]])
        raise InputError(
            f"{label}: expected at most {most:,.0f} USD, the most {MEASURES[self.measure]} that a move was found to "
            f"bring (at distance {at:.3g}; looked at: up to {RADII[-1]:.0f}, prices 1/100 to 100 times), found "
            f"{target:,.0f}"
        )

    def _between(
        self, low: float, high: float, most: float, rung: list[tuple[float, FloatArray]], target: float
    ) -> FloatArray:
        """The nearest z found between two radii: `most` is reached up to `low`, the target at `high` by its `rung`."""
        for turns in FINE_TURNS:
            # Whatever the target, it is above `most`: the other directions do not reach it.
            known = np.array([direction for loss, direction in rung if loss > most])
            n, edges = len(known), np.linspace(low, high, FINE + 1).tolist()
            for left, right in pairwise(edges):
                found = self._rung(right, known, turns)
                if found[0][0] >= target or right == high:
                    low, high, rung = left, right, found
                    break
                most = max(most, found[0][0])
                known = np.vstack([known[:n], found[0][1]])
        reach = [direction for loss, direction in rung if loss >= target]
        return min((self._halved(u, low, high, target) for u in reach), key=np.linalg.norm)

    def _halved(self, direction: FloatArray, low: float, high: float, target: float) -> FloatArray:
        """A z along `direction` with a loss of at least `target`, which it has at `high`; nearer if there is one."""
        for _ in range(HALVINGS):
            middle = 0.5 * (low + high)
            if self.loss(middle * direction) >= target:
                high = middle
            else:
                low = middle
        return high * direction

    def _rung(self, radius: float, directions: FloatArray, turns: Iterable[float]) -> list[tuple[float, FloatArray]]:
        """(loss, direction) at one radius, the largest loss first: the directions given, and where the best leads."""
        points = [(self.loss(radius * u), u) for u in directions]
        points.sort(key=lambda point: -point[0])
        if points[0][0] > 0:
            points.insert(0, self._climb(*points[0], radius, turns))
        return points

    def _climb(self, loss: float, u: FloatArray, radius: float, turns: Iterable[float]) -> tuple[float, FloatArray]:
        """From one direction to better ones: towards each factor, and along the gradient that these tries give."""
        for turn in turns:
            for _ in range(SWEEPS):
                slope, best = np.zeros(len(u)), (loss, u)
                for axis in self.along:
                    for sign in (turn, -turn):
                        there = _unit(u + sign * axis)
                        found = self.loss(radius * there)
                        slope += (max(found, 0.0) - loss) * sign * axis
                        if found > best[0]:
                            best = (found, there)
                if slope.any():
                    there = _unit(u + turn * _unit(slope))
                    found = self.loss(radius * there)
                    if found > best[0]:
                        best = (found, there)
                if best[0] <= loss:
                    break
                loss, u = best
        return loss, u

    def _starts(self, used: IntArray) -> FloatArray:
        """(n, k) unit directions to begin with."""
        k = self.root.shape[1]
        if k == 1:
            return np.array([[-1.0], [1.0]])
        if k == 2:
            angle = np.arange(CIRCLE) * (2 * np.pi / CIRCLE)
            circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
            return np.vstack([self._pairs(), self.along, -self.along, circle])
        back = np.linalg.pinv(self.root)
        sd = np.linalg.norm(self.root, axis=1)
        alone = back.T[used]
        # Factors that move as one have no move of one alone.
        alone = alone[np.abs(np.einsum("fk,fk->f", self.root[used], alone) - 1.0) < 1e-6]
        together = back @ np.stack([-sd, sd], axis=1)
        largest = np.linalg.svd(self.root)[2][:1]
        parts = [self._pairs(), *(s * m for m in (self.along, alone, largest) for s in (-1.0, 1.0)), together.T]
        return _units(np.vstack(parts))

    def _pairs(self) -> FloatArray:
        """(at most PAIRS, k) the nearest directions in which the collateral of a pair loses against its debt."""
        market, factor = self.market, np.append(self.scenario.factor, -1)
        owed = np.repeat(np.arange(market.n_accounts), np.diff(market.debt.indptr))
        usd = np.bincount(owed, market.debt.amount * market.price[market.debt.reserve], minlength=market.n_accounts)
        c, d = (factor[main_reserve(market, side)] for side in (market.collateral, market.debt))
        n = len(self.root)
        apart = (c != d) & (usd > 0)
        pair, at = np.unique(np.stack([c, d], axis=1)[apart], axis=0, return_inverse=True)
        order = np.argsort(-np.bincount(at.reshape(-1), usd[apart], minlength=len(pair)), kind="stable")[:PAIRS]
        rows = np.vstack([self.root, np.zeros((1, self.root.shape[1]))])  # a constant does not move
        pair = np.where(pair[order] < 0, n, pair[order])
        return _units(rows[pair[:, 1]] - rows[pair[:, 0]])


def _unit(vector: FloatArray) -> FloatArray:
    length = np.linalg.norm(vector)
    return vector / length if length > 0 else vector


def _units(rows: FloatArray) -> FloatArray:
    """The rows that are not zero, each of length 1."""
    length = np.linalg.norm(rows, axis=1)
    keep = length > 1e-12
    return rows[keep] / length[keep, None]
