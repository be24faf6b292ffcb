"""Calls of a queued payload: what is read, against another encoder; what is refused, with its call and selector."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from eth_abi import encode
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

import risk_core as rc
from data.payloads import CATEGORY_36, CATEGORY_37, COLLATERAL, FUNCTIONS, UndecodablePayload, UnknownCall, decoded
from tests.markets import market, reserves

AT = "0x" + "c0" * 20
OTHER = "0x" + "d0" * 20
PAIR = rc.EModes(
    id=[7], label=["pair"], ltv=[0.93], liquidation_threshold=[0.95], liquidation_bonus=[0.01],
    collateral=[[True, True]], borrowable=[[True, True]], ltvzero=[[False, False]], isolated=[False],
)  # fmt: skip
MARKET = market(reserves(2), [1.0, 1.0], [{0: 1_000.0}], [{1: 900.0}], emodes=PAIR, emode=[0])
"""T0 and T1 at LTV 75 %, threshold 83 %, bonus 5 %; the e-mode 7."""
T0, T1 = MARKET.reserves.asset


def data(signature: str, *arguments: Any) -> str:
    """Calldata as eth_abi writes it."""
    kinds = signature.partition("(")[2].removesuffix(")").split(",")
    return "0x" + (keccak(text=signature)[:4] + encode(kinds, arguments)).hex()


def call(signature: str, *arguments: Any, to: str = AT) -> dict[str, str]:
    return {"to": to, "data": data(signature, *arguments)}


GOOD = call(COLLATERAL, T0, 7400, 8000, 10600)


def test_the_selectors_are_those_of_the_signatures() -> None:
    assert {signature: keccak(text=signature)[:4].hex() for signature in FUNCTIONS.values()} == {
        signature: selector for selector, signature in FUNCTIONS.items()
    }


def test_a_payload_is_read_by_hand() -> None:
    calls = [
        GOOD,
        call(CATEGORY_36, 7, 9200, 9400, 10150, "pair"),
        call(CATEGORY_37, 7, 9200, 9450, 10150, "a" * 40, False),
    ]
    found = decoded(json.dumps(calls), MARKET)

    assert found.changes == {
        "T0.ltv": 0.74,
        "T0.liquidation_threshold": 0.80,
        "T0.liquidation_bonus": 0.06,
        "emode:7.ltv": 0.92,
        "emode:7.liquidation_threshold": 0.945,  # the later call counts
        "emode:7.liquidation_bonus": 0.015,
    }
    assert [one.name for one in found.calls] == ["T0", "emode:7", "emode:7"]
    assert found.to == AT
    changed = rc.parameter_change(MARKET, found.changes)
    assert changed.reserves.liquidation_bonus[0] == pytest.approx(0.06)
    assert changed.emodes.liquidation_threshold[0] == pytest.approx(0.945)


@given(st.integers(0, 10_000), st.integers(1, 10_000), st.integers(10_001, 20_000))
def test_every_number_the_contract_takes_is_read_and_what_is_in_force_is_no_change(
    ltv: int, threshold: int, bonus: int
) -> None:
    """Law: calldata of an encoder of its own gives back its numbers."""
    text = json.dumps([call(COLLATERAL, T1, ltv, threshold, bonus)])
    if ltv > threshold or (ltv, threshold, bonus) == (7_500, 8_300, 10_500):
        with pytest.raises(UndecodablePayload):
            decoded(text, MARKET)
        return
    found = decoded(text, MARKET)
    [one] = found.calls
    assert (one.ltv, one.liquidation_threshold, one.liquidation_bonus) == (
        ltv / 1e4,
        threshold / 1e4,
        (bonus - 10_000) / 1e4,
    )
    now = {"ltv": 7_500, "liquidation_threshold": 8_300, "liquidation_bonus": 10_500}
    given_ = {"ltv": ltv, "liquidation_threshold": threshold, "liquidation_bonus": bonus}
    assert set(found.changes) == {f"T1.{name}" for name in now if now[name] != given_[name]}


def test_one_call_a_line_and_a_single_call_are_read_too() -> None:
    one = decoded(json.dumps(GOOD), MARKET)
    lines = decoded(f"\n{json.dumps(GOOD)}\n\n{json.dumps(GOOD)}\n", MARKET)
    assert one.changes == lines.changes
    assert len(lines.calls) == 2


def test_a_symbol_that_is_not_unique_is_named_by_its_address() -> None:
    twice = replace(MARKET, reserves=replace(MARKET.reserves, symbol=("T", "T")))
    assert decoded(json.dumps(GOOD), twice).calls[0].name == T0


UNKNOWN = {"to": AT, "data": "0x" + keccak(text="setSupplyCap(address,uint256)")[:4].hex() + "00" * 64}
CUT = GOOD | {"data": GOOD["data"][:-2]}


@pytest.mark.parametrize(
    ("calls", "why"),
    [
        ([GOOD, UNKNOWN], f"call 2: no function with the selector {UNKNOWN['data'][:10]}"),
        ([CUT], "call 1, 0x7c4e560b: expected 4 words of 32 bytes behind the selector, found 127 bytes"),
        ([GOOD | {"data": GOOD["data"] + "00" * 32}], "expected 132 bytes of configureReserveAsCollateral"),
        ([GOOD, GOOD | {"to": OTHER}], f"call 2, 0x7c4e560b: goes to {OTHER}, but call 1 goes to {AT}"),
        ([call(COLLATERAL, OTHER, 1, 2, 10_001)], f"call 1, 0x7c4e560b: this market has no reserve {OTHER}"),
        ([call(COLLATERAL, T0, 0, 0, 0)], "takes T0 out of the collaterals"),
        ([call(COLLATERAL, T0, 8_001, 8_000, 10_500)], "8,001 basis points is above the threshold, 8,000"),
        ([call(COLLATERAL, T0, 1, 10_001, 10_500)], "expected a threshold of 1 to 10,000"),
        ([call(COLLATERAL, T0, 1, 8_000, 10_000)], "expected a bonus of 10,001 to 20,000"),
        ([call(COLLATERAL, T0, 7_500, 8_300, 10_500)], "changes nothing"),
        ([call(CATEGORY_36, 9, 9_000, 9_100, 10_100, "x")], "makes the e-mode 9, which this market does not have"),
        ([call(CATEGORY_36, 7, 0, 9_100, 10_100, "x")], "a loan to value of 0"),
        ([call(CATEGORY_37, 7, 9_000, 9_100, 10_100, "x", True)], "makes e-mode 7 isolated"),
        ([call(CATEGORY_36, 7, 9_000, 9_100, 10_100, "x") | {"data": data(CATEGORY_36, 7, 1, 2, 10_100, "x")[:-64]}],
         "do not fit setEModeCategory"),
        ([GOOD | {"data": "0x7c4e560b" + f"{1 << 161:064x}" + GOOD["data"][74:]}], "does not fit 160 bits"),
        ([{"to": AT}], 'call 1: expected "data" in hex'),
        ([{"data": GOOD["data"]}], 'call 1: expected "to"'),
        (["x"], 'call 1: expected "to"'),
        ([GOOD | {"data": "0xzz"}], 'call 1: expected "data" in hex'),
        ([GOOD | {"data": "0x7c"}], 'call 1: expected "data" in hex'),
        ([], "found none"),
        (7, "found none"),
        ([UNKNOWN] * 1_001, "at most 1,000 calls"),
    ],
)  # fmt: skip
def test_what_cannot_be_decoded_names_its_call_and_why(calls: Any, why: str) -> None:
    with pytest.raises(UndecodablePayload) as refused:
        decoded(json.dumps(calls), MARKET)
    assert why in str(refused.value)


@pytest.mark.parametrize(
    "text", ["", "nonsense", "[1,", '{"to": 1}\nnonsense', "[" * 100_000, '"[', '{"\\"": "]]]]", "a": ' + "[" * 90_000]
)
def test_text_that_is_no_payload_is_refused(text: str) -> None:
    with pytest.raises(UndecodablePayload, match=r"the payload: expected|line \d|call 1"):
        decoded(text, MARKET)


def test_an_unknown_call_is_left_out_only_when_asked_and_said() -> None:
    text = json.dumps([UNKNOWN, GOOD])
    with pytest.raises(UnknownCall):
        decoded(text, MARKET)
    found = decoded(text, MARKET, skip_unknown=True)
    assert [one.number for one in found.calls] == [2]
    assert found.skipped == (f"call 1: no function with the selector {UNKNOWN['data'][:10]} is read here",)
    with pytest.raises(UndecodablePayload, match="has no call that sets a parameter"):
        decoded(json.dumps([UNKNOWN]), MARKET, skip_unknown=True)


def test_the_target_is_the_markets_configurator_where_it_is_known() -> None:
    assert decoded(json.dumps([GOOD]), MARKET, configurator=AT.upper().replace("X", "x")).to == AT
    with pytest.raises(UndecodablePayload, match=f"call 1, 0x7c4e560b: goes to {AT}, but the market's configurator"):
        decoded(json.dumps([GOOD]), MARKET, configurator=OTHER)
