"""Measured statistics of the sample, to compare with the shape it was meant to have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from risk_core import Market, health_factor


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Shares are fractions, amounts USD; legs are collaterals and debts of an account with debt."""

    n_accounts: int
    n_borrowers: int
    n_reserves_used: int
    collateral_usd: float
    debt_usd: float
    median_health_factor: float
    lowest_health_factor: float
    share_below_1_1: float
    debt_share_below_1_1: float
    mean_legs: float
    share_three_legs: float
    share_in_emode: float
    median_debt_usd: float
    largest_debt_usd: float
    top_10_share: float
    top_1000_share: float

    def lines(self) -> list[str]:
        """One line of text for each figure."""
        billions = f"{self.collateral_usd / 1e9:.2f} and {self.debt_usd / 1e9:.2f} billion USD"
        near = f"{self.share_below_1_1:.1%} ({self.debt_share_below_1_1:.1%} of the debt)"
        factor = f"{self.median_health_factor:.3f} (lowest {self.lowest_health_factor:.4f})"
        return [
            f"accounts                 {self.n_accounts:,} ({self.n_borrowers:,} with debt)",
            f"reserves in use          {self.n_reserves_used}",
            f"collateral, debt         {billions}",
            f"median health factor     {factor}",
            f"accounts below 1.1       {near}",
            f"legs of an account       {self.mean_legs:.2f} on average",
            f"three legs or more       {self.share_three_legs:.1%} of accounts",
            f"in an e-mode             {self.share_in_emode:.1%} of accounts",
            f"debt of an account       median {self.median_debt_usd:,.0f}, largest {self.largest_debt_usd:,.0f} USD",
            f"debt of the 10 largest   {self.top_10_share:.1%} (of the 1,000 largest {self.top_1000_share:.1%})",
        ]


def statistics(market: Market) -> Statistics:
    """Measure a market; everything but totals is over accounts with debt. Raises `ValueError` when there is none."""
    n = market.n_accounts
    worth = {}
    for name in ("collateral", "debt"):
        side = getattr(market, name)
        account = np.repeat(np.arange(n), np.diff(side.indptr))
        worth[name] = np.bincount(account, weights=side.amount * market.price[side.reserve], minlength=n)
    owing = worth["debt"] > 0
    if not owing.any():
        raise ValueError("statistics: the market has no account with debt")
    debt = worth["debt"][owing]
    factor = health_factor(market)[owing]
    legs = (np.diff(market.collateral.indptr) + np.diff(market.debt.indptr))[owing]
    largest = np.sort(debt)[::-1]
    near = factor < 1.1
    return Statistics(
        n_accounts=n,
        n_borrowers=int(owing.sum()),
        n_reserves_used=len(np.union1d(market.collateral.reserve, market.debt.reserve)),
        collateral_usd=float(worth["collateral"].sum()),
        debt_usd=float(debt.sum()),
        median_health_factor=float(np.median(factor)),
        lowest_health_factor=float(factor.min()),
        share_below_1_1=float(near.mean()),
        debt_share_below_1_1=float(debt[near].sum() / debt.sum()),
        mean_legs=float(legs.mean()),
        share_three_legs=float((legs >= 3).mean()),
        share_in_emode=float((market.emode[owing] >= 0).mean()),
        median_debt_usd=float(np.median(debt)),
        largest_debt_usd=float(largest[0]),
        top_10_share=float(largest[:10].sum() / debt.sum()),
        top_1000_share=float(largest[:1000].sum() / debt.sum()),
    )
