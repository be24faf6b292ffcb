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
# # What if a price is wrong?
#
# Health factors see the oracle's price, sales see the market's. Three times they were far apart: a cap that was set
# too low (10 March 2026), a price that did not follow its market, and a token that nothing backed (18 April 2026).
# Accounts are the sample's, **synthetic**; what was published of the incidents stands beside, with its source.

# %%
import numpy as np
import plotly.graph_objects as go
import plotly.io as pio

from data.sample.book import book
from risk_core.cap_updates import cap_update
from risk_core.oracle_gap import oracle_gap, unbacked
from risk_core.price_caps import CapTerms, check_update

pio.templates.default = "plotly_white"
pio.renderers.default = "plotly_mimetype"
BLUE, ORANGE, GREY = "#0b5fd0", "#d8651c", "#66738a"
market = book()
print(f"{market.n_accounts:,} accounts, synthetic: {market.snapshot.synthetic}")

# %% [markdown]
# ## 1. The cap of 10 March 2026, in the contract's integers
#
# The price of a staked token is the base's price times the *ratio*, and the ratio is limited: a snapshot ratio that
# may grow by so much a year (PriceCapAdapterBase, lines 184 to 223). The update said 1.1919, dated seven days back,
# growing 9.68 % a year. The ratio was 1.2282 (governance thread 24275).

# %%
now = 1_773_100_800  # 10 March 2026, 00:00 UTC
terms = CapTerms(
    snapshot_ratio=1_191_900_000_000_000_000, snapshot_timestamp=now - 7 * 86_400, max_yearly_growth_bps=968
)
found = check_update(terms, 1_228_200_000_000_000_000, now)
print(f"the cap lets {found.largest_after / 1e18:.6f} through; the oracle's price moves by {found.move:.2%}")
print("refused by the adapter's rules:", found.broken or "nothing")

# %% [markdown]
# Two lines of arithmetic would have shown it: no rule of the adapter refuses the update, and it binds at once.
# Published was an error of 2.85 %, which is used below.
#
# ## 2. Who falls, and who pays
#
# The market did not move. Liquidators repay debt and receive collateral at the oracle's price, and sell it at the
# market's. The borrower loses the bonus **and** the error.

# %%
gap = oracle_gap(market, {}, errors={"wstETH": -0.0285})
for name, value in (
    ("accounts liquidated", gap.first.n_accounts),
    ("debt repaid, USD", round(gap.repaid_usd)),
    ("borrowers lose, USD", round(gap.borrower_loss_usd)),
    ("of it the bonus, USD", round(gap.bonus_usd)),
    ("of it the error, USD", round(gap.mispricing_usd)),
):
    print(f"{name:<24}{value:>12,}")

# %% [markdown]
# Published of the incident: 34 accounts, 10,938 wstETH; the error cost 382.76 ETH and the bonus 129.72 ETH. In the
# sample fewer accounts are looped as closely. What matters is the shape: most borrowers of staked ETH owe ETH inside
# an e-mode with a threshold of 95 %, so that the loss grows fast with the error.

# %%
errors = np.arange(0, 0.101, 0.005)
gaps = [oracle_gap(market, {}, errors={"wstETH": -error}) for error in errors.tolist()]
figure = go.Figure()
figure.add_scatter(x=100 * errors, y=[g.repaid_usd for g in gaps], line_color=BLUE, name="debt repaid")
figure.add_scatter(x=100 * errors, y=[g.borrower_loss_usd for g in gaps], line_color=ORANGE, name="borrowers lose")
figure.update_layout(xaxis_title="cap below the true ratio, %", yaxis_title="USD", height=340)
figure.show()

# %% [markdown]
# ## 3. Before the update is made
#
# `cap_update` asks the same of any update, on the stored market: does it bind, from when, who falls, which rule
# refuses it. (`python -m flows cap-update --asset wstETH --snapshot-ratio 1.1919 --growth 9.68` does it from the
# command line.)

# %%
for ratio in (1.1, 1.19, 1.2, 1.22):
    checked = cap_update(market, "wstETH", ratio, 7.0, 0.0968, base="WETH", ratio_growth=0.03)
    word = "BINDS" if checked.update.binds else "does not bind"
    print(f"snapshot ratio {ratio:.2f}: {word:<14} price {checked.update.move:7.2%}, {checked.n_falls:>3} fall")

# %% [markdown]
# ## 4. A feed that does not move
#
# ETH falls by 40 %, and the oracle goes on saying the old price. Nobody is liquidated, so nothing seems to happen.
# But the debt above its collateral grows, and what the stale price still lets people borrow is worse.

# %%
moves = {name: -0.4 for name in ("WETH", "wstETH", "weETH", "rsETH", "rETH", "cbETH", "osETH", "ETHx")}
stale = oracle_gap(market, moves, stuck=moves)
honest = stale.honest
print(f"an exact oracle: {honest.repaid_usd / 1e6:,.1f} M USD repaid, deficit {honest.deficit_usd / 1e6:,.1f} M USD")
print(f"stuck: {stale.first.n_accounts} liquidated, {stale.bad_debt_usd / 1e6:,.1f} M USD of bad debt")
print(f"and {stale.could_leave_usd / 1e6:,.1f} M USD more if everybody borrowed what the stale price allows")

# %% [markdown]
# ## 5. Collateral that nothing backs
#
# On 18 April 2026, 116,500 rsETH were minted without backing and 89,567 of them supplied (published). How much the
# market loses depends on who bears the loss: spread over all holders, the token falls by some 15 %; borne by a part
# of them, by more. And on whether the oracle, a ratio of the token's own contract, sees it.

# %%
for markdown in (0.0, 0.15, 0.5):
    for sees in (True, False):
        case = unbacked(market, "rsETH", 89_567.0, "WETH", markdown, oracle_sees=sees)
        first = case.gap.first
        print(
            f"marked down {markdown:4.0%}, oracle {'sees it ' if sees else 'is blind'}: borrowed "
            f"{case.borrowed_usd / 1e6:6.1f} M, liquidated {first.n_accounts:>3}, own deficit "
            f"{case.attacker_deficit_usd / 1e6:6.1f} M, others {case.others_deficit_usd / 1e6:5.1f} M, bad debt "
            f"{case.gap.bad_debt_usd / 1e6:6.1f} M"
        )

# %% [markdown]
# A blind oracle does not make the loss smaller. It makes it invisible: what the seeing oracle books as a deficit
# stands as bad debt under the blind one. The deficit is larger by the liquidators' bonus.
