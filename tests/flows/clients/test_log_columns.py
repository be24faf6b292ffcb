"""Columnar log decoding against web3.py, event by event: equal values where it decodes, rejected where it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi import encode
from hexbytes import HexBytes
from hypothesis import example, given
from hypothesis import strategies as st
from web3 import Web3
from web3.datastructures import AttributeDict

from flows.clients.log_columns import EventAbi, LogColumns, decimal_texts

DECLARATIONS = (
    "Transfer(address indexed from, address indexed to, uint256 value)",
    "Transfer(address indexed from, address indexed to, uint256 indexed tokenId)",
    "TransferSingle(address indexed operator, address indexed from, address indexed to, uint256 id, uint256 value)",
    "TransferBatch(address indexed operator, address indexed from, address indexed to, uint256[] ids, "
    "uint256[] values)",
    "Swap(address indexed sender, address indexed recipient, int256 amount0, int256 amount1, uint160 sqrtPriceX96, "
    "uint128 liquidity, int24 tick)",
    "Repay(address indexed reserve, address indexed user, address indexed repayer, uint256 amount, bool useATokens)",
    "Borrow(address indexed reserve, address user, address indexed onBehalfOf, uint256 amount, uint8 interestRateMode, "
    "uint256 borrowRate, uint16 indexed referralCode)",
    "Odd(bytes32 indexed tag, bytes4 selector, int64 small, int72 wide, uint64 long, bool[] flags)",
    "Nothing()",
)
EVENTS = {declaration: EventAbi(declaration) for declaration in DECLARATIONS}
TOKEN = "0x" + "ab" * 20


def _web3_event(event: EventAbi) -> Any:
    inputs = [{"name": i.name, "type": i.type, "indexed": i.indexed} for i in event.inputs]
    abi = [{"anonymous": False, "type": "event", "name": event.name, "inputs": inputs}]
    return getattr(Web3().eth.contract(abi=abi).events, event.name)()


WEB3 = {declaration: _web3_event(event) for declaration, event in EVENTS.items()}


def by_web3(declaration: str, topics: list[str], data: str) -> dict[str, Any] | None:
    """What web3.py makes of a log, None where it refuses."""
    log = AttributeDict({
        "address": TOKEN, "topics": [HexBytes(t) for t in topics], "data": HexBytes(data), "blockNumber": 1,
        "blockHash": HexBytes(b"\1" * 32), "transactionHash": HexBytes(b"\2" * 32), "transactionIndex": 0,
        "logIndex": 0,
    })  # fmt: skip
    try:
        return dict(WEB3[declaration].process_log(log)["args"])
    except Exception:  # LogTopicError, MismatchedABI, a dozen decoding errors, OverflowError of a huge offset
        return None


def plain(value: Any, kind: str) -> Any:
    """Our value of an ABI type as web3.py would give it."""
    if kind.endswith("[]"):
        return tuple(plain(item, kind[:-2]) for item in value)
    if kind.startswith(("uint", "int")):
        return int(value)
    if kind.startswith("bytes"):
        return bytes.fromhex(value[2:])
    return value


def check(declaration: str, logs: list[tuple[list[str], str]]) -> None:
    event = EVENTS[declaration]
    columns = LogColumns.of([{"address": TOKEN, "topics": topics, "data": data} for topics, data in logs])
    decoded = event.decode(columns)
    assert sorted([*decoded.positions, *(r.position for r in decoded.rejected)]) == list(range(len(logs)))
    assert all(len(values) == len(decoded) for values in decoded.columns.values())
    found = {p: {n: v[j] for n, v in decoded.columns.items()} for j, p in enumerate(decoded.positions)}
    for position, (topics, data) in enumerate(logs):
        expected = by_web3(declaration, topics, data)
        if expected is None:
            assert position not in found, (topics, data)
            continue
        ours = {i.name: plain(found[position][i.name], i.type) for i in event.inputs}
        theirs = {
            k: v.lower() if isinstance(v, str) else tuple(v) if isinstance(v, list) else v for k, v in expected.items()
        }
        assert ours == theirs, (topics, data)


EXTREMES = [0, 1, 2**31, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**128 - 1, 2**128, 2**160 - 1, 2**160, 2**192,
            2**255 - 1, 2**255, 2**256 - 1, 2**256 - 2**63, 2**256 - 2**63 - 1, 2**256 - 2**23, 2**256 - 2**23 - 1, 32,
            64, 10**18, 10**19, 10**77]  # fmt: skip
words = st.one_of(
    st.sampled_from(EXTREMES), st.integers(0, 2**256 - 1), st.integers(0, 2**160 - 1), st.integers(0, 300)
).map(lambda v: f"{v:064x}")


@st.composite
def fitting(draw: st.DrawFn, kind: str) -> Any:
    """A value of an ABI type."""
    if kind.endswith("[]"):
        return draw(st.lists(fitting(kind[:-2]), max_size=4))
    if kind == "address":
        return "0x" + draw(st.binary(min_size=20, max_size=20)).hex()
    if kind == "bool":
        return draw(st.booleans())
    bits = int("".join(c for c in kind if c.isdigit()))
    if kind.startswith("bytes"):
        return draw(st.binary(min_size=bits, max_size=bits))
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if kind.startswith("int") else (0, (1 << bits) - 1)
    return draw(st.one_of(st.sampled_from([low, 0, high]), st.integers(low, high)))


@st.composite
def log_of(draw: st.DrawFn, declaration: str) -> tuple[list[str], str]:
    """A log as a contract would emit it, and sometimes one that it would not."""
    event = EVENTS[declaration]
    topics = [event.topic0, *("0x" + encode([i.type], [draw(fitting(i.type))]).hex() for i in event.indexed)]
    data = encode([i.type for i in event.plain], [draw(fitting(i.type)) for i in event.plain]).hex()
    match draw(st.sampled_from(["good"] * 6 + ["topics", "short", "long", "word", "topic", "random", "case"])):
        case "topics":
            topics = topics[:-1] if draw(st.booleans()) and len(topics) > 1 else [*topics, topics[0]]
        case "short" if data:
            data = data[: 2 * draw(st.integers(0, len(data) // 2 - 1))]
        case "long":
            data += draw(st.binary(min_size=1, max_size=70)).hex()
        case "word" if data:
            at = 64 * draw(st.integers(0, len(data) // 64 - 1))
            data = data[:at] + draw(words) + data[at + 64 :]
        case "topic" if len(topics) > 1:
            topics[draw(st.integers(1, len(topics) - 1))] = "0x" + draw(words)
        case "random":
            data = "".join(draw(st.lists(words, max_size=9)))
        case "case":
            data, topics = data.upper(), [topics[0], *("0x" + t[2:].upper() for t in topics[1:])]
    return topics, "0x" + data


@pytest.mark.property
@given(st.sampled_from(DECLARATIONS).flatmap(lambda d: st.tuples(st.just(d), st.lists(log_of(d), max_size=6))))
@example((DECLARATIONS[0], [([EVENTS[DECLARATIONS[0]].topic0, "0x" + "00" * 32, "0x" + "00" * 32], "0x" + "ff" * 32)]))
def test_values_are_those_of_web3_and_what_it_refuses_is_rejected(case: tuple[str, list[tuple[list[str], str]]]):
    check(*case)


@given(st.lists(st.one_of(st.sampled_from(EXTREMES), st.integers(0, 2**256 - 1))))
def test_decimal_text_of_four_limbs_is_exact(values: list[int]):
    import numpy as np

    limbs = np.array([[v >> s & (2**64 - 1) for s in (192, 128, 64, 0)] for v in values], dtype=np.uint64).reshape(
        -1, 4
    )
    assert decimal_texts(limbs) == [str(v) for v in values]


@given(st.lists(st.tuples(*[st.one_of(st.sampled_from(EXTREMES), st.integers(0, 2**256 - 1))] * 2), max_size=6))
def test_integers_of_any_size_are_whole_where_they_are_asked_for(values: list[tuple[int, int]]):
    event = EventAbi("Both(uint256 positive, int256 signed, bool flag)")
    data = ["0x" + encode(["uint256", "int256", "bool"], [a, b - 2**255, a % 2 == 1]).hex() for a, b in values]
    logs = LogColumns([TOKEN] * len(data), [[event.topic0]] * len(data), data)
    assert event.decode(logs, as_int=True).columns == {
        "positive": [a for a, _ in values],
        "signed": [b - 2**255 for _, b in values],
        "flag": [bool(a % 2) for a, _ in values],
    }


def test_reasons_name_what_was_expected_and_what_was_found():
    event = EVENTS[DECLARATIONS[0]]
    address = "0x" + "00" * 12 + "aa" * 20
    logs = LogColumns(
        [TOKEN] * 6,
        [
            [event.topic0, address, address],
            [event.topic0, address],
            [event.topic0, address, address],
            [event.topic0, address, "0x" + "ff" * 32],
            [event.topic0, address, "0x12"],
            [event.topic0, address, address],
        ],
        ["0x" + f"{5:064x}", "0x" + f"{5:064x}", "0x1234", "0x" + f"{5:064x}", "0x" + f"{5:064x}", "0x" + "zz" * 32],
    )
    decoded = event.decode(logs)

    assert decoded.positions == [0]
    assert decoded.columns == {"from": ["0x" + "aa" * 20], "to": ["0x" + "aa" * 20], "value": ["5"]}
    reasons = dict(decoded.rejected)
    assert reasons[1] == "2 topics, expected 3 for Transfer(address,address,uint256)"
    assert reasons[2] == "2 bytes of data, expected 32 for Transfer(address,address,uint256)"
    assert reasons[3].startswith("to of Transfer(address,address,uint256) does not fit address: 0xffff")
    assert "not 32 bytes" in reasons[4]
    assert "not hexadecimal" in reasons[5]


@pytest.mark.parametrize("bits", [8, 16, 24, 32, 56, 64, 72, 128, 160, 192, 248, 256])
@pytest.mark.parametrize("base", ["uint", "int"])
def test_the_last_value_that_fits_is_taken_and_the_next_is_not(base: str, bits: int):
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if base == "int" else (0, (1 << bits) - 1)
    event = EventAbi(f"Bound({base}{bits} value)")
    for value, fits in [(low, True), (high, True), (low - 1, bits == 256), (high + 1, bits == 256)]:
        word = value % 2**256
        decoded = event.decode(LogColumns([TOKEN], [[event.topic0]], [f"0x{word:064x}"]))
        assert (len(decoded), len(decoded.rejected)) == (int(fits), int(not fits)), value
        if fits:
            expected = word - 2**256 if base == "int" and word >= 2**255 else word
            assert int(decoded.columns["value"][0]) == expected


def test_pieces_are_put_together_in_order(monkeypatch: pytest.MonkeyPatch):
    event = EVENTS[DECLARATIONS[0]]
    address = "0x" + "00" * 12 + "aa" * 20
    data = ["0x12" if n % 7 == 3 else f"0x{n:064x}" for n in range(25)]
    logs = LogColumns([TOKEN] * 25, [[event.topic0, address, address]] * 25, data)
    whole = event.decode(logs)
    monkeypatch.setattr("flows.clients.log_columns.PIECE", 4)
    assert event.decode(logs) == whole
    assert whole.positions == [n for n in range(25) if n % 7 != 3]
    assert [r.position for r in whole.rejected] == [3, 10, 17, 24]


def test_only_the_chosen_positions_are_decoded_and_positions_are_those_of_the_logs():
    event = EVENTS[DECLARATIONS[0]]
    address = "0x" + "00" * 12 + "aa" * 20
    logs = LogColumns([TOKEN] * 3, [[event.topic0, address, address]] * 3, [f"0x{v:064x}" for v in (7, 8, 9)])
    assert event.decode(logs, [2, 0]).positions == [2, 0]
    assert event.decode(logs, [2, 0]).columns["value"] == ["9", "7"]
    assert logs.by_topic0() == {event.topic0: [0, 1, 2]}


@pytest.mark.parametrize(
    "declaration", ["Transfer", "A(string name)", "A(uint256[] indexed values)", "A(uint256[2] v)"]
)
def test_types_that_are_not_words_are_refused(declaration: str):
    with pytest.raises(ValueError):
        EventAbi(declaration)


def test_topics_are_those_of_the_published_tables(shared_data):
    """Signatures and topics: ../shared/facts/event_signatures.json."""
    import json

    published = json.loads((shared_data.parent / "facts" / "event_signatures.json").read_text())["events"]
    for group in published.values():
        for item in group.values():
            inputs = [f"{i['type']} {'indexed ' if i['indexed'] else ''}{i['name']}" for i in item["abi"]["inputs"]]
            if any(kind in text for text in inputs for kind in ("tuple", "string", "bytes ")):
                continue
            event = EventAbi(f"{item['name']}({', '.join(inputs)})")
            assert (event.topic0, len(event.indexed)) == (item["topic0"], item["indexed_count"])
