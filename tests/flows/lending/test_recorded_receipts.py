"""The decoder against receipts of mainnet transactions (recorded by others; figures read off the raw hex by hand)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.clients.json_rpc import quantity
from flows.lending.events import LendingEvent, LendingMarket
from flows.lending.logs import decode

V3 = LendingMarket(
    name="v3", protocol="aave_v3", chain_id=1, contracts={"0x87870bca3f3fd6335c3f4ce8392d69350b4fa4e2": ""}
)
V2 = LendingMarket(
    name="v2", protocol="aave_v2", chain_id=1, contracts={"0x7d2768de32b0b80b7a3454c06bdac94a69ddc7a9": ""}
)
USDC, LDO = "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48", "0x5a98fcbea516cf06857215779fd812ca3bef1b32"
USDT, WETH = "0xdac17f958d2ee523a2206206994597c13d831ec7", "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"
COMET = LendingMarket(
    name="comet", protocol="compound_v3", chain_id=1, contracts={"0xc3d688b66703497daa19211eedff47f25384cdc3": USDC}
)
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"


def receipt(folder: Path, name: str) -> dict[str, Any]:
    path = folder / "recorded" / "aave" / f"test_{name}[ethereum_accounts0].yaml"
    if not path.exists():
        pytest.skip(f"{path.name} is not among the recordings")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for seen in yaml.load(path.read_text(), Loader=loader)["interactions"]:
        if "eth_getTransactionReceipt" in seen["request"]["uri"]:
            return json.loads(seen["response"]["body"]["string"])["result"]
    raise AssertionError(f"{path.name} holds no receipt")


def the_event(folder: Path, name: str, market: LendingMarket) -> tuple[LendingEvent, dict[str, Any]]:
    found = receipt(folder, name)
    (event,) = decode(found["logs"], market)
    assert event.block_number == quantity(found["blockNumber"], "block")
    assert event.tx_hash == found["transactionHash"]
    return event, found


def moved(found: dict[str, Any], token: str) -> list[tuple[str, str, int]]:
    """(from, to, amount) of the ERC-20 transfers of `token` in the same receipt: another contract's word."""
    return [
        ("0x" + log["topics"][1][-40:], "0x" + log["topics"][2][-40:], int(log["data"], 16))
        for log in found["logs"]
        if log["address"] == token and log["topics"][0] == TRANSFER
    ]


def test_a_deposit_of_71657_LDO(shared_data):
    event, found = the_event(shared_data, "aave_v3_deposit", V3)

    owner = "0x08c14b32c8a48894e4b933090ebcc9ce33b21135"
    assert (event.event_type, event.event, event.owner, event.asset) == ("deposit", "Supply", owner, LDO)
    assert event.amount == 71_657_177259074315114745  # 71,657.177259... LDO of 18 decimals
    assert (event.log_index, event.self_initiated) == (221, True)
    assert (owner, "0x9a44fd41566876a39655f74971a3a6ea0a17a454", event.amount) in moved(found, LDO)


def test_a_borrow_of_79931_USDC(shared_data):
    event, found = the_event(shared_data, "aave_v3_borrow", V3)

    owner = "0x08c14b32c8a48894e4b933090ebcc9ce33b21135"
    assert (event.event_type, event.owner, event.asset, event.amount) == ("borrow", owner, USDC, 79_931_500229)
    assert [row[1:] for row in moved(found, USDC)] == [(owner, event.amount)]


def test_a_repayment_of_123961_USDC(shared_data):
    event, found = the_event(shared_data, "aave_v3_repay", V3)

    owner = "0x9cbf099ff424979439dfba03f00b5961784c06ce"
    assert (event.event_type, event.owner, event.asset, event.amount) == ("repay", owner, USDC, 123_961_452987)
    assert [(row[0], row[2]) for row in moved(found, USDC)] == [(owner, event.amount)]


def test_a_withdrawal_of_6779_USDT(shared_data):
    event, found = the_event(shared_data, "aave_v3_withdraw", V3)

    owner = "0xabe9e5d199e1e411098181b6a5ab9f5f65d91389"
    assert (event.event_type, event.owner, event.asset, event.amount) == ("withdraw", owner, USDT, 6_779_850000)
    assert event.counterparty == owner
    assert [row[1:] for row in moved(found, USDT)] == [(owner, event.amount)]


def test_a_v2_liquidation_pays_five_per_cent(shared_data):
    event, found = the_event(shared_data, "aave_v2_liquidation", V2)

    assert (event.event_type, event.owner) == ("liquidation", "0x1db64086b4cda94884e4fc296799a512dfc564ca")
    assert event.initiator == event.counterparty == found["to"] == "0xb6569481dccddd527c2b0e8ba32f494e52224ca1"
    assert (event.asset, event.amount) == (WETH, 956418919660594328)
    assert (event.debt_asset, event.debt_amount) == (WETH, 910875161581518408)
    assert event.amount == event.debt_amount * 10500 // 10000  # the bonus of WETH, both sides being WETH
    assert event.self_initiated is False


def test_a_comet_supply_that_becomes_balance_is_a_deposit(shared_data):
    """The mint after it says 14,999.999998 USDC: two units of rounding, which are no repayment."""
    event, found = the_event(shared_data, "compound_v3_supply", COMET)

    owner = "0xc1f8d0c485ec00b9a3a54c3b9bbeb5d7a2b4265a"
    assert (event.event_type, event.owner, event.asset, event.amount) == ("deposit", owner, USDC, 15_000_000000)
    assert (event.log_index, event.self_initiated) == (276, True)
    assert moved(found, USDC) == [(owner, found["to"], event.amount)]


@pytest.mark.parametrize("market", [V2, COMET], ids=lambda m: m.protocol)
def test_logs_of_other_contracts_are_passed_over(shared_data, market):
    assert decode(receipt(shared_data, "aave_v3_borrow")["logs"], market) == []
