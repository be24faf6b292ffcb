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
# # What may prices do, and what else may go wrong?
#
# A figure of risk rests on a **scenario**: how prices may move over the next day, and how fast everybody else acts.
# Here one book is simulated under ten laws of prices, along a past episode, and with layers of the world switched on
# one by one. Accounts and prices are the sample's, **synthetic**, so no figure below is one of a real market.

# %%
from datetime import timedelta

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio

import risk_core as rc
from data.prices.rules import rule_for
from data.sample import book, configuration, prices
from risk_core import backtest
from risk_core.analytics import responses
from risk_core.analytics.slippage import fit, impact_of
from risk_core.laws.from_returns import NAMES, law_called

pio.templates.default = "plotly_white"
pio.renderers.default = "plotly_mimetype"
BLUE, ORANGE, GREY = "#0b5fd0", "#d8651c", "#66738a"

market = book(n_accounts=5_000, seed=7)
symbols = market.reserves.symbol

# %% [markdown]
# ## 1. From prices to scenarios
#
# Each reserve follows a price series: wstETH follows ETH, and GHO follows none, as its oracle price is a constant. The
# 120 days of hourly prices are generated, with normal moves and a volatility that stands still. So here the right law
# is the normal one, and a law whose figure differs differs by its own assumption.

# %%
table = prices.frame(7).pivot(index="ts", columns="symbol", values="price_usd")
rules = [rule_for(row["symbol"], row["price_description"]) for row in configuration.reserve_rows()]
series = list(dict.fromkeys(rule.series for rule in rules if rule.kind != "fixed"))
factor = np.array([-1 if rule.kind == "fixed" else series.index(rule.series) for rule in rules])
returns = np.log(table[series]).diff().dropna()
print(
    f"{len(series)} series, {len(returns) / 24:.0f} days of hourly returns; {(factor < 0).sum()} reserve stands still"
)


# %%
def scenario(name: str) -> rc.Scenario:
    """The next 24 hours by the law of that name, fitted to the hourly returns."""
    ends, last = returns.index.to_numpy(), np.array([len(returns) - 1])
    volatility, correlation, law = next(backtest.calibrations(returns.to_numpy(), ends, last, law_called(name)))
    return rc.Scenario(
        name=name, horizon=timedelta(hours=24), n_steps=24, factors=tuple(series), volatility=volatility,
        correlation=correlation, factor=factor, law=law,
    )  # fmt: skip


# %% [markdown]
# ## 2. One book, every law
#
# **Liquidations at risk** (LaR) 99 % is the debt repaid by liquidators in a day that is exceeded on 1 path in 100. The
# same 10,000 paths by number and the same seed are used for each law, so a difference comes from the law.

# %%
N_PATHS = 10_000
scenarios = {name: scenario(name) for name in NAMES}
results = {name: rc.simulate(market, one, N_PATHS, seed=7, threads=1) for name, one in scenarios.items()}


def row(result: rc.Result) -> dict[str, str]:
    at95, at99 = rc.measures.lar(result, 0.95), rc.measures.lar(result, 0.99)
    return {
        "LaR 95 %": f"{at95.value / 1e6:.1f} ± {at95.se / 1e6:.1f}",
        "LaR 99 %": f"{at99.value / 1e6:.1f} ± {at99.se / 1e6:.1f}",
        "99 %, interval": f"{at99.low / 1e6:.1f} to {at99.high / 1e6:.1f}",
    }  # fmt: skip


print("million USD, ± one standard error; 95 % intervals")
print(pd.DataFrame({name: row(result) for name, result in results.items()}).T.to_string())

# %%
found = [rc.measures.lar(results[name], 0.99) for name in NAMES]
figure = go.Figure(
    go.Scatter(
        x=[one.value / 1e6 for one in found], y=list(NAMES), mode="markers", marker={"color": BLUE, "size": 9},
        error_x={
            "type": "data", "symmetric": False, "array": [(one.high - one.value) / 1e6 for one in found],
            "arrayminus": [(one.value - one.low) / 1e6 for one in found], "color": GREY,
        },
    )
)  # fmt: skip
figure.update_layout(
    title="Liquidations at risk 99 % of one book by ten laws, with 95 % intervals", xaxis_title="million USD",
    yaxis_autorange="reversed", height=400,
)  # fmt: skip
figure.show()
words = {name: law_called(name).words for name in NAMES}
print("\n".join(f"{name:<18}{text}" for name, text in words.items()))

