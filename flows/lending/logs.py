"""From the logs of lending contracts to deposits, withdrawals, borrows, repayments, liquidations and deficits.

| protocol | log | becomes | owner | initiator | counterparty |
|---|---|---|---|---|---|
| Aave v3, v2 | Supply, Deposit | deposit | onBehalfOf | user, who pays | |
| | Withdraw | withdraw | user | user | to |
| | Borrow | borrow | onBehalfOf | user, who receives | |
| | Repay | repay | user | repayer | |
| | LiquidationCall | liquidation of the collateral | user | liquidator | liquidator |
| v3 | DeficitCreated | deficit | user | not named | |
| Compound v2 | Mint, Redeem, Borrow | deposit, withdraw, borrow | minter, redeemer, borrower | the same | |
| | RepayBorrow | repay, unless it is the debt side of a liquidation | borrower | payer | |
| | LiquidateBorrow | liquidation of cTokens | borrower | liquidator | liquidator |
| Compound v3 | SupplyCollateral | deposit | dst | from, who pays | |
| | WithdrawCollateral | withdraw | src | not named | to |
| | Supply | repay of what the account owed, deposit of the rest | dst | from | |
| | Withdraw | withdraw of what the account had, borrow of the rest | src | not named | to |
| | AbsorbCollateral | liquidation, one for each collateral | borrower | absorber | absorber |
| | AbsorbDebt | debt side; a surplus is a deposit, a shortfall a deficit | borrower | absorber | |

**A Comet has one base balance**, positive or negative. Supply and Withdraw do not show which side of zero they move;
the Transfer that follows does: a mint (from the zero address) has the part of a Supply that became balance, a burn (to
the zero address) the part of a Withdraw that was balance, and neither is emitted where that part is 0. So `repay =
supplied - minted` and `borrow = withdrawn - burned`. The Comet rounds the moved part by at most a few of the token's
smallest units; a rest of at most `ROUNDING` units is rounding, not debt. When both parts exist, the one of the Transfer
has the Transfer's log index, so that a (chain, block, log index) still names one event.

Not events of this kind: BuyCollateral (a purchase from the Comet's own stock; no position changes), transfers of
positions between accounts (Transfer, TransferCollateral, aToken and cToken transfers), interest, and Aave's
DeficitCovered (it names no account).

Repayments by a liquidator are part of the liquidation, not a `repay`. An absorption of several collaterals is one
liquidation: `part` counts its collaterals from 0, and the row of part 0 has the debt. A Comet books no deficit, its
reserves pay; the deficit here is what they paid beyond the value of what they took, by the log's own USD values.

Declarations: aave-v3-origin IPool (v3.7), aave-protocol v2 ILendingPool, compound-protocol CTokenInterfaces, comet
CometMainInterface @d5a30b0a. Every value is one 32-byte word, so the data are read as words.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eth_utils import keccak

from flows.errors import MalformedAnswer

NOBODY = "0x" + "00" * 20
ROUNDING = 8
"""Smallest units by which a Comet's Transfer may miss the amount of its Supply or Withdraw."""
EVENT_TYPES = ("borrow", "deposit", "liquidation", "repay", "withdraw", "deficit")


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

    @property
    def topics(self) -> list[str]:
        """First topics of the protocol's events, sorted."""
        return sorted(_READERS[self.protocol])


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


def decode(logs: Iterable[Mapping[str, Any]], market: LendingMarket) -> list[LendingEvent]:
    """Events of `market` in logs of `eth_getLogs` (or of receipts), in the order of the chain.

    `logs` must hold all logs of `market.topics` of each transaction they touch: some events take two logs. Logs of
    other contracts and topics are skipped. Raises `MalformedAnswer` naming the log.
    """
    rows = [_Log.of(log) for log in logs]
    mine = [row for row in rows if row.address in market.contracts]
    mine.sort(key=lambda row: (row.block, row.index))
    found: list[LendingEvent] = []
    for place, row in enumerate(mine):
        if reader := _READERS[market.protocol].get(row.topics[0] if row.topics else ""):
            name, size, read = reader
            if (len(row.topics) - 1, len(row.words)) != size:
                raise MalformedAnswer(
                    f"log {row.index} of block {row.block} ({name} of {row.address}): expected {size[0]} indexed "
                    f"and {size[1]} other values, found {len(row.topics) - 1} and {len(row.words)}"
                )
            for part in read(row, market, mine, place):
                found.append(replace(part, event=name) if not part.event else part)
    return found


