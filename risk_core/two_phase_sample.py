"""What a two-phase sample says: quantiles, tail means and probabilities, with their errors.

Formulas are those of double sampling for stratification (J. Neyman, Journal of the American Statistical Association 33,
1938; W. G. Cochran, Sampling Techniques, 3rd ed., 1977, sections 12.2 to 12.4), with a first phase that is stratified
itself (section 5.3).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from risk_core.analytics.shares import Z95
from risk_core.checks import BELOW_ONE, SMALLEST, FloatArray, IntArray, checked_number
from risk_core.errors import InputError
from risk_core.estimates import TAIL_DRAWS, few_positive, unknown
from risk_core.tails import TailEstimate
from risk_core.tilts import effective_draws

LEAST = 2
"""Paths of a stratum without which its spread cannot be told."""
ROUNDING = 1e-12
"""Of a sum of weights: it must not move a quantile by a rank."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TwoPhaseSample:
    """Losses of the paths that were followed in full, and counts of those that were looked at before.

    n of n_paths paths were followed. loss_usd: (n,) USD. wide: (n,) int64, the first stratum of each, one of H, by how
    wide the law makes its moves. near: (n,) int64, its second stratum, one of G, by its loss on the screen's accounts.
    probability: (H,) exact, of the first strata. count: (H, G) int64, paths that the screen looked at. Samples of
    adjacent path ranges add up to the sample of both, bit for bit.
    """

    loss_usd: FloatArray
    wide: IntArray
    near: IntArray
    probability: FloatArray
    count: IntArray
    level: float
    of: str
    seed: int
    first_path: int
    n_paths: int
    screen_id: str
    code_version: str

    def __post_init__(self) -> None:
        for array in (self.loss_usd, self.wide, self.near, self.probability, self.count):
            array.setflags(write=False)

    @property
    def n_followed(self) -> int:
        """Number of paths n that were followed in full."""
        return len(self.loss_usd)

    @property
    def weight(self) -> FloatArray:
        """(n,) probability that each followed path stands for; they add up to 1. Raises `InputError`."""
        first, share = self._first(), self._share()
        return first * (share / np.bincount(self.near, first, len(share)).clip(SMALLEST))[self.near]

    def quantile(self, level: float | None = None) -> TailEstimate:
        """The `level` quantile of the loss, USD; the level that the sample was made for where none is given.

        The interval reaches 1.96 standard errors of the share below the quantile to either side (R. S. Woodruff,
        Journal of the American Statistical Association 47, 1952). Raises `InputError`.
        """
        level = self.level if level is None else checked_level(level)
        order = np.argsort(self.loss_usd, kind="stable")
        ordered, below = self.loss_usd[order], np.cumsum(self.weight[order])

        def at(share: float) -> float:
            return float(ordered[min(int(np.searchsorted(below, share - ROUNDING)), len(ordered) - 1)])

        value = at(level)
        beyond = (self.loss_usd > value) * 1.0
        half = Z95 * self._error(beyond)
        low, high = at(level - half), at(level + half)
        known = dict(low=low, high=high, se=(high - low) / (2 * Z95))
        return self._estimate(value, level, self.loss_usd >= value, beyond, known)

    def tail_mean(self, level: float | None = None) -> TailEstimate:
        """Mean of the worst 1 - level share of paths, USD: q + E[max(loss - q, 0)] / (1 - level) with q the quantile.

        The interval reaches 1.96 standard errors to either side. It needs 100 followed paths with a loss beyond the
        level, and a screen that follows all of the tail (`find_screen` with `whole_tail`). Raises `InputError`.
        """
        quantile = self.quantile(level)
        beyond = np.maximum(self.loss_usd - quantile.value, 0.0) / (1 - quantile.level)
        value, se = quantile.value + float((self.weight * beyond).sum()), self._error(beyond)
        worst, followed = int(self.count[:, -1].sum()), int((self.near == self.count.shape[1] - 1).sum())
        reason = few_positive(quantile.n_positive, "lie in the tail", TAIL_DRAWS)
        if followed < worst:
            reason = f"{followed} of the {worst} worst paths were followed; find the screen with whole_tail=True"
        known = unknown(reason) if reason else dict(low=value - Z95 * se, high=value + Z95 * se, se=se)
        return self._estimate(value, quantile.level, self.loss_usd >= quantile.value, beyond, known)

    def probability_above(self, above: float = 0.0) -> TailEstimate:
        """P(loss > above). The interval reaches 1.96 standard errors to either side. Raises `InputError`."""
        above = checked_number("above", above, rule="USD, a finite number")
        event = self.loss_usd > above
        value, se = float(self.weight[event].sum()), self._error(event * 1.0)
        reason = few_positive(int(event.sum()), "were drawn")
        known = unknown(reason) if reason else dict(low=max(value - Z95 * se, 0.0), high=value + Z95 * se, se=se)
        return self._estimate(value, 0.0, event, event * 1.0, known | dict(high=min(known["high"], 1.0)))

    def _first(self) -> FloatArray:
        """(n,) probability over the number of looked at paths, of each followed path's first stratum."""
        looked = self.count.sum(axis=1)
        if looked.min() < LEAST:
            raise self._too_few(f"{looked.min()} with moves of width {int(looked.argmin())} were looked at")
        return (self.probability / looked)[self.wide]

    def _share(self) -> FloatArray:
        """(G,) probability of each second stratum, as the first phase tells it."""
        share = (self.probability / self.count.sum(axis=1)) @ self.count
        followed = np.bincount(self.near, minlength=len(share))
        few = np.flatnonzero(followed < np.minimum(self.count.sum(axis=0), LEAST))
        if len(few):
            raise self._too_few(f"{followed[few[0]]} in screen stratum {few[0]} were followed")
        return np.asarray(share)

    def _too_few(self, found: str) -> InputError:
        return InputError(f"n_paths: of {self.n_paths:,} paths {found}, {LEAST} are needed; take more paths")

    def _error(self, values: FloatArray) -> float:
        """Standard error of the weighted sum of `values` (n,); too large where a second stratum tells little."""
        first, share = self._first(), self._share()
        groups, followed = len(share), np.bincount(self.near, minlength=len(share))
        whole = np.bincount(self.near, first, groups).clip(SMALLEST)
        mean = np.bincount(self.near, first * values, groups) / whole
        off = (values - mean[self.near]) ** 2
        more = followed / np.maximum(followed - 1, 1)
        spread = np.bincount(self.near, first * off, groups) / whole * more
        # Second phase: the mean of each stratum is that of the paths followed. None is added where all were.
        left = 1 - followed / np.maximum(self.count.sum(axis=0), 1)
        second = ((share / whole) ** 2 * np.bincount(self.near, first**2 * off, groups) * more * left).sum()
        # First phase: the spread of `values` in each first stratum, within its second strata and between them.
        looked = self.count.sum(axis=1)
        part = self.count / looked[:, None]
        between = part @ (spread + mean**2) - (part @ mean) ** 2
        return float(np.sqrt(second + (self.probability**2 * between / (looked - 1)).sum()))

    def _estimate(
        self, value: float, level: float, tail: np.ndarray, measured: FloatArray, known: dict[str, Any]
    ) -> TailEstimate:
        """`measured`: what the figure is the mean of, for the variance of as many plain paths."""
        weight, positive, se = self.weight, tail & (self.loss_usd > 0), self._error(measured)
        mean = float((weight * measured).sum())
        variance = float((weight * (measured - mean) ** 2).sum()) / self.n_followed
        return TailEstimate(
            value=value,
            level=level,
            n_paths=self.n_followed,
            n_positive=int(positive.sum()),
            effective_draws=effective_draws(weight[positive]) if positive.any() else 0.0,
            variance_reduction=variance / se**2 if se > 0 else float("nan"),
            **known,
        )

    def __add__(self, other: TwoPhaseSample) -> TwoPhaseSample:
        for name in ("screen_id", "level", "of", "seed", "code_version"):
            if getattr(self, name) != getattr(other, name):
                raise InputError(f"two-phase samples with another {name.removesuffix('_id')} cannot be added")
        if other.first_path != self.first_path + self.n_paths:
            raise InputError(
                f"the second sample begins at path {other.first_path}, expected {self.first_path + self.n_paths}"
            )
        joined = {
            name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in ("loss_usd", "wide", "near")
        }
        return replace(self, **joined, count=self.count + other.count, n_paths=self.n_paths + other.n_paths)


def checked_level(level: float) -> float:
    """`level`, or `InputError` where it is no number between 0 and 1."""
    return checked_number("level", level, SMALLEST, BELOW_ONE, "a number between 0 and 1; 0.99 is 99 %")
