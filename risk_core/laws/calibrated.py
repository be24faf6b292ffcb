"""Price laws by name: which law, and how its volatility weighs past returns.

The two-speed memory and the weekday factors were chosen on hourly Binance prices of 2021 and 2022. A law listed here is
not proven right: `python -m flows backtest` says whether it holds on other prices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import log, sqrt
from types import MappingProxyType
from typing import Any

import numpy as np

from risk_core.analytics.dependence import DECAY
from risk_core.analytics.volatility import TWO_SPEED, Memory
from risk_core.checks import FloatArray
from risk_core.errors import InputError
from risk_core.laws.gbm import GBM
from risk_core.laws.jumps import Jumps
from risk_core.laws.law import Law
from risk_core.laws.student_t import StudentT

ONE_SPEED = Memory(half_lives=(24 * log(0.5) / log(DECAY),), weights=(1.0,))
"""RiskMetrics: a daily decay of 0.94, which is a half-life of 11.2 days."""
JUMP_SHARE = 0.3
"""Share of the variance that jumps carry; with one jump in ten days and a mean of one daily deviation down, a jump's
own deviation is then the root of two. A guess that passed on 2021 and 2022, not an estimate."""
JUMPS_A_YEAR = 36.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """A law: its `name`, its description for readers in `words`, and the `memory` of its volatility.

    `shape` gives, for the total annual volatility (F,), the part of it that is normal moves, (F,), and the law.
    """

    name: str
    words: str
    memory: Memory
    shape: Callable[[FloatArray], tuple[FloatArray, Law]]

    def record(self) -> dict[str, Any]:
        """Its name and all its numbers but the volatility, ready for JSON: stored with a calibration as its method."""
        _, law = self.shape(np.ones(1))
        numbers = {key: value for key, value in asdict(law).items() if key != "beta"}  # type: ignore[call-overload]
        return {
            "name": self.name,
            "law": type(law).__name__,
            **numbers,
            "half_lives_hours": list(self.memory.half_lives),
            "weights": list(self.memory.weights),
            "week": list(self.memory.week),
        }


def _normal(volatility: FloatArray) -> tuple[FloatArray, Law]:
    return volatility, GBM()


def _student(nu: float) -> Callable[[FloatArray], tuple[FloatArray, Law]]:
    return lambda volatility: (volatility, StudentT(nu))


def _jumps(volatility: FloatArray) -> tuple[FloatArray, Law]:
    daily = volatility / sqrt(365)
    own = sqrt(JUMP_SHARE * 365 / JUMPS_A_YEAR - 1.0)
    law = Jumps(intensity=JUMPS_A_YEAR, mean=-1.0, deviation=own, beta=tuple(daily.tolist()))
    return volatility * sqrt(1.0 - JUMP_SHARE), law


_SLOW = "volatility of two speeds (half-lives 1 and 90 days) and quiet weekends"
CALIBRATED = MappingProxyType({
    law.name: law
    for law in (
        Calibrated(
            name="normal", memory=ONE_SPEED, shape=_normal,
            words="normal moves, volatility that forgets half in 11 days",
        ),
        Calibrated(
            name="t4", memory=ONE_SPEED, shape=_student(4.0),
            words="Student-t moves with 4 degrees, volatility that forgets half in 11 days",
        ),
        Calibrated(
            name="t5", memory=ONE_SPEED, shape=_student(5.0),
            words="Student-t moves with 5 degrees, volatility that forgets half in 11 days",
        ),
        Calibrated(name="two-speed-normal", memory=TWO_SPEED, shape=_normal, words=f"normal moves, {_SLOW}"),
        Calibrated(
            name="two-speed-t5", memory=TWO_SPEED, shape=_student(5.0),
            words=f"Student-t moves with 5 degrees, {_SLOW}",
        ),
        Calibrated(
            name="two-speed-jumps", memory=TWO_SPEED, shape=_jumps, words=f"normal moves and common jumps, {_SLOW}",
        ),
    )
})  # fmt: skip
"""Every law by name."""
DEFAULT = "two-speed-t5"
"""The law of a risk run that names no other. On hourly ETH and BTC of April 2021 to December 2022, where it was chosen,
it held at 95 and 99 % on both and on their mix; `normal` was exceeded 2.5 to 3 times too often at 99 %."""


def calibrated(name: str) -> Calibrated:
    """The law called `name`. Raises `InputError` that lists the names."""
    if not isinstance(name, str) or name not in CALIBRATED:
        raise InputError(f"law: expected one of {', '.join(CALIBRATED)}, found {name!r:.60}")
    return CALIBRATED[name]
