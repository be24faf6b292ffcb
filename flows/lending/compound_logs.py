"""Readers of the logs of Compound v2, which index nothing, and of the Comets of v3; see `flows.lending.logs`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from flows.errors import MalformedAnswer
from flows.lending.events import NOBODY, Events, LendingMarket, Log, Reader, topic

ROUNDING = 8
"""Smallest units by which a Comet's Transfer may miss the amount of its Supply or Withdraw."""
TRANSFER = topic("Transfer(address,address,uint256)")
REPAY_BORROW = topic("RepayBorrow(address,address,uint256,uint256,uint256)")
LIQUIDATE_BORROW = topic("LiquidateBorrow(address,address,uint256,address,uint256)")
ABSORB_COLLATERAL = topic("AbsorbCollateral(address,address,address,uint256,uint256)")
ABSORB_DEBT = topic("AbsorbDebt(address,address,uint256,uint256)")


def ctoken_moved(event_type: str) -> Reader:
    """A deposit, withdrawal or borrow: the reader of `event_type`."""

    def read(log: Log, market: LendingMarket, _logs: Sequence[Log], _place: int) -> Events:
        yield log.event(market, event_type, log.word(0), log.word(0), market.contracts[log.address], log.words[1])

    return read


def ctoken_repay(log: Log, market: LendingMarket, logs: Sequence[Log], place: int) -> Events:
    """A repayment, unless it is the debt side of a liquidation."""
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


def ctoken_liquidation(log: Log, market: LendingMarket, _logs: Sequence[Log], _place: int) -> Events:
    """A liquidation of cTokens."""
    liquidator, ctoken = log.word(0), log.word(3)
    # Seized are cTokens; what they were worth in the underlying token is not in the log.
    yield log.event(market, "liquidation", log.word(1), liquidator, ctoken, log.words[4], counterparty=liquidator,
                    debt_asset=market.contracts[log.address], debt_amount=log.words[2])  # fmt: skip


def comet_collateral_in(log: Log, market: LendingMarket, _logs: Sequence[Log], _place: int) -> Events:
    """A deposit of collateral."""
    yield log.event(market, "deposit", log.topic(2), log.topic(1), log.topic(3), log.words[0])


def comet_collateral_out(log: Log, market: LendingMarket, _logs: Sequence[Log], _place: int) -> Events:
    """A withdrawal of collateral."""
    yield log.event(market, "withdraw", log.topic(1), None, log.topic(3), log.words[0], counterparty=log.topic(2))


def comet_supply(log: Log, market: LendingMarket, logs: Sequence[Log], place: int) -> Events:
    """A repayment of what the account owed, and a deposit of the rest."""
    owner = log.topic(2)
    yield from _comet_base(log, market, "repay", "deposit", _next(log, logs, place, NOBODY, owner), owner, log.topic(1))


def comet_withdraw(log: Log, market: LendingMarket, logs: Sequence[Log], place: int) -> Events:
    """A withdrawal of what the account had, and a borrow of the rest."""
    owner = log.topic(1)
    transfer = _next(log, logs, place, owner, NOBODY)
    yield from _comet_base(log, market, "borrow", "withdraw", transfer, owner, None, counterparty=log.topic(2))


def _comet_base(log: Log, market: LendingMarket, of_debt: str, of_balance: str, transfer: Log | None, owner: str,
                initiator: str | None, **more: Any) -> Events:  # fmt: skip
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


def _next(log: Log, logs: Sequence[Log], place: int, source: str, target: str) -> Log | None:
    """The Transfer from `source` to `target` directly after a base movement; None where another log comes next."""
    later = next((other for other in logs[place + 1 :] if other.address == log.address), None)
    fits = later and later.same_call(log) and later.topics[0] == TRANSFER and len(later.topics) == 3
    return later if fits and (later.topic(1), later.topic(2)) == (source, target) else None


def _absorption(log: Log, logs: Sequence[Log], place: int) -> tuple[list[Log], Log | None]:
    """All AbsorbCollateral logs of one absorption, and its AbsorbDebt, which comes last."""
    calls = [other for other in logs if other.same_call(log)]
    parts: list[Log] = []
    for other in calls:
        if other.topics[0] == ABSORB_COLLATERAL:
            parts.append(other)
        elif other.topics[0] == ABSORB_DEBT:
            if log in (*parts, other):
                return parts, other
            parts = []
    return parts, None


def comet_absorb_collateral(log: Log, market: LendingMarket, logs: Sequence[Log], place: int) -> Events:
    """A liquidation of one collateral; that of the first one has the debt."""
    parts, debt = _absorption(log, logs, place)
    part = parts.index(log)
    first = {}
    if debt and not part:
        repaid = debt.words[0] - _credited(debt, logs, logs.index(debt))
        first = {"debt_asset": market.contracts[log.address], "debt_amount": repaid}
    yield log.event(market, "liquidation", log.topic(2), log.topic(1), log.topic(3), log.words[0],
                    counterparty=log.topic(1), part=part, usd_e8=log.words[1] if market.usd else None,
                    **first)  # fmt: skip


def _credited(debt: Log, logs: Sequence[Log], place: int) -> int:
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


def comet_absorb_debt(log: Log, market: LendingMarket, logs: Sequence[Log], place: int) -> Events:
    """The debt side of an absorption: a deficit where it falls short, a deposit where something is left."""
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


def no_event(log: Log, market: LendingMarket, logs: Sequence[Log], place: int) -> Events:
    """A log that another one is read with."""
    return ()
