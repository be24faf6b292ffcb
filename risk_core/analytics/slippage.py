"""What a sale costs: a slippage curve through the quotes of one pair, and how large a sale still pays a liquidator.

A quote is a size and what it brings in, both in USD at oracle prices. Slippage is the share that is lost,

    s(q) = 1 - received(q) / q.

`fit` first refuses quotes that cannot stand beside the others, each with its reason, then takes the isotonic regression
(pool adjacent violators) of slippage on size: what a larger sale costs is never less. Between two quotes the logarithm
of what is kept, 1 - s, is linear in the logarithm of the size; below the first, slippage is linear in the size. So what
a sale brings in never falls with its size: with k the slope, received(q) grows as q^(1-k), and k is at most 1 exactly
where the larger quote brings in no less. Beyond the last quote the curve goes on at the last slope, or at the slope of
a constant-product pool (k = s) where that is steeper. No quote stands behind that part: it is a lower bound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression

from risk_core.checks import (
    BELOW_ONE,
    BoolArray,
    FloatArray,
    checked_array,
    checked_kind,
    checked_number,
    frozen,
    n_axes,
    require,
    require_rising,
)
from risk_core.errors import InputError
from risk_core.liquidity import Impact

MOST = 0.995
"""Slippage is counted up to here; a sale that loses more is not told apart."""
FIRST = 0.5
"""Slippage of the smallest quote up to which what is below it can be drawn as a line whose receipts do not fall."""
SAME = 1e-9
"""Sizes that differ by less than this share are one size: between them no slope can be told."""
GAIN = 0.01
"""Share above its size that a quote may bring in, since the oracle and the market differ; more is an error of units."""

USED, BEATEN, LESS, GAINS = "used", "beaten", "less for more", "too good"
STATES = {
    USED: "the curve rests on it",
    BEATEN: "another quote of the same size brings in more",
    LESS: "a smaller sale brings in more",
    GAINS: f"brings in over {GAIN:.0%} more than its size; is a unit wrong?",
}
"""What became of a quote, and why."""


@dataclass(frozen=True, slots=True, eq=False)
class SlippageCurve:
    """Slippage of one pair against size.

    `size_usd` (K,): USD, rising from above 0. `slippage` (K,): fractions in [0, 0.995], not falling. What a sale
    brings in, size x (1 - slippage), must not fall either. Raises `InputError`.
    """

    size_usd: FloatArray
    slippage: FloatArray

    def __post_init__(self) -> None:
        size = frozen(self, "size_usd", self.size_usd, np.float64, (None,))
        if not len(size):
            raise InputError("SlippageCurve.size_usd: expected at least one size, found none")
        require("SlippageCurve.size_usd", size, np.isfinite(size) & (size > 0), "must be positive USD")
        require_rising("SlippageCurve.size_usd", size, strictly=True)
        apart = np.diff(size, prepend=0.0) > SAME * size
        require("SlippageCurve.size_usd", size, apart, "must be at least a billionth above the one before")
        lost = frozen(self, "slippage", self.slippage, np.float64, size.shape)
        require("SlippageCurve.slippage", lost, (lost >= 0) & (lost <= MOST), f"must be in [0, {MOST}]")
        require_rising("SlippageCurve.slippage", lost, strictly=False)
        if lost[0] > FIRST:
            raise InputError(
                f"SlippageCurve.slippage: the smallest size, {size[0]:,.0f} USD, already loses {lost[0]:.1%}; a curve "
                f"needs a size that loses at most {FIRST:.0%}"
            )
        received = size * (1 - lost)
        ok = np.diff(received, prepend=0.0) >= -1e-9 * received
        require("SlippageCurve.slippage", lost, ok, "a smaller sale would bring in more")

    @property
    def last_usd(self) -> float:
        """The largest size with a quote, USD; beyond it slippage is a lower bound."""
        return float(self.size_usd[-1])

    @property
    def _slopes(self) -> FloatArray:
        """(K,) fall of ln(1 - s) over ln(size) behind each point; the last is that of the part without quotes."""
        kept = np.log1p(-self.slippage)
        inner = -np.diff(kept) / np.diff(np.log(self.size_usd))
        beyond = max(float(inner[-1]) if len(inner) else 0.0, float(self.slippage[-1]))
        return np.minimum(np.append(inner, beyond), 1.0)

    def slippage_at(self, size_usd: ArrayLike) -> FloatArray:
        """Share lost by selling `size_usd` (any shape, USD >= 0) at once, in [0, 0.995]."""
        return self._at(_sizes(size_usd))[0]

    def received(self, size_usd: ArrayLike) -> FloatArray:
        """USD that a sale of `size_usd` brings in, of its shape. It never falls with size up to a slippage of 0.995."""
        size = _sizes(size_usd)
        return size * (1 - self._at(size)[0])

    def marginal_price(self, size_usd: ArrayLike) -> FloatArray:
        """Of the next dollar sold after `size_usd`, the share that comes in: the slope of `received`."""
        return self._at(_sizes(size_usd))[1]

    def is_lower_bound(self, size_usd: ArrayLike) -> BoolArray:
        """True where no quote is as large."""
        return np.asarray(_sizes(size_usd) > self.last_usd)

    def size_within(self, slippage: float) -> float:
        """The largest size that loses at most `slippage` (fraction in [0, 0.995]), USD; `inf` where none loses more.

        A size beyond the last quote is too large, as slippage there is a lower bound. 0 where any sale loses more.
        """
        limit = checked_number("slippage", slippage, 0.0, MOST, f"a fraction in [0, {MOST}]")
        if limit >= MOST:
            return float("inf")
        k = int(np.searchsorted(self.slippage, limit, side="right"))
        if k == 0:
            return float(self.size_usd[0] * limit / self.slippage[0])
        slope = float(self._slopes[k - 1])
        if slope <= 0:
            return float("inf") if k == len(self.size_usd) else float(self.size_usd[k])
        ratio = (np.log1p(-self.slippage[k - 1]) - np.log1p(-limit)) / slope
        with np.errstate(over="ignore"):
            return float(self.size_usd[k - 1] * np.exp(ratio))

    def shrunk(self, haircut: float) -> SlippageCurve:
        """The curve with `haircut` (fraction below 1) of the depth gone: s'(q) = s(q / (1 - haircut))."""
        gone = checked_number("haircut", haircut, 0.0, BELOW_ONE, "a fraction in [0, 1)")
        return SlippageCurve(self.size_usd * (1 - gone), self.slippage)

    def _at(self, size: FloatArray) -> tuple[FloatArray, FloatArray]:
        first, lost = self.size_usd[0], self.slippage[0]
        k = np.maximum(np.searchsorted(self.size_usd, size, side="right") - 1, 0)
        slope = self._slopes[k]
        below = size < first
        with np.errstate(divide="ignore"):
            ratio = np.log(np.where(below, first, size) / self.size_usd[k])
        kept = np.where(below, 1 - lost * size / first, np.exp(np.log1p(-self.slippage[k]) - slope * ratio))
        marginal = np.where(below, 1 - 2 * lost * size / first, (1 - slope) * kept)
        over = kept < 1 - MOST
        return np.where(over, MOST, 1 - kept), np.where(over, 1 - MOST, marginal)


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A curve and what became of each quote: `state` (N,), one of `STATES`, in the order of the quotes."""

    curve: SlippageCurve
    state: tuple[str, ...]


def fit(size_usd: ArrayLike, received_usd: ArrayLike) -> Fit:
    """The slippage curve through N quotes of one pair, in any order.

    size_usd, received_usd: (N,) USD at oracle prices, positive and finite. Of two quotes of one size the better one is
    used: it is what a seller would take. A quote that brings in over 1 % more than its size is refused, and then one
    that brings in less than a smaller one does. Raises `InputError` for quotes that are not finite and positive, where
    every quote is refused, and where the smallest already loses more than half.
    """
    size = checked_array("size_usd", size_usd, np.float64, (None,))
    received = checked_array("received_usd", received_usd, np.float64, size.shape)
    if not len(size):
        raise InputError("size_usd: expected at least one quote, found none")
    for label, values in (("size_usd", size), ("received_usd", received)):
        require(label, values, np.isfinite(values) & (values > 0), "must be positive USD")
    state = [GAINS if got > amount * (1 + GAIN) else USED for amount, got in zip(size, received, strict=True)]
    best, last = 0.0, None
    used: list[int] = []
    rising = np.argsort(size, kind="stable")
    group = np.empty(len(size), dtype=np.int64)
    group[rising] = np.cumsum(np.diff(size[rising], prepend=0.0) > SAME * size[rising])
    for i in np.lexsort((-received, group)):
        if state[i] == GAINS:
            continue
        if last is not None and group[i] == group[last]:
            state[i] = BEATEN
            continue
        last = i
        if received[i] < best:
            state[i] = LESS
            continue
        best = received[i]
        used.append(int(i))
    if not used:
        raise InputError(f"received_usd: every quote brings in over {GAIN:.0%} more than its size; is a unit wrong?")
    lost = np.clip(1 - received[used] / size[used], 0.0, MOST)
    fitted = np.maximum.accumulate(np.clip(isotonic_regression(lost).x, 0.0, MOST))  # its sums round
    return Fit(SlippageCurve(size[used], fitted), tuple(state))


def slippage_limit(*, bonus: float, protocol_fee: float, flash_fee: float = 0.0005) -> float:
    """The slippage at which a liquidation of any size earns nothing, before gas: fraction in [0, 1).

    Of a repaid dollar the liquidator sells 1 + bonus (1 - protocol_fee), and owes 1 + flash_fee. All are fractions:
    `bonus` 0.05 is 5 %, `protocol_fee` the pool's share of the bonus. 0 where even a sale without loss earns nothing.
    """
    seized = 1 + _fraction("bonus", bonus) * (1 - _fraction("protocol_fee", protocol_fee))
    return max(1 - (1 + _fraction("flash_fee", flash_fee)) / seized, 0.0)


def liquidator_profit(
    curve: SlippageCurve,
    repaid_usd: ArrayLike,
    *,
    bonus: float,
    protocol_fee: float,
    flash_fee: float = 0.0005,
    gas_usd: float = 0.0,
    bid_share: float = 0.0,
    sold_before_usd: float = 0.0,
) -> FloatArray:
    """What a liquidator keeps, USD, of the shape of `repaid_usd` (USD >= 0); below 0 is a loss that nobody takes.

        seized = repaid (1 + bonus (1 - protocol_fee))
        profit = received(sold_before + seized) - received(sold_before) - repaid (1 + flash_fee) - gas

    `sold_before_usd` was sold into the same depth first. `bid_share` of a profit is paid for being first (an auction of
    the oracle update); a loss pays no bid. The exactness of the amounts is the engine's; this says who would act.
    """
    repaid = _sizes(repaid_usd, "repaid_usd")
    seized = 1 + _fraction("bonus", bonus) * (1 - _fraction("protocol_fee", protocol_fee))
    gas = checked_number("gas_usd", gas_usd, 0.0, rule="USD >= 0")
    before = checked_number("sold_before_usd", sold_before_usd, 0.0, rule="USD >= 0")
    gained = curve.received(before + repaid * seized) - curve.received(before)
    gross = gained - repaid * (1 + _fraction("flash_fee", flash_fee)) - gas
    return np.where(gross > 0, gross * (1 - _fraction("bid_share", bid_share)), gross)


def impact_of(curves: tuple[SlippageCurve | None, ...], **options: object) -> Impact:
    """The engine's `Impact` of R reserves with these curves; None: no sale moves it. `options`: those of `Impact`.

    A multiplier is the price of the next dollar. It is taken at the middle of each part of the curve and never rises,
    so what a sale brings in differs a little from `received`. The part without quotes goes on at the last slope.
    """
    if not isinstance(curves, tuple) or not curves:
        raise InputError(f"curves: expected a tuple with a curve or None for each reserve, found {curves!r:.60}")
    points = [([0.0, 1.0], [1.0, 1.0]) if curve is None else _marginal(curve) for curve in curves]
    most = max(len(sold) for sold, _ in points)
    rows = [_padded(*point, most) for point in points]
    sold, price = (np.array([row[n] for row in rows]) for n in range(2))
    return Impact(sold_usd=sold, price=price, **options)  # type: ignore[arg-type]


def _marginal(curve: SlippageCurve) -> tuple[list[float], list[float]]:
    """Sizes from 0 and the price of the next dollar there, strictly falling after the first."""
    checked_kind("curves", curve, SlippageCurve)
    ends = np.append(curve.size_usd, curve.last_usd * 4)
    middle = np.concatenate([[curve.size_usd[0] / 2], np.sqrt(ends[:-1] * ends[1:])])
    price = np.minimum.accumulate(curve.marginal_price(middle))
    sold, falls = [0.0], [1.0]
    for at, now in zip(middle, price, strict=True):
        if now < falls[-1]:
            sold.append(float(at))
            falls.append(float(now))
    return (sold, falls) if len(sold) > 1 else ([0.0, 1.0], [1.0, 1.0])


def _padded(sold: list[float], price: list[float], most: int) -> tuple[list[float], list[float]]:
    """The points with more of them on the last line, so that every reserve has as many and none ends flat."""
    size, fall = sold[-1] - sold[-2], price[-1] / price[-2]
    for _ in range(most - len(sold)):
        sold, price = [*sold, sold[-1] + size], [*price, price[-1] * fall]
    return sold, price


def _sizes(values: ArrayLike, label: str = "size_usd") -> FloatArray:
    sizes = checked_array(label, values, np.float64, (None,) * n_axes(values))
    require(label, np.atleast_1d(sizes), np.atleast_1d(np.isfinite(sizes) & (sizes >= 0)), "must be USD >= 0")
    return sizes


def _fraction(label: str, value: object) -> float:
    return checked_number(label, value, 0.0, 1.0, "a fraction in [0, 1]")
