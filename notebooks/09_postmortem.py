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
# # Why was this account liquidated, and where did its loss go?
#
# A liquidation takes collateral worth the repaid debt plus a bonus, at **oracle** prices. At **market** prices the
# borrower loses the bonus and the error of the oracle. These two are separated here: by hand, for a published case, and
# for the built-in sample, which is **synthetic**.

# %%
import tempfile
from fractions import Fraction
from pathlib import Path

import plotly.graph_objects as go
import plotly.io as pio

from data import postmortem, sample
from data.sample.liquidations import PLANTED_LOG
from data.store import Reader
from risk_core.analytics import postmortem as pm

pio.templates.default = "plotly_white"
pio.renderers.default = "plotly_mimetype"
BLUE, ORANGE, GREY = "#0b5fd0", "#d8651c", "#66738a"

# %% [markdown]
# ## 1. By hand
#
# 1,000 USDC are repaid with WETH at 2,000 USD on the oracle: 0.5 WETH and a bonus of 5 %, of which the protocol keeps a
# tenth. The market has WETH at 2,100 USD. Amounts are token units and money is exact, so the parts **are** the loss.

# %%
gross = pm.owed_collateral(
    1_000 * 10**6, debt_price=10**8, collateral_price=2_000 * 10**8, debt_decimals=6, collateral_decimals=18,
    bonus_bps=10_500, revision=11,
)  # fmt: skip
seized = pm.seizure(gross, 10_500, 1_000, revision=11)
loss = pm.loss(
    net=seized.net, fee=seized.fee, repaid=1_000 * 10**6, collateral_decimals=18, debt_decimals=6,
    collateral_oracle=2_000, debt_oracle=1, collateral_market=2_100, debt_market=1,
)  # fmt: skip
print(f"taken {gross / 1e18} WETH, {seized.fee / 1e18} of it by the protocol")
parts = [float(part) for part in (loss.oracle_error, loss.bonus, loss.protocol_fee)]
print(f"loss {float(loss.total)} USD = {parts[0]} oracle error + {parts[1]} bonus + {parts[2]} protocol fee")
assert loss.total == loss.oracle_error + loss.bonus + loss.protocol_fee == Fraction("102.5")

# %% [markdown]
# ## 2. The case of 10 March 2026
#
# A rate cap held wstETH at 1.1939 ETH where the market had 1.2282; 34 accounts with 10,938 wstETH were liquidated at a
# bonus of 1 %. The DAO that paid them back published 382.76 ETH of oracle error and 129.72 ETH of bonus (its parts and
# its printed totals differ by less than one ETH). With one price for all accounts:

# %%
wsteth, oracle, market = 10_938, Fraction("1.1939"), Fraction("1.2282")
repaid = wsteth * oracle * 10_000 / 10_100
case = pm.loss(
    net=wsteth, fee=0, repaid=int(repaid * 10**18), collateral_decimals=0, debt_decimals=18,
    collateral_oracle=oracle, debt_oracle=1, collateral_market=market, debt_market=1,
)  # fmt: skip
for name, computed, published in (("oracle error", case.oracle_error, 382.76), ("bonus", case.bonus, 129.72)):
    print(f"{name:12} {float(computed):8.2f} ETH, published {published:.2f}: {float(computed) / published - 1:+.1%}")
print(f"the published error is that of a market at {float(oracle) + 382.76 / wsteth:.4f} ETH")

# %% [markdown]
# The bonus agrees to 0.3 %. The error is 2 % lower: accounts fell at different times, and the market's price moved.
#
# ## 3. From the warehouse
#
# `data.postmortem.post_mortem(transaction)` reads the rest: prices, the account of the nearest snapshot with its later
# events, and the result of waiting. The sample has two liquidations for which everything is known.

# %%
folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "risk.sqlite"
sample.fill(1_000, 7, db=path)
with Reader.open(path) as reader:
    rows = reader.rows(
        "SELECT tx_hash FROM stg_lending_events WHERE log_index = ? ORDER BY block_number", (PLANTED_LOG,)
    )
found = [postmortem.post_mortem(tx, db=path) for (tx,) in rows]
print("\n".join(postmortem.lines(found[1])))

# %% [markdown]
# Figures that are not stored are unknown, not zero. What the liquidator paid to be first is told from the block, where
# it is stored: the priority fee, and ETH sent to the producer. It is the least, since a bid paid inside a call leaves
# no log. What selling cost it is told by the newest quotes **before** the liquidation; the sample's are assumed.

# %%
wei = pm.priority_fee(gas_used=400_000, price=32 * 10**9, base_fee=30 * 10**9)
print(f"400,000 gas at 2 gwei above the base fee: {wei / 1e18} ETH to the block's producer")
sale = found[1].sale
print(
    f"selling ${sale.size_usd:,.0f} of {' to '.join(sale.through)}: {sale.share:.2%} lost by quotes of "
    f"{(found[1].event.ts - sale.quoted_at) / 86_400:.1f} days before, assumed: {sale.assumed}; "
    f"lower bound: {sale.lower_bound or 'no'}"
)
got = found[1].receipts
assert got.oev is None
assert got.protocol_fee + got.slippage + got.rest == found[1].loss.total

# %%
figure = go.Figure()
for one, colour, name in zip(found, (GREY, ORANGE), ("prices", "an oracle"), strict=True):
    hours = (one.path.times - one.event.ts) / 3_600
    figure.add_scatter(
        x=hours.round(3), y=one.path.recorded.round(5), name=f"felled by {name}, not liquidated", line={"color": colour}
    )
figure.add_hline(y=1, line={"color": BLUE, "dash": "dash"})
figure.update_layout(
    title="Had nobody touched the account, sample",
    xaxis_title="hours after the liquidation",
    yaxis_title="health factor",
    height=380,
)
figure.show()
print("an hour's wait had saved it:", {one.fall.main.name: one.saved_in_an_hour for one in found})
folder.cleanup()
