"""Lending events from Messari's subgraphs (schema-lending 3.1.0): Deposit, Withdraw, Borrow, Repay, Liquidate.

| field | becomes |
|---|---|
| `account` | owner; of Liquidate `liquidatee` |
| `accountActor`, of Liquidate `liquidator` | initiator |
| `asset`, `amount` | asset and amount; of Liquidate the collateral; the debt side is missing |
| `amountUSD` | value, cut to 1e-8 USD; zero for an amount above zero means that no price was known |
| `blockNumber`, `logIndex`, `hash`, `timestamp` | the log it was made from |

Ids and schema versions: Messari's registry (messari/subgraphs @2711ac91, 2025-03-25); whether it is still maintained is
not known, so a disagreement with the chain's own logs is reported, and the logs count. Left out are compound-v2 (schema
2.0.1, whose fields differ) and compound-v3-base (the registry gives it the id of compound-v3-ethereum).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from flows.aave import address_book
from flows.clients.graphql import Subgraph
from flows.errors import ConfigurationError, MalformedAnswer
from flows.lending.events import LendingEvent

KINDS = {
    "deposits": "deposit",
    "withdraws": "withdraw",
    "borrows": "borrow",
    "repays": "repay",
    "liquidates": "liquidation",
}
"""Entity, as queries spell it, to kind of event."""
_COMMON = "id hash logIndex blockNumber timestamp market { id } asset { id } amount amountUSD"
FIELDS = {entity: f"{_COMMON} account {{ id }} accountActor {{ id }}" for entity in KINDS} | {
    "liquidates": f"{_COMMON} liquidator {{ id }} liquidatee {{ id }}"
}


@dataclass(frozen=True, slots=True)
class Deployment:
    """One subgraph. `market` is the name its events are stored under; a Compound one holds all Comets of its chain."""

    market: str
    protocol: str
    chain_id: int
    subgraph_id: str
    first_block: int

    @property
    def usd(self) -> bool:
        """Whether `amountUSD` is in dollars: it rests on the market's oracle, which counts in dollars on Aave v3.

        Oracles of Aave v2 count in ether on some chains, and so do Comets that lend ether, which one deployment mixes
        with others; how the subgraph converts those prices is not known.
        """
        return self.protocol == "aave_v3"


_DEPLOYMENTS = """
AaveV2Avalanche 9nh6Ums63wFcoZpmegyPcAFtY3CAzQc3S6cuERALYMqa
AaveV2Ethereum C2zniPn45RnLDGzVeGZCx2Sw3GXrbc9gL4ZfL8B8Em2j
AaveV2Polygon GrZQJ7sWdTqiNUD8Vh2THaeBM4wGwiF8mFv9FBfyzwxm
AaveV3Arbitrum 4xyasjQeREe7PxnF6wVdobZvCw5mhoHZq3T7guRpuNPf
AaveV3Avalanche 72Cez54APnySAn6h8MswzYkwaL9KjvuuKnKArnPJ8yxb
AaveV3Polygon 6yuf1C49aWEscgk5n9D1DekeG1BCk5Z9imJYJT3sVmAT
AaveV3Optimism 3RWFxWNstn4nP3dXiDfKi9GgBoHx7xzc7APkXs1MLEgi
AaveV3Ethereum JCNWRypm7FYwV8fx5HhzZPSFaMxgkPuw4TnR3Gpi81zk
AaveV3Base D7mapexM5ZsQckLJai2FawTKXJ7CqYGKM8PErnS3cJi9
AaveV3Gnosis GiNMLDxT1Bdn2dQZxjQLmW24uwpc3geKUBW8RP6oEdg
AaveV3BNB 43jbGkvSw55sMvYyF6MZieksmJbajMu3hNGF8PN9ucuP
AaveV3Scroll DkvXMxq1skgSe1ehLHWpiUthHU1znnMDK2SUmj9avhEX
"""
_COMPOUND = (
    Deployment("CompoundV3Ethereum", "compound_v3", 1, "AwoxEZbiWLvv6e3QdvdMZw4WDURdGbvPfHmZRc8Dpfz9", 0),
    Deployment("CompoundV3Polygon", "compound_v3", 137, "5wfoWBpfYv59b99wDxJmyFiKBu9brXESeqJAzw8WP5Cz", 0),
    Deployment("CompoundV3Arbitrum", "compound_v3", 42161, "5MjRndNWGhqvNX7chUYLQDnvEgc8DaH8eisEkcJt71SR", 0),
)


def deployment(market: str) -> Deployment:
    """The subgraph of `market`. Raises `ConfigurationError` that names the known ones."""
    ids = dict(line.split() for line in _DEPLOYMENTS.strip().splitlines())
    if market in ids:
        known = address_book.by_name(market)
        return Deployment(market, known.protocol, known.chain_id, ids[market], known.first_block)
    for found in _COMPOUND:
        if found.market == market:
            return found
    names = ", ".join([*ids, *(found.market for found in _COMPOUND)])
    raise ConfigurationError(
        f"no Messari subgraph of {market!r} is known that can be used; there are {names}. "
        "The default route reads it from a node's logs"
    )


def fetch(subgraph: Subgraph, at: Deployment, first: int, last: int, block: int) -> Iterator[LendingEvent]:
    """Every event of blocks `first` to `last`, as the subgraph stood at `block`, kind by kind in the order of ids.

    Raises `MalformedAnswer` naming the entity and field, and what `Subgraph.pages` raises.
    """
    window = {"blockNumber_gte": str(first), "blockNumber_lte": str(last)}
    for entity, fields in FIELDS.items():
        for page in subgraph.pages(entity, fields, block=block, where=window, id_type="Bytes"):
            for row in page.rows:
                event = event_of(entity, row, at)
                if not first <= event.block_number <= last:
                    raise MalformedAnswer(
                        f"{subgraph}: {entity} {row['id']} is of block {event.block_number}, asked "
                        f"for were {first} to {last}"
                    )
                yield event


def event_of(entity: str, row: Mapping[str, Any], at: Deployment) -> LendingEvent:
    """One entity as an event. Raises `MalformedAnswer` naming the field."""
    liquidation = entity == "liquidates"
    owner = _address(entity, row, "liquidatee" if liquidation else "account")
    actor = _address(entity, row, "liquidator" if liquidation else "accountActor", optional=not liquidation)
    amount = _integer(entity, row, "amount")
    return LendingEvent(
        event_type=KINDS[entity], event=entity[:-1].capitalize(), protocol=at.protocol, market=at.market,
        chain_id=at.chain_id, contract="", block_number=_integer(entity, row, "blockNumber"), block_hash="",
        block_timestamp=_integer(entity, row, "timestamp"), log_index=_integer(entity, row, "logIndex"),
        tx_hash=_hash(entity, row), owner=owner, initiator=actor, counterparty=actor if liquidation else None,
        asset=_address(entity, row, "asset"), amount=amount, usd_e8=_usd(entity, row, amount) if at.usd else None,
        payload_sha256=hashlib.sha256(json.dumps(row, sort_keys=True, separators=(",", ":")).encode()).hexdigest(),
    )  # fmt: skip


def _wrong(entity: str, row: Mapping[str, Any], field: str, expected: str) -> MalformedAnswer:
    return MalformedAnswer(
        f"{entity} {row.get('id')}: expected {expected} as {field}, found {row.get(field)!r:.80}. "
        "The subgraph's schema may have changed; nothing was written"
    )


def _address(entity: str, row: Mapping[str, Any], field: str, *, optional: bool = False) -> Any:
    value = row.get(field)
    if optional and value is None:
        return None
    found = value.get("id") if isinstance(value, dict) else None
    if not isinstance(found, str) or not re.fullmatch(r"0x[0-9a-fA-F]{40}", found):
        raise _wrong(entity, row, field, "an entity whose id is an address")
    return found.lower()


def _integer(entity: str, row: Mapping[str, Any], field: str) -> int:
    value = row.get(field)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and re.fullmatch(r"\d{1,78}", value):
        return int(value)
    raise _wrong(entity, row, field, "a whole number")


def _hash(entity: str, row: Mapping[str, Any]) -> str:
    value = row.get("hash")
    if not isinstance(value, str) or not re.fullmatch(r"0x[0-9a-fA-F]{64}", value):
        raise _wrong(entity, row, "hash", "the hash of a transaction")
    return value.lower()


def _usd(entity: str, row: Mapping[str, Any], amount: int) -> int | None:
    try:
        value = int(Decimal(str(row.get("amountUSD"))) * 10**8)
    except (InvalidOperation, ValueError, OverflowError):
        raise _wrong(entity, row, "amountUSD", "a decimal number") from None
    return None if value < 0 or (value == 0 and amount) else value
