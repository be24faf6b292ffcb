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
# # Can what is liquidated be sold, and what does another threshold do?
#
# A liquidator repays debt, receives collateral with a bonus, and sells it. Whether that pays depends on what the sale
# costs. Accounts are the sample's, **synthetic**; quotes are those of a made-up pool, **assumed**.

# %%
from datetime import timedelta

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio

from data.sample.book import book
from risk_core import Borrowers, Impact, Liquidators, PricePaths, proposals, simulate, sweep
from risk_core.analytics.slippage import fit, impact_of, liquidator_profit, slippage_limit

pio.templates.default = "plotly_white"
pio.renderers.default = "plotly_mimetype"
BLUE, ORANGE, GREY = "#0b5fd0", "#d8651c", "#66738a"

# %% [markdown]
# ## 1. From quotes to a curve
#
# A pool with 300 million USD a side, asked at seven sizes, and one quote that brings in less than a smaller one:
# nobody would sell more for less, so it is refused, with its reason.

# %%
size = np.array([1e5, 1e6, 5e6, 1e7, 2e7, 4e7, 8e7, 6e7])
received = size * 3e8 / (3e8 + size)
received[-1] = 3.0e7
found = fit(size, received)
for amount, got, state in zip(size, received, found.state, strict=True):
    print(f"{amount:>12,.0f} USD  loses {1 - got / amount:6.2%}  {state}")

# %% [markdown]
# Beyond the last quote nobody was asked. The curve goes on, as a **lower bound**: a curve that stayed flat there
# would understate exactly the large sales that a crash brings.

# %%
curve = found.curve
limit = slippage_limit(bonus=0.05, protocol_fee=0.1)
depth = curve.size_within(limit)
x = np.geomspace(1e5, 4e8, 80)
inside, beyond = x[x <= curve.last_usd], x[x >= curve.last_usd]
used = np.array([state == "used" for state in found.state])
figure = go.Figure()
figure.add_scatter(x=inside, y=curve.slippage_at(inside), line_color=BLUE, name="isotonic fit")
figure.add_scatter(x=beyond, y=curve.slippage_at(beyond), line={"color": BLUE, "dash": "dash"}, name="at least")
figure.add_scatter(x=size[used], y=1 - received[used] / size[used], mode="markers", marker_color=GREY, name="quotes")
figure.add_hline(y=limit, line_dash="dot", annotation_text=f"nothing earned above {limit:.2%}")
figure.update_layout(xaxis_type="log", yaxis_tickformat=".0%", yaxis_range=[0, 0.4], height=360)
figure.update_layout(title="Slippage against the size of a sale (USD)")
figure.show()
print(f"A bonus of 5 %, a tenth of it for the treasury: up to {depth:,.0f} USD can be sold at a profit")
for repaid in (1e6, 1e7, 2e7):
    kept = float(liquidator_profit(curve, repaid, bonus=0.05, protocol_fee=0.1, gas_usd=50))
    print(f"repaying {repaid:>12,.0f} USD at once {'earns' if kept > 0 else 'loses'} {abs(kept):,.0f} USD")

# %% [markdown]
# ## 2. When is the depth used up?
#
# `sweep` liquidates every account, exactly, at each fall of ETH. All at once is the hardest case: in a day depth
# comes back between sales.

# %%
market = book(5_000, 7)
eth = np.array([symbol in ("WETH", "wstETH", "weETH", "rETH", "cbETH", "osETH") for symbol in market.reserves.symbol])
swept = sweep(market, np.where(eth, -1.0, 0.0), 51)
weth = market.reserves.symbol.index("WETH")
sold = swept.seized_by_reserve[:, weth]
over = np.flatnonzero(sold > depth)
figure = go.Figure(go.Scatter(x=-100 * swept.shock, y=sold, line_color=ORANGE, name="WETH sold"))
figure.add_hline(y=depth, line_dash="dot", annotation_text="depth inside the bonus")
figure.update_layout(title="WETH that liquidators sell as ETH falls (USD)", xaxis_title="ETH, %", height=340)
figure.show()
print(f"The depth is used up when ETH falls by {swept.shock[over[0]]:.0%}" if len(over) else "Never up to 50 %")

# %% [markdown]
# The same curve is an `Impact`: the engine then lowers the price that health factors see by what was sold before.

# %%
impact = impact_of(tuple(curve if symbol == "WETH" else None for symbol in market.reserves.symbol))
assert isinstance(impact, Impact)
print(f"the price of WETH after selling 20 million: {impact.multiplier(2e7)[weth]:.4f} of the price before")