# %% [markdown]
# At 95 % the laws agree; at 99 % they do not. One borrower of this book owes 150 million USD, of which a liquidation
# repays half. Under laws with heavy tails or jumps it is liquidated on 1 to 2 paths in 100, so it is in the figure;
# under the normal ones it is not; and where it is on the edge (t5) the interval reaches from one to the other.
# Bootstrap, GARCH and filtered history learn from past returns, which are normal here: so they stay close to the normal
# law. On real prices they do not.
#
# ## 3. An episode, as it was and scaled
#
# The worst three days of the stored prices, hour by hour, from today's prices on. This is **one path: no probability**.
# `python -m flows episode-replay --name ftx` does it with real prices.

# %%
moves = returns.to_numpy().T
eth = series.index("ETHUSDT")
three_days = np.convolve(moves[eth], np.ones(72), mode="valid")
start = int(three_days.argmin())
window = moves[:, start : start + 72]
for scale in (0.5, 1.0, 1.5, 2.0):
    path = rc.PricePaths.replay(market, factor, window, timedelta(hours=1), scale)
    run = rc.simulate(market, path, threads=1)
    print(
        f"every move x {scale:.1f}: ETH {np.expm1(scale * three_days[start]):+.0%}, {run.repaid_usd[0] / 1e6:6.1f} M "
        f"USD repaid, {run.n_accounts_liquidated[0]:>4} accounts, deficit {run.deficit_usd[0] / 1e6:.3f} M"
    )

# %% [markdown]
# ### On the way to a price
#
# "What if ETH falls by 30 %?" has two answers. `rc.what_if` takes the price there in one jump. `rc.bridge` draws the
# law's own paths that end there 24 hours later (a Brownian bridge): the other assets go where they then may go, the
# price may be lower before the end, and who falls twice is liquidated twice.

# %%
heavy, falls = scenarios["two-speed-t5"], (0.0, -0.1, -0.2, -0.3)
jump = [rc.what_if(market, np.where(factor == eth, fall, 0.0)).repaid_usd / 1e6 for fall in falls]
ways = [rc.simulate(market, rc.bridge(market, heavy, {series[eth]: fall}, 2_000), threads=1) for fall in falls]
for fall, once, run in zip(falls, jump, ways, strict=True):
    mean = rc.measures.average(run.repaid_usd)
    low, high = np.quantile(run.repaid_usd / 1e6, [0.05, 0.95])
    print(
        f"ETH {fall:+.0%}: {once:6.1f} M USD at once; on the way {mean.value / 1e6:6.1f} ± {mean.se / 1e6:.1f} on "
        f"average, 9 of 10 paths {low:.1f} to {high:.1f}"
    )

# %% [markdown]
# ## 4. The world beside the prices
#
# So far oracles answer at once, liquidators always act, and borrowers wait. Each layer changes one of these. Every
# number of a layer is **assumed** here: an oracle that is read two hours late; pools that hold 100 million USD a side
# for ETH and for each staked token; 65 % of the borrowers repay after an hour below health factor 1.1.

# %%
size = np.array([1e5, 1e6, 5e6, 1e7, 2e7, 4e7])
curve = fit(size, size * 1e8 / (1e8 + size)).curve
depth = impact_of(tuple(curve if rule.series == "ETHUSDT" else None for rule in rules))
layers = {
    "late oracle": {"feeds": rc.Feeds.alike(market.n_reserves, lag=7_200)},
    "depth": {"impact": depth, "liquidators": rc.Liquidators(feedback=0.0)},
    "borrowers": {"borrowers": rc.Borrowers(share=0.65)},
}
layers["all of them"] = {name: value for one in list(layers.values()) for name, value in one.items()}
base, few = scenarios["two-speed-t5"], 4_000
runs = {"prices alone": rc.simulate(market, base, few, seed=7, threads=1)}
runs |= {name: rc.simulate(market, base, few, seed=7, threads=1, **layer) for name, layer in layers.items()}
rows = {name: row(run) | {"by borrowers, mean": f"{run.responded_usd.mean() / 1e6:.1f}"} for name, run in runs.items()}
print(f"million USD, law {base.name}, {few:,} paths")
print(pd.DataFrame(rows).T.to_string())

