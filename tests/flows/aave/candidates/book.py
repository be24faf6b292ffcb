"""The book of a subgraph: what an indexer would have of a recorded market, or of as many generated accounts as asked.

The rows of `indexed` are made from the recorded numbers that the fake node answers with (`tests/flows/aave/fake_node`),
so that subgraph and chain agree unless a test changes one of them.
"""

from __future__ import annotations

import random
from typing import Any

from tests.flows.aave.candidates.schemas import AAVE_V2, AAVE_V3
from tests.flows.aave.candidates.server import Book, Subgraph

ORACLE = "1"


def indexed(recorded: dict[str, Any], provider: str, head: int, head_time: int | None) -> Subgraph:
    """A v3 subgraph of the recorded market that has come to block `head`."""
    book = Book()
    book.put("Pool", {"id": provider, "pool": recorded["meta"]["addresses"]["pool"].lower(), "active": True})
    book.put(
        "PriceOracle", {"id": ORACLE, "usdPriceEth": 0, "baseCurrency": "0x" + "00" * 20, "baseCurrencyUnit": 10**8}
    )
    for e in recorded["emodes"]:
        terms = {name: e[name] for name in ("label", "ltv", "liquidationThreshold", "liquidationBonus")}
        book.put("EModeCategory", {"id": str(e["id"]), "oracle": "0x", **terms})
    assets = {}
    for r in recorded["reserves"]:
        assets[r["id"]] = r["underlyingAsset"].lower()
        put_reserve(book, provider, r)
    for user in recorded["users"]:
        address = user["address"].lower()
        book.put(
            "User",
            {
                "id": address,
                "borrowedReservesCount": sum(int(p[3]) > 0 for p in user["pos"]),
                "eModeCategoryId": str(user["emode"]) if user["emode"] else None,
            },
        )
        for reserve_id, supply, _, debt, _ in user["pos"]:
            enabled = bool(int(user["config"], 16) >> (2 * reserve_id + 1) & 1)
            put_holding(book, address, assets[reserve_id], provider, int(supply), int(debt), enabled)
    return Subgraph(AAVE_V3, book, head=head, head_time=head_time)


def put_reserve(book: Book, provider: str, r: dict[str, Any], *, v2: bool = False) -> None:
    """A reserve in the fields of a recorded one."""
    asset = r["underlyingAsset"].lower()
    key = asset + provider
    book.put("PriceOracleAsset", {"id": asset, "oracle": ORACLE, "priceInEth": r["priceInMarketReferenceCurrency"],
             "priceSource": r["priceOracle"].lower(), "type": "Simple", "lastUpdateTimestamp": 0})  # fmt: skip
    for kind, token in (("AToken", "aTokenAddress"), ("VToken", "variableDebtTokenAddress")):
        book.put(kind if v2 else "SubToken", {"id": r[token].lower(), "pool": provider, "underlyingAssetAddress": asset,
                                              "underlyingAssetDecimals": r["decimals"]})  # fmt: skip
    same = ("symbol", "decimals", "isActive", "isFrozen", "borrowingEnabled", "baseLTVasCollateral", "reserveFactor",
            "reserveLiquidationThreshold", "reserveLiquidationBonus", "liquidityIndex", "variableBorrowIndex",
            "liquidityRate", "variableBorrowRate", "lastUpdateTimestamp", "totalScaledVariableDebt")  # fmt: skip
    book.put("Reserve", {"id": key, "underlyingAsset": asset, "pool": provider, "name": r["symbol"], "price": asset,
             "aToken": r["aTokenAddress"].lower(), "vToken": r["variableDebtTokenAddress"].lower(),
             **{name: r[name] for name in same}})  # fmt: skip


