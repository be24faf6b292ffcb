"""From stored liquidations to a fitted process and the chance of a cluster, with what a simpler model would say."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from data.liquidations import BLOCK_SECONDS, HOUR, OTHER, StoredLiquidations, events_of
from flows.errors import FlowError
from risk_core.analytics import hawkes

SPLIT = 0.75
"""Share of the window that is fitted in order to test the fit on the rest."""
LEAST = 200
"""Liquidations below which nothing is fitted."""
LEAST_DAYS = 7
"""Days of history below which nothing is fitted: a rate from a few hours says nothing about a day."""
LEAST_OF_A_KIND = 60
"""A kind with fewer is counted among "other"."""
RIVAL_STARTS = 2
"""Points at which the search for two exponentials begins: a third found nothing likelier, and costs a third more."""
HOURS_OF_DAY = 24
"""Base rates in a day where they follow the hour."""
METHOD = {
    "version": 4,
    "model": "multivariate Hawkes, one exponential, shared decay",
    "beside it": "the same with two exponentials; with base rates that follow the hour of the day, in the shape of all "
    "kinds together; Weibull renewal processes, one a kind; Poisson processes of constant rates",
    "unit": "hours",
    "ties": f"spread evenly over at most {BLOCK_SECONDS} s",
    "split": SPLIT,
}


class TooFewEvents(FlowError):
    """The stored liquidations are too few to fit."""


class TwoSpeed(NamedTuple):
    """The same process with a fast and a slow exponential, and its judgement on the days that it did not see."""

    fit: hawkes.Fit
    gain_out_of_sample: float


class ByHour(NamedTuple):
    """The same process with base rates that follow the hour of the day, UTC.

    pooled: the fit to all kinds together, one base rate an hour, from the hour `first` on; the shape of `fit` is its.
    """

    first: int
    pooled: hawkes.Fit
    fit: hawkes.Fit
    gain_out_of_sample: float

    def rates(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(24,) base rates of all kinds together from 0 h UTC on, with the ends of their intervals."""
        found = (self.pooled.model.mu[0], self.pooled.mu_low[0], self.pooled.mu_high[0])
        low, mid, high = (np.roll(values, self.first) for values in (found[1], found[0], found[2]))
        return mid, low, high


class Renewal(NamedTuple):
    """Renewal processes with Weibull gaps, one for each kind: (D,) shape and scale in hours."""

    shape: np.ndarray
    scale: np.ndarray
    log_likelihood: float
    gain_out_of_sample: float


class Fitted(NamedTuple):
    """A fit and how good it is; gains are log-likelihood per event above Poisson processes of constant rates."""

    id: str
    names: tuple[str, ...]
    events: hawkes.EventTimes
    fit: hawkes.Fit
    poisson: float
    gain_in_sample: float
    gain_out_of_sample: float
    ks_statistic: float
    ks_p: float
    two_speed: TwoSpeed
    by_hour: ByHour
    renewal: Renewal


def enough(found: StoredLiquidations) -> None:
    """Raise `TooFewEvents`, with what is missing, where the liquidations cannot be fitted and judged."""
    ask = "Read more with `python -m flows lending-events`, or ask for more --days"
    if len(found.seconds) < LEAST:
        raise TooFewEvents(
            f"{len(found.seconds)} liquidations are stored between {found.first} and {found.last}; a fit needs at "
            f"least {LEAST}. {ask}"
        )
    if found.last - found.first < LEAST_DAYS * 24 * HOUR:
        raise TooFewEvents(
            f"the stored liquidations begin {(found.last - found.first) / HOUR:.0f} h before the snapshot; a fit needs "
            f"at least {LEAST_DAYS} days. {ask}"
        )
    split = found.first + SPLIT * (found.last - found.first)
    early = int((found.seconds <= split).sum())
    if early < hawkes.LEAST_EVENTS:
        raise TooFewEvents(
            f"{early} of {len(found.seconds)} liquidations lie in the first {SPLIT:.0%} of the window, which is fitted "
            f"to judge the rest; at least {hawkes.LEAST_EVENTS} are needed. {ask}"
        )


def kinds_of(found: StoredLiquidations) -> tuple[str, ...]:
    """Names of the kinds that are fitted, most frequent first; rare ones are together `OTHER`, which comes last."""
    counts = Counter(found.kinds)
    named = sorted((k for k, n in counts.items() if n >= LEAST_OF_A_KIND and k != OTHER), key=lambda k: -counts[k])
    return (*named, OTHER) if set(counts) - set(named) else tuple(named)


