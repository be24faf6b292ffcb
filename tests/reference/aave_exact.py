"""The exact integer model of Aave v3.6 and v3.7: balances, account data, one liquidation call.

It is the witness between the contracts and the engine: it shares no line with `risk_core`, works on the chain's
own integers, and must equal a recorded node in every digit. Names follow the contracts; steps are numbered as in
the order of `LiquidationLogic.executeLiquidationCall`. Units: token units, base currency with 8 decimals (USD),
ray, wad, basis points.

Sources: aave-v3-origin 3.6.0 and 3.7.0, `GenericLogic.sol`, `LiquidationLogic.sol`, `ValidationLogic.sol`,
`TokenMath.sol`; rules written from the formulae.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from tests.reference.fixed_point import (
    BPS,
    MAX_UINT256,
    RAY,
    WAD,
    debt_balance,
    div_ceil,
    div_half_up,
    percent_div,
    percent_mul,
    supply_balance,
)

USD = 10**8


class UnknownRevision(ValueError):
    """A `POOL_REVISION` whose rules are not written down here."""


class Reverted(Exception):
    """The call fails on chain; `name` is the contract's error."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """One reserve at one time. `income` and `debt_index` are its indices (ray) brought to that time."""

    id: int
    symbol: str
    decimals: int
    ltv: int
    liquidation_threshold: int
    liquidation_bonus: int
    protocol_fee: int
    active: bool
    paused: bool
    grace_until: int
    price: int
    income: int
    debt_index: int

    @property
    def unit(self) -> int:
        return 10**self.decimals

    def supply_value(self, balance: int) -> int:
        """Base currency, rounded down."""
        return balance * self.price // self.unit

    def debt_value(self, balance: int) -> int:
        """Base currency, rounded up."""
        return div_ceil(balance * self.price, self.unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class EMode:
    """One e-mode category; bitmaps are by reserve id."""

    id: int
    ltv: int
    liquidation_threshold: int
    liquidation_bonus: int
    collateral_bitmap: int
    ltvzero_bitmap: int
    isolated: bool = False


@dataclass(slots=True, kw_only=True)
class Account:
    """Scaled balances by reserve id and the configuration bitmap (bit 2j borrows j, bit 2j+1 uses j as collateral)."""

    address: str
    emode: int
    config: int
    supply: dict[int, int] = field(default_factory=dict)
    debt: dict[int, int] = field(default_factory=dict)

    def copy(self) -> Account:
        return replace(self, supply=dict(self.supply), debt=dict(self.debt))

    def borrows(self, reserve: int) -> bool:
        return bool(self.config >> (2 * reserve) & 1)

    def uses_as_collateral(self, reserve: int) -> bool:
        return bool(self.config >> (2 * reserve + 1) & 1)

    def stop_borrowing(self, reserve: int) -> None:
        self.config &= ~(1 << (2 * reserve))

    def stop_using_as_collateral(self, reserve: int) -> None:
        self.config &= ~(1 << (2 * reserve + 1))

    def flagged(self) -> Iterator[int]:
        """Reserve ids with any flag, rising."""
        bits, reserve = self.config, 0
        while bits:
            if bits & 3:
                yield reserve
            bits >>= 2
            reserve += 1


class AccountData(NamedTuple):
    """What `getUserAccountData` returns, in its order."""

    collateral: int
    debt: int
    available_borrows: int
    liquidation_threshold: int
    ltv: int
    health_factor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One liquidation that went through. `seized` reaches the liquidator; `fee` the treasury (fee_scaled: aToken
    units before the index); `deficit` is (reserve id, token units) in the order booked; `after` the borrower."""

    repaid: int
    seized: int
    fee: int
    fee_scaled: int
    deficit: tuple[tuple[int, int], ...]
    after: Account


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """Everything a call is decided by, before anything moves. Token units, and base currency where named value."""

    data: AccountData
    balance: int
    owed: int
    moved: Seizure
    collateral_value: int
    debt_value: int
    collateral_value_left: int
    debt_value_left: int

    @property
    def leaves_both(self) -> bool:
        """Some of the debt and some of the collateral stay: the only calls that the dust rule looks at."""
        return self.moved.debt < self.owed and self.moved.take < self.balance


class Seizure(NamedTuple):
    """Amounts of one call before anything moves: `take` leaves the borrower, of which `fee` is the treasury's.

    `asked` is what the debt would have bought, were there enough collateral.
    """

    debt: int
    take: int
    fee: int
    asked: int


class RulesV36:
    """What a liquidation may do in v3.6 (`POOL_REVISION` 10). v3.7 overrides what it changed."""

    close_factor = 5_000
    close_factor_health_factor = 95 * WAD // 100
    full_close_below = 2_000 * USD
    leftover = 1_000 * USD
    liquidation_health_factor = WAD

    def debt_balance(self, scaled: int, index: int) -> int:
        return debt_balance(scaled, index)

    def supply_balance(self, scaled: int, index: int) -> int:
        return supply_balance(scaled, index)

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

    def leaves_dust(self, w: Weighed) -> bool:
        """Whoever leaves something on both sides leaves 1,000 USD on each."""
        return w.leaves_both and min(w.debt_value_left, w.collateral_value_left) < self.leftover

    def collateral_spent(self, c: Reserve, scaled: int, balance: int, moved: Seizure, data: AccountData) -> _Spent:
        """Does this call empty the reserve (its flag goes off), and the whole account (bad debt is burnt)?"""
        return _Spent(reserve=moved.take == balance, account=data.collateral == c.supply_value(moved.take))


class _Spent(NamedTuple):
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

    def collateral_spent(self, c: Reserve, scaled: int, balance: int, moved: Seizure, data: AccountData) -> _Spent:
        to_liquidator = div_ceil((moved.take - moved.fee) * RAY, c.income)
        used = min(to_liquidator + div_ceil(moved.fee * RAY, c.income), scaled)
        account = c.supply_value(supply_balance(used, c.income)) == data.collateral
        return _Spent(reserve=account or used == scaled, account=account)


REVISIONS: dict[int, type[RulesV36]] = {10: RulesV36, 11: RulesV37}


def rules_of(revision: int) -> RulesV36:
    """Rules of a `POOL_REVISION`. Raises `UnknownRevision`: rules are never guessed."""
    if revision not in REVISIONS:
        known = ", ".join(map(str, REVISIONS))
        raise UnknownRevision(f"POOL_REVISION: expected one of {known}, found {revision}; its rules are not written")
    return REVISIONS[revision]()


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
