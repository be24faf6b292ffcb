"""Aave's API on loopback: the part of its schema that is asked, answered from the fake node's recording.

Written from the published schema, which `test_aave_api.py` holds our queries against where it is at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import graphql

SDL = """
scalar BigDecimal scalar ChainId scalar EvmAddress
enum ReserveBorrowingState { ENABLED DISABLED USER_EMODE_DISABLED_BORROW }
input MarketRequest { address: EvmAddress! chainId: ChainId! user: EvmAddress }
input UserMarketStateRequest { market: EvmAddress! user: EvmAddress! chainId: ChainId! }
type PercentValue { value: BigDecimal! }
type Currency { address: EvmAddress! symbol: String! decimals: Int! }
type ReserveSupplyInfo { maxLTV: PercentValue! liquidationThreshold: PercentValue! }
type ReserveBorrowInfo { reserveFactor: PercentValue! borrowingState: ReserveBorrowingState! }
type Reserve { underlyingToken: Currency! isFrozen: Boolean! isPaused: Boolean!
               supplyInfo: ReserveSupplyInfo! borrowInfo: ReserveBorrowInfo }
type EmodeMarketCategory { id: Int! label: String! maxLTV: PercentValue! liquidationThreshold: PercentValue! }
type Market { address: EvmAddress! reserves: [Reserve!]! eModeCategories: [EmodeMarketCategory!]! }
type MarketUserState { healthFactor: BigDecimal totalCollateralBase: BigDecimal! totalDebtBase: BigDecimal! }
type Query { market(request: MarketRequest!): Market
             userMarketState(request: UserMarketStateRequest!): MarketUserState! }
"""


class LoopbackApi:
    """Served by `tests.flows.aave.candidates.server.serving` like a subgraph. `alter` may change a health factor."""

    def __init__(self, recorded: dict[str, Any]) -> None:
        self.recorded = recorded
        self.alter: Callable[[str, float | None], float | None] = lambda account, factor: factor
        self.schema = graphql.build_schema(SDL)
        query = self.schema.type_map["Query"].fields  # type: ignore[attr-defined]
        query["market"].resolve = lambda root, info, request: self.market(request)
        query["userMarketState"].resolve = lambda root, info, request: self.state(request["user"])

    def execute(self, query: str, variables: dict[str, Any] | None) -> dict[str, Any]:
        document = graphql.parse(query)
        if problems := graphql.validate(self.schema, document):
            return {"errors": [{"message": problem.message} for problem in problems]}
        result = graphql.execute(self.schema, document, variable_values=variables)
        answer: dict[str, Any] = {"data": result.data}
        return answer | ({"errors": [{"message": e.message} for e in result.errors]} if result.errors else {})

    def market(self, request: dict[str, Any]) -> dict[str, Any] | None:
        if request["address"] != self.recorded["meta"]["addresses"]["pool"].lower():
            return None
        return {
            "address": request["address"],
            "reserves": [
                {
                    "underlyingToken": {"address": r["underlyingAsset"], "symbol": r["symbol"],
                                        "decimals": r["decimals"]},
                    "isFrozen": r["isFrozen"], "isPaused": r["isPaused"],
                    "supplyInfo": {"maxLTV": share(r["baseLTVasCollateral"]),
                                   "liquidationThreshold": share(r["reserveLiquidationThreshold"])},
                    "borrowInfo": {"reserveFactor": share(r["reserveFactor"]), "borrowingState": "ENABLED"}
                    if r["borrowingEnabled"] else None,
                }
                for r in self.recorded["reserves"]
            ],
            "eModeCategories": [
                {"id": e["id"], "label": e["label"], "maxLTV": share(e["ltv"]),
                 "liquidationThreshold": share(e["liquidationThreshold"])}
                for e in self.recorded["emodes"]
            ],
        }  # fmt: skip

    def state(self, account: str) -> dict[str, Any]:
        rows = zip(self.recorded["users"], self.recorded["accounts"]["base"], strict=True)
        collateral, debt, *_, factor = next(map(int, row) for u, row in rows if u["address"].lower() == account)
        shown = self.alter(account, factor / 10**18 if debt else None)
        return {
            "healthFactor": None if shown is None else f"{shown:.6f}",
            "totalCollateralBase": str(collateral),
            "totalDebtBase": str(debt),
        }


def share(bps: Any) -> dict[str, str]:
    """A PercentValue: 1.0 is 100 %."""
    return {"value": str(int(bps) / 10_000)}
