"""What belongs to no account of an Aave market at one block: addresses, reserves, e-modes, as its contracts say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flows.aave.address_book import V3
from flows.clients import abis
from flows.clients.abis import WrongShape
from flows.clients.block_reader import Failure

NO_CONTRACT = "0x" + "00" * 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Contracts:
    """Where a market lives (lower-case addresses) and which rules it follows.

    `protocol`: aave_v3 or aave_v2; `revision`: POOL_REVISION of v3, 0 for v2, which numbers its pools differently.
    """

    chain_id: int
    provider: str
    pool: str
    oracle: str
    data_provider: str
    revision: int
    base_currency_unit: int
    protocol: str = V3


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleModel:
    """How the oracle makes a reserve's price; with no field set it is the price of its feed. See `risk_core.oracles`.

    `price_cap`: in the oracle's unit (USD with 8 decimals). `ratio_cap`: in ray, relative to the price of the asset
    `ratio_of`. `linked_to`: the asset whose price is taken. `fixed`: the price is a constant.
    """

    price_cap: int | None = None
    ratio_cap: int | None = None
    ratio_of: str | None = None
    linked_to: str | None = None
    fixed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """One reserve; raw integers in the chain's units. `configuration` is the packed word, read by the properties."""

    asset: str
    id: int
    symbol: str
    configuration: int
    liquidity_index: int
    liquidity_rate: int
    variable_borrow_index: int
    variable_borrow_rate: int
    last_update: int
    atoken: str
    vtoken: str
    grace_until: int
    deficit: int
    virtual_balance: int
    normalized_income: int
    normalized_debt: int
    scaled_atoken_supply: int
    scaled_debt_supply: int
    price: int
    price_source: str
    price_description: str
    rate_curve: tuple[int, int, int, int] | None
    payload_sha256: str
    no_price: str = ""
    """Why the oracle has no price, in words; `price` is 0 then. Empty where it has one."""
    oracle: OracleModel = OracleModel()

    def bits(self, first: int, last: int) -> int:
        """Bits `first` to `last` of the configuration word, both included (`ReserveConfiguration.sol`)."""
        return (self.configuration >> first) & ((1 << (last - first + 1)) - 1)

    @property
    def ltv(self) -> int:
        """Loan to value, basis points."""
        return self.bits(0, 15)

    @property
    def liquidation_threshold(self) -> int:
        """Liquidation threshold, basis points."""
        return self.bits(16, 31)

    @property
    def liquidation_bonus(self) -> int:
        """Liquidation bonus, basis points of the debt: 10,500 is 5 %."""
        return self.bits(32, 47)

    @property
    def decimals(self) -> int:
        """Decimals of the token."""
        return self.bits(48, 55)

    @property
    def is_active(self) -> bool:
        """The reserve is active."""
        return bool(self.bits(56, 56))

    @property
    def is_frozen(self) -> bool:
        """No new supply and no new debt."""
        return bool(self.bits(57, 57))

    @property
    def borrowing_enabled(self) -> bool:
        """It can be borrowed."""
        return bool(self.bits(58, 58))

    @property
    def is_paused(self) -> bool:
        """Nothing can be done with it, liquidation included."""
        return bool(self.bits(60, 60))

    @property
    def reserve_factor(self) -> int:
        """The treasury's share of the interest, basis points."""
        return self.bits(64, 79)

    @property
    def borrow_cap(self) -> int:
        """Most that can be borrowed, whole tokens; 0 is no cap."""
        return self.bits(80, 115)

    @property
    def supply_cap(self) -> int:
        """Most that can be supplied, whole tokens; 0 is no cap."""
        return self.bits(116, 151)

    @property
    def liquidation_protocol_fee(self) -> int:
        """The treasury's share of the liquidation bonus, basis points."""
        return self.bits(152, 167)


@dataclass(frozen=True, slots=True, kw_only=True)
class EMode:
    """One e-mode category; risk parameters in bps, bitmaps by reserve id."""

    id: int
    label: str
    ltv: int
    liquidation_threshold: int
    liquidation_bonus: int
    collateral: int
    borrowable: int
    ltvzero: int
    isolated: bool


def symbol_of(asset: str, answer: bytes | Failure) -> str:
    """Symbol from the raw answer of `symbol()`, or the asset's address where that cannot be read.

    Accepts bytes32, bytes that are not text and a missing answer: a bad name must not stop the read of a market.
    """
    try:
        symbol = "" if isinstance(answer, Failure) else abis.token_symbol(answer)
    except WrongShape:
        symbol = ""
    return symbol or asset


def priced(answer: int | Failure, nothing: str = "price 0") -> dict[str, Any]:
    """The fields `price` and `no_price` of a reserve from the oracle's answer; `nothing`: reason for an answer of 0.

    One dead feed does not stop the other reserves: whether an account needs the price is checked once the accounts are
    known (`flows.aave.checks.check_prices`).
    """
    if isinstance(answer, Failure):
        return {"price": 0, "no_price": f"no price ({answer.reason})"}
    return {"price": answer, "no_price": "" if answer else nothing}
