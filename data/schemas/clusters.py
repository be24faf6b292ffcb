"""Liquidation clusters: fits of a Hawkes process to liquidations, and the chance of a cluster they give."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from data.schemas.fields import document, integer, name, real, seconds, sha256
from data.schemas.model import Numbered


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
    parameters: Series[str] = document("mu, alpha and beta per hour, with their 95 % intervals")
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
