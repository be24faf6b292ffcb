"""What waiting would have brought: the health factor along later prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from risk_core.checks import FloatArray, IntArray, checked_array, checked_int
from risk_core.errors import InputError


@dataclass(frozen=True, slots=True)
class Waited:
    """Had everyone waited `wait` seconds: the health factor at the stored time `at`, and whether it was 1 or more.

    None where no price is stored near enough, or none of a reserve that is held.
    """

    wait: int
    at: int | None
    health_factor: float | None
    saved: bool | None


def waited(times: ArrayLike, health: ArrayLike, since: int, waits: Sequence[int], slack: int) -> tuple[Waited, ...]:
    """What waiting would have brought, for each of `waits` seconds after `since`.

    times: (T,) UTC seconds, strictly rising; health: (T,) without the liquidation, NaN where not known. The stored time
    that is nearest to the end of the wait speaks for it, if it is after `since` and no further away than `slack`
    seconds and a half of the wait.
    """
    t = checked_array("times", times, np.int64, (None,))
    h = checked_array("health", health, np.float64, (len(t),))
    if len(t) > 1 and not (np.diff(t) > 0).all():
        raise InputError("times: expected strictly rising seconds")
    since, slack = checked_int("since", since, 0), checked_int("slack", slack, 0)
    found = []
    for wait in waits:
        wait = checked_int("waits", wait, 1)
        after = np.flatnonzero(t > since)
        place = after[np.argmin(np.abs(t[after] - since - wait))] if len(after) else None
        if place is None or abs(int(t[place]) - since - wait) > min(slack, wait // 2) or np.isnan(h[place]):
            found.append(Waited(wait, None, None, None))
        else:
            found.append(Waited(wait, int(t[place]), float(h[place]), bool(h[place] >= 1)))
    return tuple(found)


def first_safe(times: IntArray, health: FloatArray, since: int) -> int | None:
    """The first of the times (T,) after `since` at which a health factor (T,) is 1 or more, None for none."""
    safe = np.flatnonzero((np.asarray(times) > since) & (np.asarray(health) >= 1))
    return int(times[safe[0]]) if len(safe) else None