def put_holding(
    book: Book,
    account: str,
    asset: str,
    provider: str,
    supply: int,
    debt: int,
    is_collateral: bool,
    *,
    block: int = 0,
    **more: Any,
) -> None:
    """What an account holds in one reserve, from `block` on; the `current…` fields are stale, as they are in life."""
    book.put("UserReserve", {
        "id": account + asset + provider, "user": account, "reserve": asset + provider, "pool": provider,
        "usageAsCollateralEnabledOnUser": is_collateral, "scaledATokenBalance": supply, "scaledVariableDebt": debt,
        "currentATokenBalance": supply // 2, "currentVariableDebt": debt // 2, "currentTotalDebt": debt // 2,
        "principalStableDebt": 0, "stableBorrowRate": 0, "stableBorrowLastUpdateTimestamp": 0,
        "lastUpdateTimestamp": 1, **more,
    }, block=block)  # fmt: skip


def generated(
    n_accounts: int, provider: str, *, seed: int = 7, head: int = 1_000, time: int = 1_700_000_000
) -> Subgraph:
    """`n_accounts` accounts with two or three holdings each in two reserves; ids are spread as addresses are."""
    draw = random.Random(7)
    book = Book()
    book.put("Pool", {"id": provider, "pool": provider, "active": True})
    book.put("PriceOracle", {"id": ORACLE, "usdPriceEth": 0, "baseCurrency": "0x", "baseCurrencyUnit": 10**8})
    assets = [f"0x{draw.randrange(16**40):040x}" for _ in range(2)]
    for asset in assets:
        put_reserve(book, provider, reserve(asset, draw, time))
    for _ in range(n_accounts):
        account = f"0x{draw.randrange(16**40):040x}"
        book.put("User", {"id": account, "borrowedReservesCount": 1})
        for asset in assets[: draw.choice((1, 2, 2))]:
            put_holding(book, account, asset, provider, draw.randrange(10**24), draw.choice((0, 1)) * 10**18, True)
    return Subgraph(AAVE_V3, book, head=head, head_time=time)


def reserve(asset: str, draw: random.Random, time: int) -> dict[str, Any]:
    """A reserve in the fields of a recorded one, with numbers of the right size."""
    token = lambda: f"0x{draw.randrange(16**40):040x}"  # noqa: E731
    return {
        "underlyingAsset": asset, "symbol": f"T{asset[2:6]}", "decimals": 18, "isActive": True, "isFrozen": False,
        "borrowingEnabled": True, "baseLTVasCollateral": 8000, "reserveFactor": 1000,
        "reserveLiquidationThreshold": 8250, "reserveLiquidationBonus": 10500,
        "liquidityIndex": 10**27 + draw.randrange(10**26), "variableBorrowIndex": 10**27 + draw.randrange(10**26),
        "liquidityRate": 2 * 10**25, "variableBorrowRate": 5 * 10**25, "lastUpdateTimestamp": time - 3600,
        "totalScaledVariableDebt": 0, "priceInMarketReferenceCurrency": 10**8, "priceOracle": token(),
        "aTokenAddress": token(), "variableDebtTokenAddress": token(),
    }  # fmt: skip


def v2_market(provider: str, time: int) -> Subgraph:
    """A v2 subgraph with one reserve, priced in wei of ether, and one account with stable and variable debt."""
    book, draw = Book(), random.Random(2)
    book.put("Pool", {"id": provider, "lendingPool": provider, "active": True})
    book.put("PriceOracle", {"id": ORACLE, "usdPriceEth": 5 * 10**14, "baseCurrency": None, "baseCurrencyUnit": None})
    asset = "0x" + "a" * 40
    put_reserve(book, provider, reserve(asset, draw, time) | {"priceInMarketReferenceCurrency": 5 * 10**14}, v2=True)
    account = "0x" + "b" * 40
    book.put("User", {"id": account, "borrowedReservesCount": 1})
    put_holding(book, account, asset, provider, 10**20, 10**18, True, principalStableDebt=3 * 10**18)
    stable_only = "0x" + "c" * 40
    book.put("User", {"id": stable_only, "borrowedReservesCount": 1})
    put_holding(book, stable_only, asset, provider, 0, 0, False, principalStableDebt=10**18)
    return Subgraph(AAVE_V2, book, head=50, head_time=time)
