# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Do liquidations come in bursts?
#
# **Question.** Liquidations arrive in bursts: one price move makes many accounts liquidatable, and their sales
# move the price again. How much of a burst is caused by the liquidations before it, and how likely is the next burst?
#
# **Model.** A Hawkes process (Hawkes 1971): an event of kind j raises the rate of kind i by `alpha_ij`, which decays as
# `exp(-beta t)`. One event brings `G_ij = alpha_ij / beta` direct followers; below a spectral radius of 1 there is a
# mean rate.
#
# **Data.** The sample's **synthetic** liquidations: 60 days made by a process whose parameters are known, so that the
# fit can be compared with them. With live data, `python -m flows liquidation-clusters` does the same from the
# warehouse.

# %%
import numpy as np
import plotly.graph_objects as go
import plotly.io as pio

from data.sample import liquidations
from risk_core.analytics import hawkes

pio.templates.default = "plotly_white"
pio.renderers.default = "plotly_mimetype"
BLUE, ORANGE, GREY = "#0b5fd0", "#d8651c", "#66738a"

truth = liquidations.MODEL
days = 60
events = hawkes.simulate(truth, days * 24.0, seed=7)
print(f"{len(events)} liquidations in {days} days: {np.bincount(events.kinds).tolist()} of ETH and of other collateral")
print(f"true branching matrix: {truth.branching.round(2).tolist()}, spectral radius {truth.spectral_radius:.2f}")

# %% [markdown]
# ## 1. The fit
#
# Maximum likelihood with the exact gradient; intervals from the observed information. Events of one block must first
# be spread over its twelve seconds (`hawkes.spread_ties`).

# %%
fit = hawkes.fit(events)
print(f"converged: {fit.converged}; log-likelihood {fit.log_likelihood:.1f}")
for i in range(2):
    for j in range(2):
        low, high = fit.branching_low[i, j, 0], fit.branching_high[i, j, 0]
        inside = "holds" if low <= truth.branching[i, j] <= high else "misses"
        print(
            f"followers of kind {i} by one of kind {j}: {fit.model.branching[i, j]:.2f} [{low:.2f}, {high:.2f}], "
            f"true {truth.branching[i, j]:.2f}: {inside}"
        )
half_life = np.log(2) / fit.model.beta[0, 0, 0] * 60
print(f"half-life of excitement: {half_life:.0f} minutes")

# %% [markdown]
# ## 2. Is it better than independence, on days it has not seen?
#
# Fitted to the first three quarters, tested on the last one: log-likelihood for each event, minus that of Poisson
# processes with the same rates. A model that only fits noise is negative here.

# %%
split = 0.75 * events.end
early = events.until(split)
rates = np.bincount(early.kinds, minlength=2) / split
poisson = hawkes.Hawkes(mu=rates, alpha=np.zeros((2, 2)), beta=np.ones((2, 2)))
later = len(events) - len(early)
gain = hawkes.out_of_sample(hawkes.fit(early).model, events, split) - hawkes.out_of_sample(poisson, events, split)
print(f"{gain / later:+.2f} nats per event on {later} unseen events")
assert gain > 0

# %% [markdown]
# ## 3. Do its waiting times look right?
#
# In time scaled by the intensity, the gaps of a right model are exponential with mean 1. With a Poisson model they are
# not: there are too many short and too many long gaps.

# %%
n = len(events)
expected = -np.log1p(-(np.arange(1, n + 1) - 0.5) / n)
figure = go.Figure()
flat = hawkes.Hawkes(mu=np.bincount(events.kinds) / events.end, alpha=np.zeros((2, 2)), beta=np.ones((2, 2)))
for name, model, colour in (("Poisson", flat, GREY), ("fitted", fit.model, BLUE)):
    found = np.sort(hawkes.residuals(model, events)).round(4)
    figure.add_scatter(x=expected.round(4), y=found, name=name, line={"color": colour})
figure.add_scatter(x=[0, 7], y=[0, 7], name="a right model", line={"color": ORANGE, "dash": "dot"})
figure.update_layout(title="Rescaled waiting times", xaxis_title="expected", yaxis_title="found", height=380)
figure.show()
statistic, p = hawkes.residual_test(fit.model, events)
print(f"Kolmogorov-Smirnov distance {statistic:.3f}; p-value {p:.2f}, too large for a model fitted to the same events")

# %% [markdown]
# ## 4. The chance of a burst
#
# At least eight liquidations within an hour, in the next 24 hours, from the present state: by simulation, with the
# interval of the simulation, and the chance for independent events.

# %%
asked = {"at_least": 8, "within": 1.0, "paths": 2_000, "seed": 7}
chance = hawkes.chance_of_cluster(fit.model, 24.0, history=events, **asked)
alone = hawkes.chance_of_cluster(flat, 24.0, **asked)
print(f"fitted: {chance.value:.1%} [{chance.low:.1%}, {chance.high:.1%}]; Poisson: {alone.value:.1%}")

# %% [markdown]
# ## Limits
#
# - The shared decay is one number for all pairs; two speeds (`exponentials=2`) fit real trades better.
# - The base rate is constant here. Real liquidations follow the price, so part of the apparent followers comes from
#   clusters in the price itself: the engine's simulated liquidations answer that part.
# - No published fit of lending liquidations was found to compare with.
