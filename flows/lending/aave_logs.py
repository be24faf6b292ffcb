"""Readers of Aave's logs.

The owner of a deposit and of a borrow is the second indexed address, the one that pays or receives is in the data;
Repay and Withdraw have the owner first and the other one second.
"""

from __future__ import annotations

from collections.abc import Sequence

from flows.lending.events import Events, LendingMarket, Log, Reader


def moved_in(event_type: str) -> Reader:
    """A deposit or a borrow: the reader of `event_type`."""

    def read(log: Log, market: LendingMarket, _logs: Sequence[Log], _place: int) -> Events:
        yield log.event(market, event_type, log.topic(2), log.word(0), log.topic(1), log.words[1])

    return read


def repay(log: Log, market: LendingMarket, _logs: Sequence[Log], _place: int) -> Events:
    """A repayment."""
    yield log.event(market, "repay", log.topic(2), log.topic(3), log.topic(1), log.words[0])


def withdraw(log: Log, market: LendingMarket, _logs: Sequence[Log], _place: int) -> Events:
    """A withdrawal."""
    owner = log.topic(2)
    yield log.event(market, "withdraw", owner, owner, log.topic(1), log.words[0], counterparty=log.topic(3))


def liquidation(log: Log, market: LendingMarket, _logs: Sequence[Log], _place: int) -> Events:
    """A liquidation."""
    repaid, seized, liquidator = log.words[0], log.words[1], log.word(2)
    yield log.event(market, "liquidation", log.topic(3), liquidator, log.topic(1), seized, counterparty=liquidator,
                    debt_asset=log.topic(2), debt_amount=repaid)  # fmt: skip


def deficit(log: Log, market: LendingMarket, _logs: Sequence[Log], _place: int) -> Events:
    """A booked deficit."""
    yield log.event(market, "deficit", log.topic(1), None, log.topic(2), log.words[0])
