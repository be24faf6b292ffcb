"""Borrowers who repay when they are close to liquidation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import ceil

import numpy as np

from risk_core.checks import IntArray, checked_duration, checked_int, checked_number
from risk_core.errors import InputError

BoolArray = np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Borrowers:
    """How borrowers respond when `simulate(..., borrowers=...)` lets them.

    At the end of each step a borrower whose health factor lies in [1, zone), at the oracle's prices, has been warned
    for one more step. A responsive one who has been warned for `delay`, in all, repays every debt by the same share,
    from outside the market, so that the health factor is `target`; then the count begins anew. Below 1 nobody responds.

    share: of the accounts, those that respond; which ones depends on `seed` and the account's place in the market
    alone, so they are the same on every path and in every scenario. delay: rounded up to whole steps, one at least.
    zone: from 1. target: at least the zone. By default share and delay are what the open simulator `spine` fitted to
    one market of bitcoin collateral (0.6 to 0.7 of the accounts, 1 to 2 hours), and zone and target are assumed:
    nothing of it is fitted to the market at hand. Raises `InputError`.
    """

    share: float = 0.65
    delay: timedelta = timedelta(hours=1)
    zone: float = 1.1
    target: float = 1.25
    seed: int = 0

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "share", checked_number("Borrowers.share", self.share, 0.0, 1.0, "a share in [0, 1]"))
        checked_duration("Borrowers.delay", self.delay)
        set_(self, "zone", checked_number("Borrowers.zone", self.zone, 1.0, 100.0, "a health factor from 1 to 100"))
        set_(self, "target", checked_number("Borrowers.target", self.target, 1.0, 100.0, "a health factor, 1 to 100"))
        if self.target < self.zone:
            raise InputError(
                f"Borrowers.target: expected at least the zone, {self.zone:g}, found {self.target:g}; below it a "
                "borrower would be warned again at once"
            )
        set_(self, "seed", checked_int("Borrowers.seed", self.seed, 0))

    def steps(self, step: timedelta) -> int:
        """Steps of a warning, at least 1."""
        return max(ceil(self.delay / step - 1e-9), 1)

    def responsive(self, place: IntArray) -> BoolArray:
        """(n,) whether the account in each `place` (n,) of the market responds: its hash is below `share`.

        The hash is the finalizer of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
        generators", OOPSLA 2014), of the place and the seed.
        """
        mask = (1 << 64) - 1
        start = np.uint64((self.seed * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) & mask)
        with np.errstate(over="ignore"):
            z = (np.asarray(place).astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) ^ start
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            z ^= z >> np.uint64(31)
        return (z >> np.uint64(11)) * 2.0**-53 < self.share
