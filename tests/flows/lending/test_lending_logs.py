"""What each log of a lending contract is taken to mean. Logs are encoded by eth_abi from the published declarations."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.errors import MalformedAnswer
from flows.lending import compound_logs, events
from flows.lending.events import NOBODY, LendingEvent, LendingMarket
from flows.lending.logs import decode, topics_of
from tests.flows.lending.logs import address, log

POOL, COMET, CUSDC, CETH = address(0xA), address(0xB), address(0xC), address(0xD)
OWNER, PAYER, OTHER = address(1), address(2), address(3)
USDC, WETH, LINK = address(0x51), address(0x52), address(0x53)

V3 = LendingMarket(name="v3", protocol="aave_v3", chain_id=1, contracts={POOL: ""})
V2 = LendingMarket(name="v2", protocol="aave_v2", chain_id=1, contracts={POOL: ""})
COMPOUND = LendingMarket(name="c2", protocol="compound_v2", chain_id=1, contracts={CUSDC: USDC, CETH: NOBODY})
COMET_USDC = LendingMarket(name="c3", protocol="compound_v3", chain_id=1, contracts={COMET: USDC})

SUPPLY, WITHDRAW = "Supply(address*,address*,uint256)", "Withdraw(address*,address*,uint256)"
TRANSFER = "Transfer(address*,address*,uint256)"
ABSORB = "AbsorbCollateral(address*,address*,address*,uint256,uint256)"
ABSORB_DEBT = "AbsorbDebt(address*,address*,uint256,uint256)"
REPAY_BORROW = "RepayBorrow(address,address,uint256,uint256,uint256)"
LIQUIDATE = "LiquidateBorrow(address,address,uint256,address,uint256)"


def said(event: LendingEvent) -> tuple:
    return event.event_type, event.owner, event.initiator, event.asset, event.amount


def test_the_topics_are_the_published_ones():
    """facts: event_signatures.json of the interfaces, topic0 by keccak; copied here as the witness."""
    assert {name: events.topic(name)[:10] for name in (
        "Supply(address,address,address,uint256,uint16)", "Deposit(address,address,address,uint256,uint16)",
        "Repay(address,address,address,uint256)", "DeficitCreated(address,address,uint256)",
        "Mint(address,uint256,uint256)", LIQUIDATE, "AbsorbDebt(address,address,uint256,uint256)",
    )} == {
        "Supply(address,address,address,uint256,uint16)": "0x2b627736",
        "Deposit(address,address,address,uint256,uint16)": "0xde685721",
        "Repay(address,address,address,uint256)": "0x4cdde6e0",
        "DeficitCreated(address,address,uint256)": "0x2bccfb3f",
        "Mint(address,uint256,uint256)": "0x4c209b5f",
        LIQUIDATE: "0x298637f6",
        "AbsorbDebt(address,address,uint256,uint256)": "0x1547a878",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("market", "signature", "indexed", "rest", "expected"),
    [
        (V3, "Supply(address*,address,address*,uint256,uint16*)", (USDC, OWNER, 0), (PAYER, 7),
         ("deposit", OWNER, PAYER, USDC, 7)),
        (V2, "Deposit(address*,address,address*,uint256,uint16*)", (USDC, OWNER, 0), (PAYER, 7),
         ("deposit", OWNER, PAYER, USDC, 7)),
        (V3, "Borrow(address*,address,address*,uint256,uint8,uint256,uint16*)", (USDC, OWNER, 0), (PAYER, 7, 2, 9),
         ("borrow", OWNER, PAYER, USDC, 7)),
        (V2, "Borrow(address*,address,address*,uint256,uint256,uint256,uint16*)", (USDC, OWNER, 0), (PAYER, 7, 1, 9),
         ("borrow", OWNER, PAYER, USDC, 7)),
        (V3, "Repay(address*,address*,address*,uint256,bool)", (USDC, OWNER, PAYER), (7, True),
         ("repay", OWNER, PAYER, USDC, 7)),
        (V2, "Repay(address*,address*,address*,uint256)", (USDC, OWNER, PAYER), (7,),
         ("repay", OWNER, PAYER, USDC, 7)),
        (V3, "Withdraw(address*,address*,address*,uint256)", (USDC, OWNER, OTHER), (7,),
         ("withdraw", OWNER, OWNER, USDC, 7)),
        (V3, "DeficitCreated(address*,address*,uint256)", (OWNER, USDC), (7,), ("deficit", OWNER, None, USDC, 7)),
        (COMPOUND, "Mint(address,uint256,uint256)", (), (OWNER, 7, 350), ("deposit", OWNER, OWNER, USDC, 7)),
        (COMPOUND, "Redeem(address,uint256,uint256)", (), (OWNER, 7, 350), ("withdraw", OWNER, OWNER, USDC, 7)),
        (COMPOUND, "Borrow(address,uint256,uint256,uint256)", (), (OWNER, 7, 8, 9),
         ("borrow", OWNER, OWNER, USDC, 7)),
        (COMPOUND, REPAY_BORROW, (), (PAYER, OWNER, 7, 8, 9), ("repay", OWNER, PAYER, USDC, 7)),
        (COMET_USDC, "SupplyCollateral(address*,address*,address*,uint256)", (PAYER, OWNER, LINK), (7,),
         ("deposit", OWNER, PAYER, LINK, 7)),
        (COMET_USDC, "WithdrawCollateral(address*,address*,address*,uint256)", (OWNER, OTHER, LINK), (7,),
         ("withdraw", OWNER, None, LINK, 7)),
    ],
    ids=lambda value: value.protocol if isinstance(value, LendingMarket) else None,
)  # fmt: skip
def test_the_owner_is_never_the_payer(market, signature, indexed, rest, expected):
    contract = next(iter(market.contracts))

    (event,) = decode([log(contract, signature, indexed, rest)], market)

    assert said(event) == expected
    assert event.self_initiated == (None if expected[2] is None else expected[2] == OWNER)


def test_a_liquidation_has_both_sides_and_its_liquidator():
    call = "LiquidationCall(address*,address*,address*,uint256,uint256,address,bool)"

    (event,) = decode([log(POOL, call, (WETH, USDC, OWNER), (2_000, 1, OTHER, True))], V3)

    assert said(event) == ("liquidation", OWNER, OTHER, WETH, 1)
    assert (event.debt_asset, event.debt_amount, event.counterparty) == (USDC, 2_000, OTHER)


def test_a_compound_v2_liquidators_payment_is_no_repayment():
    """liquidateBorrow emits RepayBorrow and then LiquidateBorrow; a payment of somebody else beside it stays one."""
    logs = [
        log(CUSDC, REPAY_BORROW, (), (PAYER, OWNER, 5, 0, 0), index=0),
        log(CUSDC, REPAY_BORROW, (), (OTHER, OWNER, 5, 0, 0), index=1),
        log(CUSDC, LIQUIDATE, (), (OTHER, OWNER, 5, CETH, 40), index=2),
        log(CUSDC, REPAY_BORROW, (), (OTHER, OWNER, 5, 0, 0), index=3),
        log(CUSDC, REPAY_BORROW, (), (OTHER, OWNER, 5, 0, 0), index=4, tx=2),
    ]

    events = decode(logs, COMPOUND)

    assert [(e.log_index, e.event_type) for e in events] == [
        (0, "repay"),
        (2, "liquidation"),
        (3, "repay"),
        (4, "repay"),
    ]
    assert said(events[1]) == ("liquidation", OWNER, OTHER, CETH, 40)  # cTokens: their worth is not in the log
    assert (events[1].debt_asset, events[1].debt_amount) == (USDC, 5)


# A Comet's base balance


def test_a_comet_supply_first_repays_and_then_deposits():
    """100 supplied, 30 of it minted as balance: 70 was owed."""
    logs = [log(COMET, SUPPLY, (PAYER, OWNER), (100,), index=4), log(COMET, TRANSFER, (NOBODY, OWNER), (30,), index=5)]

    events = decode(logs, COMET_USDC)

    assert [(e.log_index, *said(e)) for e in events] == [
        (4, "repay", OWNER, PAYER, USDC, 70),
        (5, "deposit", OWNER, PAYER, USDC, 30),
    ]


def test_a_comet_withdrawal_first_takes_the_balance_and_then_borrows():
    logs = [
        log(COMET, WITHDRAW, (OWNER, OTHER), (100,), index=4),
        log(COMET, TRANSFER, (OWNER, NOBODY), (40,), index=5),
    ]

    events = decode(logs, COMET_USDC)

    assert [(e.log_index, e.event_type, e.amount, e.counterparty) for e in events] == [
        (4, "borrow", 60, OTHER),
        (5, "withdraw", 40, OTHER),
    ]


def test_without_a_transfer_all_of_it_is_debt():
    logs = [
        log(COMET, SUPPLY, (OWNER, OWNER), (100,), index=0),
        log(COMET, WITHDRAW, (OWNER, OWNER), (50,), index=1),
        # A transfer of another transaction, and one to another account, belong to neither.
        log(COMET, TRANSFER, (NOBODY, OTHER), (50,), index=2),
        log(COMET, TRANSFER, (OWNER, NOBODY), (50,), index=3, tx=2),
    ]

    assert [(e.event_type, e.amount) for e in decode(logs, COMET_USDC)] == [("repay", 100), ("borrow", 50)]


def test_a_comet_that_moves_more_than_was_supplied_is_refused():
    logs = [log(COMET, SUPPLY, (OWNER, OWNER), (100,)), log(COMET, TRANSFER, (NOBODY, OWNER), (200,), index=1)]

    with pytest.raises(MalformedAnswer, match="100 units of the base token moved, and the Transfer after it says 200"):
        decode(logs, COMET_USDC)


INDEX_SCALE = 10**15


class Account:
    """One account's base principal by the rules of Comet: principals round against the account."""

    def __init__(self, supply_index: int, borrow_index: int) -> None:
        self.supply_index, self.borrow_index, self.principal = supply_index, borrow_index, 0

    @property
    def balance(self) -> int:
        if self.principal >= 0:
            return self.principal * self.supply_index // INDEX_SCALE
        return -(-self.principal * self.borrow_index // INDEX_SCALE)

    def move(self, amount: int, index: int) -> list[dict]:
        """Supply `amount` (or withdraw, below zero); returns the logs."""
        before, balance = self.principal, self.balance + amount
        self.principal = (
            balance * INDEX_SCALE // self.supply_index
            if balance >= 0
            else -((-balance * INDEX_SCALE + self.borrow_index - 1) // self.borrow_index)
        )
        moved = abs(max(self.principal, 0) - max(before, 0)) * self.supply_index // INDEX_SCALE
        topics = (OWNER, OWNER)
        logs = [log(COMET, SUPPLY if amount > 0 else WITHDRAW, topics, (abs(amount),), index=index, tx=index)]
        if max(self.principal, 0) != max(before, 0):
            ends = (NOBODY, OWNER) if amount > 0 else (OWNER, NOBODY)
            logs.append(log(COMET, TRANSFER, ends, (moved,), index=index + 1, tx=index))
        return logs


@given(
    st.lists(st.integers(-(10**12), 10**12).filter(lambda v: abs(v) > 1000), min_size=1, max_size=12),
    st.integers(INDEX_SCALE, 3 * INDEX_SCALE),
    st.integers(INDEX_SCALE, 3 * INDEX_SCALE),
)
def test_the_events_of_a_comet_add_up_to_its_balance(moves, supply_index, borrow_index):
    """Deposits less withdrawals are the balance, borrows less repayments the debt, but for a few units of rounding."""
    account = Account(supply_index, borrow_index)
    logs = [entry for place, amount in enumerate(moves) for entry in account.move(amount, 2 * place)]

    total: Counter[str] = Counter()
    for event in decode(logs, COMET_USDC):
        total[event.event_type] += event.amount

    slack = 2 * compound_logs.ROUNDING * len(moves)
    assert total["deposit"] - total["withdraw"] == pytest.approx(max(account.balance, 0), abs=slack)
    assert total["borrow"] - total["repay"] == pytest.approx(max(-account.balance, 0), abs=slack)
    supplied = sum(amount for amount in moves if amount > 0)
    assert total["deposit"] + total["repay"] == supplied
    assert total["withdraw"] + total["borrow"] == supplied - sum(moves)


def test_an_absorption_of_two_collaterals_is_one_liquidation_in_two_parts():
    """Collateral worth 950 + 50 USD at a factor of 0.95 for a debt of 900 USD: 950 are paid out, 50 are left over."""
    logs = [
        log(COMET, ABSORB, (PAYER, OWNER, WETH), (3, 950_00000000), index=0),
        log(COMET, ABSORB, (PAYER, OWNER, LINK), (4, 50_00000000), index=1),
        log(COMET, ABSORB_DEBT, (PAYER, OWNER), (950_000000, 950_00000000), index=2),
        log(COMET, TRANSFER, (NOBODY, OWNER), (50_000000,), index=3),
    ]

    events = decode(logs, COMET_USDC)

    assert [(said(e), e.part, e.usd_e8, e.debt_amount) for e in events] == [
        (("liquidation", OWNER, PAYER, WETH, 3), 0, 950_00000000, 900_000000),
        (("liquidation", OWNER, PAYER, LINK, 4), 1, 50_00000000, None),
        (("deposit", OWNER, PAYER, USDC, 50_000000), 0, None, None),
    ]


def absorbed(debt: int, value: int, factor: int = 95) -> list[dict[str, object]]:
    """Logs of one absorption in whole dollars: what Comet.absorbInternal emits."""
    paid = max(value * factor // 100, debt)
    logs = [
        log(COMET, ABSORB, (PAYER, OWNER, WETH), (10 * 10**18, value * 10**8), index=0),
        log(COMET, ABSORB_DEBT, (PAYER, OWNER), (paid * 10**6, paid * 10**8), index=1),
    ]
    credit = log(COMET, TRANSFER, (NOBODY, OWNER), ((paid - debt) * 10**6,), index=2)
    return [*logs, credit] if paid > debt else logs


def test_what_an_absorption_pays_out_beyond_the_debt_is_credited_not_repaid():
    """Debt 18,000, collateral worth 20,000 at 0.95: 19,000 paid out, 18,000 repaid, 1,000 credited."""
    liquidation, credit = decode(absorbed(18_000, 20_000), COMET_USDC)

    assert (liquidation.debt_amount, credit.event_type, credit.amount) == (18_000 * 10**6, "deposit", 1_000 * 10**6)
    assert (credit.owner, credit.asset, credit.initiator) == (OWNER, USDC, PAYER)


@given(st.integers(1, 10**9), st.integers(1, 10**9), st.integers(50, 100))
def test_repaid_less_lost_never_exceeds_the_debt(debt, value, factor):
    events = {e.event_type: e for e in decode(absorbed(debt, value, factor), COMET_USDC)}

    assert events["liquidation"].debt_amount == debt * 10**6
    credit = events["deposit"].amount if "deposit" in events else 0
    assert credit == max(value * factor // 100 - debt, 0) * 10**6
    lost = events["deficit"].amount if "deficit" in events else 0
    assert lost == max(debt - value, 0) * 10**6


def test_a_comet_that_counts_in_ether_states_no_dollars():
    """10 wstETH worth 12 ETH: 12 is no number of dollars, on any side of the absorption."""
    comet = replace(COMET_USDC, contracts={COMET: WETH}, usd=False)
    logs = [
        log(COMET, ABSORB, (PAYER, OWNER, LINK), (10 * 10**18, 12_00000000), index=0),
        log(COMET, ABSORB_DEBT, (PAYER, OWNER), (15 * 10**18, 15_00000000), index=1),
    ]

    liquidation, deficit = decode(logs, comet)

    assert (liquidation.amount, liquidation.usd_e8) == (10 * 10**18, None)
    assert (deficit.event_type, deficit.amount, deficit.usd_e8) == ("deficit", 3 * 10**18, None)


def test_what_the_reserves_lose_on_an_absorption_is_a_deficit():
    """Two accounts absorbed by one call; the second owes 900 USD against 600: a third of its debt is lost."""
    logs = [
        log(COMET, ABSORB, (PAYER, OTHER, WETH), (3, 950_00000000), index=0),
        log(COMET, ABSORB_DEBT, (PAYER, OTHER), (900_000000, 900_00000000), index=1),
        log(COMET, ABSORB, (PAYER, OWNER, WETH), (2, 600_00000000), index=2),
        log(COMET, ABSORB_DEBT, (PAYER, OWNER), (900_000000, 900_00000000), index=3),
        log(COMET, "BuyCollateral(address*,address*,uint256,uint256)", (PAYER, WETH), (5, 6), index=4),
    ]

    events = decode(logs, COMET_USDC)

    assert [(e.event_type, e.owner, e.part) for e in events] == [
        ("liquidation", OTHER, 0),
        ("liquidation", OWNER, 0),
        ("deficit", OWNER, 0),
    ]
    assert (events[2].amount, events[2].usd_e8, events[2].asset) == (300_000000, 300_00000000, USDC)


# Shapes


@pytest.mark.parametrize(
    "change",
    [
        {"data": "0x"},
        {"data": "0xzz"},
        {"topics": topics_of(V3)[:1]},
        {"blockHash": None},
        {"logIndex": "one"},
        {"address": None},
    ],
    ids=str,
)
def test_a_log_of_the_wrong_shape_stops_the_run(change):
    good = log(POOL, "Supply(address*,address,address*,uint256,uint16*)", (USDC, OWNER, 0), (PAYER, 7))

    with pytest.raises(MalformedAnswer, match="expected"):
        decode([good | change], V3)


def test_an_amount_of_all_bits_survives():
    (event,) = decode([log(CUSDC, "Mint(address,uint256,uint256)", (), (OWNER, 2**256 - 1, 1))], COMPOUND)

    assert event.amount == 2**256 - 1


def test_every_protocol_listens_to_what_it_reads():
    for market in (V3, V2, COMPOUND, COMET_USDC):
        assert all(re.fullmatch(r"0x[0-9a-f]{64}", topic) for topic in topics_of(market))
    assert compound_logs.TRANSFER in topics_of(COMET_USDC)
    assert compound_logs.TRANSFER not in topics_of(COMPOUND)
