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
# # Do stablecoins hold their peg?
#
# The state of a stablecoin from its own prices: distance from the peg, how unusual it is compared with its last day,
# and times away from the peg. Prices below are the sample's: **synthetic**, with one planted depeg of DAI.

# %%
import numpy as np
import plotly.graph_objects as go
import plotly.io as pio

from data.sample import prices
from risk_core.analytics import pegs

pio.templates.default = "plotly_white"
pio.renderers.default = "plotly_mimetype"
BLUE, ORANGE, GREY = "#0b5fd0", "#d8651c", "#66738a"

frame = prices.frame(7)
series = {
    name: frame.query("symbol == @symbol")[["ts", "price_usd"]].to_numpy()
    for name, symbol in (("USDC", "USDCUSDT"), ("USDT", "USDT/USD"), ("DAI", "DAI/USD"))
}
for name, table in series.items():
    print(f"{name}: {len(table):,} hours, lowest {table[:, 1].min():.4f}, newest {table[-1, 1]:.4f}")

# %% [markdown]
# ## 1. A price has the weight of its duration
#
# 1.00 for 18 hours and 0.96 for 6 is 0.99 on average, whatever the number of updates in those six hours.

# %%
times = [0, *range(18 * 3600, 24 * 3600, 60), 24 * 3600]
stood = pegs.rolling(times, [1.0] + [0.96] * (len(times) - 2) + [1.0], least_updates=2)
print(f"time-weighted {stood.mean[-1]:.4f}; mean of the rows {np.mean([1.0] + [0.96] * (len(times) - 2)):.4f}")
assert abs(stood.mean[-1] - 0.99) < 1e-9

# %% [markdown]
# A feed that updates once a day has no 24-hour z-score, and none is invented:

# %%
daily = pegs.rolling(np.arange(30) * 86_400, 1 + 1e-3 * np.sin(np.arange(30)))
print("scores of a daily feed:", np.unique(daily.z).tolist())

# %% [markdown]
# ## 2. Times away from the peg

# %%
ts, price = series["DAI"][:, 0].astype(int), series["DAI"][:, 1]
for episode in pegs.episodes(ts, price, threshold_bps=50, calm=6 * 3600):
    print(
        f"DAI: {episode.depth:.1%} at its deepest, {episode.duration / 3600:.0f} hours, "
        f"half of it gone after {episode.half_life / 3600:.0f} hours"
    )

# %%
near = slice(len(ts) - 82 * 24, len(ts) - 74 * 24)
rolling = pegs.rolling(ts, price)
hours = (ts[near] - ts[near][0]) / 3600
figure = go.Figure()
for bound in (rolling.mean + 2 * rolling.deviation, rolling.mean - 2 * rolling.deviation):
    figure.add_scatter(x=hours, y=bound[near].round(6), line={"color": GREY, "dash": "dot"}, showlegend=False)
figure.add_scatter(x=hours, y=price[near].round(6), name="DAI", line={"color": BLUE})
figure.update_layout(
    title="The planted depeg, and the band of the day before", xaxis_title="hours", yaxis_title="USD", height=380
)
figure.show()

# %% [markdown]
# ## 3. Healthy, warning, critical
#
# 50 basis points warn, 200 are critical on two updates in a row, or at once where a second source says the same.

# %%
states = np.array(pegs.status(ts, price))
print({state: int((states == state).sum()) for state in ("healthy", "warning", "critical")})
