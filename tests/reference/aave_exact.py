"""The exact integer model of Aave v3.6 and v3.7: balances, account data, one liquidation call.

It is the witness between the contracts and the engine: it shares no line with `risk_core`, works on the chain's
own integers, and must equal a recorded node in every digit. Names follow the contracts; steps are numbered as in
the order of `LiquidationLogic.executeLiquidationCall`. Units: token units, base currency with 8 decimals (USD),
ray, wad, basis points.

Sources: aave-v3-origin 3.6.0 and 3.7.0, `GenericLogic.sol`, `LiquidationLogic.sol`, `ValidationLogic.sol`,
`TokenMath.sol`; rules written from the formulae.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.reference.aave_records import Account, AccountData, EMode, Receipt, Reserve, Reverted, Seizure, Weighed
from tests.reference.aave_rules import RulesV36
from tests.reference.fixed_point import BPS, RAY, div_ceil, supply_balance


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Reserves (with prices and indices) and e-modes at one time, under one set of rules."""

    time: int
    rules: RulesV36
    reserves: Mapping[int, Reserve]
    emodes: Mapping[int, EMode]

    def supply(self, account: Account, reserve: int) -> int:
        """aToken balance, token units."""
        return self.rules.supply_balance(account.supply.get(reserve, 0), self.reserves[reserve].income)

    def debt(self, account: Account, reserve: int) -> int:
        """Debt token balance, token units."""
        return self.rules.debt_balance(account.debt.get(reserve, 0), self.reserves[reserve].debt_index)

    def account_data(self, account: Account) -> AccountData:
        """`getUserAccountData`."""
        return self.weighted_account_data(account)[0]

    def weighted_account_data(self, account: Account) -> tuple[AccountData, int]:
        """Account data, and the sum of value times threshold (base currency x bps) that its health factor comes from.

        Flags decide, not balances; a flag without a reserve (dropped) counts for nothing.
        """
        emode = self.emodes.get(account.emode)
        collateral = debt = weighted = borrowable = 0
        for j in account.flagged():
            reserve = self.reserves.get(j)
            if reserve is None:
                continue
            if account.uses_as_collateral(j):
                inside = emode is not None and bool(emode.collateral_bitmap >> j & 1)
                value = reserve.supply_value(self.supply(account, j))
                collateral += value
                weighted += value * (emode.liquidation_threshold if inside else reserve.liquidation_threshold)
                borrowable += value * self.rules.ltv(reserve, emode, inside)
            if account.borrows(j):
                debt += reserve.debt_value(self.debt(account, j))
        threshold, ltv = (weighted // collateral, borrowable // collateral) if collateral else (0, 0)
        available = max(collateral * ltv // BPS - debt, 0)
        data = AccountData(collateral, debt, available, threshold, ltv, 0)
        return data._replace(health_factor=self.rules.health_factor(data, weighted)), weighted

    def weigh(
        self, account: Account, collateral: int, debt: int, cover: int | None = None, data: AccountData | None = None
    ) -> Weighed:
        """Close factor, amounts and what would be left, whether or not the call is allowed."""
        c, d, rules = self.reserves[collateral], self.reserves[debt], self.rules
        data = data or self.account_data(account)
        balance, owed = self.supply(account, collateral), self.debt(account, debt)
        most = rules.most_repayable(c, d, balance, owed, data)
        bonus = rules.bonus(c, self.emodes.get(account.emode))
        moved = rules.seize(c, d, balance, most if cover is None else min(cover, most), bonus)
        return Weighed(
            data=data,
            balance=balance,
            owed=owed,
            moved=moved,
            collateral_value=c.supply_value(balance),
            debt_value=d.debt_value(owed),
            collateral_value_left=c.supply_value(balance - moved.take),
            debt_value_left=d.debt_value(owed - moved.debt),
        )

    def liquidate(
        self,
        account: Account,
        collateral: int,
        debt: int,
        cover: int | None = None,
        *,
        receive_atoken: bool = False,
        liquidator: str = "",
    ) -> Receipt:
        """`liquidationCall` of reserve ids `collateral`, `debt`; `cover` None is the maximum.

        The account given stays untouched; the receipt carries its state after. Raises `Reverted`.
        """
        c, d, rules = self.reserves[collateral], self.reserves[debt], self.rules
        data = self.account_data(account)
        self._check(account, c, d, data, self.debt(account, debt), liquidator)
        weighed = self.weigh(account, collateral, debt, cover, data)
        if rules.leaves_dust(weighed):
            raise Reverted("MustNotLeaveDust")
        balance, owed, moved = weighed.balance, weighed.owed, weighed.moved

        after = account.copy()
        spent = rules.collateral_spent(c, account.supply.get(collateral, 0), balance, moved, data)
        if spent.reserve:
            after.stop_using_as_collateral(collateral)
        deficit = []
        self._burn_debt(after, d, owed if spent.account else moved.debt)
        if spent.account and owed > moved.debt:
            deficit.append((debt, owed - moved.debt))
        fee, fee_scaled = self._move_collateral(after, c, moved, receive_atoken)
        if spent.account:
            deficit += self._burn_bad_debt(after)
        return Receipt(
            repaid=moved.debt,
            seized=moved.take - moved.fee,
            fee=fee,
            fee_scaled=fee_scaled,
            deficit=tuple(deficit),
            after=after,
        )

    def _check(self, account: Account, c: Reserve, d: Reserve, data: AccountData, owed: int, liquidator: str) -> None:
        """`validateLiquidationCall`: the first rule that applies names the error. Frozen does not matter."""
        if liquidator and liquidator.lower() == account.address.lower():
            raise Reverted("SelfLiquidation")
        if not (c.active and d.active):
            raise Reverted("ReserveInactive")
        if c.paused or d.paused:
            raise Reverted("ReservePaused")
        if max(c.grace_until, d.grace_until) >= self.time:
            raise Reverted("LiquidationGraceSentinelCheckFailed")
        if data.health_factor >= self.rules.liquidation_health_factor:
            raise Reverted("HealthFactorNotBelowThreshold")
        if not account.uses_as_collateral(c.id):
            raise Reverted("CollateralCannotBeLiquidated")
        if owed == 0:
            raise Reverted("SpecifiedCurrencyNotBorrowedByUser")

    @staticmethod
    def _burn_debt(account: Account, d: Reserve, amount: int) -> None:
        """Scaled debt falls by the floor, so that never more is burnt than was paid."""
        scaled = amount * RAY // d.debt_index
        if scaled == 0:
            raise Reverted("InvalidBurnAmount")
        account.debt[d.id] -= scaled
        if account.debt[d.id] == 0:
            account.stop_borrowing(d.id)

    @staticmethod
    def _move_collateral(account: Account, c: Reserve, moved: Seizure, receive_atoken: bool) -> tuple[int, int]:
        """To the liquidator, then the fee to the treasury; returns the fee in token units and scaled."""
        scaled = div_ceil((moved.take - moved.fee) * RAY, c.income)
        if scaled == 0 and not receive_atoken:
            raise Reverted("InvalidBurnAmount")
        account.supply[c.id] -= scaled
        left, fee = account.supply[c.id], moved.fee
        fee_scaled = div_ceil(fee * RAY, c.income)
        if fee_scaled > left:  # two ceilings may ask for one unit more than there is
            fee_scaled, fee = left, supply_balance(left, c.income)
        account.supply[c.id] -= fee_scaled
        return fee, fee_scaled

    def _burn_bad_debt(self, account: Account) -> list[tuple[int, int]]:
        """Every other debt becomes deficit of its reserve, in the order of reserve ids."""
        deficit = []
        for j in list(account.flagged()):
            reserve = self.reserves.get(j)
            if reserve is None or not reserve.active or not account.borrows(j):
                continue
            owed = self.debt(account, j)
            if owed:
                self._burn_debt(account, reserve, owed)
                deficit.append((j, owed))
            else:
                account.stop_borrowing(j)
        return deficit
