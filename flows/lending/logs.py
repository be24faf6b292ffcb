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
smallest units; a rest of at most `compound_logs.ROUNDING` units is rounding, not debt. When both parts exist, the one
of the Transfer has the Transfer's log index, so that a (chain, block, log index) still names one event.

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

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from flows.errors import MalformedAnswer
from flows.lending import aave_logs as aave
from flows.lending import compound_logs as compound
from flows.lending.events import LendingEvent, LendingMarket, Log, Reader, topic

_SIGNATURES: dict[str, dict[str, tuple[tuple[int, int], Reader]]] = {
    "aave_v3": {
        "Supply(address,address,address,uint256,uint16)": ((3, 2), aave.moved_in("deposit")),
        "Withdraw(address,address,address,uint256)": ((3, 1), aave.withdraw),
        "Borrow(address,address,address,uint256,uint8,uint256,uint16)": ((3, 4), aave.moved_in("borrow")),
        "Repay(address,address,address,uint256,bool)": ((3, 2), aave.repay),
        "LiquidationCall(address,address,address,uint256,uint256,address,bool)": ((3, 4), aave.liquidation),
        "DeficitCreated(address,address,uint256)": ((2, 1), aave.deficit),
    },
    "aave_v2": {
        "Deposit(address,address,address,uint256,uint16)": ((3, 2), aave.moved_in("deposit")),
        "Withdraw(address,address,address,uint256)": ((3, 1), aave.withdraw),
        "Borrow(address,address,address,uint256,uint256,uint256,uint16)": ((3, 4), aave.moved_in("borrow")),
        "Repay(address,address,address,uint256)": ((3, 1), aave.repay),
        "LiquidationCall(address,address,address,uint256,uint256,address,bool)": ((3, 4), aave.liquidation),
    },
    "compound_v2": {
        "Mint(address,uint256,uint256)": ((0, 3), compound.ctoken_moved("deposit")),
        "Redeem(address,uint256,uint256)": ((0, 3), compound.ctoken_moved("withdraw")),
        "Borrow(address,uint256,uint256,uint256)": ((0, 4), compound.ctoken_moved("borrow")),
        "RepayBorrow(address,address,uint256,uint256,uint256)": ((0, 5), compound.ctoken_repay),
        "LiquidateBorrow(address,address,uint256,address,uint256)": ((0, 5), compound.ctoken_liquidation),
    },
    "compound_v3": {
        "Supply(address,address,uint256)": ((2, 1), compound.comet_supply),
        "Withdraw(address,address,uint256)": ((2, 1), compound.comet_withdraw),
        "Transfer(address,address,uint256)": ((2, 1), compound.no_event),
        "SupplyCollateral(address,address,address,uint256)": ((3, 1), compound.comet_collateral_in),
        "WithdrawCollateral(address,address,address,uint256)": ((3, 1), compound.comet_collateral_out),
        "AbsorbCollateral(address,address,address,uint256,uint256)": ((3, 2), compound.comet_absorb_collateral),
        "AbsorbDebt(address,address,uint256,uint256)": ((2, 2), compound.comet_absorb_debt),
    },
}
"""Signature to (number of indexed values, number of words in the data) and what the log means."""

_READERS = {
    protocol: {topic(text): (text.partition("(")[0], size, read) for text, (size, read) in signatures.items()}
    for protocol, signatures in _SIGNATURES.items()
}
PROTOCOLS = tuple(_SIGNATURES)


def topics_of(market: LendingMarket) -> list[str]:
    """First topics of the events of the market's protocol, sorted."""
    return sorted(_READERS[market.protocol])


def decode(logs: Iterable[Mapping[str, Any]], market: LendingMarket) -> list[LendingEvent]:
    """Events of `market` in logs of `eth_getLogs` (or of receipts), in the order of the chain.

    `logs` must hold all logs of `topics_of(market)` of each transaction they touch: some events take two logs. Logs of
    other contracts and topics are skipped. Raises `MalformedAnswer` naming the log.
    """
    rows = [Log.of(log) for log in logs]
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
