"""When an oracle's feeds say a new price: neither at every move, nor at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from risk_core.checks import FloatArray, frozen, require
from risk_core.oracles import FeedTimes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Feeds:
    """The feed of each of R reserves: when it answers, and when the answer can be read. All (R,).

    deviation: relative move of the market's price from the last answer at which it answers again: 0.005 is 0.5 %; 0,
    at every step. heartbeat: seconds after which it answers in any case; inf, never. lag: seconds from an answer until
    the protocol reads it (the fallback delay of an auctioned feed is one), rounded to whole steps: below half a step it
    has no effect, so choose steps to match. age: seconds since the last answer at the snapshot. At the snapshot the
    answer is the market's price.

    `simulate(..., feeds=...)` lets health factors see the answers, under the caps of the oracle; a sale sees the
    market. A price that is linked or constant has no feed; a ratio to a base is the market's, times what the base's
    feed says. Raises `InputError`.
    """

    deviation: FloatArray
    heartbeat: FloatArray
    lag: FloatArray
    age: FloatArray

    def __post_init__(self) -> None:
        n = len(frozen(self, "deviation", self.deviation, np.float64, (None,)))
        for name, rule in (
            ("deviation", "must be a fraction in [0, 1]"),
            ("heartbeat", "must be seconds above 0, inf for none"),
            ("lag", "must be finite seconds, at least 0"),
            ("age", "must be finite seconds, at least 0"),
        ):
            array = frozen(self, name, getattr(self, name), np.float64, (n,))
            with np.errstate(invalid="ignore"):
                good = {
                    "deviation": (array >= 0) & (array <= 1),
                    "heartbeat": array > 0,
                    "lag": np.isfinite(array) & (array >= 0),
                    "age": np.isfinite(array) & (array >= 0),
                }[name]
            require(f"Feeds.{name}", array, good, rule)

    @classmethod
    def alike(
        cls,
        n_reserves: int,
        *,
        deviation: float = 0.0,
        heartbeat: float = float("inf"),
        lag: float = 0.0,
        age: float = 0.0,
    ) -> Feeds:
        """The same times for every reserve, in the units above."""
        return cls(**{
            name: np.full(n_reserves, value)
            for name, value in (("deviation", deviation), ("heartbeat", heartbeat), ("lag", lag), ("age", age))
        })  # fmt: skip

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Feeds):
            return NotImplemented
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]

    def times(self, step: timedelta) -> FeedTimes:
        """The times in steps."""
        seconds = step.total_seconds()
        return FeedTimes(
            deviation=self.deviation, heartbeat=self.heartbeat / seconds, age=self.age / seconds,
            lag=np.floor(self.lag / seconds + 0.5).astype(np.int64),
        )  # fmt: skip
