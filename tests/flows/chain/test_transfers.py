"""Which token moved: the standards told apart by the form of their logs."""

from __future__ import annotations

import pytest
from eth_abi import encode
from hypothesis import given
from hypothesis import strategies as st

from flows.chain.transfers import BATCH, SINGLE, TRANSFER_TOPIC, token_transfers
from flows.clients.log_columns import LogColumns

ALICE, BOB, TOKEN = ("0x" + byte * 20 for byte in ("a1", "b0", "70"))
MOST = 2**256 - 1


def word(value: int | str) -> str:
    return encode(["uint256" if isinstance(value, int) else "address"], [value]).hex()


def one(topics: list[str], data: str) -> LogColumns:
    return LogColumns([TOKEN], [topics], ["0x" + data])


@pytest.mark.parametrize("indexed", [0, 1, 2, 3])
def test_the_number_of_indexed_arguments_says_the_standard(indexed: int):
    words = [word(ALICE), word(BOB), word(MOST)]
    found = token_transfers(one([TRANSFER_TOPIC, *("0x" + w for w in words[:indexed])], "".join(words[indexed:])))

    assert (found.from_address, found.to_address, found.token, found.item) == ([ALICE], [BOB], [TOKEN], [0])
    assert found.indexed_arguments == [indexed]
    if indexed == 3:
        assert (found.standard, found.token_id, found.amount) == (["ERC721"], [str(MOST)], ["1"])
    else:
        assert (found.standard, found.token_id, found.amount) == (["ERC20"], [None], [str(MOST)])


@given(st.lists(st.tuples(st.integers(0, MOST), st.integers(0, MOST)), max_size=6))
def test_every_token_of_a_batch_is_a_transfer_of_its_own(moved: list[tuple[int, int]]):
    ids, values = [i for i, _ in moved], [v for _, v in moved]
    topics = [BATCH.topic0, "0x" + word(TOKEN), "0x" + word(ALICE), "0x" + word(BOB)]
    single = ([SINGLE.topic0, *topics[1:]], "0x" + word(5) + word(6))
    data = "0x" + encode(["uint256[]", "uint256[]"], [ids, values]).hex()
    found = token_transfers(LogColumns([TOKEN] * 2, [single[0], topics], [single[1], data]))

    assert found.rejected == []
    assert found.position == [0] + [1] * len(moved)
    assert found.item == [0, *range(len(moved))]
    assert list(zip(found.token_id, found.amount, strict=True)) == [("5", "6"), *((str(i), str(v)) for i, v in moved)]
    assert set(found.standard) == {"ERC1155"}
    assert set(found.operator) == {TOKEN}


@pytest.mark.parametrize(
    ("topics", "data", "reason"),
    [
        ([TRANSFER_TOPIC, "0x" + word(ALICE), "0x" + word(BOB)], "", "3 topics and 0 bytes"),
        ([TRANSFER_TOPIC, "0x" + word(ALICE), "0x" + word(BOB)], word(1)[:40], "3 topics and 20 bytes"),
        ([TRANSFER_TOPIC, "0x" + word(ALICE), "0x" + word(BOB)], word(1) * 2, "3 topics and 64 bytes"),
        ([TRANSFER_TOPIC] + ["0x" + word(1)] * 3, word(1), "4 topics and 32 bytes"),
        ([TRANSFER_TOPIC], word(ALICE) + word(BOB), "1 topics and 64 bytes"),
        ([TRANSFER_TOPIC, "0x" + word(MOST), "0x" + word(BOB)], word(1), "from of Transfer"),
        ([BATCH.topic0] + ["0x" + word(ALICE)] * 3, encode(["uint256[]", "uint256[]"], [[1], []]).hex(), "1 ids and 0"),
        ([BATCH.topic0] + ["0x" + word(ALICE)] * 3, word(64) + word(2**70), "points outside"),
        ([SINGLE.topic0] + ["0x" + word(ALICE)] * 2, word(1) * 2, "3 topics, expected 4"),
    ],
)
def test_what_is_no_transfer_is_rejected_with_the_reason(topics: list[str], data: str, reason: str):
    found = token_transfers(one(topics, data))
    assert len(found) == 0
    assert [r.position for r in found.rejected] == [0]
    assert reason in found.rejected[0].reason


def test_other_events_are_left_alone():
    assert len(token_transfers(LogColumns([TOKEN] * 2, [[], ["0x" + word(1)]], ["0x", "0x"]))) == 0