def fitted(found: StoredLiquidations) -> Fitted:
    """Fit the window, and judge the fit: in the window, on its last quarter (fitted to the rest), by its residuals.

    Raises `TooFewEvents`.
    """
    enough(found)
    names = kinds_of(found)
    events = events_of(found, names)
    fit = hawkes.fit(events)
    poisson = hawkes.poisson_log_likelihood(events)
    split = SPLIT * events.end
    before = events.until(split)
    flat = hawkes.poisson_process(before)
    later = max(len(events) - len(before), 1)
    simple = hawkes.out_of_sample(flat, events, split)
    gain = hawkes.out_of_sample(hawkes.fit(before).model, events, split) - simple
    slower = hawkes.fit(before, exponentials=2, starts=RIVAL_STARTS).model
    two_speed = TwoSpeed(
        fit=hawkes.fit(events, exponentials=2, starts=RIVAL_STARTS),
        gain_out_of_sample=(hawkes.out_of_sample(slower, events, split) - simple) / later,
    )
    statistic, p = hawkes.residual_test(fit.model, events)
    content = json.dumps([METHOD, names, events.times.tolist(), events.kinds.tolist(), events.end, found.first])
    return Fitted(
        id=hashlib.sha256(content.encode()).hexdigest(),
        names=names,
        events=events,
        fit=fit,
        poisson=poisson,
        gain_in_sample=(fit.log_likelihood - poisson) / len(events),
        gain_out_of_sample=gain / later,
        ks_statistic=statistic,
        ks_p=p,
        two_speed=two_speed,
        by_hour=_by_hour(events, before, simple, later, found.first),
        renewal=_renewal(events, before, simple, later),
    )


