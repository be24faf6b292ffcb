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
# # Which law of prices holds
#
# A risk figure is a forecast, and a forecast can be compared with its outcome. Here the prices are **generated**: two
# assets whose volatility rises and falls for weeks, with quiet weekends, and whose worst days come together. The right
# law is known. On real prices one command does the same:
#
# ```sh
# python -m flows backtest --prices hourly.csv
# ```

# %%
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio

from risk_core import backtest
from risk_core.analytics import backtests
from risk_core.analytics.volatility import weekday_factor
from risk_core.laws.calibrated import CALIBRATED, DEFAULT

pio.templates.default = "plotly_white"
pio.renderers.default = "plotly_mimetype"
BLUE, ORANGE, GREY = "#0b5fd0", "#d8651c", "#66738a"

MONDAY = 1_609_718_400  # 2021-01-04 00:00 UTC
N_DAYS = 900
ends = MONDAY + 3600 * np.arange(1, 24 * N_DAYS + 1)

# %% [markdown]
# One number for each day scales its moves: slow waves of volatility, times a heavy tail that both assets share
# (5 degrees of freedom). Within a day the hours are normal.

# %%
rng = np.random.default_rng(11)
level = np.zeros(N_DAYS)
for day in range(1, N_DAYS):
    level[day] = 0.97 * level[day - 1] + 0.12 * rng.standard_normal()
wild = np.exp(level) * np.sqrt(3 / rng.chisquare(5, N_DAYS))
common = rng.standard_normal((len(ends), 1))
own = rng.standard_normal((len(ends), 2))
hourly = np.array([0.70, 0.50]) / np.sqrt(8760)
returns = (0.9 * common + np.sqrt(1 - 0.81) * own) * hourly
returns *= (np.repeat(wild, 24) * np.sqrt(weekday_factor(ends)))[:, None]

# %% [markdown]
# Each law forecasts the value-at-risk of the 24 hours after each midnight from the hours before it only: for
# each asset, and for both in equal parts. An exception is a day with a larger loss.
#
# These are the six laws that need a volatility and a correlation alone. The four that are made of past returns
# (bootstrap, GARCH with normal and Student-t moves, filtered history) take minutes: the command above judges them, too.

# %%
weights = [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]
days = backtest.starts(ends, warm_up_hours=180 * 24)
lost = backtest.losses(returns, weights, days)
forecasts = {name: backtest.value_at_risk(returns, ends, weights, days, law) for name, law in CALIBRATED.items()}

# %%
rows = []
for name, forecast in forecasts.items():
    for i, at in enumerate(backtest.LEVELS):
        cover = [backtests.coverage(lost[:, p] > forecast[:, p, i], at) for p in range(3)]
        rows.append(
            {
                "law": name, "level": f"{at:.0%}", "expected": round(cover[0].expected, 1),
                "exceptions": " ".join(str(c.exceptions) for c in cover),
                "least p": round(min(min(c.kupiec.p_value, c.conditional.p_value) for c in cover), 3),
                "pinball, bp": round(1e4 * backtests.pinball_loss(lost[:, 2], forecast[:, 2, i], at).mean(), 2),
            }
        )  # fmt: skip
print(f"{len(days)} days; exceptions of the first asset, the second, and both in equal parts")
print(pd.DataFrame(rows).to_string(index=False))

# %% [markdown]
# Under a normal law exceptions at 99 % are up to 1.8 times as frequent as stated, while at 95 % there are too few: its
# tail is wrong, which tests at 95 % do not show. To compare laws that pass, use the pinball loss: it counts both how
# far a forecast was missed and how wide it was. It is lowest for heavy tails with two speeds.
#
# A limit of such a table: on 720 days, a law with 1.5 times the stated number of exceptions mostly passes too.

# %%
shown = slice(0, 180)
date = pd.to_datetime(ends[days[shown]], unit="s").strftime("%Y-%m-%d").to_list()
figure = go.Figure(
    [
        go.Bar(x=date, y=(100 * lost[shown, 2]).round(2).tolist(), name="loss of the day", marker_color=GREY),
        *(
            go.Scatter(x=date, y=(100 * forecasts[name][shown, 2, 1]).round(2).tolist(), name=name, line_color=colour)
            for name, colour in (("normal", ORANGE), ("two-speed-t5", BLUE))
        ),
    ],
    layout={
        "title": "Both in equal parts: what a day lost, and the 99 % forecasts for it", "height": 380,
        "yaxis": {"title": "% of the position"},
    },
)  # fmt: skip
figure.show()

# %% [markdown]
# ## No forecast uses its own day
#
# If all prices after one midnight change, the forecasts up to it stay the same, to the last bit.

# %%
at = 300
other = returns.copy()
other[days[at] + 1 :] *= 3
again = backtest.value_at_risk(other, ends, weights, days[: at + 2], CALIBRATED[DEFAULT])
same = again == forecasts[DEFAULT][: at + 2]
print("the same up to that day:", same[: at + 1].all(), "- the day after too:", same[at + 1].any())
