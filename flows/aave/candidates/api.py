"""Aave's own GraphQL API (v3): parameters of a market, and the health factor it shows for an account.

It needs no key, answers for now (not for a block) and cannot list borrowers. It is compared with what was read from the
chain. Its shares are fractions (`value`, 1.0 is 100 %). It is not documented what its `liquidationBonus` and
`liquidationPenalty` include, so they are not read. Source: the published schema of https://api.v3.aave.com/graphql.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from flows import settings
from flows.clients.graphql import GraphQL
from flows.clients.graphql_cell import Cell
from flows.errors import SourceRefused

DEFAULT_URL = "https://api.v3.aave.com/graphql"
AT_ONCE = 20
"""Accounts in one query."""
BORROWING = ("ENABLED", "DISABLED", "USER_EMODE_DISABLED_BORROW")

MARKET = """query Market($request: MarketRequest!) { market(request: $request) {
 address
 reserves {
  underlyingToken { address symbol decimals } isFrozen isPaused
  supplyInfo { maxLTV { value } liquidationThreshold { value } }
  borrowInfo { reserveFactor { value } borrowingState }
 }
 eModeCategories { id label maxLTV { value } liquidationThreshold { value } }
} }"""
STATE = "userMarketState(request: {request}) {{ healthFactor totalCollateralBase totalDebtBase }}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiReserve:
    """A reserve's parameters; shares in bps. `borrowing` is one of `BORROWING`, "" where there is no borrow side."""

    asset: str
    symbol: str
    decimals: int
    ltv: int
    liquidation_threshold: int
    is_frozen: bool
    is_paused: bool
    borrowing: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiEMode:
    """An e-mode category; shares in bps."""

    id: int
    label: str
    ltv: int
    liquidation_threshold: int


@dataclass(frozen=True, slots=True)
class ApiMarket:
    """A market as the API shows it now."""

    reserves: list[ApiReserve]
    emodes: list[ApiEMode]


class AaveApi(GraphQL):
    """A client of the API."""

    @classmethod
    def from_environment(cls, **how: Any) -> AaveApi:
        """The API at `AAVE_API_URL`, else at Aave's public address."""
        return cls("Aave's API", settings.get("AAVE_API_URL") or DEFAULT_URL, variable="AAVE_API_URL", **how)

    def market(self, chain_id: int, pool: str) -> ApiMarket:
        """Parameters of the market of a pool. Raises `SourceRefused` when the API does not have it."""
        data = self.ask(MARKET, {"request": {"chainId": chain_id, "address": pool}}, about="market").data
        if data.get("market") is None:
            raise SourceRefused(f"{self} has no market at the pool {pool} of chain {chain_id}")
        market = Cell(data, str(self)).into("market")
        return ApiMarket(
            [_reserve(Cell(row, f"reserve {i} of {self}")) for i, row in enumerate(market.rows("reserves"))],
            [_emode(Cell(row, f"e-mode {i} of {self}")) for i, row in enumerate(market.rows("eModeCategories"))],
        )

    def health_factors(self, chain_id: int, pool: str, accounts: Sequence[str]) -> dict[str, Decimal | None]:
        """Account -> health factor (1.0 is the limit), None without debt."""
        found: dict[str, Decimal | None] = {}
        for start in range(0, len(accounts), AT_ONCE):
            part = accounts[start : start + AT_ONCE]
            names = [f"r{i}" for i in range(len(part))]
            declared = ", ".join(f"${name}: UserMarketStateRequest!" for name in names)
            fields = " ".join(f"{name}: {STATE.format(request='$' + name)}" for name in names)
            asked = [{"market": pool, "user": account, "chainId": chain_id} for account in part]
            data = self.ask(
                f"query States({declared}) {{ {fields} }}",
                dict(zip(names, asked, strict=True)),
                about="userMarketState",
            ).data
            for name, account in zip(names, part, strict=True):
                state = Cell(data, f"{self}, account {account}").into(name)
                factor = state.row.get("healthFactor")
                found[account] = None if factor is None else decimal(state, "healthFactor")
        return found


def _reserve(at: Cell) -> ApiReserve:
    token, supply = at.into("underlyingToken"), at.into("supplyInfo")
    borrow = at.into("borrowInfo") if at.row.get("borrowInfo") is not None else None
    return ApiReserve(
        asset=token.address("address"),
        symbol=token.text("symbol"),
        decimals=token.integer("decimals"),
        ltv=_bps(supply.into("maxLTV")),
        liquidation_threshold=_bps(supply.into("liquidationThreshold")),
        is_frozen=at.flag("isFrozen"),
        is_paused=at.flag("isPaused"),
        borrowing=borrow.one_of("borrowingState", BORROWING) if borrow else "",
    )


def _emode(at: Cell) -> ApiEMode:
    return ApiEMode(
        id=at.integer("id"),
        label=at.text("label"),
        ltv=_bps(at.into("maxLTV")),
        liquidation_threshold=_bps(at.into("liquidationThreshold")),
    )


def _bps(at: Cell) -> int:
    return round(decimal(at, "value") * 10_000)


def decimal(at: Cell, field: str) -> Decimal:
    """A decimal number of at least 0, as text or as a JSON number. Raises `MalformedAnswer` naming the field."""
    value = at.row.get(field)
    try:
        number = Decimal(str(value)) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite() or number < 0:
        raise at.unlike(field, "a decimal number of at least 0")
    return number
