"""Chainlink feeds, read from their contracts at one block: what a feed is, its phases, and its rounds.

A feed's proxy points at one aggregator after another; each is a phase. The proxy numbers rounds as
`phase_id << 64 | aggregator round`, so `getRoundData` of the proxy reaches every phase. Interfaces:
`AggregatorV3Interface` and `AggregatorInterface` of npm `@chainlink/contracts` 1.4.0 (MIT); `phaseId`,
`phaseAggregators` and `aggregator` of its proxy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from flows.clients import abis
from flows.clients.abis import Function
from flows.clients.block_reader import BlockReader, Call, Failure
from flows.errors import MalformedAnswer

PHASE_SHIFT = 64
ROUND_MASK = (1 << PHASE_SHIFT) - 1
LARGEST_STORED = (1 << 63) - 1
"""SQLite's largest integer; a larger round id is not a round number of an aggregator."""
NO_CONTRACT = "0x" + "00" * 20
WORD = 32

_ROUND = ("uint80", "int256", "uint256", "uint256", "uint80")
LATEST_ROUND_DATA = Function("latestRoundData()", _ROUND)
GET_ROUND_DATA = Function("getRoundData(uint80)", _ROUND)
DECIMALS = Function("decimals()", ("uint8",))
AGGREGATOR = Function("aggregator()", ("address",))
PHASE_ID = Function("phaseId()", ("uint16",))
PHASE_AGGREGATORS = Function("phaseAggregators(uint16)", ("address",))
LATEST_ROUND = Function("latestRound()", ("uint256",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round; `answer` in the feed's decimals, signed; times in UTC seconds. `updated_at` 0: never finished.

    `answered_in_round` is a proxy round id; below the round's own it means that an older answer was carried over.
    """

    phase_id: int
    round_id: int
    answer: int
    started_at: int
    updated_at: int
    answered_in_round: int
    payload_sha256: str

    @property
    def proxy_round_id(self) -> int:
        """The round's number as the proxy counts: phase and round in one."""
        return proxy_round_id(self.phase_id, self.round_id)

    @property
    def is_carried_over(self) -> bool:
        """Whether the answer is from an earlier round; the interface deprecates the field that shows it."""
        return self.answered_in_round < self.proxy_round_id

    @property
    def is_empty(self) -> bool:
        """Whether all is zero, which some aggregators answer for a round that they do not have."""
        return not (self.answer or self.started_at or self.updated_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A feed at a block. `aggregator` is empty, and `phase_id` 0, where the contract is no proxy with phases."""

    address: str
    decimals: int
    description: str
    aggregator: str
    phase_id: int
    latest: Round


@dataclass(frozen=True, slots=True)
class Phase:
    """One aggregator of a feed and its newest round; `last` is 0 where the aggregator does not report it."""

    id: int
    aggregator: str
    last: int


@dataclass(frozen=True, slots=True)
class Rounds:
    """What was read of a range: finished rounds, numbers of rounds that never ended, numbers that do not exist."""

    finished: list[Round] = field(default_factory=list)
    unfinished: list[int] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)


def proxy_round_id(phase_id: int, round_id: int) -> int:
    """Round id as the proxy counts it.

    >>> proxy_round_id(5, 12345)
    92233720368547770425
    """
    return phase_id << PHASE_SHIFT | round_id


def split_round_id(number: int) -> tuple[int, int]:
    """(phase id, aggregator round) of a proxy round id."""
    return number >> PHASE_SHIFT, number & ROUND_MASK


def decode_round(raw: bytes, about: str) -> Round:
    """A round from the five words of `latestRoundData` or `getRoundData`. Raises `MalformedAnswer` naming `about`."""
    if len(raw) != 5 * WORD:
        raise MalformedAnswer(f"{about}: expected a round of {5 * WORD} bytes, found {len(raw)}")
    number, answer, started_at, updated_at, answered_in = (
        int.from_bytes(raw[WORD * i : WORD * (i + 1)], "big", signed=i == 1) for i in range(5)
    )
    phase_id, round_id = split_round_id(number)
    if number >> 80 or answered_in >> 80 or round_id > LARGEST_STORED:
        raise MalformedAnswer(f"{about}: expected round ids of 80 bits, found {number:#x} and {answered_in:#x}")
    return Round(phase_id=phase_id, round_id=round_id, answer=answer, started_at=started_at, updated_at=updated_at,
                 answered_in_round=answered_in, payload_sha256=hashlib.sha256(raw).hexdigest())  # fmt: skip


def read_feeds(reader: BlockReader, addresses: Sequence[str]) -> list[Feed | Failure]:
    """Each address as a feed, in order; a `Failure` where it does not answer as one (no round, no decimals)."""
    functions = (DECIMALS, abis.DESCRIPTION, AGGREGATOR, PHASE_ID)
    answers = reader.read([Call(a, f, about=a) for a in addresses for f in functions], may_fail=True)
    latest = reader.read_raw([Call(a, LATEST_ROUND_DATA, about=a) for a in addresses])
    width = len(functions)
    return [_feed(a, answers[width * i : width * (i + 1)], latest[i]) for i, a in enumerate(addresses)]


def _feed(address: str, answers: list, latest: bytes | Failure) -> Feed | Failure:
    decimals, description, aggregator, phase_id = answers
    if isinstance(decimals, Failure):
        return Failure(f"decimals(): {decimals.reason}")
    if isinstance(latest, Failure):
        return Failure(f"latestRoundData(): {latest.reason}")
    try:
        newest = decode_round(latest, f"latestRoundData of {address}")
    except MalformedAnswer as exc:
        return Failure(str(exc))
    proxy = not isinstance(aggregator, Failure) and not isinstance(phase_id, Failure)
    return Feed(
        address=address,
        decimals=decimals,
        description="" if isinstance(description, Failure) else abis.text(description),
        aggregator=aggregator if proxy else "",
        phase_id=phase_id if proxy else 0,
        latest=newest,
    )


def read_phases(reader: BlockReader, feed: Feed) -> list[Phase]:
    """The phases of a feed, oldest first; a contract without phases is one phase, the one its newest round names.

    The newest round of the current phase is the feed's own; that of an older phase is what its aggregator reports
    today. The aggregator may have continued after the proxy left it; such rounds were never the feed's price.
    """
    current = Phase(feed.latest.phase_id, feed.aggregator, feed.latest.round_id)
    if not feed.phase_id:
        return [current]
    older = range(1, feed.phase_id)
    at = [Call(feed.address, PHASE_AGGREGATORS, (i,), f"phase {i}") for i in older]
    aggregators = [NO_CONTRACT if isinstance(a, Failure) else a for a in reader.read(at, may_fail=True)]
    asked = [(i, a) for i, a in zip(older, aggregators, strict=True) if a != NO_CONTRACT]
    newest = reader.read([Call(a, LATEST_ROUND, about=f"phase {i} of {feed.address}") for i, a in asked], may_fail=True)
    phases = [
        Phase(i, a, 0 if isinstance(n, Failure) or n > LARGEST_STORED else n)
        for (i, a), n in zip(asked, newest, strict=True)
    ]
    return [*phases, current]


def read_rounds(reader: BlockReader, feed: str, phase_id: int, numbers: Sequence[int]) -> Rounds:
    """Rounds `numbers` of one phase through the proxy, at the reader's block.

    A round that the contract refuses, or answers with zeros, is missing: aggregators leave numbers out. Raises
    `MalformedAnswer` when the answer is another round than the one asked for.
    """
    calls = [Call(feed, GET_ROUND_DATA, (proxy_round_id(phase_id, n),), f"{phase_id}/{n}") for n in numbers]
    found = Rounds()
    for number, call, raw in zip(numbers, calls, reader.read_raw(calls), strict=True):
        if isinstance(raw, Failure):
            found.missing.append(number)
            continue
        answer = decode_round(raw, str(call))
        if answer.is_empty:
            found.missing.append(number)
        elif (answer.phase_id, answer.round_id) != (phase_id, number):
            raise MalformedAnswer(
                f"{call}: expected round {phase_id}/{number}, found {answer.phase_id}/{answer.round_id}"
            )
        elif answer.updated_at == 0:
            found.unfinished.append(number)
        else:
            found.finished.append(answer)
    return found
