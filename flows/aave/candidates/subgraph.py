"""The official Aave subgraphs, v2 and v3: reserves, e-modes and every holding at one block.

A subgraph computes its figures from events; they are compared with the chain's (`flows.aave.candidates.route`) and
never used instead of them. Two traps of the schemas: the `current…`
balances are of the account's last event, so balances are computed anew from the scaled ones and the indices; and
`priceInEth` is in the oracle's base currency, US dollars with 8 decimals on v3, wei of ether on v2 Ethereum.

Sources: aave/protocol-subgraphs (975b22e9), its README for the ids, schemas v2 and v3 for the fields.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from flows import settings
from flows.clients.graphql import Subgraph
from flows.clients.graphql_cell import Cell
from flows.errors import ConfigurationError, MalformedAnswer

WORKERS = 4
SHARDS = "0123456789abcdef"
"""First hexadecimal digits of accounts; accounts are spread evenly over them, and shards are read in parallel."""
USD_UNIT = 10**8


@dataclass(frozen=True, slots=True)
class KnownSubgraph:
    """`version`: of the protocol, and so of the schema. `price_base`: currency of `priceInEth`; "" where not proven."""

    market: str
    id: str
    version: int
    price_base: str


SUBGRAPHS = (
    KnownSubgraph("AaveV3Ethereum", "Cd2gEDVeqnjBn1hSeqFMitw8Q1iiyV9FYUZkLNRcL87g", 3, "USD"),
    KnownSubgraph("AaveV3EthereumLido", "5vxMbXRhG1oQr55MWC5j6qg78waWujx1wjeuEWDA6j3", 3, "USD"),
    KnownSubgraph("AaveV3EthereumEtherFi", "8o4HGApJkAqnvxAHShG4w5xiXihHyL7HkeDdQdRUYmqZ", 3, "USD"),
    KnownSubgraph("AaveV3Polygon", "Co2URyXjnxaw8WqxKyVHdirq9Ahhm5vcTs4dMedAq211", 3, "USD"),
    KnownSubgraph("AaveV3Avalanche", "2h9woxy8RTjHu1HJsCEnmzpPHFArU33avmUh4f71JpVn", 3, "USD"),
    KnownSubgraph("AaveV3Arbitrum", "DLuE98kEb5pQNXAcKFQGQgfSQ57Xdou4jnVbAEqMfy3B", 3, "USD"),
    KnownSubgraph("AaveV3Optimism", "DSfLz8oQBUeU5atALgUFQKMTSYV9mZAVYp4noLSXAfvb", 3, "USD"),
    KnownSubgraph("AaveV3Gnosis", "HtcDaL8L8iZ2KQNNS44EBVmLruzxuNAz1RkBYdui1QUT", 3, "USD"),
    KnownSubgraph("AaveV3BNB", "7Jk85XgkV1MQ7u56hD8rr65rfASbayJXopugWkUoBMnZ", 3, "USD"),
    KnownSubgraph("AaveV3Base", "GQFbb95cE6d8mV989mL5figjaGaKCQB3xqYrr1bRyXqF", 3, "USD"),
    KnownSubgraph("AaveV3Scroll", "74JwenoHZb2aAYVGCCSdPWzi9mm745dyHyQQVoZ7Sbub", 3, "USD"),
    KnownSubgraph("AaveV3ZkSync", "ENYSc8G3WvrbhWH8UZHrqPWYRcuyCaNmaTmoVp7uzabM", 3, "USD"),
    KnownSubgraph("AaveV3Linea", "Gz2kjnmRV1fQj3R8cssoZa5y9VTanhrDo4Mh7nWW1wHa", 3, "USD"),
    KnownSubgraph("AaveV3Sonic", "FQcacc4ZJaQVS9euWb76nvpSq2GxavBnUM6DU6tmspbi", 3, "USD"),
    KnownSubgraph("AaveV3Celo", "GAVWZzGwQ6d6QbFojyFWxpZ2GB9Rf5hZgGyJHCEry8kn", 3, "USD"),
    KnownSubgraph("AaveV3Soneium", "5waxmqS3rkRtZPoV2mL5RCToupVxVbTd7hjicxMGebYm", 3, "USD"),
    KnownSubgraph("AaveV3InkWhitelabel", "6AY9ccNwMwd3G27zp9vUKWCi9ugvNS6gkh5EEBY2xnPC", 3, "USD"),
    KnownSubgraph("AaveV3MegaEth", "DnfLSdosqrcZ8pb8G2rL954SdRB8Pk4jjkgjtfwfx7cY", 3, "USD"),
    KnownSubgraph("AaveV2Ethereum", "8wR23o1zkS4gpLqLNU4kG3JHYVucqGyopL5utGxP2q1N", 2, "ETH"),
    KnownSubgraph("AaveV2Polygon", "H1Et77RZh3XEf27vkAmJyzgCME2RSFLtDS2f4PPW6CGp", 2, ""),
    KnownSubgraph("AaveV2Avalanche", "EZvK18pMhwiCjxwesRLTg81fP33WnR6BnZe5Cvma3H1C", 2, ""),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """The source of a row: the entity as received (JSON) and the digest of its page."""

    id: str
    body: str
    payload_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphReserve(Entity):
    """A reserve as indexed. Integers in the chain's units; `price` in `price_base` (see the module); shares in bps."""

    asset: str
    symbol: str
    decimals: int
    provider: str
    atoken: str
    vtoken: str
    ltv: int
    liquidation_threshold: int
    liquidation_bonus: int
    reserve_factor: int
    is_active: bool
    is_frozen: bool
    borrowing_enabled: bool
    liquidity_index: int
    variable_borrow_index: int
    liquidity_rate: int
    variable_borrow_rate: int
    last_update: int
    scaled_debt_supply: int
    price: int
    price_source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphEMode(Entity):
    """An e-mode category as indexed, with the assets that are collateral or may be borrowed in it."""

    number: int
    label: str
    ltv: int
    liquidation_threshold: int
    liquidation_bonus: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphPosition(Entity):
    """The holding of an account in one reserve, as indexed: scaled balances, v2's stable debt, the collateral flag."""

    account: str
    asset: str
    scaled_supply: int
    scaled_debt: int
    stable_debt: int
    is_collateral: bool
    emode: int
    last_update: int


