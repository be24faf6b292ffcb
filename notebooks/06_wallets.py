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
# # What a wallet did, and which health factor is safe
#
# Three results for a borrower: 26 figures of its past, a level for how well it protects itself, and the health factor
# at which its pair of assets has a stated chance of liquidation. Accounts, events and prices below are the
# sample's: **synthetic**.

# %%
from collections import Counter
from datetime import timedelta

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio

import risk_core as rc
from data.sample.book import book
from risk_core.accounts import main_reserve
from risk_core.analytics import protection
from risk_core.analytics.wallets import BORROW, DAY, DEPOSIT, FEATURES, LIQUIDATION, REPAY, WITHDRAW, Events, States
from risk_core.analytics.wallets import features as features_of

pio.templates.default = "plotly_white"
pio.renderers.default = "plotly_mimetype"
BLUE, ORANGE, GREY = "#0b5fd0", "#d8651c", "#66738a"

# %% [markdown]
# ## 1. Ten events, counted by hand
#
# One wallet: it puts in 10 ETH, borrows 4 and 2, repays, is liquidated once, and repays again. A feature is `NaN`
# where it is a mean without values; an event without a known value is counted, but is missing from the sums.

# %%
now = 1_000 * DAY
did = [
    (DEPOSIT, 10.0, 100), (BORROW, 4.0, 99), (REPAY, 1.0, 60), (BORROW, 2.0, 50), (LIQUIDATION, 1.5, 40),
    (DEPOSIT, 1.0, 39), (REPAY, 2.0, 20), (WITHDRAW, 0.5, 12), (REPAY, 0.5, 5), (DEPOSIT, 0.25, 2),
]  # fmt: skip
kind, eth, ago = (np.array(column) for column in zip(*did, strict=True))
events = Events(
    wallet=np.zeros(10, int), kind=kind, eth=eth, time=now - ago.astype(int) * DAY, protocol=np.zeros(10, int)
)
state = dict(collateral=[9.25], available=[3.0], borrow=[1.0])
days = States(
    wallet=[0, 0, 0], collateral=[10.0, 10.0, 9.25], available=[2.0, 1.0, 3.0], borrow=[4.0, 5.0, 1.0],
    risk=[0.5, 0.9, 0.14], day=[998, 999, 1_000],
)  # fmt: skip
[row] = features_of(1, States(wallet=[0], risk=[0.14], **state), days, events, now)
for feature, value in zip(FEATURES, row.tolist(), strict=True):
    print(f"{feature.name:<42}{value:>12.4g} {feature.unit}")

# %%
named = dict(zip([feature.name for feature in FEATURES], row.tolist(), strict=True))
assert named["borrow_amount_sum_eth"] == 6.0
assert named["borrow_repay_diff_eth"] == 2.5
assert named["risk_factor_above_threshold_daily_count"] == 1  # 0.9 is above 1 / 1.2
assert np.isclose(named["avg_weighted_risk_factor"], (0.5 * 4 + 0.9 * 5 + 0.14 * 1) / 10)
assert named["time_since_last_liquidated"] == 40 * DAY

# %% [markdown]
# ## 2. Does it protect itself?
#
# No standard exists: the rule is a choice, its thresholds can be changed, and its inputs are always shown. An act of
# protection is a repayment or a deposit of a borrower that no loan or withdrawal follows within a day. Of the events
# above these are the repayments 60, 20 and 5 days ago and the deposits 39 and 2 days ago.

# %%
rule = protection.Rule()
found = protection.inputs([0.14], events, now, rule)
level = protection.LEVELS[protection.levels(found, rule)[0]]
print(
    f"room {found.room[0]:.0%}, acts {found.acts[0]}, in {rule.recent_days} days {found.recent[0]}, liquidated "
    f"{found.liquidations[0]} time: {level}"
)
assert (found.acts[0], found.recent[0], found.liquidations[0], level) == (5, 2, 1, "medium")

# %% [markdown]
# Enough room and enough acts would be strong; one liquidation makes it medium, a second one weak:

# %%
for lost in range(3):
    same = protection.Inputs(room=found.room, acts=found.acts, recent=found.recent, liquidations=[lost])
    print(f"liquidated {lost} times: {protection.LEVELS[protection.levels(same, rule)[0]]}")

