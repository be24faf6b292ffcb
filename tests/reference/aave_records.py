"""What the exact integer model speaks of: reserves, e-modes, accounts, and the amounts of one liquidation call.

Units: token units, base currency with 8 decimals (USD), ray, wad, basis points. Everything is a Python int.
Sources: aave-v3-origin 3.6.0 and 3.7.0, `DataTypes.sol`, `UserConfiguration.sol`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from tests.reference.fixed_point import div_ceil

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
