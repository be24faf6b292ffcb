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
# # Who makes the tail?
#
# A figure such as "one day in a hundred, more debt than this is liquidated" says how much, and not whose, in which
# collateral, or because of which price. This notebook cuts the figure into shares that add up to it, and shows how sure
# each share is. The book is the built-in sample: **synthetic accounts**.

# %%
import time
from dataclasses import replace
from datetime import timedelta

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio

import risk_core as rc
from data.sample import book
from risk_core.parts import Replay

pio.templates.default = "plotly_white"
pio.renderers.default = "plotly_mimetype"
BLUE, ORANGE, GREY = "#0b5fd0", "#d8651c", "#66738a"

market = book(n_accounts=5_000, seed=7)
symbols = market.reserves.symbol
FOLLOWS_ETH = ["WETH", "wstETH", "weETH", "cbETH", "rETH", "osETH", "ETHx", "rsETH"]
FOLLOWS_BTC = ["WBTC", "cbBTC", "tBTC", "LBTC", "eBTC", "FBTC"]
factor = [0 if s in FOLLOWS_ETH else 1 if s in FOLLOWS_BTC else -1 for s in symbols]
scenario = rc.Scenario(
    name="a wild day", horizon=timedelta(hours=24), n_steps=24, factors=("ETH", "BTC"), volatility=[1.0, 0.7],
    correlation=[[1.0, 0.8], [0.8, 1.0]], factor=factor, law=rc.StudentT(5.0),
)  # fmt: skip
result = rc.simulate(market, scenario, n_paths=10_000, seed=7)
lar, tail = rc.measures.lar(result, 0.99), rc.measures.expected_shortfall(result, 0.99, of="repaid")
print(f"LaR 99 %: {lar.value / 1e6:.1f} M USD; mean of the worst 1 %: {tail.value / 1e6:.1f} M USD")

# %% [markdown]
# ## 1. A path of the tail, once more, with an account of every dollar
#
# A path depends on its number and the seed alone, so the hundred worst of ten thousand can be followed again by
# themselves. Amounts are integers, in millionths of a dollar, and their parts add up exactly.

# %%
worst = np.argsort(-result.repaid_usd)[:100]
parts = Replay(market, result).parts(worst)
print(f"{len(parts.account):,} liquidated accounts on these {len(worst)} paths")
assert (parts.by_reserve.sum(axis=1) == result.path[worst, :4]).all()

# %% [markdown]
# ## 2. Shares of the mean of the worst 1 %
#
# The share of an account is its mean part on those paths over the mean of the whole (Euler's allocation; Tasche 1999).
# The same for the debt repaid and the collateral sold of each reserve.

# %%
shares = rc.contributions(market, result, 0.99, "repaid", "shortfall")
for label, names, found in (
    ("sold", symbols, shares.sold),
    ("repaid", symbols, shares.by_reserve),
    (
        "account",
        [*(f"{market.accounts[row][:4]}..{market.accounts[row][-4:]}" for row in shares.accounts), "others"],
        shares.by_account,
    ),
):
    order = np.argsort(-found.share)[:3]
    print(f"{label:>8}: " + ", ".join(f"{names[k]} {found.share[k]:.1%} +- {1.96 * found.se[k]:.1%}" for k in order))
    assert abs(found.share.sum() - 1) < 1e-9

# %% [markdown]
# ## 3. Which price makes it?
#
# Prices have no sizes that could be scaled, and losses are not linear in them. So a driver's share is its Shapley
# value: what its moves add to the loss of a path, averaged over all orders in which the drivers may move. ETH and BTC
# often fall together, and an account may fall by either.

# %%
for name, share, se in zip(shares.drivers, shares.by_driver.share, shares.by_driver.se, strict=True):
    print(f"{name:>8}: {share:6.1%} +- {1.96 * se:.1%}")

# %% [markdown]
# ## 4. The quantile itself
#
# No path has exactly the loss of the quantile. Its shares come from the paths within its own 95 % interval. They are
# few, so an error stands beside each share. Deeper in the tail other accounts take over.

# %%
figure = go.Figure()
for level, colour in ((0.95, GREY), (0.99, BLUE)):
    found = rc.contributions(market, result, level, "repaid", "quantile")
    order = np.argsort(-found.sold.share)[:6]
    figure.add_bar(
        x=[symbols[k] for k in order], y=found.sold.share[order].round(6), name=f"LaR {level:.0%}",
        marker_color=colour, error_y={"type": "data", "array": (1.96 * found.sold.se[order]).round(6)},
    )  # fmt: skip
