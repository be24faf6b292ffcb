"""Compound at one block in the words of Aave's snapshot: reserves and accounts of both versions, health factors.

| Aave | Compound v2 | Compound v3 (one Comet) |
|---|---|---|
| reserve | cToken | the base asset (id 0), each collateral (id i + 1) |
| liquidation threshold | collateralFactor | liquidateCollateralFactor |
| loan to value | collateralFactor | borrowCollateralFactor |
| liquidation bonus | liquidationIncentive - 1 | 1 / liquidationFactor - 1: what the account loses above its debt |
| collateral flag | the account has entered the market | always |
| debt | in any cToken | in the base asset only |

Health factor = sum(collateral x price x threshold) / sum(debt x price), by the protocol's integers: v2 as
`getAccountLiquidity` adds it up (products cut to 18 digits), a Comet as `isLiquidatable` does (values cut to 8). v2's
figures are those of its view functions, with interest up to the market's last accrual; a Comet's are of the block.

Interfaces: compound-protocol (Comptroller, CToken, PriceOracle), comet CometMainInterface @d5a30b0a; a price of v2 is
USD x 1e36 / 10^decimals, a Comet's has 8 decimals and is USD where its base feed says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from flows.clients import abis
from flows.clients.abis import Function, WrongShape
from flows.clients.block_reader import BlockReader, Call, Failure
from flows.lending.compound_book import CHAIN_OWN_COIN

WAD = 10**18
USD = 10**8
UINT = ("uint256",)
DECIMALS = Function("decimals()", ("uint8",))
TOTAL_SUPPLY = Function("totalSupply()", UINT)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompoundReserve:
    """One cToken, or one asset of a Comet. Factors in wad, amounts in token units; `price` in the protocol's scale."""

    id: int
    asset: str
    contract: str
    underlying: str
    symbol: str
    decimals: int
    collateral_factor: int
    threshold: int
    penalty: int
    price: int
    price_feed: str
    price_description: str
    supply: int
    borrows: int
    cash: int
    can_borrow: bool
    supply_cap: int = 0
    reserve_factor: int = 0
    exchange_rate: int = WAD
    accrual_block: int | None = None
    payload_sha256: str = ""


@dataclass(slots=True)
class CompoundAccount:
    """One account: by reserve id its supply (v2: cTokens), its debt, and which supplies count as collateral."""

    address: str
    supply: dict[int, int] = field(default_factory=dict)
    debt: dict[int, int] = field(default_factory=dict)
    entered: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompoundState:
    """One deployment at one block. `usd`: prices are in USD. `checked`: accounts compared with the protocol."""

    protocol: str
    entry: str
    oracle: str
    reserves: Sequence[CompoundReserve]
    close_factor: int | None
    usd: bool
    accounts: Sequence[CompoundAccount] = ()
    checked: int = 0
    below_one: int = 0
    unpriced: Sequence[str] = ()
    """Assets that no account holds and for which the oracle has no price, each with the reason; they are left out."""


@dataclass(frozen=True, slots=True)
class Health:
    """Value of what backs the debt with and without thresholds, and of the debt; 1e-18 USD at v2, 1e-8 at a Comet."""

    collateral: int
    weighted: int
    debt: int

    @property
    def factor(self) -> float:
        """Health factor; infinite without debt."""
        return self.weighted / self.debt if self.debt else float("inf")


def names_of(reader: BlockReader, tokens: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Symbol and decimals by token. Raises `MalformedAnswer` for a token that does not say how it counts."""
    asked = sorted({token for token in tokens if token != CHAIN_OWN_COIN})
    symbols = reader.read_raw([Call(token, abis.SYMBOL, about=token) for token in asked])
    decimals = reader.read([Call(token, DECIMALS, about=token) for token in asked])
    found = {CHAIN_OWN_COIN: ("ETH", 18)}
    for token, raw, digits in zip(asked, symbols, decimals, strict=True):
        try:
            symbol = "" if isinstance(raw, Failure) else abis.token_symbol(raw)
        except WrongShape:
            symbol = ""
        found[token] = (symbol or token, digits)
    return found


def text_of(answer: bytes | Failure) -> str:
    """The text of an answer, empty where there is none."""
    return "" if isinstance(answer, Failure) else abis.text(answer)
