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
# # The engine: exact for every account, without computing most of them
#
# A simulated day asks, for each of 20,000 accounts, at each of 24 steps of each of 10,000 paths: is the health factor
# below 1? That is 4.8 billion questions. This notebook shows, on the built-in sample (**synthetic accounts**), how the
# engine answers nearly all of them from a bound, with the same bits as a run that computes every one, and measures the
# time this saves on the machine it runs on.

# %%
import time
from datetime import timedelta

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio

import risk_core as rc
from data.sample import book
from risk_core.plan import plan_of

pio.templates.default = "plotly_white"
pio.renderers.default = "plotly_mimetype"
BLUE, ORANGE, GREY = "#0b5fd0", "#d8651c", "#66738a"

market = book(n_accounts=20_000, seed=7)
symbols = market.reserves.symbol
FOLLOWS_ETH = ["WETH", "wstETH", "weETH", "cbETH", "rETH", "osETH", "ETHx", "rsETH"]
FOLLOWS_BTC = ["WBTC", "cbBTC", "tBTC", "LBTC", "eBTC", "FBTC"]
factor = [0 if s in FOLLOWS_ETH else 1 if s in FOLLOWS_BTC else -1 for s in symbols]
scenario = rc.Scenario(
    name="a wild day", horizon=timedelta(hours=24), n_steps=24, factors=("ETH", "BTC"), volatility=[1.0, 0.7],
    correlation=[[1.0, 0.8], [0.8, 1.0]], factor=factor,
)  # fmt: skip

# %% [markdown]
# ## 1. Accounts of the same shape form a group
#
# Same collaterals, same debts, same e-mode: then liquidation thresholds and bonuses are the same, only amounts differ.
# Inside a group accounts are sorted by health factor at the snapshot, weakest first. This is done once per market.

# %%
plan = plan_of(market)
size = np.diff(plan.first)
n_legs = np.diff(plan.leg)
print(f"{plan.n_accounts:,} accounts with debt and collateral fall into {plan.n_groups:,} groups")

figure = go.Figure()
for legs, colour in ((2, BLUE), (3, ORANGE), (4, GREY)):
    mine = np.sort(size[n_legs == legs] if legs < 4 else size[n_legs >= 4])[::-1]
    name = f"{legs} legs" if legs < 4 else "4 and more"
    figure.add_scatter(x=np.arange(1, len(mine) + 1), y=np.cumsum(mine), name=name, line_color=colour)
figure.update_layout(
    title="A few groups hold most accounts", xaxis_title="groups, largest first", xaxis_type="log",
    yaxis_title="accounts in them",
)  # fmt: skip
figure.show()

# %% [markdown]
# ## 2. One number bounds a whole group
#
# Let $x$ be the prices relative to the snapshot. An account with collateral values $u_i$ (at their thresholds) and debt
# values $v_j$ has
#
# $$\frac{\sum_i u_i x_i}{\sum_j v_j x_j} \;\ge\; \frac{\sum_i u_i}{\sum_j v_j} \cdot \min_{i,j} \frac{x_i}{x_j}$$
#
# because every term of the sum is at least its share of the smallest ratio (the mediant inequality). So over a path the
# health factor never falls below $h_0 B$, where $B$ is the smallest $x_c(t) / x_d(t)$ over all steps and all
# (collateral, debt) pairs of the group. A loop of staked ether against ether is bounded by their *ratio*: when both
# fall together, $B$ stays 1.
#
# Below, one path that falls. Each point is an account: the bound, and the lowest health factor it really had.

# %%
rng = np.random.default_rng(7)
n_paths, n_steps = 40, 24
step_volatility = np.array(scenario.volatility) * np.sqrt(1 / (365 * 24))
normal = rng.standard_normal((n_paths, n_steps, 2)) @ np.linalg.cholesky(scenario.correlation).T
moves = np.exp((normal * step_volatility - step_volatility**2 / 2).cumsum(axis=1))
relative = np.ones((n_paths, market.n_reserves, n_steps))
for reserve, f in enumerate(factor):
    if f >= 0:
        relative[:, reserve] = moves[:, :, f]
