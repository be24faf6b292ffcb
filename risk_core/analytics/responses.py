"""How borrowers respond to a low health factor: the share that responds, how soon, and how far they go.

A spell is the time of an account in a zone just above health factor 1, from when prices take it there until its
borrower acts (a response), it is liquidated, or prices take it out again. The model is a cure model (J. Boag, "Maximum
likelihood estimates of the proportion of patients cured by cancer therapy", J. R. Stat. Soc. B 11, 1949): a share `p`
of the accounts responds, after a time that is exponential with mean 1 / r, and the others never do. A spell that ends
without a response is censored there. With D_i responses of account i in spells of T_i seconds in all,

    L = product over D_i > 0 of  p r^D_i exp(-r T_i)   x   product over D_i = 0 of  1 - p + p exp(-r T_i)

so an account counts once, however many spells it had. Standard errors come from the curvature of log L at its maximum,
95 % intervals from its profile: all values at which the largest log L is within 1.92 of the maximum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import binom

from risk_core.checks import FloatArray, IntArray, frozen, require
from risk_core.errors import InputError

OUTCOMES = ("responded", "liquidated", "liquidatable", "recovered", "not seen")
"""How a spell ended: the borrower acted; somebody liquidated; the health factor fell below 1; prices brought it back;
the end was not seen (end of the data, or a change that no stored event explains)."""
RESPONDED, LIQUIDATED, LIQUIDATABLE, RECOVERED, NOT_SEEN = range(len(OUTCOMES))
LEAST_ACCOUNTS = 30
LEAST_RESPONSES = 10
"""Fewer accounts or responses are refused: intervals would cover all that is possible."""
HALF_DROP = 1.9207294103470607
"""Half of the 95 % quantile of chi-squared with one degree of freedom."""
Z = 1.959963984540054
GRID = 48


class NoFit(InputError):
    """The spells do not say how borrowers respond: too few, or a likelihood without a maximum."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spells:
    """Spells of accounts, one entry each (n,).

    account: any integer that names the account. seconds: how long the spell was, 0 or more. outcome: how it ended,
    a place in `OUTCOMES`. after: health factor just after the response, `inf` where no debt is left, NaN where there
    was no response. Raises `InputError`.
    """

    account: IntArray
    seconds: FloatArray
    outcome: IntArray
    after: FloatArray

    def __post_init__(self) -> None:
        account = frozen(self, "account", self.account, np.int64, (None,))
        seconds = frozen(self, "seconds", self.seconds, np.float64, account.shape)
        require("Spells.seconds", seconds, np.isfinite(seconds) & (seconds >= 0), "must be finite and 0 or more")
        outcome = frozen(self, "outcome", self.outcome, np.int64, account.shape)
        ok = (outcome >= 0) & (outcome < len(OUTCOMES))
        require("Spells.outcome", outcome, ok, f"must be a place in the {len(OUTCOMES)} of OUTCOMES")
        after = frozen(self, "after", self.after, np.float64, account.shape)
        ok = np.where(outcome == RESPONDED, after >= 0, np.isnan(after))
        rule = "must be a health factor where the borrower responded, and NaN elsewhere"
        require("Spells.after", after, ok, rule)

    def counts(self) -> dict[str, int]:
        """How many spells ended in each of `OUTCOMES`."""
        found = np.bincount(self.outcome, minlength=len(OUTCOMES))
        return dict(zip(OUTCOMES, found.tolist(), strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimated:
    """A number with its standard error and 95 % interval; `se` is NaN at the edge of what is possible."""

    value: float
    se: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """How borrowers respond, fitted.

    share: of the accounts, those that respond. delay: mean seconds in the zone until they do. target: median health
    factor after a response, with `quartiles` (25 %, 75 %) beside it; `inf` where the debt was repaid whole.
    """

    share: Estimated
    delay: Estimated
    target: Estimated
    quartiles: tuple[float, float]
    n_spells: int
    n_accounts: int
    n_responses: int
    log_likelihood: float

    @property
    def everybody(self) -> bool:
        """Whether the data do not exclude, at 95 %, that everybody responds and the others had too little time."""
        return self.share.high >= 1.0


def fit(spells: Spells) -> Response:
    """Fit share, delay and target to spells.

    Raises `NoFit` for fewer than `LEAST_ACCOUNTS` accounts or `LEAST_RESPONSES` responses, and where every response
    came at once, so that the delay has no likelihood with a maximum.
    """
    _, place = np.unique(spells.account, return_inverse=True)
    place = place.reshape(-1)
    n = int(place.max()) + 1 if len(place) else 0
    responses = np.bincount(place[spells.outcome == RESPONDED], minlength=n)
    total = np.bincount(place, weights=spells.seconds, minlength=n)
    n_responses = int(responses.sum())
    if n < LEAST_ACCOUNTS or n_responses < LEAST_RESPONSES:
        raise NoFit(
            f"spells: {n} accounts with {n_responses} responses are too few, {LEAST_ACCOUNTS} accounts and "
            f"{LEAST_RESPONSES} responses are needed"
        )
    once = _Likelihood(
        n_responses=n_responses,
        acted=int((responses > 0).sum()),
        acted_seconds=float(total[responses > 0].sum()),
        silent=total[responses == 0],
    )
    if not once.acted_seconds > 0:
        raise NoFit(
            f"spells: all {n_responses} responses came in the first second of a spell, so the likelihood of the delay "
            "has no maximum"
        )
    share, rate, best = once.maximum()
    share_se, delay_se = once.errors(share, rate)
    low, high = once.share_interval(share, best)
    slow, quick = once.rate_interval(rate, best)
    after = np.sort(spells.after[spells.outcome == RESPONDED])
    return Response(
        share=Estimated(value=share, se=share_se, low=low, high=high),
        delay=Estimated(value=1.0 / rate, se=delay_se, low=1.0 / quick, high=1.0 / slow),
        target=median(after),
        quartiles=(_quantile(after, 0.25), _quantile(after, 0.75)),
        n_spells=len(place), n_accounts=n, n_responses=n_responses, log_likelihood=best,
    )  # fmt: skip


def median(values: ArrayLike) -> Estimated:
    """The median of (n,) values, n from 10, `inf` allowed, with a 95 % interval that assumes no law.

    The interval goes from the k-th smallest to the k-th largest, with the largest k at which a fair coin thrown n times
    shows fewer than k heads with a chance of 2.5 % or less. se: its half width over 1.96. Raises `NoFit`.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    n = len(ordered)
    if n < LEAST_RESPONSES or np.isnan(ordered).any():
        raise NoFit(f"values: expected {LEAST_RESPONSES} numbers or more, found {n}")
    k = int(binom.ppf(0.025, n, 0.5))
    low, high = float(ordered[k - 1]), float(ordered[n - k])
    se = (high - low) / (2 * Z) if np.isfinite(high) else np.inf
    return Estimated(value=_quantile(ordered, 0.5), se=float(se), low=low, high=high)


def _quantile(ordered: FloatArray, level: float) -> float:
    """Quantile of ascending values that may be `inf`: the mean of the two in the middle where there are two."""
    at = level * (len(ordered) - 1)
    left, right = ordered[int(np.floor(at))], ordered[int(np.ceil(at))]
    return float(left if left == right else left + (at - np.floor(at)) * (right - left))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Likelihood:
    """Log L by all that it needs.

    acted: accounts that responded. acted_seconds: of all their spells. silent: (m,) seconds in spells of each account
    that never responded.
    """

    n_responses: int
    acted: int
    acted_seconds: float
    silent: FloatArray

    def value(self, share: float, rate: float) -> float:
        """Log L of both."""
        some = self.acted * np.log(share) + self.n_responses * np.log(rate) - rate * self.acted_seconds
        never = np.log1p(-share) if share < 1.0 else -np.inf
        return float(some + np.logaddexp(never, np.log(share) - rate * self.silent).sum())

    def best_share(self, rate: float) -> float:
        """The share with the largest log L at a rate: log L is concave in the share."""
        left = np.exp(-np.minimum(rate * self.silent, 700.0))

        def slope(share: float) -> float:
            return self.acted / share - float(((1.0 - left) / (1.0 - share + share * left)).sum())

        if slope(1.0) >= 0:
            return 1.0
        least = self.acted / (self.acted + len(self.silent))  # as if every silent account had had for ever
        return least if slope(least) <= 0 else float(brentq(slope, least, 1.0, xtol=1e-13))

    def best_rate(self, share: float) -> float:
        """The rate with the largest log L at a share."""
        return self._climb(lambda rate: self.value(share, rate))

    def maximum(self) -> tuple[float, float, float]:
        """(share, rate, log L) at the maximum."""
        rate = self._climb(lambda rate: self.value(self.best_share(rate), rate))
        share = self.best_share(rate)
        return share, rate, self.value(share, rate)

    def _climb(self, value: Callable[[float], float]) -> float:
        """The rate at which `value` is largest.

        At a maximum the rate is D / (T + sum of w_i T_i), w_i in [0, 1] the chance that a silent account is one that
        responds: so it lies between the two ends.
        """
        first = np.log(self.n_responses / (self.acted_seconds + float(self.silent.sum())))
        last = np.log(self.n_responses / self.acted_seconds)
        if last - first < 1e-12:
            return float(np.exp(last))
        grid = np.linspace(first, last, GRID)
        at = int(np.argmax([value(float(np.exp(x))) for x in grid]))
        ends = float(grid[max(at - 1, 0)]), float(grid[min(at + 1, GRID - 1)])
        found = minimize_scalar(
            lambda x: -value(float(np.exp(x))), bounds=ends, method="bounded", options={"xatol": 1e-10}
        )
        candidates = [float(found.x), *ends]
        return float(np.exp(max(candidates, key=lambda x: value(float(np.exp(x))))))

    def errors(self, share: float, rate: float) -> tuple[float, float]:
        """Standard errors of share and of 1 / rate, by the inverse of the negative Hessian of log L.

        The share at 1 is at the edge: its own error is NaN, and that of the delay is at a share of 1.
        """
        time, left = self.silent, np.exp(-rate * self.silent)
        below = 1.0 - share + share * left
        by_rate = self.n_responses / rate**2 - float((share * time**2 * left * (1.0 - share) / below**2).sum())
        if share >= 1.0:
            return float("nan"), float(1.0 / (rate**2 * np.sqrt(by_rate))) if by_rate > 0 else float("nan")
        by_share = self.acted / share**2 + float((((1.0 - left) / below) ** 2).sum())
        both = float((time * left / below**2).sum())
        determinant = by_share * by_rate - both**2
        if not determinant > 0:
            return float("nan"), float("nan")
        return float(np.sqrt(by_rate / determinant)), float(np.sqrt(by_share / determinant) / rate**2)

    def share_interval(self, share: float, best: float) -> tuple[float, float]:
        """Shares whose best log L is within `HALF_DROP` of the maximum."""

        def above(at: float) -> float:
            return self.value(at, self.best_rate(at)) - best + HALF_DROP

        low = _crossing(above, share, lambda x: 0.5 * x, 1e-9)
        if share >= 1.0 or above(1.0) >= 0:
            return low, 1.0
        return low, float(brentq(above, share, 1.0, xtol=1e-9))

    def rate_interval(self, rate: float, best: float) -> tuple[float, float]:
        """Rates whose best log L is within `HALF_DROP` of the maximum."""

        def above(log: float) -> float:
            return self.value(self.best_share(float(np.exp(log))), float(np.exp(log))) - best + HALF_DROP

        at = float(np.log(rate))
        slow, quick = _crossing(above, at, lambda x: x - 0.5, 1e-9), _crossing(above, at, lambda x: x + 0.5, 1e-9)
        return float(np.exp(slow)), float(np.exp(quick))


def _crossing(above: Callable[[float], float], start: float, further: Callable[[float], float], within: float) -> float:
    """Where `above` falls to 0 going away from `start`."""
    inside, outside = start, further(start)
    while above(outside) > 0:
        inside, outside = outside, further(outside)
    return float(brentq(above, inside, outside, xtol=within))
