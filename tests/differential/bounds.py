"""How far the engine's floats may stand from the contract's integers, and when the integers alone may judge.

Notation: u is one unit of base currency (1e-8 USD); p the price and "unit" the smallest amount of a token; b is
1 + liquidation bonus, f the treasury's share of the bonus, i an index (ray / 1e27). A float64 operation errs by
2e-16 relative, which is nothing here; the engine keeps real numbers where the contract rounds.

*Health factor.* The contract floors the value of each of n collaterals and ceils each of m debts: it stands below the
real number by less than m u / D relative through the debt, and n u / D absolute through the collateral. Only
accounts with D > 10 USD are judged, so the first is under 1e-9 m. Bound: 1e-7 HF + n u / D, and the last digit of
the contract's answer (1e-18); the second term matters only where HF < 0.1 n / D[USD], that is for dust of collateral
under a debt of a few dollars.

*Repaid.* `cover` itself, or the whole debt: no rounding. Half of the total debt over the price: m u / 2 + u through
the values, where both sides exceed 2,000 USD, so under 1e-11 m relative, and a floor of one unit. The worth of all
collateral: a floor, divided by b, then a ceiling. Bound: one unit, or 1e-7 relative.

*Seized.* The debt in terms of collateral is floored (times b: under b units), the bonus is rounded (under one), and
the fee that is subtracted is rounded up (under 1 + f). Bound: b + 2 + f units, or 1e-7 relative.

*Fee.* Rounded up from a rounded bonus: under 1 + f. Where the two burns of collateral together ask for more scaled
units than there are, the treasury gets what is left: less by one scaled unit and a floor, under i + 1. Bound:
2 + f + ceil(i) units, or 1e-7 relative.

*Deficit* is debt minus repaid, so the bound of repaid relative to the debt.

*Balances after.* Scaled amounts are rounded to one scaled unit (i units) per burn: two burns of collateral, one of
debt, one rounding of the balance before and one after, on top of the amounts above.

*Health factor after.* The balances after, valued, over the debt after.

*Sequences.* The engine carries its own balances from step to step, so the value by which they may already be off
(the sum of the bounds of the balances of the steps before, valued, in units of u) joins every bound: `drift`.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.reference.aave_exact import Pool
from tests.reference.aave_records import USD, Account, AccountData, Reserve, Weighed
from tests.reference.fixed_point import BPS, RAY, WAD, div_ceil

RELATIVE = 1e-7
DEBT_FLOOR = 10 * USD
HEALTH_FACTOR_EDGE = WAD // 10**9
FLOAT = 2**-50
"""Relative resolution granted to amounts that the engine receives as floats (four roundings of 2^-53, and more)."""

CONTRACT_ONLY = {
    "SelfLiquidation": "the liquidator is the borrower, and the engine has no liquidator",
    "InvalidBurnAmount": "less than one scaled unit moves, and the engine has no scaled units",
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of one call, in token units; `drift` in units of base currency (0 for a call on recorded balances)."""

    c: Reserve
    d: Reserve
    bonus: float
    drift: float = 0.0

    @classmethod
    def of(cls, pool: Pool, account: Account, collateral: int, debt: int, drift: float) -> Bounds:
        c = pool.reserves[collateral]
        bonus = pool.rules.bonus(c, pool.emodes.get(account.emode)) / BPS
        return cls(c, pool.reserves[debt], bonus, drift)

    def _drift(self, reserve: Reserve) -> float:
        return self.drift * reserve.unit / reserve.price

    def repaid(self, amount: int) -> float:
        return max(1.0, RELATIVE * amount) + self._drift(self.d)

    def seized(self, amount: int) -> float:
        share = self.c.protocol_fee / BPS
        return max(self.bonus + 2 + share, RELATIVE * amount) + self.bonus * self._drift(self.c)

    def fee(self, amount: int) -> float:
        share = self.c.protocol_fee / BPS
        return max(2 + share + div_ceil(self.c.income, RAY), RELATIVE * amount) + self.bonus * self._drift(self.c)

    def deficit(self, reserve: Reserve, debt_before: int) -> float:
        return max(1.0, RELATIVE * debt_before) + self._drift(reserve)

    def collateral_left(self, reserve: Reserve) -> float:
        """Of the seized reserve; untouched ones keep their balance to the unit (and the drift)."""
        rounding = self.bonus + 4 + 2 * div_ceil(reserve.income, RAY) if reserve is self.c else 1.0
        return rounding + self.bonus * self._drift(reserve)

    def debt_left(self, reserve: Reserve) -> float:
        rounding = 3 + div_ceil(reserve.debt_index, RAY) if reserve is self.d else 1.0
        return rounding + self._drift(reserve)

    def drift_after(self) -> float:
        """Value (units of base currency) by which the balances may be off once this call is done."""
        moved = (
            self.collateral_left(self.c) * self.c.price / self.c.unit
            + self.debt_left(self.d) * self.d.price / self.d.unit
        )
        return self.drift + moved