# %% [markdown]
# ## 3. Which health factor is safe?
#
# Fixed levels of 1.1, 1.25 and 1.5 for all accounts say nothing about a chance. For one collateral and one debt the
# health factor at which a liquidation within 7 days has the chance *p* is a quantile: that of the highest ratio of the
# debt's price to the collateral's along simulated paths. Here are three assets under the law that the risk figures use
# by default, Student-t with 5 degrees of freedom; volatility is given by hand.

# %%
market = book(2_000, 7)
symbols = ("WETH", "WBTC", "USDC", "USDT")
place = {symbol: market.reserves.index(symbol) for symbol in symbols}
factor = np.full(market.n_reserves, -1)
for number, symbol in enumerate(symbols):
    factor[place[symbol]] = number
scenario = rc.Scenario(
    name="a week",
    horizon=timedelta(days=7),
    n_steps=168,
    factors=symbols,
    volatility=[0.65, 0.45, 0.006, 0.006],
    correlation=[[1, 0.8, 0, 0], [0.8, 1, 0, 0], [0, 0, 1, 0.3], [0, 0, 0.3, 1]],
    factor=factor,
    law=rc.StudentT(5.0),
)
pairs = [("WETH", "USDC"), ("WBTC", "USDC"), ("WBTC", "WETH"), ("USDT", "USDC"), ("WETH", "WETH")]
chances = [0.5, 0.2, 0.1, 0.05, 0.02, 0.01]
bands = rc.health_bands(market, scenario, *zip(*[(place[c], place[d]) for c, d in pairs], strict=True), chances, 20_000)
for (collateral, debt), band in zip(pairs, bands, strict=True):
    levels_text = "   ".join(
        f"{chance:.0%}: {one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"
        for chance, one in zip(chances, band.at, strict=False)
        if chance in (0.2, 0.05, 0.01)
    )
    print(f"{collateral} against {debt}: {levels_text or band.reason}")

# %%
figure = go.Figure()
for (collateral, debt), band in zip(pairs, bands, strict=True):
    if band.at:
        figure.add_scatter(
            x=[round(one.value, 4) for one in band.at], y=[100 * chance for chance in chances],
            name=f"{collateral} / {debt}", mode="lines+markers",
        )  # fmt: skip
figure.update_layout(
    title="Chance of liquidation within 7 days", xaxis_title="health factor", yaxis_title="per cent", height=380
)
figure.update_yaxes(type="log")
figure.show()

# %% [markdown]
# The engine gives the same numbers of paths: accounts of that pair, each just above one of these health factors, are
# liquidated on as many paths as the band states.

# %%
levels = [one.value * (1 + 1e-9) for one in bands[0].at]
threshold = market.reserves.liquidation_threshold[place["WETH"]]
n = len(levels)
small = rc.Market(
    reserves=market.reserves,
    emodes=rc.EModes.none(),
    accounts=[f"0x{i:040x}" for i in range(n)],
    emode=[-1] * n,
    collateral=rc.Positions.from_entries(
        range(n), [place["WETH"]] * n, [h * 1_000 / threshold / market.price[place["WETH"]] for h in levels], n
    ),
    debt=rc.Positions.from_entries(
        range(n), [place["USDC"]] * n, [1_000 / market.price[place["USDC"]]] * n, n
    ),
    price=market.price,
    snapshot=market.snapshot,
)  # fmt: skip
hits = rc.simulate(small, scenario, 20_000, 7).account_hits
print({f"{chance:.0%}": int(count) for chance, count in zip(chances, hits, strict=True)})
assert np.abs(hits / 20_000 - chances).max() < 1e-3

# %% [markdown]
# ## 4. Which pairs are there?
#
# The pair of an account is its largest collateral and its largest debt. Most debt is in few pairs:

# %%
collateral, debt = main_reserve(market, market.collateral), main_reserve(market, market.debt)
both = (collateral >= 0) & (debt >= 0)
count = Counter(zip(collateral[both].tolist(), debt[both].tolist(), strict=True))
for (c, d), many in count.most_common(6):
    print(f"{market.reserves.symbol[c]:>8} against {market.reserves.symbol[d]:<8}{many:>5} accounts")
