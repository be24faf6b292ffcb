"""The entities that the loopback GraphQL server knows: those fields of the published subgraph schemas that are asked.

Field types as in aave/protocol-subgraphs (975b22e9) and messari/subgraphs (2711ac91); `@derivedFrom(field: …)` names
the field of the other entity that points back. An enum is a list of its values. `test_graph_server.py` holds every
entry against the published field lists where those are at hand.

To serve another schema, write a dictionary of the same form and give it to `Subgraph`; add a field by adding its line.
"""

from __future__ import annotations

Entities = dict[str, "dict[str, str] | list[str]"]

_SHARED: Entities = {
    "User": {"id": "ID!", "borrowedReservesCount": "Int!", "reserves": "[UserReserve!]! @derivedFrom(field: user)"},
    "UserReserve": {
        "id": "ID!", "pool": "Pool!", "reserve": "Reserve!", "user": "User!",
        "usageAsCollateralEnabledOnUser": "Boolean!", "scaledATokenBalance": "BigInt!",
        "currentATokenBalance": "BigInt!", "scaledVariableDebt": "BigInt!", "currentVariableDebt": "BigInt!",
        "principalStableDebt": "BigInt!", "currentTotalDebt": "BigInt!", "stableBorrowRate": "BigInt!",
        "stableBorrowLastUpdateTimestamp": "Int!", "lastUpdateTimestamp": "Int!",
    },
    "Reserve": {
        "id": "ID!", "underlyingAsset": "Bytes!", "pool": "Pool!", "symbol": "String!", "name": "String!",
        "decimals": "Int!", "usageAsCollateralEnabled": "Boolean!", "borrowingEnabled": "Boolean!",
        "isActive": "Boolean!", "isFrozen": "Boolean!", "price": "PriceOracleAsset!",
        "baseLTVasCollateral": "BigInt!", "reserveLiquidationThreshold": "BigInt!",
        "reserveLiquidationBonus": "BigInt!", "reserveFactor": "BigInt!", "totalATokenSupply": "BigInt!",
        "totalScaledVariableDebt": "BigInt!", "totalCurrentVariableDebt": "BigInt!", "availableLiquidity": "BigInt!",
        "liquidityRate": "BigInt!", "variableBorrowRate": "BigInt!", "liquidityIndex": "BigInt!",
        "variableBorrowIndex": "BigInt!", "lastUpdateTimestamp": "Int!", "utilizationRate": "BigDecimal!",
    },
    "PriceOracleAsset": {
        "id": "ID!", "oracle": "PriceOracle!", "priceInEth": "BigInt!", "priceSource": "Bytes!",
        "type": "PriceOracleAssetType!", "lastUpdateTimestamp": "Int!",
    },
    "PriceOracleAssetType": ["Simple", "Composite"],
}  # fmt: skip


def _with(**more: dict[str, str]) -> Entities:
    merged: Entities = {name: dict(f) if isinstance(f, dict) else list(f) for name, f in _SHARED.items()}
    for name, fields in more.items():
        merged[name] = {**merged.get(name, {}), **fields}  # type: ignore[dict-item]
    return merged


AAVE_V3 = _with(
    User={"eModeCategoryId": "EModeCategory"},
    Reserve={
        "isPaused": "Boolean!", "borrowCap": "BigInt", "supplyCap": "BigInt", "liquidationProtocolFee": "BigInt",
        "eMode": "EModeCategory", "aToken": "SubToken!", "vToken": "SubToken!",
    },
    SubToken={"id": "ID!", "pool": "Pool!", "underlyingAssetAddress": "Bytes!", "underlyingAssetDecimals": "Int!"},
    Pool={"id": "ID!", "pool": "Bytes", "active": "Boolean!"},
    PriceOracle={"id": "ID!", "usdPriceEth": "BigInt!", "baseCurrency": "Bytes!", "baseCurrencyUnit": "BigInt!"},
    EModeCategory={
        "id": "ID!", "ltv": "BigInt!", "liquidationThreshold": "BigInt!", "liquidationBonus": "BigInt!",
        "oracle": "Bytes!", "label": "String!", "assets": "[EModeCategoryConfig!] @derivedFrom(field: category)",
    },
    EModeCategoryConfig={
        "id": "ID!", "category": "EModeCategory!", "asset": "Bytes!", "collateral": "Boolean!",
        "borrowable": "Boolean!",
    },
)  # fmt: skip
"""aave/protocol-subgraphs, schemas/v3: prices are USD with 8 decimals under the name `priceInEth`."""

AAVE_V2 = _with(
    Reserve={"aToken": "AToken!", "vToken": "VToken!"},
    AToken={"id": "ID!", "pool": "Pool!", "underlyingAssetAddress": "Bytes!", "underlyingAssetDecimals": "Int!"},
    VToken={"id": "ID!", "pool": "Pool!", "underlyingAssetAddress": "Bytes!", "underlyingAssetDecimals": "Int!"},
    Pool={"id": "ID!", "lendingPool": "Bytes", "active": "Boolean!"},
    PriceOracle={"id": "ID!", "usdPriceEth": "BigInt!", "baseCurrency": "Bytes", "baseCurrencyUnit": "BigInt"},
)
"""aave/protocol-subgraphs, schemas/v2: `priceInEth` is wei of ether on Ethereum."""