figure.update_layout(title="Collateral sold at the quantile", yaxis={"tickformat": ".0%"}, height=380)
figure.show()

# %% [markdown]
# ## 5. What too few paths say
#
# Ten paths lie beyond 99.9 %. They are counted, and nothing is made of them.

# %%
print(rc.contributions(market, result, 0.999, "repaid", "shortfall").no_shares)
print(rc.contributions(market, result, 0.99, "deficit", "shortfall").no_shares)


# %% [markdown]
# ## 6. The same figure for less time
#
# Most paths only say that LaR 99 % lies above them. `rc.two_phase` draws many paths and follows few of them in full:
#
# 1. Before its prices are drawn it is known of a path how far it moves along one direction, and the factor that the
#    Student-t law puts on all its moves. Of paths that move far every one is looked at, of calm ones one in a hundred.
# 2. Those are simulated on the few accounts with much debt close to liquidation. Their loss tells the rank of the path.
# 3. Paths near the rank of the quantile are followed in full, on all accounts; of the others a few.
#
# Each choice has a known probability, so what the first looks miss makes the error larger, and never the figure wrong.

# %%
N_PATHS = 50_000
screen = rc.two_phase.find_screen(market, scenario, 0.99, N_PATHS, seed=7)
looks = rc.two_phase.sample(market, scenario, screen, N_PATHS, seed=7)
print(f"{looks.n_paths:,} paths, {looks.count.sum():,} looked at on {len(screen.account)} accounts, "
      f"{looks.n_followed:,} followed on all {market.n_accounts:,}")  # fmt: skip
found = looks.quantile()
print(f"LaR 99 %: {found.value / 1e6:.1f} M USD, 95 % interval {found.low / 1e6:.1f} to {found.high / 1e6:.1f}; "
      f"as sure as {found.variance_reduction * found.n_paths:,.0f} plain paths")  # fmt: skip

exact = rc.measures.lar(rc.simulate(market, scenario, 400_000, seed=1_000), 0.99).value
runs = {
    "plain, 10,000 paths": lambda seed: rc.measures.lar(rc.simulate(market, scenario, 10_000, seed=seed), 0.99),
    "quasi-random, 10,000 paths": lambda seed: rc.measures.lar(
        rc.simulate(market, replace(scenario, sampling="quasi"), 10_000, seed=seed), 0.99
    ),
    "two-phase, 50,000 paths": lambda seed: rc.two_phase.lar(market, scenario, 0.99, N_PATHS, seed),
}
values = {name: np.array([run(seed).value for seed in range(24)]) for name, run in runs.items()}
rms = {name: float(np.sqrt(((of / exact - 1) ** 2).mean())) for name, of in values.items()}
for name, error in rms.items():
    print(f"{name:>27}: root mean square error {error:.1%} over 24 seeds")

figure = go.Figure()
for (name, of), colour in zip(values.items(), (GREY, ORANGE, BLUE), strict=True):
    figure.add_box(
        y=(of / 1e6).round(3), name=name, boxpoints="all", pointpos=0, jitter=0.5, marker_color=colour, showlegend=False
    )
figure.add_hline(y=round(exact / 1e6, 3), line_dash="dot", annotation_text="400,000 paths")
figure.update_layout(title="LaR 99 % of 24 seeds", yaxis_title="USD m", height=380)
figure.show()

# %% tags=["measured"]
seconds = {}
for name, run in runs.items():
    taken = []
    for seed in range(5):
        start = time.process_time()
        run(seed)
        taken.append(time.process_time() - start)
    seconds[name] = sorted(taken)[2]
base = next(iter(runs))
for name in runs:
    gain = (rms[base] / rms[name]) ** 2 * seconds[base] / seconds[name]
    print(
        f"{name:>27}: {seconds[name] * 1e3:.0f} ms of processor time; for one error {gain:.1f} times faster than plain"
    )

# %% [markdown]
# `make bench ARGS=sampling` measures the gain on a book of 100,000 accounts, where following a path in full costs more.
# Tried there as well: quasi-random numbers gain about three times for the mean and nothing for this figure, because the
# factor on all moves, which makes much of the tail, is not among their dimensions. The first look alone leaves one path
# in nine for the same error, but those are the slow ones: it is the second look that makes them few.
