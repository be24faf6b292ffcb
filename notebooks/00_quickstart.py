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
# # Quickstart
#
# From accounts to a liquidation-risk figure in five steps: load a market, look at its health factors, compute one
# what-if, sweep a price, simulate a day. Everything below runs on the built-in **sample**: the real configuration and
# prices of Aave v3 Ethereum in mid-2025 with **synthetic accounts**. `data.load_market()` gives a live one instead.

# %%
from datetime import timedelta
from itertools import pairwise

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio

import risk_core as rc
from data.sample import book

pio.templates.default = "plotly_white"
pio.renderers.default = "plotly_mimetype"
BLUE, ORANGE, GREY = "#0b5fd0", "#d8651c", "#66738a"

market = book(n_accounts=20_000, seed=7)
print(f"{market.snapshot.market}, block {market.snapshot.block}, synthetic: {market.snapshot.synthetic}")
print(f"{market.n_accounts:,} accounts, {market.n_reserves} reserves, {len(market.emodes)} e-modes")

# %% [markdown]
# ## 1. Health factors
#
# Collateral at its liquidation thresholds over debt; below 1 anyone may liquidate. Each collateral counts with its own
# threshold, and with the e-mode's where the account is in one.

# %%
health = rc.health_factor(market)
owes = np.isfinite(health)
debt = np.zeros(market.n_accounts)
owner = np.repeat(np.arange(market.n_accounts), np.diff(market.debt.indptr))
np.add.at(debt, owner, market.debt.amount * market.price[market.debt.reserve])
print(f"{owes.sum():,} accounts owe ${debt.sum() / 1e9:.2f}B; median health factor {np.median(health[owes]):.2f}")
print(f"${debt[health < 1.1].sum() / 1e9:.2f}B of the debt is below 1.1")

edges = np.concatenate([np.arange(1.0, 2.0, 0.05), [2.5, 3.0, 5.0]])
held = [debt[(health >= a) & (health < b)].sum() / 1e9 for a, b in pairwise(edges)]
figure = go.Figure(go.Bar(x=[f"{a:.2f}" for a in edges[:-1]], y=held, marker_color=BLUE))
figure.update_layout(title="Debt by health factor, sample", xaxis_title="health factor from", yaxis_title="USD bn")
figure.show()

# %% [markdown]
# ## 2. One what-if
#
# ETH falls by 20 %, and with it everything whose oracle follows it. The answer is exact, for every account: who can be
# liquidated, what liquidators would repay by the pool's rules (close factor, small positions, dust), and the deficit
# where collateral is not enough.

# %%
FOLLOWS_ETH = ["WETH", "wstETH", "weETH", "cbETH", "rETH", "osETH", "ETHx", "rsETH"]
follows = [symbol for symbol in FOLLOWS_ETH if symbol in market.reserves.symbol]
fall = rc.what_if(market, dict.fromkeys(follows, -0.20))
print(f"{len(fall.liquidatable):,} accounts owing ${fall.debt_usd / 1e6:,.1f}M fall below 1")
print(f"repaid ${fall.repaid_usd / 1e6:,.1f}M, collateral seized ${fall.seized_usd / 1e6:,.1f}M, "
      f"deficit ${fall.deficit_usd / 1e6:,.2f}M")  # fmt: skip

# %% [markdown]
# ## 3. The whole curve
#
# The same for every fall from 0 to 60 %.

# %%
direction = np.where(np.isin(market.reserves.symbol, follows), -1.0, 0.0)
curve = rc.sweep(market, direction, steps=61)
figure = go.Figure()
figure.add_scatter(x=-100 * curve.shock, y=curve.repaid_usd / 1e6, name="debt repaid", line_color=BLUE)
figure.add_scatter(x=-100 * curve.shock, y=curve.deficit_usd / 1e6, name="deficit", line_color=ORANGE)
figure.update_layout(
    title="If ETH falls, sample", xaxis_title="ETH, %", yaxis_title="USD m", xaxis_autorange="reversed"
)
figure.show()

# %% [markdown]
# ## 4. A simulated day
#
# Two factors, correlated: ETH and its followers at 80 % a year, BTC at 50 %; all other prices stay as they are. 5,000
# paths of 24 hourly steps, each for every account, with balances that change at each liquidation. The flows estimate
# volatilities and correlations from stored prices instead.

# %%
FOLLOWS_BTC = ["WBTC", "cbBTC", "tBTC", "LBTC", "eBTC", "FBTC"]
factor = [0 if s in follows else 1 if s in FOLLOWS_BTC else -1 for s in market.reserves.symbol]
scenario = rc.Scenario(
    name="quickstart", horizon=timedelta(hours=24), n_steps=24, factors=("ETH", "BTC"), volatility=[0.80, 0.50],
    correlation=[[1.0, 0.8], [0.8, 1.0]], factor=factor,
)  # fmt: skip
result = rc.simulate(market, scenario, n_paths=5_000, seed=7)
lar = rc.measures.lar(result, level=0.99)
tail = rc.measures.expected_shortfall(result, level=0.99)
loss = rc.measures.probability_of_loss(result)
print(f"LaR 99 %, 24 h: ${lar.value / 1e6:.1f}M (95 % interval ${lar.low / 1e6:.1f}M to ${lar.high / 1e6:.1f}M)")
interval = tail.no_interval or f"95 % interval ${tail.low / 1e3:.1f}k to ${tail.high / 1e3:.1f}k"
print(f"expected shortfall 99 % of the deficit: ${tail.value / 1e3:.1f}k ({interval})")
print(f"P(any deficit): {loss.value:.1%} ({loss.low:.1%} to {loss.high:.1%})")

# %%
fan = result.fan_usd((0.5, 0.95, 0.99)) / 1e6
hours = np.arange(1, 25)
figure = go.Figure()
for i, name in enumerate(("median", "95 %", "99 %")):
    figure.add_scatter(x=hours, y=fan[:, i], name=name, line=dict(color=BLUE, width=1 + 0.7 * i))
figure.update_layout(title="Debt repaid by liquidators, cumulative, sample", xaxis_title="hours", yaxis_title="USD m")
figure.show()

# %% [markdown]
# The figure is the same to the last bit for the same snapshot, scenario, seed and code, on any number of threads:

# %%
again = rc.simulate(market, scenario, n_paths=5_000, seed=7, threads=1)
assert (again.path == result.path).all()
print("identical")