worst = int(relative[:, symbols.index("WETH")].min(axis=1).argmin())
print(f"of {n_paths} paths, number {worst} falls most: ETH {relative[worst, symbols.index('WETH')].min() - 1:+.1%}")

layout = plan.book(np.arange(market.n_reserves), market.n_reserves, np.zeros(market.n_reserves, dtype=np.int64))


def group_bounds(path):
    """(groups,) B of one path (R, T)."""
    x = np.vstack([path, np.ones(path.shape[1])])
    low = (x[layout.pair_collateral] / x[layout.pair_debt]).min(axis=1)
    return np.minimum.reduceat(low[layout.pair], layout.pair_at[:-1])


def lowest_health(path):
    """(plan accounts,) least health factor over the steps of one path, without liquidations: the long way."""
    return np.min([rc.health_factor(market, market.price * step) for step in path.T], axis=0)[plan.account]


group = np.repeat(np.arange(plan.n_groups), size)
bound = plan.health * group_bounds(relative[worst])[group]
lowest = lowest_health(relative[worst])
assert (lowest >= bound * (1 - 1e-11)).all(), "the bound never lies"

single = (n_legs == 2)[group]
figure = go.Figure()
for mine, name, colour in ((single, "one collateral, one debt", BLUE), (~single, "more legs", ORANGE)):
    shown = np.flatnonzero(mine & (bound > 0.9) & (bound < 1.6))[::4]
    figure.add_scatter(
        x=bound[shown], y=lowest[shown], mode="markers", name=name, marker=dict(size=4, color=colour, opacity=0.5)
    )
figure.add_scatter(x=[0.9, 1.6], y=[0.9, 1.6], mode="lines", name="equal", line=dict(color=GREY, dash="dot"))
figure.add_vline(x=1, line_color=GREY)
figure.add_hline(y=1, line_color=GREY)
figure.update_layout(
    title="The bound against the truth, on the path that falls most", xaxis_title="bound: h0 x B",
    yaxis_title="lowest health factor on the path", yaxis_range=[0.9, 1.8],
)  # fmt: skip
figure.show()

# %% [markdown]
# No point lies below the dotted line. For one collateral and one debt the bound is *exact*; with more legs it is
# too low: only accounts left of 1 must be computed.
#
# ## 3. Which accounts are computed
#
# Because a group is sorted, "left of 1" is its beginning: compute accounts until $h_0 \ge 1 / B$, and skip the rest of
# the group. A liquidation only reduces balances, so the same bound holds for what remains, and an account that is
# healed beyond it is done for this path.

# %%
looked_at = np.array([(plan.health * group_bounds(path)[group] < 1 + 1e-11).sum() for path in relative])
given = np.concatenate([np.ones((n_paths, market.n_reserves, 1)), relative], axis=2) * market.price[:, None]
paths = rc.PricePaths(name="given", price=given, step=timedelta(hours=1))
result = rc.simulate(market, paths)
touched = result.n_accounts_liquidated
order = np.argsort(relative[:, symbols.index("WETH")].min(axis=1))
print(f"on the median path {np.median(looked_at):.0f} of {plan.n_accounts:,} accounts are looked at "
      f"({np.median(looked_at) / plan.n_accounts:.1%}), {np.median(touched):.0f} are liquidated")  # fmt: skip
assert (looked_at >= touched).all()

figure = go.Figure()
figure.add_bar(x=np.arange(n_paths), y=looked_at[order], name="looked at", marker_color=GREY)
figure.add_bar(x=np.arange(n_paths), y=touched[order], name="liquidated", marker_color=BLUE)
figure.update_layout(
    title=f"Of {plan.n_accounts:,} accounts", xaxis_title="paths, the deepest fall of ETH first",
    yaxis_title="accounts", barmode="overlay",
)  # fmt: skip
figure.show()

# %% [markdown]
# ## 4. The same bits, without the bound
#
# `brute_force=True` computes every account on every path, with another, simple kernel. Amounts are counted in
# integers (micro-dollars), so no order of accounts, paths or threads can change a sum. The two results are not close:
# they are equal.

