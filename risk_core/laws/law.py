"""What every law of price moves gives the engine, with defaults for what most laws do not need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import ClassVar

import numpy as np

from risk_core.checks import FloatArray
from risk_core.errors import InputError


class Law:
    """A law of price moves, whose scale is a scenario's volatility and correlation. F factors.

    A law is a frozen record that checks itself; its `code` tells the kernels which loop to run. Arrays are float64;
    `years` is the length of one step.
    """

    __slots__ = ()
    code: ClassVar[int]
    draws_normals: ClassVar[bool] = True
    """Whether prices are made of normal draws, which importance sampling and quasi-random numbers can steer."""

    def check(self, factors: Sequence[str], years: float) -> None:
        """Raise `InputError` where the law does not fit these factors or this step; by default it fits any."""

    def takes(self, factors: Sequence[str], years: float) -> bool:
        """Whether it fits these factors and this step."""
        try:
            self.check(factors, years)
        except InputError:
            return False
        return True

    def covariance(self, volatility: FloatArray, correlation: FloatArray, years: float) -> FloatArray:
        """(F, F) of the normal log moves of one step."""
        return np.outer(volatility, volatility) * correlation * years

    def total_covariance(self, volatility: FloatArray, correlation: FloatArray, years: float) -> FloatArray:
        """(F, F) of the log moves over `years`, with all that the law adds to the normal ones."""
        return self.covariance(volatility, correlation, years)

    def drift(self, volatility: FloatArray, start: FloatArray, years: float) -> FloatArray:
        """(F,) log drift of one step; start: (F,) relative price at time 0. By default expected prices stay there."""
        return -0.5 * volatility**2 * years

    def parameters(self, n_factors: int, years: float) -> FloatArray:
        """(P, F) the numbers that the law's loop reads for one step; P and their order are the loop's."""
        return np.zeros((0, n_factors))

    def history(self, n_factors: int, years: float) -> FloatArray:
        """(T, F) rows that are drawn in place of normals, uncorrelated and of variance 1; no row where none are."""
        return np.zeros((0, n_factors))


def number(label: str, value: object, rule: str, good: bool | np.bool_) -> None:
    """Raise `InputError` unless `good`."""
    if not good:
        raise InputError(f"{label}: is {value!r:.80}; {rule}")


def finite(value: object) -> bool:
    """Whether `value` is a number, and finite."""
    if not isinstance(value, Real) or isinstance(value, bool | np.bool_):
        return False
    try:
        return bool(np.isfinite(float(value)))
    except OverflowError:  # an integer beyond every float
        return False


def one_for_each(label: str, given: object, low: float, high: float, rule: str, else_: str = "") -> tuple[float, ...]:
    """`given` as floats in [low, high], or `InputError`."""
    # Python reads bytes as numbers, and the order of a set or a mapping is not that of the factors.
    if isinstance(given, bytes | bytearray | set | frozenset | Mapping):
        raise InputError(f"{label}: is {given!r:.80}; must be one number for each factor, in their order{else_}")
    try:
        values = tuple(given)  # type: ignore[call-overload]
    except TypeError as exc:
        raise InputError(f"{label}: is {given!r:.80}; must be one number for each factor{else_}") from exc
    for i, value in enumerate(values):
        number(f"{label}: entry {i}", value, rule, finite(value) and low <= float(value) <= high)
    return tuple(float(value) for value in values)


def fits(label: str, values: Sequence[float], factors: Sequence[str]) -> None:
    """Raise `InputError` unless there is one value for each factor."""
    if len(values) != len(factors):
        raise InputError(f"{label}: expected {len(factors)} numbers, one for each factor, found {len(values)}")
