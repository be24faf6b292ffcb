"""Lending events, the contracts that they are read from, and a log as the readers of each protocol take it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eth_utils import keccak

from flows.errors import MalformedAnswer

NOBODY = "0x" + "00" * 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LendingMarket:
    """Contracts to read. `contracts`: address to the asset it stands for, empty where the log names the asset.

    Addresses are lower case. `protocol` is aave_v3, aave_v2, compound_v2 or compound_v3. `usd`: values that the logs
    state are in dollars; a Comet states them in the currency of its base token's feed, ether for one of WETH.
    """

    name: str
    protocol: str
    chain_id: int
    contracts: Mapping[str, str]
    usd: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LendingEvent:
    """One event of the position of `owner`. Amounts are token units; None where the log does not state it.

    For a liquidation `asset` and `amount` are the seized collateral (net of Aave's protocol fee; cTokens at Compound
    v2), `debt_asset` and `debt_amount` what was repaid. `usd_e8`: value in 1e-8 USD that the log itself states; None
    where it states one in another currency.
    """

    event_type: str
    event: str
    protocol: str
    market: str
    chain_id: int
    contract: str
    block_number: int
    block_hash: str
    block_timestamp: int | None
    log_index: int
    tx_hash: str
    owner: str
    initiator: str | None
    counterparty: str | None
    asset: str
    amount: int
    debt_asset: str | None = None
    debt_amount: int | None = None
    part: int = 0
    usd_e8: int | None = None
    payload_sha256: str = ""

    @property
    def self_initiated(self) -> bool | None:
        """The owner itself called or paid; None where the log does not say who did."""
        return None if self.initiator is None else self.initiator == self.owner


@dataclass(frozen=True, slots=True)
class Log:
    """A log as read: addresses and hashes in lower case, `words` the data as numbers of 32 bytes, UTC seconds."""

    address: str
    topics: tuple[str, ...]
    words: tuple[int, ...]
    block: int
    hash: str
    time: int | None
    index: int
    tx: str
    digest: str

    @classmethod
    def of(cls, log: Mapping[str, Any]) -> Log:
        """The log of an answer of a node. Raises `MalformedAnswer`."""
        try:
            data = bytes.fromhex(log["data"][2:])
            time = log.get("blockTimestamp")
            return cls(
                log["address"].lower(),
                tuple(topic.lower() for topic in log["topics"]),
                tuple(int.from_bytes(data[i : i + 32], "big") for i in range(0, len(data), 32)),
                int(log["blockNumber"], 16),
                log["blockHash"].lower(),
                None if time is None else int(time, 16),
                int(log["logIndex"], 16),
                log["transactionHash"].lower(),
                payload_digest(log),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise MalformedAnswer(
                "expected a log with address, topics, data, blockNumber, blockHash, transactionHash and logIndex, "
                f"found {log!r:.200}"
            ) from exc

    def topic(self, place: int) -> str:
        """Address in the topic number `place`, from 1."""
        return "0x" + self.topics[place][-40:]

    def word(self, place: int) -> str:
        """Address in the word number `place` of the data, from 0."""
        value = self.words[place]
        if value >> 160:
            raise MalformedAnswer(f"log {self.index} of block {self.block}: {value:#x} is no address")
        return f"0x{value:040x}"

    def event(self, market: LendingMarket, event_type: str, owner: str, initiator: str | None, asset: str, amount: int,
              **more: Any) -> LendingEvent:  # fmt: skip
        """The event that the log is, or a part of it."""
        return LendingEvent(
            event_type=event_type, event="", protocol=market.protocol, market=market.name, chain_id=market.chain_id,
            contract=self.address, block_number=self.block, block_hash=self.hash, block_timestamp=self.time,
            log_index=self.index, tx_hash=self.tx, owner=owner, initiator=initiator, asset=asset, amount=amount,
            payload_sha256=self.digest, **({"counterparty": None} | more),
        )  # fmt: skip

    def same_call(self, other: Log) -> bool:
        """Whether both are of one contract in one transaction."""
        return (self.tx, self.address) == (other.tx, other.address)


def payload_digest(log: Mapping[str, Any]) -> str:
    """SHA-256 of a log as canonical JSON."""
    return hashlib.sha256(json.dumps(log, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def topic(signature: str) -> str:
    """Topic 0 of an event."""
    return "0x" + keccak(text=signature).hex()


Events = Iterable[LendingEvent]
Reader = Callable[[Log, LendingMarket, Sequence[Log], int], Events]
"""From a log of a market, all logs that were read, and its place among them, to events."""