def _by_hour(events: hawkes.EventTimes, before: hawkes.EventTimes, simple: float, later: int, first: int) -> ByHour:
    """`before`: the events that judge the rest, `simple`: Poisson's log-likelihood of the `later` ones."""
    pooled, fit = _with_hours(events)
    early = _with_hours(before)[1]
    gain = hawkes.out_of_sample(early.model, events, before.end) - simple
    return ByHour(first // HOUR % HOURS_OF_DAY, pooled, fit, gain / later)


def _with_hours(events: hawkes.EventTimes) -> tuple[hawkes.Fit, hawkes.Fit]:
    """Fits with a base rate an hour: of all kinds together, and of each kind in the shape of that one."""
    together = hawkes.EventTimes(times=events.times, kinds=np.zeros(len(events), int), end=events.end, n_kinds=1)
    hours = {"bins": HOURS_OF_DAY, "period": float(HOURS_OF_DAY)}
    pooled = hawkes.fit(together, starts=1, **hours)
    return pooled, hawkes.fit(events, starts=1, shape=pooled.model.mu[0], **hours)


def _renewal(events: hawkes.EventTimes, before: hawkes.EventTimes, simple: float, later: int) -> Renewal:
    def fits(of: hawkes.EventTimes) -> list[tuple[float, float]]:
        """(shape, scale) of each kind; a kind with too few events comes as a Poisson process."""
        rates = hawkes.poisson_process(of).mu[:, 0]
        own = [_own_times(of, kind) for kind in range(of.n_kinds)]
        return [
            hawkes.weibull_renewal(times, of.end)[:2] if len(times) >= hawkes.LEAST_EVENTS else (1.0, 1 / rate)
            for times, rate in zip(own, rates.tolist(), strict=True)
        ]

    def value(of: hawkes.EventTimes, under: list[tuple[float, float]]) -> float:
        return sum(
            hawkes.weibull_log_likelihood(_own_times(of, kind), of.end, shape=shape, scale=scale)
            for kind, (shape, scale) in enumerate(under)
        )

    found, early = fits(events), fits(before)
    gain = value(events, early) - value(before, early) - simple
    shape, scale = np.array(found).T
    return Renewal(shape, scale, value(events, found), gain / later)


def _own_times(events: hawkes.EventTimes, kind: int) -> np.ndarray:
    """The times of one kind, strictly rising from above 0: a tie spread to before the begin lies just after it."""
    times = np.maximum(events.times[events.kinds == kind], 1e-9)
    # Ties are spread, so two events of a kind are at one time only where both were moved to the begin.
    return np.maximum.accumulate(times + 1e-12 * np.arange(len(times)))


def calibration_row(market: str, found: StoredLiquidations, done: Fitted, now: int) -> dict[str, Any]:
    """The row of `fact_cluster_calibration`."""
    fit = done.fit
    parameters = {
        "mu": fit.model.mu.tolist(),
        "alpha": fit.model.alpha.tolist(),
        "beta": fit.model.beta.tolist(),
        "branching": fit.model.branching.tolist(),
        "branching_low": _plain(fit.branching_low[:, :, 0]),
        "branching_high": _plain(fit.branching_high[:, :, 0]),
        "mu_low": _plain(fit.mu_low),
        "mu_high": _plain(fit.mu_high),
        "beta_low": _plain(fit.beta_low),
        "beta_high": _plain(fit.beta_high),
        "converged": fit.converged,
        "n_parameters": fit.n_parameters,
        "two_speed": _two_speed(done),
        "by_hour": _hours(done),
        "renewal": {
            "shape": done.renewal.shape.tolist(),
            "scale": done.renewal.scale.tolist(),
            "log_likelihood": done.renewal.log_likelihood,
            "n_parameters": 2 * len(done.names),
            "gain_out_of_sample": done.renewal.gain_out_of_sample,
        },
    }
    return {
        "calibration_id": done.id, "market": market, "kinds": json.dumps(done.names), "first_ts": found.first,
        "last_ts": found.last, "n_events": len(done.events), "fitted_at": now, "method": json.dumps(METHOD),
        "parameters": json.dumps(parameters), "spectral_radius": fit.model.spectral_radius,
        "log_likelihood": fit.log_likelihood, "poisson_log_likelihood": done.poisson,
        "gain_in_sample": done.gain_in_sample, "gain_out_of_sample": done.gain_out_of_sample,
        "ks_statistic": done.ks_statistic, "ks_p": done.ks_p,
    }  # fmt: skip


def _two_speed(done: Fitted) -> dict[str, Any]:
    """The rival as plain values: its parameters, likelihood and how many numbers it took."""
    fit = done.two_speed.fit
    statistic, p = hawkes.residual_test(fit.model, done.events)
    return {
        "mu": fit.model.mu.tolist(),
        "alpha": fit.model.alpha.tolist(),
        "beta": fit.model.beta.tolist(),
        "log_likelihood": fit.log_likelihood,
        "n_parameters": fit.n_parameters,
        "spectral_radius": fit.model.spectral_radius,
        "converged": fit.converged,
        "gain_in_sample": (fit.log_likelihood - done.poisson) / len(done.events),
        "gain_out_of_sample": done.two_speed.gain_out_of_sample,
        "ks_statistic": statistic,
        "ks_p": p,
    }


def _hours(done: Fitted) -> dict[str, Any]:
    """The process with base rates by hour, as plain values; `rates` from 0 h UTC on, of all kinds together."""
    found = done.by_hour
    rates, low, high = found.rates()
    fit = found.fit
    return {
        "rates": _plain(rates)[0],
        "low": _plain(low)[0],
        "high": _plain(high)[0],
        "beta": fit.model.beta.tolist(),
        "log_likelihood": fit.log_likelihood,
        # Levels are counted already: of the shape, one number an hour but one.
        "n_parameters": fit.n_parameters + HOURS_OF_DAY - 1,
        "converged": fit.converged and found.pooled.converged,
        "gain_out_of_sample": found.gain_out_of_sample,
    }


def probability_rows(
    market: str,
    found: StoredLiquidations,
    done: Fitted,
    starts: Iterable[int],
    *,
    horizon: int,
    within: int,
    at_least: int,
    paths: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Rows of `mart_cluster_probability`: one for each start, UTC seconds inside the window or at its end.

    The parameters are those of the whole window, so rows of the past are not forecasts made at the time.
    """
    model, events = done.fit.model, done.events
    asked = {"at_least": at_least, "within": within / HOUR, "paths": paths, "seed": seed}
    simple = hawkes.chance_of_cluster(hawkes.poisson_process(events), horizon / HOUR, **asked)
    rows = []
    for start in starts:
        at = (start - found.first) / HOUR
        chance = hawkes.chance_of_cluster(model, horizon / HOUR, history=events.until(at), **asked)
        rows.append({
            "market": market, "ts": int(start), "horizon_seconds": horizon, "within_seconds": within,
            "at_least": at_least, "calibration_id": done.id, "probability": chance.value, "low": chance.low,
            "high": chance.high, "poisson": simple.value, "n_paths": paths,
            "seen": _seen(events.times, at, at + horizon / HOUR, within / HOUR, at_least, events.end),
        })  # fmt: skip
    return rows


def _seen(times: np.ndarray, start: float, stop: float, within: float, at_least: int, end: float) -> int | None:
    """1 when a cluster came in the window, 0 when none did, None while it is not over."""
    held = times[(times > start) & (times <= stop)]
    return 1 if hawkes.has_cluster(held, at_least, within) else 0 if stop <= end + 1e-9 else None


def _plain(values: np.ndarray) -> Any:
    return [[float(v) if np.isfinite(v) else None for v in row] for row in np.atleast_2d(values)]