@dataclass(frozen=True, slots=True)
class _Log:
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
    def of(cls, log: Mapping[str, Any]) -> _Log:
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
        return LendingEvent(
            event_type=event_type, event="", protocol=market.protocol, market=market.name, chain_id=market.chain_id,
            contract=self.address, block_number=self.block, block_hash=self.hash, block_timestamp=self.time,
            log_index=self.index, tx_hash=self.tx, owner=owner, initiator=initiator, asset=asset, amount=amount,
            payload_sha256=self.digest, **({"counterparty": None} | more),
        )  # fmt: skip

    def same_call(self, other: _Log) -> bool:
        return (self.tx, self.address) == (other.tx, other.address)


def payload_digest(log: Mapping[str, Any]) -> str:
    """SHA-256 of a log as canonical JSON."""
    return hashlib.sha256(json.dumps(log, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


_Events = Iterable[LendingEvent]
_Reader = Callable[[_Log, LendingMarket, Sequence[_Log], int], _Events]


# Aave: the owner of a deposit and of a borrow is the second indexed address, the one that pays or receives is in the
# data; Repay and Withdraw have the owner first and the other one second.


def _aave_in(event_type: str) -> _Reader:
    def read(log: _Log, market: LendingMarket, _logs: Sequence[_Log], _place: int) -> _Events:
        yield log.event(market, event_type, log.topic(2), log.word(0), log.topic(1), log.words[1])

    return read


def _aave_repay(log: _Log, market: LendingMarket, _logs: Sequence[_Log], _place: int) -> _Events:
    yield log.event(market, "repay", log.topic(2), log.topic(3), log.topic(1), log.words[0])


def _aave_withdraw(log: _Log, market: LendingMarket, _logs: Sequence[_Log], _place: int) -> _Events:
    owner = log.topic(2)
    yield log.event(market, "withdraw", owner, owner, log.topic(1), log.words[0], counterparty=log.topic(3))


def _aave_liquidation(log: _Log, market: LendingMarket, _logs: Sequence[_Log], _place: int) -> _Events:
    repaid, seized, liquidator = log.words[0], log.words[1], log.word(2)
    yield log.event(market, "liquidation", log.topic(3), liquidator, log.topic(1), seized, counterparty=liquidator,
                    debt_asset=log.topic(2), debt_amount=repaid)  # fmt: skip


def _aave_deficit(log: _Log, market: LendingMarket, _logs: Sequence[_Log], _place: int) -> _Events:
    yield log.event(market, "deficit", log.topic(1), None, log.topic(2), log.words[0])


# Compound v2: nothing is indexed.


def _ctoken(event_type: str) -> _Reader:
    def read(log: _Log, market: LendingMarket, _logs: Sequence[_Log], _place: int) -> _Events:
        yield log.event(market, event_type, log.word(0), log.word(0), market.contracts[log.address], log.words[1])

    return read


def _ctoken_repay(log: _Log, market: LendingMarket, logs: Sequence[_Log], place: int) -> _Events:
    payer, borrower, amount = log.words[:3]
    for later in logs[place + 1 :]:
        if not later.same_call(log):
            if later.tx != log.tx:
                break
        elif later.topics[0] == LIQUIDATE_BORROW and later.words[:3] == (payer, borrower, amount):
            return  # the liquidator's payment, part of LiquidateBorrow
        elif later.topics[0] == REPAY_BORROW:
            break
    yield log.event(market, "repay", log.word(1), log.word(0), market.contracts[log.address], amount)


def _ctoken_liquidation(log: _Log, market: LendingMarket, _logs: Sequence[_Log], _place: int) -> _Events:
    liquidator, ctoken = log.word(0), log.word(3)
    # Seized are cTokens; what they were worth in the underlying token is not in the log.
    yield log.event(market, "liquidation", log.word(1), liquidator, ctoken, log.words[4], counterparty=liquidator,
                    debt_asset=market.contracts[log.address], debt_amount=log.words[2])  # fmt: skip


# Compound v3


def _comet_collateral_in(log: _Log, market: LendingMarket, _logs: Sequence[_Log], _place: int) -> _Events:
    yield log.event(market, "deposit", log.topic(2), log.topic(1), log.topic(3), log.words[0])


def _comet_collateral_out(log: _Log, market: LendingMarket, _logs: Sequence[_Log], _place: int) -> _Events:
    yield log.event(market, "withdraw", log.topic(1), None, log.topic(3), log.words[0], counterparty=log.topic(2))


def _comet_supply(log: _Log, market: LendingMarket, logs: Sequence[_Log], place: int) -> _Events:
    owner = log.topic(2)
    yield from _comet_base(log, market, "repay", "deposit", _next(log, logs, place, NOBODY, owner), owner, log.topic(1))


def _comet_withdraw(log: _Log, market: LendingMarket, logs: Sequence[_Log], place: int) -> _Events:
    owner = log.topic(1)
    transfer = _next(log, logs, place, owner, NOBODY)
    yield from _comet_base(log, market, "borrow", "withdraw", transfer, owner, None, counterparty=log.topic(2))


def _comet_base(log: _Log, market: LendingMarket, of_debt: str, of_balance: str, transfer: _Log | None, owner: str,
                initiator: str | None, **more: Any) -> _Events:  # fmt: skip
    """The events of a base movement: the part on the debt side of zero, and the part on the balance side."""
    amount, asset = log.words[0], market.contracts[log.address]
    moved = transfer.words[0] if transfer else 0
    if abs(amount - moved) <= ROUNDING and transfer:
        yield log.event(market, of_balance, owner, initiator, asset, amount, **more)
        return
    if moved > amount:
        raise MalformedAnswer(
            f"log {log.index} of block {log.block} of {log.address}: {amount} units of the base token moved, and the "
            f"Transfer after it says {moved}"
        )
    yield log.event(market, of_debt, owner, initiator, asset, amount - moved, **more)
    if transfer and moved:
        yield replace(
            transfer.event(market, of_balance, owner, initiator, asset, moved, **more), payload_sha256=log.digest
        )


def _next(log: _Log, logs: Sequence[_Log], place: int, source: str, target: str) -> _Log | None:
    """The Transfer from `source` to `target` directly after a base movement; None where another log comes next."""
    later = next((other for other in logs[place + 1 :] if other.address == log.address), None)
    fits = later and later.same_call(log) and later.topics[0] == TRANSFER and len(later.topics) == 3
    return later if fits and (later.topic(1), later.topic(2)) == (source, target) else None


def _absorption(log: _Log, logs: Sequence[_Log], place: int) -> tuple[list[_Log], _Log | None]:
    """All AbsorbCollateral logs of one absorption, and its AbsorbDebt, which comes last."""
    calls = [other for other in logs if other.same_call(log)]
    parts: list[_Log] = []
    for other in calls:
        if other.topics[0] == ABSORB_COLLATERAL:
            parts.append(other)
        elif other.topics[0] == ABSORB_DEBT:
            if log in (*parts, other):
                return parts, other
            parts = []
    return parts, None


def _comet_absorb_collateral(log: _Log, market: LendingMarket, logs: Sequence[_Log], place: int) -> _Events:
    parts, debt = _absorption(log, logs, place)
    part = parts.index(log)
    first = {}
    if debt and not part:
        repaid = debt.words[0] - _credited(debt, logs, logs.index(debt))
        first = {"debt_asset": market.contracts[log.address], "debt_amount": repaid}
    yield log.event(market, "liquidation", log.topic(2), log.topic(1), log.topic(3), log.words[0],
                    counterparty=log.topic(1), part=part, usd_e8=log.words[1] if market.usd else None,
                    **first)  # fmt: skip


def _credited(debt: _Log, logs: Sequence[_Log], place: int) -> int:
    """Base units that an absorption leaves to the account: the Transfer after its AbsorbDebt, 0 where there is none.

    `basePaidOut` is the account's balance after less its balance before (Comet.sol, absorbInternal): the debt, and
    what the collateral at its liquidation factor was worth beyond it.
    """
    transfer = _next(debt, logs, place, NOBODY, debt.topic(2))
    if transfer and transfer.words[0] > debt.words[0]:
        raise MalformedAnswer(
            f"log {debt.index} of block {debt.block} of {debt.address}: {debt.words[0]} units of the base token were "
            f"paid out, and the Transfer after it credits {transfer.words[0]}"
        )
    return transfer.words[0] if transfer else 0


def _comet_absorb_debt(log: _Log, market: LendingMarket, logs: Sequence[_Log], place: int) -> _Events:
    parts, _ = _absorption(log, logs, place)
    paid, paid_value = log.words
    asset = market.contracts[log.address]
    lost = paid_value - sum(part.words[1] for part in parts)
    if lost > 0:
        yield log.event(market, "deficit", log.topic(2), log.topic(1), asset, paid * lost // paid_value,
                        usd_e8=lost if market.usd else None)  # fmt: skip
    if credited := _credited(log, logs, place):
        transfer = _next(log, logs, place, NOBODY, log.topic(2))
        credit = transfer.event(market, "deposit", log.topic(2), log.topic(1), asset, credited)  # type: ignore[union-attr]
        yield replace(credit, payload_sha256=log.digest)


def _nothing(log: _Log, market: LendingMarket, logs: Sequence[_Log], place: int) -> _Events:
    return ()


def topic(signature: str) -> str:
    """Topic 0 of an event."""
    return "0x" + keccak(text=signature).hex()


_SIGNATURES: dict[str, dict[str, tuple[tuple[int, int], _Reader]]] = {
    "aave_v3": {
        "Supply(address,address,address,uint256,uint16)": ((3, 2), _aave_in("deposit")),
        "Withdraw(address,address,address,uint256)": ((3, 1), _aave_withdraw),
        "Borrow(address,address,address,uint256,uint8,uint256,uint16)": ((3, 4), _aave_in("borrow")),
        "Repay(address,address,address,uint256,bool)": ((3, 2), _aave_repay),
        "LiquidationCall(address,address,address,uint256,uint256,address,bool)": ((3, 4), _aave_liquidation),
        "DeficitCreated(address,address,uint256)": ((2, 1), _aave_deficit),
    },
    "aave_v2": {
        "Deposit(address,address,address,uint256,uint16)": ((3, 2), _aave_in("deposit")),
        "Withdraw(address,address,address,uint256)": ((3, 1), _aave_withdraw),
        "Borrow(address,address,address,uint256,uint256,uint256,uint16)": ((3, 4), _aave_in("borrow")),
        "Repay(address,address,address,uint256)": ((3, 1), _aave_repay),
        "LiquidationCall(address,address,address,uint256,uint256,address,bool)": ((3, 4), _aave_liquidation),
    },
    "compound_v2": {
        "Mint(address,uint256,uint256)": ((0, 3), _ctoken("deposit")),
        "Redeem(address,uint256,uint256)": ((0, 3), _ctoken("withdraw")),
        "Borrow(address,uint256,uint256,uint256)": ((0, 4), _ctoken("borrow")),
        "RepayBorrow(address,address,uint256,uint256,uint256)": ((0, 5), _ctoken_repay),
        "LiquidateBorrow(address,address,uint256,address,uint256)": ((0, 5), _ctoken_liquidation),
    },
    "compound_v3": {
        "Supply(address,address,uint256)": ((2, 1), _comet_supply),
        "Withdraw(address,address,uint256)": ((2, 1), _comet_withdraw),
        "Transfer(address,address,uint256)": ((2, 1), _nothing),
        "SupplyCollateral(address,address,address,uint256)": ((3, 1), _comet_collateral_in),
        "WithdrawCollateral(address,address,address,uint256)": ((3, 1), _comet_collateral_out),
        "AbsorbCollateral(address,address,address,uint256,uint256)": ((3, 2), _comet_absorb_collateral),
        "AbsorbDebt(address,address,uint256,uint256)": ((2, 2), _comet_absorb_debt),
    },
}
"""Signature to (number of indexed values, number of words in the data) and what the log means."""

TRANSFER = topic("Transfer(address,address,uint256)")
REPAY_BORROW = topic("RepayBorrow(address,address,uint256,uint256,uint256)")
LIQUIDATE_BORROW = topic("LiquidateBorrow(address,address,uint256,address,uint256)")
ABSORB_COLLATERAL = topic("AbsorbCollateral(address,address,address,uint256,uint256)")
ABSORB_DEBT = topic("AbsorbDebt(address,address,uint256,uint256)")

_READERS = {
    protocol: {topic(text): (text.partition("(")[0], size, read) for text, (size, read) in signatures.items()}
    for protocol, signatures in _SIGNATURES.items()
}
PROTOCOLS = tuple(_SIGNATURES)
