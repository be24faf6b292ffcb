"""Liquidation clusters: fits of a Hawkes process to liquidations, and the chance of a cluster they give."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from data.schemas.fields import document, integer, name, real, seconds, sha256, text
from data.schemas.model import Numbered
from risk_core.analytics import hawkes


class ClusterCalibrations(Numbered, key=["calibration_id"]):
    """`fact_cluster_calibration`: one fit; equal events and method give the equal id. Times are in hours."""

    calibration_id: Series[str] = sha256("digest of the method and every event of the window")
    market: Series[str] = name("market whose liquidations were fitted")
    kinds: Series[str] = document("names of the kinds of events, in the order of the arrays")
    first_ts: Series[np.int64] = seconds("start of the window")
    last_ts: Series[np.int64] = seconds("end of the window")
    n_events: Series[np.int64] = integer("liquidations in the window", "events")
    fitted_at: Series[np.int64] = seconds("when it was fitted")
    method: Series[str] = document("model, tie rule, split and version")
    parameters: Series[str] = document(
        "mu, alpha and beta per hour, with their 95 % intervals; the rival models; base rates by hour of day"
    )
    spectral_radius: Series[np.float64] = real(
        "followers brought by one event in the long run; below 1 is stationary", "events", ge=0
    )
    log_likelihood: Series[np.float64] = real("of the whole window", "nats")
    poisson_log_likelihood: Series[np.float64] = real("of Poisson processes of constant rates, whole window", "nats")
    gain_in_sample: Series[np.float64] = real("log-likelihood above Poisson, in the window", "nats per event")
    gain_out_of_sample: Series[np.float64] = real("the same for the last quarter, fitted to the rest", "nats per event")
    ks_statistic: Series[np.float64] = real("Kolmogorov-Smirnov distance of the residuals from Exp(1)", "1", ge=0, le=1)
    ks_p: Series[np.float64] = real("its p-value, of a model fitted to the same events", "1", ge=0, le=1)


class ClusterProbabilities(
    Numbered, key=["market", "ts", "horizon_seconds", "within_seconds", "at_least", "calibration_id"]
):
    """`mart_cluster_probability`: the chance of a cluster in the time after `ts`, by the fit and by Poisson."""

    market: Series[str] = name("market")
    ts: Series[np.int64] = seconds("start of the window that is forecast")
    horizon_seconds: Series[np.int64] = integer("length of it", "s")
    within_seconds: Series[np.int64] = integer("a cluster is at_least events within this time", "s")
    at_least: Series[np.int64] = integer("events that make a cluster", "events")
    calibration_id: Series[str] = sha256("the fit used (fact_cluster_calibration)")
    probability: Series[np.float64] = real("chance of at least one cluster", "fraction", ge=0, le=1)
    low: Series[np.float64] = real("lower end of its 95 % interval of simulation", "fraction", ge=0, le=1)
    high: Series[np.float64] = real("upper end", "fraction", ge=0, le=1)
    poisson: Series[np.float64] = real("the same by Poisson processes of the same mean rates", "fraction", ge=0, le=1)
    seen: Series[pd.Int64Dtype] = pa.Field(
        description="1 when a cluster came, 0 when none did; absent while the window is not over",
        metadata={"unit": "0/1"},
        isin=[0, 1],
        nullable=True,
    )
    n_paths: Series[np.int64] = integer("simulated paths", "paths")


class ClusterComparisons(
    Numbered,
    key=["calibration_id", "at_least", "of"],
    optional=[
        *(f"{name}{end}" for name in ("mean", "dispersion_step", "dispersion_window", "in_bursts", "gain")
          for end in ("", "_low", "_high")),
        "run_id",
    ],
):  # fmt: skip
    """`mart_cluster_comparison`: how far liquidations cluster, by what was seen and by what would be expected.

    A row for each of: `seen`, the liquidations that were fitted; `prices`, calls of the engine on the paths of a risk
    run, in which no liquidation causes another; `process`, the fitted Hawkes process; `independent`, a Poisson process
    of the rate seen. All are counted in windows of equal steps. A row that is not known says why. `_low` and `_high`
    are the ends of 95 % intervals, from resampled windows.
    """

    market: Series[str] = name("market")
    ts: Series[np.int64] = seconds("end of the liquidations that were fitted")
    calibration_id: Series[str] = sha256("the fit (fact_cluster_calibration)")
    of: Series[str] = text("what is counted", isin=list(hawkes.OF))
    place: Series[np.int64] = integer("its place in the list", "rank")
    at_least: Series[np.int64] = integer("events in one step that make a burst", "events")
    step_seconds: Series[np.int64] = integer("length of a step", "s")
    window_seconds: Series[np.int64] = integer("length of a window", "s")
    n_windows: Series[np.int64] = integer("windows counted; 0 for closed forms and where nothing is known", "windows")
    n_events: Series[np.int64] = integer("events in them", "events")
    mean: Series[np.float64] = real("events in a window", "events", ge=0, nullable=True)
    mean_low: Series[np.float64] = real("lower end", "events", ge=0, nullable=True)
    mean_high: Series[np.float64] = real("upper end", "events", ge=0, nullable=True)
    dispersion_step: Series[np.float64] = real("variance over mean of counts by step", "1", ge=0, nullable=True)
    dispersion_step_low: Series[np.float64] = real("lower end", "1", ge=0, nullable=True)
    dispersion_step_high: Series[np.float64] = real("upper end", "1", ge=0, nullable=True)
    dispersion_window: Series[np.float64] = real("variance over mean of counts by window", "1", ge=0, nullable=True)
    dispersion_window_low: Series[np.float64] = real("lower end", "1", ge=0, nullable=True)
    dispersion_window_high: Series[np.float64] = real("upper end", "1", ge=0, nullable=True)
    in_bursts: Series[np.float64] = real("share of the events in bursts", "fraction", ge=0, le=1, nullable=True)
    in_bursts_low: Series[np.float64] = real("lower end", "fraction", ge=0, le=1, nullable=True)
    in_bursts_high: Series[np.float64] = real("upper end", "fraction", ge=0, le=1, nullable=True)
    gain: Series[np.float64] = real(
        "log-likelihood under the fitted excitement above independent events, both at the row's own mean rate",
        "nats per event", nullable=True,
    )  # fmt: skip
    gain_low: Series[np.float64] = real("lower end", "nats per event", nullable=True)
    gain_high: Series[np.float64] = real("upper end", "nats per event", nullable=True)
    curve: Series[str] = document("chance that the fullest step of a window has as many events, by level")
    run_id: Series[pd.StringDtype] = sha256("risk run whose paths were counted (fact_risk_run)", nullable=True)
    missing: Series[str] = text("why it is not known; empty where it is", "text")
