"""What a liquidation may do, by protocol revision: each rule a method, so that a version overrides what it changed.

Sources: aave-v3-origin 3.6.0 and 3.7.0, `LiquidationLogic.sol`, `GenericLogic.sol`, `TokenMath.sol`; formulae only.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.reference import fixed_point
from tests.reference.aave_records import USD, AccountData, EMode, Reserve, Seizure, UnknownRevision, Weighed
from tests.reference.fixed_point import BPS, MAX_UINT256, RAY, WAD, div_ceil, div_half_up, percent_div, percent_mul


class RulesV36:
    """What a liquidation may do in v3.6 (`POOL_REVISION` 10). v3.7 overrides what it changed."""

    close_factor = 5_000
    close_factor_health_factor = 95 * WAD // 100
    full_close_below = 2_000 * USD
    leftover = 1_000 * USD
    liquidation_health_factor = WAD

    def debt_balance(self, scaled: int, index: int) -> int:
        return fixed_point.debt_balance(scaled, index)

    def supply_balance(self, scaled: int, index: int) -> int:
        return fixed_point.supply_balance(scaled, index)

    def health_factor(self, data: AccountData, weighted: int) -> int:
        """`weighted` is the sum of value times threshold: the average threshold is never used (v3.5 on)."""
        return div_half_up(weighted * WAD, data.debt) // BPS if data.debt else MAX_UINT256

    def ltv(self, reserve: Reserve, emode: EMode | None, inside: bool) -> int:
        if not inside:
            return reserve.ltv
        return 0 if emode.ltvzero_bitmap >> reserve.id & 1 else emode.ltv

    def bonus(self, reserve: Reserve, emode: EMode | None) -> int:
        inside = emode is not None and emode.collateral_bitmap >> reserve.id & 1
        return emode.liquidation_bonus if inside else reserve.liquidation_bonus

    def most_repayable(self, c: Reserve, d: Reserve, balance: int, debt: int, data: AccountData) -> int:
        """Close factor: half of the TOTAL debt, only above HF 0.95 and when both sides reach 2,000 USD."""
        value = d.debt_value(debt)
        if (
            c.supply_value(balance) >= self.full_close_below
            and value >= self.full_close_below
            and data.health_factor > self.close_factor_health_factor
        ):
            half = percent_mul(data.debt, self.close_factor)
            if value > half:
                return half * d.unit // d.price
        return debt

    def seize(self, c: Reserve, d: Reserve, balance: int, debt: int, bonus: int) -> Seizure:
        """Collateral for `debt`, or debt for the whole of `balance` when that is the lesser."""
        asked = take = self.with_bonus(d.price * debt * c.unit // (c.price * d.unit), bonus)
        if take > balance:
            take = balance
            debt = div_ceil((c.price * balance * d.unit // (d.price * c.unit)) * BPS, bonus)
        return Seizure(debt, take, self.fee(take, bonus, c.protocol_fee), asked)

    def with_bonus(self, base: int, bonus: int) -> int:
        return percent_mul(base, bonus)

    def fee(self, take: int, bonus: int, fee_bps: int) -> int:
        """The treasury's share comes out of the bonus, not out of the whole seizure."""
        return percent_mul(take - percent_div(take, bonus), fee_bps) if fee_bps else 0

    def advised_debt_value(self, d: Reserve, left: int) -> int:
        """What the protocol's adviser takes the debt that is left to be worth: rounded down."""
        return d.supply_value(left)

    def leaves_dust(self, w: Weighed) -> bool:
        """Whoever leaves something on both sides leaves 1,000 USD on each."""
        return w.leaves_both and min(w.debt_value_left, w.collateral_value_left) < self.leftover

    def collateral_spent(self, c: Reserve, scaled: int, balance: int, moved: Seizure, data: AccountData) -> Spent:
        """Does this call empty the reserve (its flag goes off), and the whole account (bad debt is burnt)?"""
        return Spent(reserve=moved.take == balance, account=data.collateral == c.supply_value(moved.take))


class Spent(NamedTuple):
    reserve: bool
    account: bool


class RulesV37(RulesV36):
    """v3.7 (`POOL_REVISION` 11): roundings of seizure and fee, emptiness by scaled balances, isolated e-modes."""

    def ltv(self, reserve: Reserve, emode: EMode | None, inside: bool) -> int:
        if not inside and emode is not None and emode.isolated:
            return 0
        return super().ltv(reserve, emode, inside)

    def with_bonus(self, base: int, bonus: int) -> int:
        return base * bonus // BPS

    def fee(self, take: int, bonus: int, fee_bps: int) -> int:
        return div_ceil((take - take * BPS // bonus) * fee_bps, BPS) if fee_bps else 0

    def advised_debt_value(self, d: Reserve, left: int) -> int:
        """Rounded up, as the pool does; recorded in truth_edges37, where 3.6's floor is one base unit off."""
        return d.debt_value(left)

    def collateral_spent(self, c: Reserve, scaled: int, balance: int, moved: Seizure, data: AccountData) -> Spent:
        to_liquidator = div_ceil((moved.take - moved.fee) * RAY, c.income)
        used = min(to_liquidator + div_ceil(moved.fee * RAY, c.income), scaled)
        account = c.supply_value(fixed_point.supply_balance(used, c.income)) == data.collateral
        return Spent(reserve=account or used == scaled, account=account)


REVISIONS: dict[int, type[RulesV36]] = {10: RulesV36, 11: RulesV37}


def rules_of(revision: int) -> RulesV36:
    """Rules of a `POOL_REVISION`. Raises `UnknownRevision`: rules are never guessed."""
    if revision not in REVISIONS:
        known = ", ".join(map(str, REVISIONS))
        raise UnknownRevision(f"POOL_REVISION: expected one of {known}, found {revision}; its rules are not written")
    return REVISIONS[revision]()