def known(market: str) -> KnownSubgraph:
    """The official subgraph of a market, or that of AAVE_SUBGRAPH_ID (schema v3) for a market that has none here.

    Raises `ConfigurationError`, which suggests similar names.
    """
    if override := settings.get("AAVE_SUBGRAPH_ID"):
        listed = next((s for s in SUBGRAPHS if s.market == market), None)
        version, base = (listed.version, listed.price_base) if listed else (3, "USD")
        return KnownSubgraph(market, override, version, base)
    for subgraph in SUBGRAPHS:
        if subgraph.market == market:
            return subgraph
    near = difflib.get_close_matches(market, [s.market for s in SUBGRAPHS], n=2)
    hint = f" (near: {', '.join(near)})" if near else ""
    raise ConfigurationError(
        f"no official subgraph of {market!r} is known{hint}. Set AAVE_SUBGRAPH_ID to the id of one with Aave's v3 "
        "schema, name the accounts in a file (--candidates FILE), or read the market from the log"
    )


_RESERVE = """id underlyingAsset symbol decimals isActive isFrozen borrowingEnabled baseLTVasCollateral
 reserveLiquidationThreshold reserveLiquidationBonus reserveFactor liquidityIndex variableBorrowIndex liquidityRate
 variableBorrowRate lastUpdateTimestamp totalScaledVariableDebt pool { id } aToken { id } vToken { id }
 price { priceInEth priceSource oracle { usdPriceEth baseCurrencyUnit } }"""
_EMODE = "id label ltv liquidationThreshold liquidationBonus"
_POSITION = """id user { id USER } reserve { underlyingAsset } usageAsCollateralEnabledOnUser scaledATokenBalance
 scaledVariableDebt principalStableDebt lastUpdateTimestamp"""
_SIDES = ("scaledATokenBalance_gt", "scaledVariableDebt_gt", "principalStableDebt_gt")


def fetch_reserves(subgraph: Subgraph, which: KnownSubgraph, provider: str | None, block: int) -> list[GraphReserve]:
    """Every reserve of the pool of `provider` (v3; None for the only pool of the subgraph) at `block`."""
    found = []
    for page in subgraph.pages("reserves", _RESERVE, block=block, where=_of_pool(provider)):
        for row in page.rows:
            at = Cell(row, f"reserve {row['id']} of {subgraph}")
            unit = at.into("price").into("oracle").value("baseCurrencyUnit")
            if which.version == 3 and str(unit) != str(USD_UNIT):
                raise MalformedAnswer(
                    f"{at.where}: expected prices in US dollars with 8 decimals (baseCurrencyUnit "
                    f"{USD_UNIT}), found the unit {unit!r}"
                )
            found.append(GraphReserve(
                id=row["id"], body=_body(row), payload_sha256=page.payload_sha256,
                asset=at.address("underlyingAsset"), symbol=at.text("symbol"), decimals=at.integer("decimals"),
                provider=at.into("pool").text("id").lower(), atoken=at.into("aToken").address("id"),
                vtoken=at.into("vToken").address("id"), ltv=at.integer("baseLTVasCollateral"),
                liquidation_threshold=at.integer("reserveLiquidationThreshold"),
                liquidation_bonus=at.integer("reserveLiquidationBonus"), reserve_factor=at.integer("reserveFactor"),
                is_active=at.flag("isActive"), is_frozen=at.flag("isFrozen"),
                borrowing_enabled=at.flag("borrowingEnabled"), liquidity_index=at.integer("liquidityIndex"),
                variable_borrow_index=at.integer("variableBorrowIndex"), liquidity_rate=at.integer("liquidityRate"),
                variable_borrow_rate=at.integer("variableBorrowRate"), last_update=at.integer("lastUpdateTimestamp"),
                scaled_debt_supply=at.integer("totalScaledVariableDebt"), price=at.into("price").integer("priceInEth"),
                price_source=at.into("price").address("priceSource"),
            ))  # fmt: skip
    return found


