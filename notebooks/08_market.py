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
# Rolling value-at-risk (VaR) and expected shortfall (ES) of 1,000,000 USD of ETH by three methods, each with its number
# of exceptions; then the cost of providing liquidity, and how risky a market is to lend to. Prices and accounts are the
# sample's: **synthetic**, 65 % a year.

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
# Entry t uses returns up to t and holds for t + 1. Kupiec tests whether there are as many exceptions as
# stated, Christoffersen whether they follow each other.

# %%
losses = -1e6 * returns
figure = go.Figure(go.Bar(y=-losses[30:].round(0), name="result", marker_color="#c9ced8"))
for method, colour in zip(METHODS, (BLUE, ORANGE, GREY), strict=True):
    var, shortfall = value_at_risk(returns, method=method)
    ahead = var[29:-1]
    test = backtests.coverage(backtests.exceptions(losses[30:], ahead), 0.95)
    print(
        f"{method:>10}: VaR {var[-1]:,.0f}, ES {shortfall[-1]:,.0f}; {test.exceptions} exceptions of "
        f"{test.expected:.1f} expected in {test.n} days; p-values: Kupiec {test.kupiec.p_value:.2f}, Christoffersen "
        f"{test.independence.p_value:.2f}"
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
# ## 2. Providing liquidity compared with holding
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

# %% [markdown]
# ## 3. Which protocol would I lend to?
#
# No standard says how to make a score: parts, scales and weights are a choice, so they are shown. Here are three parts;
# the flow `protocol-scores` has eleven. An unknown part does not count as zero: its weight goes to the others.

# %%
from data.sample.book import book
from risk_core import accounts, simulate
from risk_core.analytics import concentration, scores
from risk_core.analytics.shares import clopper_pearson

market = book(3_000)
collateral, debt = accounts.totals(market)
top = [concentration.top_share(amounts[amounts > 0]) for amounts in (debt, collateral)]
points = [scores.ramp(share, 0, 1) for share in top] + [float("nan")]
found = scores.weighted(points, [0.4, 0.2, 0.4])
print(f"top-10 share of debt {top[0]:.1%}, of collateral {top[1]:.1%}, market depth not known")
print(f"weights used {found.used.round(2)}, known {found.known:.0%}: score {found.score:.1f} of 100")
assert abs(found.score - (2 * points[0] + points[1]) / 3) < 1e-9

# %% [markdown]
# The letters A+ to D are a published scale of a probability: losing more than 1 % of the principal within a year. Two
# days are simulated here, in one step and with high volatility, so that there are losses; a year is a series of such
# periods, each of which begins with the book of today. With few draws the letters are those of the exact interval,
# never that of the point.

# %%
import datetime

from risk_core import Scenario

scenario = Scenario(
    name="ETH and BTC, 2 days in one step",
    horizon=datetime.timedelta(days=2),
    n_steps=1,
    factors=("ETH", "BTC"),
    volatility=(1.4, 1.0),
    correlation=[[1, 0.8], [0.8, 1]],
    factor=[0 if "ETH" in symbol else 1 if "BTC" in symbol else -1 for symbol in market.reserves.symbol],
)
principal = collateral.sum()
losses = simulate(market, scenario, n_paths=50_000, seed=7).deficit_usd
for share in (0.0, 1e-5, 1e-4, scores.PRINCIPAL):
    hits = int((losses > share * principal).sum())
    low, high = (scores.over_year(end, 2 * 86_400) for end in clopper_pearson(hits, len(losses)))
    few = ", few draws" if hits < 30 else ""
    print(f"more than {share:.3%}: {hits:>6} of {len(losses):,} paths, {low:.2%} to {high:.2%} a year{few}")
print("letter:", scores.letter(low), "to", scores.letter(high))
