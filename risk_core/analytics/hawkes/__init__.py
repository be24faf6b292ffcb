"""Events that cause further events: multivariate Hawkes processes, fitted, checked, simulated.

The intensity of kind i is lambda_i(t) = mu_i(t) + sum over earlier events m of phi_i,k(m)(t - t_m), with phi_ij(t) =
sum_u alpha_iju exp(-beta_iju t): an event of kind j raises the intensity of kind i. mu may differ between equal parts
of a period (the hours of a day). One event of kind j causes G_ij = sum_u alpha_iju / beta_iju direct followers of kind
i; there is a mean rate where the spectral radius of G is below 1. (Hawkes, Biometrika 58, 1971.)

Times start at 0 and are in a unit that the caller chooses, such as hours; rates are per that unit. **Equal times**:
events at the same time do not excite each other. Where a clock is coarse (all liquidations of a block have its time),
`spread_ties` spreads them over the time that the clock stands for. State which of the two was done beside a result.
"""

from __future__ import annotations

from risk_core.analytics.hawkes.chances import (
    Chance,
    chance_of,
    chance_of_cluster,
    expected_counts,
    has_cluster,
    simulate,
)
from risk_core.analytics.hawkes.counts import (
    INDEPENDENT,
    OF,
    PRICES,
    PROCESS,
    SEEN,
    Clustering,
    branching_of,
    clustering,
    clustering_of_poisson,
    counts_in_steps,
    gain_of_counts,
)
from risk_core.analytics.hawkes.fitting import LEAST_EVENTS, Fit, fit, poisson_process
from risk_core.analytics.hawkes.process import (
    EventTimes,
    Gradient,
    Hawkes,
    intensity,
    log_likelihood,
    moments,
    on_clock,
    out_of_sample,
    poisson_log_likelihood,
    residual_test,
    residuals,
    spread_ties,
    state,
)
from risk_core.analytics.hawkes.renewal import weibull_log_likelihood, weibull_renewal

__all__ = [
    "INDEPENDENT",
    "LEAST_EVENTS",
    "OF",
    "PRICES",
    "PROCESS",
    "SEEN",
    "Chance",
    "Clustering",
    "EventTimes",
    "Fit",
    "Gradient",
    "Hawkes",
    "branching_of",
    "chance_of",
    "chance_of_cluster",
    "clustering",
    "clustering_of_poisson",
    "counts_in_steps",
    "expected_counts",
    "fit",
    "gain_of_counts",
    "has_cluster",
    "intensity",
    "log_likelihood",
    "moments",
    "on_clock",
    "out_of_sample",
    "poisson_log_likelihood",
    "poisson_process",
    "residual_test",
    "residuals",
    "simulate",
    "spread_ties",
    "state",
    "weibull_log_likelihood",
    "weibull_renewal",
]