# %%
pruned = rc.simulate(market, scenario, n_paths=200, seed=7)
brute = rc.simulate(market, scenario, n_paths=200, seed=7, brute_force=True)
for name in ("path", "by_step", "fan", "hits"):
    assert np.array_equal(getattr(pruned, name), getattr(brute, name)), name
print(f"200 paths, {pruned.n_liquidations.sum():,} liquidation calls, ${pruned.repaid_usd.sum() / 1e9:.2f}B repaid: "
      "equal to the last bit")  # fmt: skip

# %% [markdown]
# ## 5. What it saves
#
# Microseconds for each path on one thread of this machine: the engine, its vectorised inner loop without bounds
# (`"simd"`), and the simple kernel. The larger the book, the smaller the part that is computed.


# %% tags=["measured"]
def microseconds(n_paths, repeat=3, **how):
    """Best of `repeat`, a path."""
    taken = []
    for _ in range(repeat):
        start = time.perf_counter()
        rc.simulate(how["market"], scenario, n_paths, threads=1, brute_force=how["brute_force"])
        taken.append(time.perf_counter() - start)
    return min(taken) / n_paths * 1e6


sizes = (2_500, 10_000, 40_000)
methods = {"engine": (False, 2_000), "vectors, no bounds": ("simd", 64), "plain audit": (True, 16)}
speed = {name: [] for name in methods}
for n in sizes:
    sample = book(n_accounts=n, seed=7)
    rc.simulate(sample, scenario, 8, threads=1)  # the plan is prepared once
    for name, (brute_force, n_measured) in methods.items():
        speed[name].append(microseconds(n_measured, market=sample, brute_force=brute_force))
    print(f"{n:>7,} accounts: " + ", ".join(f"{name} {took[-1]:,.1f} µs" for name, took in speed.items()))
engine, vectors, audit = (np.array(speed[name]) for name in methods)
print(f"speed-up on {sizes[-1]:,} accounts: {vectors[-1] / engine[-1]:.0f}x over vectors without bounds, "
      f"{audit[-1] / engine[-1]:.0f}x over the plain audit")  # fmt: skip

figure = go.Figure()
for (name, took), colour in zip(speed.items(), (BLUE, ORANGE, GREY), strict=True):
    figure.add_scatter(x=sizes, y=took, name=name, mode="lines+markers", line_color=colour)
figure.update_layout(
    title="Time of a path of 24 steps, one thread", xaxis_title="accounts in the sample", xaxis_type="log",
    yaxis_title="microseconds", yaxis_type="log",
)  # fmt: skip
figure.show()

# %% [markdown]
# ## 6. The same idea without randomness
#
# Along one direction of shock every value is linear, so a whole curve of liquidations takes one pass: an account takes
# no time before its health factor is near 1, eight steps share a vector while the close factor matters, and once its
# collateral cannot pay its debt it is added to its group's sums and skipped from then on. Counts equal those of 91
# single what-ifs.

# %% tags=["measured"]
direction = np.where(np.isin(symbols, FOLLOWS_ETH), -1.0, 0.0)
curve = rc.sweep(market, direction)
start = time.perf_counter()
curve = rc.sweep(market, direction)
one_pass = time.perf_counter() - start
start = time.perf_counter()
answers = [rc.what_if(market, shock * direction) for shock in curve.shock]
one_by_one = time.perf_counter() - start
assert [answer.n_accounts for answer in answers] == curve.n_accounts.tolist()
np.testing.assert_allclose(curve.repaid_usd, [answer.repaid_usd for answer in answers], rtol=1e-9, atol=0.1)
print(f"91 falls in one pass: {one_pass * 1e3:.1f} ms; one by one: {one_by_one * 1e3:.1f} ms")

# %%
figure = go.Figure()
for name, usd, colour in (
    ("debt of accounts below 1", curve.debt_usd, GREY), ("repaid by liquidators", curve.repaid_usd, BLUE),
    ("deficit", curve.deficit_usd, ORANGE),
):  # fmt: skip
    figure.add_scatter(x=-100 * curve.shock, y=usd / 1e6, name=name, line_color=colour)
figure.update_layout(
    title="If ETH falls, sample", xaxis_title="ETH, %", yaxis_title="USD m", xaxis_autorange="reversed"
)
figure.show()
