"""Calls packed by hand against eth_abi, and the number of calls in a request."""

from __future__ import annotations

import pytest
from eth_abi import decode, encode
from hypothesis import given
from hypothesis import strategies as st

from flows.clients import abis
from flows.clients.chunk_size import ChunkSize

ADDRESSES = st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())
KIND = "(address,bool,bytes)[]"


@given(st.lists(st.tuples(ADDRESSES, st.binary(max_size=100)), max_size=8))
def test_packed_calls_are_what_eth_abi_packs(calls: list[tuple[str, bytes]]):
    packed = abis.aggregate3_data([(to, "0x" + data.hex()) for to, data in calls])

    assert packed[:10] == "0x82ad56cb"
    expected = encode([KIND], [[(to, True, data) for to, data in calls]])
    assert bytes.fromhex(packed[10:]) == expected


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=100)), max_size=8))
def test_unpacked_answers_are_what_eth_abi_unpacks(answers: list[tuple[bool, bytes]]):
    raw = encode(["(bool,bytes)[]"], [answers])

    assert abis.aggregate3_answers(raw) == answers == [tuple(row) for row in decode(["(bool,bytes)[]"], raw)[0]]


@given(st.binary(max_size=300))
def test_any_other_bytes_are_refused_and_never_an_accident(raw: bytes):
    try:
        found = abis.aggregate3_answers(raw)
    except abis.WrongShape:
        return
    assert len(found) <= len(raw) // 128


@given(st.integers(0, 300), st.lists(st.tuples(st.booleans(), st.binary(max_size=64)), min_size=1, max_size=4))
def test_an_answer_that_is_cut_short_is_refused(cut: int, answers: list[tuple[bool, bytes]]):
    raw = encode(["(bool,bytes)[]"], [answers])
    last = len(raw) - 32 if not answers[-1][1] else len(raw) - (-len(answers[-1][1]) % 32)  # padding may be missing

    if cut < last:
        with pytest.raises(abis.WrongShape):
            abis.aggregate3_answers(raw[:cut])


def test_chunks_grow_while_the_node_keeps_up_and_never_ask_again_for_what_was_refused():
    size = ChunkSize(400, 1_600)
    for _ in range(10):
        size.answered(size.now, 0.1)
    assert size.now == 1_600

    size.refused(1_600)
    assert size.now == 800
    for _ in range(10):
        size.answered(size.now, 0.1)
    assert size.now == 1_599  # the largest that was not refused

    size.refused(1)
    assert size.now == 1


def test_a_slow_answer_ends_the_growth():
    size = ChunkSize(400)
    size.answered(400, 30.0)
    size.answered(400, 0.1)

    assert size.now == 400
