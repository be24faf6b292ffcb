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
# # What can a position lose in a day, and does the method hold?
#
# Rolling value-at-risk (VaR) and expected shortfall (ES) of 1,000,000 USD of ETH by three methods, each with its
# exceptions counted; then what providing liquidity costs. Prices are the sample's: **synthetic**, 65 % a year.

# %%
import numpy as np
import plotly.graph_objects as go
import plotly.io as pio

from data.sample import prices
from risk_core.analytics import backtests, impermanent_loss
from risk_core.analytics.rolling import METHODS, value_at_risk

pio.templates.default = "plotly_white"
pio.renderers.default = "plotly_mimetype"
BLUE, ORANGE, GREY = "#0b5fd0", "#d8651c", "#66738a"

hourly = prices.frame(7).query("symbol == 'ETHUSDT'")
closes = hourly[hourly["ts"] % 86_400 == 0]["price_usd"].to_numpy()
returns = closes[1:] / closes[:-1] - 1
print(f"{len(returns)} days, worst {returns.min():.1%}, volatility {returns.std() * np.sqrt(365):.0%} a year")

# %% [markdown]
# ## 1. A forecast is made the day before
#
# Entry t uses returns up to t and holds for t + 1. Kupiec asks whether there are as many exceptions as stated,
# Christoffersen whether they follow each other.

# %%
losses = -1e6 * returns
figure = go.Figure(go.Bar(y=-losses[30:].round(0), name="result", marker_color="#c9ced8"))
for method, colour in zip(METHODS, (BLUE, ORANGE, GREY), strict=True):
    var, shortfall = value_at_risk(returns, method=method)
    ahead = var[29:-1]
    told = backtests.coverage(backtests.exceptions(losses[30:], ahead), 0.95)
    print(
        f"{method:>10}: VaR {var[-1]:,.0f}, ES {shortfall[-1]:,.0f}; {told.exceptions} exceptions of "
        f"{told.expected:.1f} expected in {told.n} days; p-values: Kupiec {told.kupiec.p_value:.2f}, Christoffersen "
        f"{told.independence.p_value:.2f}"
    )
    figure.add_scatter(y=-ahead.round(0), name=method, line={"color": colour})
figure.update_layout(title="1,000,000 USD of ETH, 95 % VaR, sample", yaxis_title="USD a day", height=380)
figure.show()

# %% [markdown]
# A 30-day historical VaR at 95 % rests on two days. The published check values hold:

# %%
assert abs(backtests.kupiec(5, 250, 0.99).statistic - 1.956810) < 1e-6
assert backtests.traffic_light(10, 250) == "red"
print("5 exceptions in 250 days at 99 %:", backtests.traffic_light(5, 250))

# %% [markdown]
# ## 2. Providing liquidity against holding
#
# Half or double the price costs 5.72 % in a constant product; a range costs more inside it, and all upside beyond it.

# %%
moves = np.linspace(-0.5, 1.0, 151)
wide = impermanent_loss.constant_product(1 + moves)
narrow = impermanent_loss.concentrated(1 + moves, 1.0, 0.75, 1.25)
print(f"at half the price: {wide[0]:.2%} in a constant product, {narrow[0]:.2%} in a range of 25 %")
assert abs(wide[0] + 0.05719095841793653) < 1e-12
figure = go.Figure()
figure.add_scatter(x=(moves * 100).round(1), y=(wide * 100).round(3), name="v2", line={"color": GREY, "dash": "dash"})
figure.add_scatter(x=(moves * 100).round(1), y=(narrow * 100).round(3), name="v3, 25 %", line={"color": BLUE})
figure.update_layout(title="Impermanent loss", xaxis_title="price move, %", yaxis_title="% of holding", height=380)
figure.show()
