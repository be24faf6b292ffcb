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
# # Your own book
#
# A CSV of positions is enough to begin: here ten **invented** rows of four accounts. `risk_core.frames` turns the table
# into a `Market`, and everything else in this package works on that.

# %%
from datetime import timedelta
from io import StringIO

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio

import risk_core as rc
from risk_core import frames

pio.templates.default = "plotly_white"
pio.renderers.default = "plotly_mimetype"
BLUE, ORANGE, GREY = "#0b5fd0", "#d8651c", "#66738a"

POSITIONS = """
account,symbol,side,amount
alice,WETH,supply,10
alice,USDC,debt,13000
bob,WBTC,supply,2
bob,WETH,supply,20
bob,USDC,debt,90000
carol,wstETH,supply,50
carol,WETH,debt,45
dave,USDC,supply,40000
dave,WETH,debt,14
dave,WBTC,debt,0.05
"""
positions = pd.read_csv(StringIO(POSITIONS))
print(positions)

# %% [markdown]
# Rows may state `amount_usd` instead of `amount`. A table of reserves has the price of each token and the
# threshold of each collateral; the bonus is needed only for liquidations.

# %%
reserves = pd.DataFrame(
    [
        ("WETH", 1_900.0, 0.83, 0.05),
        ("wstETH", 2_280.0, 0.81, 0.06),
        ("WBTC", 60_000.0, 0.78, 0.05),
        ("USDC", 1.0, 0.78, 0.045),
    ],
    columns=["symbol", "price", "liquidation_threshold", "liquidation_bonus"],
)
market = frames.market_from_frame(positions, reserves, name="ten rows", revision=11)  # Aave v3.7's rules
print(f"{market.n_accounts} accounts, {market.n_reserves} reserves")

# %% [markdown]
# ## 1. Health factors
#
# Alice has 10 WETH at 1,900 USD, of which the threshold counts 83 %, and owes 13,000 USDC: 15,770 / 13,000 = 1.213.

# %%
health = rc.health_factor(market)
for account, value in zip(market.accounts, health, strict=True):
    print(f"{account:>6}: {value:.3f}")
assert np.isclose(health[0], 10 * 1_900 * 0.83 / 13_000)

# %% [markdown]
# ## 2. ETH falls by 20 %
#
# wstETH falls with it: reserves that follow must be named. Carol is hedged, her debt falls with her collateral; Dave
# owes ether and gains.

# %%
ETH = ["WETH", "wstETH"]
fall = rc.what_if(market, dict.fromkeys(ETH, -0.20))
for row, repaid, seized in zip(fall.liquidatable, fall.account_repaid_usd, fall.account_seized_usd, strict=True):
    print(f"{market.accounts[row]}: ${repaid:,.0f} repaid, ${seized:,.0f} of collateral taken for it")
print(f"deficit: ${fall.deficit_usd:,.0f}")

# %% [markdown]
# ## 3. A simulated week
#
# The scenario is **synthetic**: ether at 80 % a year and bitcoin at 50 %, correlated 0.8; these are not estimates.
# 20,000 paths of 168 hourly steps.

# %%
factor = [0 if symbol in ETH else 1 if symbol == "WBTC" else -1 for symbol in market.reserves.symbol]
scenario = rc.Scenario(
    name="synthetic week", horizon=timedelta(days=7), n_steps=168, factors=("ETH", "BTC"), volatility=[0.80, 0.50],
    correlation=[[1.0, 0.8], [0.8, 1.0]], factor=factor,
)  # fmt: skip
result = rc.simulate(market, scenario, n_paths=20_000, seed=7)
lar = rc.measures.lar(result, level=0.99)
print(f"LaR 99 %, 7 days: ${lar.value:,.0f} (95 % interval ${lar.low:,.0f} to ${lar.high:,.0f})")
share = result.account_hits / result.n_paths
for account, value in zip(market.accounts, share, strict=True):
    print(f"{account:>6}: liquidated on {value:.1%} of the paths")

# %% [markdown]
# ## 4. Every fall at once

# %%
curve = rc.sweep(market, dict.fromkeys(ETH, -1.0), steps=61)
figure = go.Figure()
figure.add_scatter(x=-100 * curve.shock, y=curve.repaid_usd / 1e3, name="debt repaid", line_color=BLUE)
figure.add_scatter(x=-100 * curve.shock, y=curve.deficit_usd / 1e3, name="deficit", line_color=ORANGE)
figure.update_layout(
    title="If ETH falls, ten rows", xaxis_title="ETH, %", yaxis_title="USD thousand", xaxis_autorange="reversed"
)
figure.show()

# %% [markdown]
# ## 5. When a row is wrong
#
# Nothing is guessed and no row is dropped without an error: every fault is listed with its row.

# %%
wrong = positions.astype({"amount": object})
wrong.loc[1, "amount"] = "13,000"
wrong.loc[4, "symbol"] = "usdc"
wrong.loc[7, "side"] = "deposit"
try:
    frames.market_from_frame(wrong, reserves)
except rc.InputError as error:
    print(error)

# %% [markdown]
# Thresholds of single positions (`liquidation_threshold`), supplies that are not collateral (`collateral`), e-modes
# and the way back to tables (`frames.market_to_frames`): `help(frames.market_from_frame)`.