def fetch_emodes(subgraph: Subgraph, which: KnownSubgraph, block: int) -> list[GraphEMode]:
    """Every e-mode category at `block`; v2 has none."""
    if which.version == 2:
        return []
    found = []
    for page in subgraph.pages("eModeCategories", _EMODE, block=block):
        for row in page.rows:
            at = Cell(row, f"e-mode {row['id']} of {subgraph}")
            found.append(GraphEMode(
                id=row["id"], body=_body(row), payload_sha256=page.payload_sha256, number=at.integer("id"),
                label=at.text("label"), ltv=at.integer("ltv"), liquidation_bonus=at.integer("liquidationBonus"),
                liquidation_threshold=at.integer("liquidationThreshold"),
            ))  # fmt: skip
    return found


def fetch_shard(
    subgraph: Subgraph, which: KnownSubgraph, provider: str | None, block: int, prefix: str
) -> dict[str, GraphPosition]:
    """Holdings with any balance, by entity id, of the accounts whose address begins with `prefix` (such as "0x7")."""
    user = "eModeCategoryId { id }" if which.version == 3 else ""
    found: dict[str, GraphPosition] = {}
    for side in _SIDES[: sides(which)]:
        where = _of_pool(provider) | {side: "0", "id_lt": _after_all_of(prefix)}
        for page in subgraph.pages(
            "userReserves", _POSITION.replace("USER", user), block=block, where=where, after=prefix
        ):
            for row in page.rows:
                position = _position(row, page.payload_sha256, subgraph)
                twin = found.setdefault(position.id, position)
                if twin.body != position.body:
                    raise MalformedAnswer(
                        f"userReserve {position.id} of {subgraph} at block {block} is {twin.body} in one answer and "
                        f"{position.body} in another; its indexers disagree. Nothing was written"
                    )
    return found


def fetch_positions(
    open_subgraph: Callable[[], Subgraph],
    which: KnownSubgraph,
    provider: str | None,
    block: int,
    shards: Sequence[str] = SHARDS,
) -> Iterator[tuple[str, dict[str, GraphPosition]]]:
    """(shard, its holdings) for each of `shards` (first digits; "" for all), several in parallel."""

    def read(digit: str) -> dict[str, GraphPosition]:
        with open_subgraph() as subgraph:
            assert isinstance(subgraph, Subgraph)
            return fetch_shard(subgraph, which, provider, block, f"0x{digit}")

    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        try:
            yield from zip(shards, pool.map(read, shards), strict=True)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def sides(which: KnownSubgraph) -> int:
    """How many times all pages of holdings are read: for supply, for variable debt, and on v2 for stable debt."""
    return 3 if which.version == 2 else 2


def _position(row: dict[str, Any], payload_sha256: str, subgraph: Subgraph) -> GraphPosition:
    at = Cell(row, f"userReserve {row['id']} of {subgraph}")
    user = at.into("user")
    emode = user.row.get("eModeCategoryId")
    position = GraphPosition(
        id=row["id"],
        body=_body(row),
        payload_sha256=payload_sha256,
        account=user.address("id"),
        asset=at.into("reserve").address("underlyingAsset"),
        scaled_supply=at.integer("scaledATokenBalance"),
        scaled_debt=at.integer("scaledVariableDebt"),
        stable_debt=at.integer("principalStableDebt"),
        is_collateral=at.flag("usageAsCollateralEnabledOnUser"),
        last_update=at.integer("lastUpdateTimestamp"),
        emode=user.into("eModeCategoryId").integer("id") if emode is not None else 0,
    )
    if not position.id.startswith(position.account + position.asset):
        raise MalformedAnswer(
            f"{at.where}: expected an id made of account {position.account} and asset "
            f"{position.asset}; rows and ids do not belong together"
        )
    return position


def _of_pool(provider: str | None) -> dict[str, Any]:
    return {} if provider is None else {"pool": provider}


def _after_all_of(prefix: str) -> str:
    """The first string that sorts after every string that begins with `prefix`."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def _body(row: Mapping[str, Any]) -> str:
    return json.dumps(row, sort_keys=True, separators=(",", ":"))


def digest(body: str) -> str:
    """SHA-256 of an entity as received."""
    return hashlib.sha256(body.encode()).hexdigest()
