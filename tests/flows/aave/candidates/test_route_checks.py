"""Whether routes agree and nobody is missing, on numbers that add up by hand; and the arithmetic of estimates."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.aave.accounts import Account
from flows.aave.candidates import agreement as route_checks
from flows.aave.candidates.agreement import (
    AccountsMissing,
    FieldAgreement,
    RoutesDisagree,
    compare_positions,
    shortfalls,
)
from flows.aave.candidates.subgraph import GraphPosition
from flows.aave.candidates.workload import Size, Workload, duration, sampled_size
from flows.errors import CrossCheckFailed

RAY, USD = 10**27, 10**8
A, B, ASSET = "0x" + "a" * 40, "0x" + "b" * 40, "0x" + "1" * 40


def reserve(supply: int, debt: int, price_usd: float = 1.0) -> Any:
    """A reserve with id 4, no interest yet, and 6 decimals."""
    return SimpleNamespace(
        id=4, symbol="USDC", asset=ASSET, scaled_atoken_supply=supply, scaled_debt_supply=debt, normalized_income=RAY,
        normalized_debt=RAY, price=int(price_usd * USD), decimals=6,
    )  # fmt: skip


def account(address: str, supply: int = 0, debt: int = 0, flags: int = 0, emode: int = 0) -> Account:
    return Account(address, flags, emode, {4: supply} if supply else {}, {4: debt} if debt else {})


def position(address: str, supply: int, debt: int = 0, *, collateral: bool = False, emode: int = 0) -> GraphPosition:
    return GraphPosition(
        id="", body="", payload_sha256="", account=address, asset=ASSET, scaled_supply=supply, scaled_debt=debt,
        stable_debt=0, is_collateral=collateral, emode=emode, last_update=0,
    )  # fmt: skip


def test_what_is_missing_is_said_as_share_and_as_dollars():
    found = shortfalls([reserve(1_000_000_000, 500_000_000)], [account(A, 999_000_000, 500_000_000)])

    assert [(s.side, s.share, s.usd) for s in found] == [("supply", 0.001, 1.0)]
    assert str(found[0]) == "USDC supply 0.1000% (1 USD)"


def test_the_bound_is_a_share_and_dust_never_refuses():
    missing = shortfalls([reserve(1_000_000_000, 0)], [account(A, 990_000_000)])  # 10 of 1,000 USD
    dust = shortfalls([reserve(999_999, 0)], [])  # a token of which there is less than a dollar in all

    route_checks.require_complete(missing, 0.01)
    with pytest.raises(AccountsMissing, match=r"USDC supply 1\.0000% \(10 USD\)"):
        route_checks.require_complete(missing, 0.0099)
    assert dust[0].share == 1.0
    route_checks.require_complete(dust, 0.0)


def test_accounts_that_hold_more_than_there_is_are_of_another_block():
    with pytest.raises(CrossCheckFailed, match="hold 11, scaledTotalSupply is 10"):
        shortfalls([reserve(10, 0)], [account(A, 6), account(B, 5)])


@given(st.lists(st.integers(0, 10**30), min_size=1, max_size=6), st.integers(1, 10**30))
def test_an_account_left_out_is_missed_by_exactly_what_it_holds(held: list[int], more: int):
    accounts = [account(f"0x{i:040x}", amount) for i, amount in enumerate(held)]
    found = shortfalls([reserve(sum(held) + more, 0)], accounts)

    assert [s.expected - s.found for s in found] == [more]
    assert shortfalls([reserve(sum(held), 0)], accounts) == []


def compared(positions: list[GraphPosition], accounts: list[Account]) -> dict[str, FieldAgreement]:
    return {c.name: c for c in compare_positions(positions, accounts, [reserve(0, 0)])}


def test_equal_holdings_agree_and_each_is_counted():
    found = compared([position(A, 5, 7), position(B, 1)], [account(A, 5, 7), account(B, 1)])

    assert [(c.compared, c.rounding, c.different) for c in found.values()] == [(2, 0, 0)] * 4


@pytest.mark.parametrize(
    ("theirs", "ours", "verdict"),
    [(10**6, 10**6 + 1_000, "rounding"), (10**6, 10**6 + 1_001, "different"), (10**6 + 1_000, 10**6, "rounding"),
     (10**18, 10**18 + 10**9, "rounding"), (10**18, 10**18 + 10**9 + 2, "different"), (0, 10**6, "different"),
     (10**6, 0, "different"), (0, 1, "rounding")],
)  # fmt: skip
def test_rounding_is_a_thousand_units_or_one_part_in_a_billion(theirs: int, ours: int, verdict: str):
    found = compared([position(A, theirs)], [account(A, ours)])["scaled_supply"]

    assert {"rounding": found.rounding, "different": found.different}[verdict] == 1
    assert found.rounding + found.different == 1


def test_a_holding_that_only_one_side_has_counts():
    assert compared([], [account(A, 10**6)])["scaled_supply"].different == 1
    assert compared([position(A, 0, 10**6)], [account(A, 0)])["scaled_debt"].different == 1


def test_flags_and_emodes_are_compared_exactly():
    enabled = 1 << (2 * 4 + 1)
    right = compared([position(A, 5, collateral=True, emode=2)], [account(A, 5, flags=enabled, emode=2)])
    wrong = compared([position(A, 5, collateral=False, emode=1)], [account(A, 5, flags=enabled, emode=2)])
    # An indexer keeps the flag of a supply that is gone; it says nothing.
    gone = compared([position(A, 0, 5, collateral=True)], [account(A, 0, 5)])

    assert right["is_collateral"].different == right["emode_id"].different == 0
    assert wrong["is_collateral"].different == wrong["emode_id"].different == 1
    assert gone["is_collateral"].compared == 0


def test_the_worst_difference_is_the_example():
    found = compared([position(A, 2_000_000), position(B, 9_000_000)], [account(A, 1_000_000), account(B, 1_000_000)])

    assert found["scaled_supply"].example == f"{B} in USDC: 9000000, on chain 1000000"
    with pytest.raises(RoutesDisagree, match=rf"differs in 2 of 2 rows, for instance {B}"):
        route_checks.require_agreement(found.values(), 0.99, "subgraph and chain")
    route_checks.require_agreement(found.values(), 1.0, "subgraph and chain")


def test_what_did_not_agree_becomes_rows_of_fact_validation():
    different = compared([position(A, 2_000_000), position(B, 1)], [account(A, 1_000_000), account(B, 2)])
    missing = shortfalls([reserve(10, 0)], [account(A, 6)])

    rows = route_checks.findings({"t": different.values()}, missing)

    assert [tuple(row)[:5] for row in rows] == [
        ("t", "routes agree", "scaled_supply", 1, 2),
        ("t", "routes equal up to rounding", "scaled_supply", 1, 2),
        ("raw_aave_balances", "holders complete: USDC", "scaled_supply", 1, 1),
    ]
    assert route_checks.findings({"t": compared([], []).values()}, []) == []


MAINNET = Workload(
    size=Size(accounts=180_000, balances=450_000, indebted=60_000),
    sources=2,
    subgraph_latency=0.8,
    node_latency=0.25,
    subgraph_concurrency=4,
    node_concurrency=4,
)


def test_mainnet_is_minutes_by_arithmetic():
    """450 full pages and 2 x 2 x 16 ends; (2 x 180,000 + 450,000) / 400 = 2,025, (2,000 + 3,000) / 50 = 100, 12."""
    assert MAINNET.queries == 450 + 64 + 2
    assert MAINNET.requests == 2_025 + 100 + 12
    assert MAINNET.seconds == pytest.approx(516 * 0.8 / 4 + 2_137 * 0.25 / 4) == pytest.approx(236.8, abs=0.1)
    assert str(MAINNET) == (
        "180,000 accounts with 450,000 balances: 516 subgraph queries at 0.80 s, 4 at once; 2,137 node requests at "
        "0.25 s, 4 at once; 3.9 min in all"
    )


def test_a_slow_node_is_said_to_take_long():
    assert replace(MAINNET, node_latency=5.0, node_concurrency=1).seconds == pytest.approx(2_137 * 5 + 103.2)


def test_a_sample_stands_for_the_whole():
    """One first digit in sixteen: 25 accounts of 400 begin with 7, and all of them are asked for, being few."""
    everyone = [position(f"0x{i % 16:x}{i:039x}", 1, i % 2) for i in range(400)]
    asked = []

    def fetch(prefix: str) -> dict[str, GraphPosition]:
        asked.append(prefix)
        return {p.account: p for p in everyone if p.account.startswith(prefix)}

    size, _, _ = sampled_size(fetch)

    assert asked == ["0x7f", "0x7", "0x"]
    assert size == Size(accounts=400, balances=400 + 200, indebted=200)

    many = [position(f"0x7{i:039x}", 1) for i in range(625)]
    size, _, _ = sampled_size(lambda prefix: {p.account: p for p in many if p.account.startswith(prefix)})
    assert size == Size(accounts=10_000, balances=10_000, indebted=0, error=0.04)


def test_durations_read_well():
    assert [duration(s) for s in (42, 247)] == ["42 s", "4.1 min"]