# %%
bars = {name: rc.measures.lar(run, 0.99) for name, run in runs.items()}
figure = go.Figure(
    go.Bar(
        x=list(bars), y=[one.value / 1e6 for one in bars.values()], marker_color=[GREY, *[BLUE] * 3, ORANGE],
        error_y={
            "type": "data", "symmetric": False, "array": [(one.high - one.value) / 1e6 for one in bars.values()],
            "arrayminus": [(one.value - one.low) / 1e6 for one in bars.values()],
        },
    )
)  # fmt: skip
figure.update_layout(title="Liquidations at risk 99 % with each layer (million USD)", height=360)
figure.show()

# %% [markdown]
# What borrowers repay is mostly of accounts that are below 1.1 today already. The large borrower is one of these, and
# not among those who respond: with a share of 100 %, or another `seed` of who responds, the figure is another one.
#
# ### How borrowers respond, from what they did
#
# `python -m flows borrower-response` follows the accounts of a market between stored snapshots. A **spell** is the time
# of an account below 1.1. Some spells end with an act of the borrower, others because prices recovered or somebody
# liquidated: those say only that the borrower had not acted *yet*. The fit takes that into account; a plain count does
# not. Here the spells are drawn from a known truth: 65 % respond, after an hour on average.

# %%
random = np.random.default_rng(3)
n = 400
acts = np.where(random.random(n) < 0.65, random.exponential(3_600, n), np.inf)
ends = random.exponential(5_400, n)
acted = acts < ends
spells = responses.Spells(
    account=np.arange(n), seconds=np.minimum(acts, ends),
    outcome=np.where(acted, responses.RESPONDED, responses.RECOVERED),
    after=np.where(acted, 1.1 + random.exponential(0.2, n), np.nan),
)  # fmt: skip
known = responses.fit(spells)
print(f"counted: {acted.mean():.0%} of {n} spells ended with an act")
print(f"fitted:  {known.share.value:.0%} respond, 95 % interval {known.share.low:.0%} to {known.share.high:.0%}")
print(
    f"         after {known.delay.value / 3600:.2f} h ({known.delay.low / 3600:.2f} to {known.delay.high / 3600:.2f} h)"
)
print(f"         up to health factor {known.target.value:.2f} ({known.target.low:.2f} to {known.target.high:.2f})")
for share in (known.share.low, known.share.value, known.share.high):
    who = rc.Borrowers(share=share, delay=timedelta(seconds=known.delay.value), target=known.target.value)
    at = rc.measures.lar(rc.simulate(market, base, few, seed=7, threads=1, borrowers=who), 0.99)
    print(f"with {share:.0%}: LaR 99 % {at.value / 1e6:.1f} M USD ({at.low / 1e6:.1f} to {at.high / 1e6:.1f})")

# %% [markdown]
# ## 5. How sure is it
#
# The error of a figure falls with the root of the paths. Where fewer than 30 paths with a loss stand behind a figure
# it is flagged, and where the sample cannot carry an interval there is none, with the reason.

# %%
for n_paths in (100, 1_000, 10_000):
    run = rc.simulate(market, base, n_paths, seed=7, threads=1)
    for name, one in (
        ("LaR 99 %", rc.measures.lar(run, 0.99)),
        ("deficit VaR 99.9 %", rc.measures.var(run, 0.999)),
    ):
        mark = "few draws" if one.few_draws else ""
        interval = one.no_interval or f"{one.low / 1e6:.3f} to {one.high / 1e6:.3f}"
        print(f"{n_paths:>6,} paths  {name:<19} {one.value / 1e6:8.3f} M USD  ({interval})  {mark}")