# %% [markdown]
# ## 3. Who waits
#
# Liquidators do not act at a loss. With `Liquidators` a call is made as large as still pays at the margin, the most
# profitable first; the rest waits until depth has come back. Here ETH falls by 20 % in a day, hour by hour, and half
# of what was sold is absorbed in two hours. The oracle does not see the sales (`feedback=0`): it follows other
# markets.

# %%
hours = np.arange(25)
prices = np.repeat(market.price[None, :, None], len(hours), axis=2)
prices[0, eth] *= 1 - 0.20 * hours / 24
path = PricePaths(name="ETH -20 % in a day", price=prices, step=timedelta(hours=1))
figure = go.Figure()
for share, colour in ((0.1, BLUE), (0.02, ORANGE)):
    thinner = Impact(sold_usd=share * impact.sold_usd, price=impact.price, half_life=timedelta(hours=2))
    run = simulate(market, path, impact=thinner, liquidators=Liquidators(feedback=0.0), threads=1)
    figure.add_scatter(x=hours[1:], y=run.waiting_steps, line_color=colour, name=f"{share:.0%} of the depth")
    repaid, waits, lost = (usd[0] / 1e6 for usd in (run.repaid_usd, run.waiting_usd, run.shortfall_usd))
    print(
        f"{share:>4.0%} of the depth: {repaid:6.1f} M USD repaid, at worst {waits:5.1f} M waits, {lost:.2f} M is lost"
    )
figure.update_layout(title="Debt below health factor 1 that waits (USD)", xaxis_title="hours", height=340)
figure.show()

# %% [markdown]
# ## 4. Borrowers who respond
#
# Not everybody waits until a liquidator comes. With `Borrowers` a share of the accounts repays to health factor 1.25
# once it has been below 1.1 for an hour. Share and delay were fitted on another market, and the two health factors are
# assumed: so this is a range, not a figure. The fall is the same; who responds is drawn once, by a seed.

# %%
shares = (0.0, 0.25, 0.5, 0.65, 0.8, 1.0)
runs = [simulate(market, path, borrowers=Borrowers(share=share), threads=1) for share in shares]
figure = go.Figure()
for name, colour, usd in (
    ("by liquidators", ORANGE, [run.repaid_usd[0] for run in runs]),
    ("by borrowers themselves", BLUE, [run.responded_usd[0] for run in runs]),
):
    figure.add_scatter(x=[100 * share for share in shares], y=usd, line_color=colour, name=name)
figure.update_layout(title="Debt repaid as ETH falls by 20 % (USD)", xaxis_title="accounts that respond, %", height=340)
figure.show()
for share, run in zip(shares, runs, strict=True):
    print(f"{share:>4.0%} respond: {run.repaid_usd[0] / 1e6:6.1f} M USD repaid by liquidators")
assert runs[0].repaid_usd[0] > runs[-1].repaid_usd[0]

# %% [markdown]
# The line falls in jumps: a few large accounts make most of it, and the seed decides whether they respond. So one draw
# says little, and the range over seeds belongs to the figure.

# %%
drawn = [
    simulate(market, path, borrowers=Borrowers(share=0.65, seed=seed), threads=1).repaid_usd[0] / 1e6
    for seed in range(20)
]
low, middle, high = np.quantile(drawn, [0.1, 0.5, 0.9])
print(
    f"65 % respond, 20 draws of who does: {middle:.1f} M USD in the middle, {low:.1f} to {high:.1f} M in eight of ten"
)

# %% [markdown]
# ## 5. Another threshold
#
# Everybody's health factor on WETH falls at once when its threshold does. `proposals.compare` says who falls,
# exactly. With a scenario it also simulates both markets on the same paths: `python -m flows parameter-change`.

# %%
threshold = float(market.reserves.liquidation_threshold[weth])
rows = []
for cut in (0.01, 0.02, 0.03, 0.05):
    value = round(threshold - cut, 4)
    change = {"WETH.liquidation_threshold": value, "WETH.ltv": min(value, float(market.reserves.ltv[weth]))}
    proposal = proposals.compare(market, change)
    owed = proposal.debt_usd[proposal.falls].sum()
    rows.append((value, len(proposal.falls), owed, len(proposal.warn)))
    print(f"threshold {value:.2f}: {len(proposal.falls):>3} accounts fall with {owed:>12,.0f} USD of debt, "
          f"{len(proposal.warn):>3} to warn")  # fmt: skip