def health_factor(data: AccountData, account: Account, drift: float = 0.0) -> float:
    """Bound of a health factor (1.0 is 1) of an account with more than 10 USD of debt."""
    value = data.health_factor / WAD
    collaterals = sum(account.uses_as_collateral(j) for j in account.flagged())
    return RELATIVE * value + (collaterals + drift * (1 + value)) / data.debt + 1 / WAD


def stands_aside(
    pool: Pool, account: Account, error: str | None, cover: int | None, weighed: Weighed | None, bounds: Bounds
) -> str | None:
    """Why the integer model alone judges a call; None where the engine is judged too.

    The lines of the rules: within 1e-9 of HF 1 or 0.95 (or within the n u / D + m u / D that the contract itself
    rounds: more than 1e-9 only for debts of a few dollars), within u of 2,000 USD (close factor) or 1,000 USD (dust).
    What floats cannot see: a remainder below their resolution, or below the contract's own roundings of it. What the
    engine does not have: a liquidator's identity, scaled units, a cover of nothing.
    """
    if error in CONTRACT_ONLY:
        return CONTRACT_ONLY[error]
    if cover == 0:
        return "the call covers nothing, which the engine refuses as an input"
    if weighed is None:
        return None
    rules, data = pool.rules, weighed.data
    for line, name in ((rules.liquidation_health_factor, "1"), (rules.close_factor_health_factor, "0.95")):
        off = abs(data.health_factor - line)
        if off <= HEALTH_FACTOR_EDGE:
            return f"health factor within 1e-9 of {name}"
        # Both flags of a reserve may count, each by u; next to 1 the debt's part weighs as much as the collateral's.
        roundings = 2 * sum(1 for _ in account.flagged()) + 2 * bounds.drift
        if data.debt and off / WAD <= roundings / data.debt:
            return f"health factor nearer to {name} than the contract's own rounding of values"
    edge = 1 + bounds.drift
    if min(abs(value - rules.full_close_below) for value in (weighed.collateral_value, weighed.debt_value)) <= edge:
        return "value within 1e-8 USD of 2,000 USD"
    left = (weighed.collateral_value_left, weighed.debt_value_left)
    if weighed.leaves_both and min(abs(value - rules.leftover) for value in left) <= edge:
        return "leftover within 1e-8 USD of 1,000 USD"
    if 0 < weighed.owed - weighed.moved.debt <= FLOAT * weighed.owed:
        return "less debt is left than a float can tell from none"
    if abs(weighed.moved.asked - weighed.balance) <= _invisible(weighed, bounds):
        return "less collateral is left, or missing, than the contract's own rounding"
    return None


def _invisible(weighed: Weighed, bounds: Bounds) -> float:
    """Token units of collateral below what decides whether all of it is taken.

    The roundings of the amount asked (1 + b), those of two burns of scaled units, by which v3.7 judges emptiness
    (2 ceil(i)), the value u at which collateral counts as none, and the resolution of floats.
    """
    roundings = bounds.bonus + 1 + 2 * div_ceil(bounds.c.income, RAY)
    return max(roundings, bounds.c.unit / bounds.c.price, FLOAT * weighed.balance) + bounds._drift(bounds.c)
