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
from datetime import timedelta

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio

import risk_core as rc
from data.sample import book, liquidations
from risk_core.analytics import hawkes
from risk_core.arrivals import calls_by_step

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
# ## 5. Other models of the same events
#
# A renewal process with Weibull gaps, one for each kind, has bursts (a shape below 1) in which no event causes another.
# And the base rate may follow the hour of the day: its shape is fitted to all kinds together, one rate an hour, then
# the level of each kind and the excitement. Every model is judged by its log-likelihood per event above Poisson, on all
# days and on the last quarter, of which it saw nothing.

# %%
kinds = [events.times[events.kinds == kind] for kind in range(2)]
before = [times[times <= split] for times in kinds]


def renewal(fitted_to, end):
    """Shape and scale of each kind."""
    return [hawkes.weibull_renewal(times, end)[:2] for times in fitted_to]


def weibull(parameters, of, end):
    """Log-likelihood of all kinds."""
    return sum(
        hawkes.weibull_log_likelihood(times, end, shape=shape, scale=scale)
        for times, (shape, scale) in zip(of, parameters, strict=True)
    )


def by_hour(of):
    """The fit with a base rate that follows the hour of the day, and the rates of all kinds together."""
    together = hawkes.EventTimes(times=of.times, kinds=np.zeros(len(of), int), end=of.end, n_kinds=1)
    pooled = hawkes.fit(together, bins=24, period=24.0, starts=1)
    return hawkes.fit(of, bins=24, period=24.0, starts=1, shape=pooled.model.mu[0]), pooled


flat_all, flat_early = hawkes.poisson_log_likelihood(events), hawkes.out_of_sample(poisson, events, split)
gaps, early_gaps = renewal(kinds, events.end), renewal(before, split)
hours, pooled = by_hour(events)
rows = {
    "Weibull renewal": (
        weibull(gaps, kinds, events.end),
        weibull(early_gaps, kinds, events.end) - weibull(early_gaps, before, split),
    ),
    "Hawkes": (fit.log_likelihood, hawkes.out_of_sample(hawkes.fit(early).model, events, split)),
    "Hawkes, base by hour": (hours.log_likelihood, hawkes.out_of_sample(by_hour(early)[0].model, events, split)),
}
for name, (whole, unseen) in rows.items():
    print(f"{name:22} {(whole - flat_all) / n:+.2f} in sample, {(unseen - flat_early) / later:+.2f} on days not seen")
print("shapes of the gaps:", [round(shape, 2) for shape, _ in gaps])
inside = (pooled.mu_low[0] <= truth.mu.sum()) & (truth.mu.sum() <= pooled.mu_high[0])
print(f"the true base rate is constant: {inside.sum()} of 24 intervals by hour hold it")

# %% [markdown]
# ## 6. Clusters implied by prices beside clusters seen
#
# In the engine no liquidation causes another: what its calls cluster, the common moves of prices do. So it answers the
# question that a fit cannot: would this book show such bursts **without contagion**?
#
# The engine knows steps, not moments, so everything is counted by the hour, in windows of a day. `calls_by_step` counts
# the calls of each path: those up to a step, less those up to the one before, on the same paths. Three figures, each 1
# or nothing for independent events:
#
# - **dispersion**, the variance of the counts over their mean. A stationary Hawkes process has 1 / (1 - n)^2 in long
#   windows, so 1 - 1 / sqrt(F) are the followers n that counts *look like* (Hardiman and Bouchaud 2014);
# - the chance that the **fullest hour** of a day has k liquidations or more;
# - the **gain** of the excitement fitted to what was seen, per event above independence, at each row's own mean rate.
#
# Prices move the sample's book here by a stated law; its "seen" liquidations are drawn from the process above and have
# nothing to do with these prices.

# %%
market = book(n_accounts=5_000, seed=7)
FOLLOWS_ETH = ["WETH", "wstETH", "weETH", "cbETH", "rETH", "osETH", "ETHx", "rsETH"]
FOLLOWS_BTC = ["WBTC", "cbBTC", "tBTC", "LBTC", "eBTC", "FBTC"]
scenario = rc.Scenario(
    name="a day", horizon=timedelta(hours=24), n_steps=24, factors=("ETH", "BTC"), volatility=[0.7, 0.5],
    correlation=[[1.0, 0.8], [0.8, 1.0]], law=rc.StudentT(5.0),
    factor=[0 if s in FOLLOWS_ETH else 1 if s in FOLLOWS_BTC else -1 for s in market.reserves.symbol],
)  # fmt: skip
calls = calls_by_step(market, scenario, n_paths=1_000, seed=7)
assert (calls.sum(axis=1) == rc.simulate(market, scenario, n_paths=1_000, seed=7).n_liquidations).all()
seen = hawkes.counts_in_steps(events.times, end=events.end, step=1.0, n_steps=24)
path = hawkes.simulate(fit.model, 1_001 * 24.0, seed=7)
drawn = hawkes.counts_in_steps(path.times, end=1_001 * 24.0, step=1.0, n_steps=24)[1:]  # the first day has no past

levels = [1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50, 75, 100]
counted = {"seen": seen, "prices alone": calls, "fitted process": drawn}
told = {name: hawkes.clustering(counts, at_least=8, levels=levels) for name, counts in counted.items()}
told["independent"] = hawkes.clustering_of_poisson(told["seen"].mean[0], n_steps=24, at_least=8, levels=levels)
# The excitement of all kinds together, on the same clock: the k-th of m events of an hour at (k - 1/2) / m.
per_hour = seen.ravel()
clocked = np.concatenate([i + (np.arange(m) + 0.5) / m for i, m in enumerate(per_hour) if m])
on_hours = hawkes.EventTimes(times=clocked, kinds=np.zeros(len(clocked), int), end=float(len(per_hour)), n_kinds=1)
excitement = hawkes.fit(on_hours).model
for name, of in told.items():
    value, low, high = of.dispersion_window
    line = f"{name:15} {of.mean[0]:6.1f} a day, dispersion {value:6.1f} [{low:.1f}, {high:.1f}], looks like "
    line += f"{hawkes.branching_of(value):.2f} followers"
    if name in counted:
        gain, least, most = hawkes.gain_of_counts(excitement, counted[name], step=1.0)
        line += f", gain {gain:+.2f} [{least:+.2f}, {most:+.2f}]"
    print(line)

# %%
figure = go.Figure()
for (name, of), colour in zip(told.items(), ("#121922", ORANGE, BLUE, GREY), strict=True):
    shown = of.greatest > 1e-4
    figure.add_scatter(
        x=of.levels[shown], y=of.greatest[shown].round(6), name=name, mode="lines+markers", line={"color": colour}
    )
figure.update_xaxes(type="log", title="liquidations in the fullest hour of a day, at least")
figure.update_yaxes(type="log", title="chance", tickformat=".2%")
figure.update_layout(title="Bursts by prices alone beside bursts seen, sample", height=400)
figure.show()

# %% [markdown]
# Prices alone make counts scatter far more than independent events do: a fit of a Hawkes process to the engine's calls
# would find most of them to be "followers" though none is. Where the dispersion of what is seen does not lie above that
# of prices alone, a fitted branching ratio is no evidence of contagion. The reverse holds as well: where it lies above,
# something is missing in the engine, such as sales that move prices (`Impact`).
#
# ## Limits
#
# - The shared decay is one number for all pairs; two speeds (`exponentials=2`) fit real trades better.
# - The book of section 6 is that of one block: the seen days had other books and other volatilities, and liquidators
#   always act. Compare shapes before levels.
# - No published fit of lending liquidations was found to compare with.
