"""What people did with protocols: real receipts of Ethereum, and the forms that share a topic."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from eth_abi import encode

from flows.chain.columns import log_columns
from flows.chain.primitives import FORMS, SWAPS, SYNC, V2_SWAP, V3_SWAP, primitives
from flows.clients.log_columns import EventAbi, LogColumns

POOL, ALICE, BOB, TOKEN = ("0x" + byte * 20 for byte in ("11", "a1", "b0", "70"))


def emitted(event: EventAbi, *values: Any) -> tuple[list[str], str]:
    """Topics and data as a contract writes them."""
    given = dict(zip((i.name for i in event.inputs), values, strict=True))
    topics = [event.topic0, *("0x" + encode([i.type], [given[i.name]]).hex() for i in event.indexed)]
    return topics, "0x" + encode([i.type for i in event.plain], [given[i.name] for i in event.plain]).hex()


def logs(*pairs: tuple[list[str], str], address: str = POOL) -> LogColumns:
    return LogColumns([address] * len(pairs), [topics for topics, _ in pairs], [data for _, data in pairs])


def rows(found: Any) -> list[dict[str, Any]]:
    return [dict(zip(found.columns, values, strict=True)) for values in zip(*found.columns.values(), strict=True)]


def form(protocol: str, primitive: str) -> EventAbi:
    return next(f.event for f in FORMS if (f.protocol, f.primitive) == (protocol, primitive))


@pytest.mark.parametrize(
    ("recording", "expected"),
    [
        ("aave_v2_liquidation", ("liquidation", "aave", "910875161581518408", "956418919660594328")),
        ("aave_v3_borrow", ("borrow", "aave_v3", "79931500229", None)),
        ("aave_v3_deposit", ("deposit", "aave_v3", "71657177259074315114745", None)),
        ("aave_v3_repay", ("repay", "aave_v3", "123961452987", None)),
        ("aave_v3_withdraw", ("withdraw", "aave", "6779850000", None)),
        ("compound_v3_supply", ("deposit", "compound_v3", "15000000000", None)),
    ],
)
def test_a_real_receipt_says_one_thing(shared_data: Path, recording: str, expected: tuple[str, str, str, str | None]):
    """Each recorded transaction did one thing, which its name says; the amount is also that of a token transfer."""
    import yaml

    text = (shared_data / "recorded" / "aave" / f"test_{recording}[ethereum_accounts0].yaml").read_text()
    receipts = [
        json.loads(step["response"]["body"]["string"])["result"]
        for step in yaml.safe_load(text)["interactions"]
        if "eth_getTransactionReceipt" in step["request"]["uri"] + str(step["request"]["body"])
    ]
    columns, words = log_columns(receipts[0]["logs"])
    acts, swaps = primitives(words)

    assert [(r["primitive"], r["protocol"], r["amount"], r["amount_2"]) for r in rows(acts)] == [expected]
    assert (len(swaps.position), acts.rejected) == (0, [])
    amounts = [
        int(data, 16)
        for data, topic in zip(columns["data"], columns["topic0"], strict=True)
        if topic.startswith("0xddf252ad")
    ]
    assert int(expected[2]) in amounts


def test_swaps_are_changes_of_the_pools_balances():
    v2 = emitted(V2_SWAP, ALICE, 1000, 0, 0, 7, BOB)
    round_trip = emitted(V2_SWAP, ALICE, 1000, 5, 400, 2**112 - 1, BOB)
    v3 = emitted(V3_SWAP, ALICE, BOB, 2**200, -(2**190), 2**160 - 1, 2**128 - 1, -887272)
    acts, swaps = primitives(logs(v2, round_trip, v3))

    assert [(r["amount0"], r["amount1"]) for r in rows(swaps)] == [
        ("1000", "-7"),
        ("600", str(5 - (2**112 - 1))),
        (str(2**200), str(-(2**190))),
    ]
    last = rows(swaps)[2]
    assert (last["tick"], last["liquidity"], last["sqrt_price_x96"]) == (-887272, str(2**128 - 1), str(2**160 - 1))
    assert [(r["primitive"], r["account"], r["amount_2"]) for r in rows(acts)] == [
        ("swap", BOB, "7"),
        ("swap", BOB, str(2**112 - 6)),
        ("swap", BOB, str(2**190)),
    ]


def test_a_pairs_mint_is_told_from_an_atokens_and_a_ctokens():
    pair, ctoken = form("uniswap_v2", "mint"), form("compound_v2", "deposit")
    assert pair.topic0 == ctoken.topic0
    mint = emitted(pair, ALICE, 10, 20)
    sync = emitted(SYNC, 1, 2)

    acts, _ = primitives(logs(sync, mint, mint, emitted(ctoken, BOB, 5, 6)))
    assert [(r["protocol"], r["primitive"], r["amount"]) for r in rows(acts)] == [
        ("uniswap_v2", "mint", "10"),
        ("compound_v2", "deposit", "5"),
    ]


@pytest.mark.parametrize("one", FORMS, ids=lambda f: f"{f.protocol}-{f.primitive}-{f.event.name}")
def test_every_form_fills_the_columns_it_names(one: Any):
    values = {"address": iter([ALICE, BOB, TOKEN, "0x" + "cc" * 20]), "bool": iter([True])}
    given = [next(values[i.type]) if i.type in values else 7 + n for n, i in enumerate(one.event.inputs)]
    parts = [emitted(SYNC, 1, 2)] if one.after else []
    acts, _ = primitives(logs(*parts, emitted(one.event, *given)))
    (row,) = rows(acts)
    by_name = dict(zip((i.name for i in one.event.inputs), given, strict=True))

    assert (row["primitive"], row["protocol"], row["contract"]) == (one.primitive, one.protocol, POOL)
    assert row["account"] == by_name[one.account]
    assert row["amount"] == str(by_name[one.amount])
    assert row["asset"] == by_name.get(one.asset)
    assert row["amount_2"] == (str(by_name[one.amount_2]) if one.amount_2 else None)


def test_another_number_of_topics_is_rejected_with_what_was_expected():
    topics, data = emitted(form("aave_v3", "repay"), TOKEN, ALICE, BOB, 1, False)
    acts, _ = primitives(logs((topics[:2], data)))
    assert [reason for _, reason in acts.rejected] == [
        "2 topics, expected 4 for Repay(address,address,address,uint256,bool)"
    ]


def test_no_two_forms_claim_the_same_logs():
    claims = [(f.event.topic0, len(f.event.indexed)) for f in FORMS] + [(t, 2) for t in SWAPS]
    assert len(claims) == len(set(claims))
