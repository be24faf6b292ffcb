"""Calls of a queued governance payload, decoded to the changes that `risk_core.parameter_change` takes.

Read are the functions of Aave's PoolConfigurator that set a loan to value, a threshold or a bonus. Their signatures are
those of aave-v3-origin 3.6.0 (`PoolConfigurator.sol`) and of the interface of 3.7, where `setEModeCategory` also says
whether the e-mode is isolated. Parameters are basis points, a bonus with 10,000 added: 10,500 is 5 %.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.errors import DataError
from risk_core import Market
from risk_core.governance import EMODE, FIELDS

COLLATERAL = "configureReserveAsCollateral(address,uint256,uint256,uint256)"
CATEGORY_36 = "setEModeCategory(uint8,uint16,uint16,uint16,string)"
CATEGORY_37 = "setEModeCategory(uint8,uint16,uint16,uint16,string,bool)"
FUNCTIONS = {"7c4e560b": COLLATERAL, "34a461ea": CATEGORY_36, "7c025f2c": CATEGORY_37}
"""By selector, the first four bytes of the hash of the signature; a test computes them."""
BPS = 10_000
WORD = 32
MOST_CALLS = 1_000
LONGEST = 2_000_000
"""Characters of a payload's text."""
DEEPEST = 20
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


class UndecodablePayload(DataError):
    """A payload cannot be read as a change of parameters; the message names the call and its selector."""


class UnknownCall(UndecodablePayload):
    """A call of a payload has a function that is not read here; `decoded` can leave it out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call that was read. `name`: the reserve or e-mode; ltv, threshold and bonus are fractions."""

    number: int
    function: str
    to: str
    name: str
    ltv: float
    liquidation_threshold: float
    liquidation_bonus: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """What a payload does to a market.

    changes: {NAME.FIELD: fraction} of each parameter that differs from the market; of two calls on one the later
    counts, as on the chain. skipped: a sentence for each call that was left out. to: the contract that the calls go to.
    """

    changes: dict[str, float]
    calls: tuple[Call, ...]
    skipped: tuple[str, ...]
    to: str


def decoded(text: str, market: Market, *, configurator: str | None = None, skip_unknown: bool = False) -> Payload:
    """The changes of a payload to this market.

    text: a JSON list of {"to": address, "data": hex}, or one such object a line. configurator: the address that the
    calls must go to; None where it is not known, and then all of them must go to one contract. skip_unknown: leave out
    calls of functions that are not read here, and say so, instead of refusing the payload.

    The pool keeps a frozen reserve's loan to value at 0 and the new one for later; nobody is liquidated by it, so the
    changed market has the new one.

    Raises `UnknownCall` for an unknown function, and `UndecodablePayload` for what is no list of calls, for data that
    does not fit its function, for a wrong target, for values that the contract refuses, and where nothing changes.
    """
    rows = _rows(text)
    calls: list[Call] = []
    skipped: list[str] = []
    for number, row in enumerate(rows, start=1):
        to, data = _parts(number, row)
        function = FUNCTIONS.get(data[:4].hex())
        if function is None:
            words = f"call {number}: no function with the selector {_selector(data)} is read here"
            if not skip_unknown:
                raise UnknownCall(f"{words}; those of {_known()} are")
            skipped.append(words)
            continue
        _check_target(number, data, to, configurator, calls)
        read = _collateral if function == COLLATERAL else _category
        calls.append(read(number, to, function, data, market))
    if not calls:
        raise UndecodablePayload(f"the payload has no call that sets a parameter; those of {_known()} are read")
    changes = {f"{call.name}.{field}": float(getattr(call, field)) for call in calls for field in FIELDS}
    changes = {key: value for key, value in changes.items() if not np.allclose(_now(market, key), value, atol=1e-9)}
    if not changes:
        raise UndecodablePayload("the payload changes nothing: the market has all of its values already")
    return Payload(changes=changes, calls=tuple(calls), skipped=tuple(skipped), to=calls[0].to)


def _rows(text: str) -> list[Any]:
    """The calls of the text. A file of one object a line has no comma between them, so JSON refuses it as a whole."""
    if len(text) > LONGEST:
        raise UndecodablePayload(f"the payload: expected at most {LONGEST:,} characters, found {len(text):,}")
    if _depth(text) > DEEPEST:
        raise UndecodablePayload("the payload: expected a list of calls, found values nested too deep")
    try:
        found = json.loads(text)
    except ValueError:
        found = []
        for number, line in enumerate(filter(str.strip, text.splitlines()), start=1):
            try:
                found.append(json.loads(line))
            except ValueError:
                raise UndecodablePayload(
                    f"the payload: expected a JSON list of calls or one call a line; line {number} is neither: "
                    f"{line.strip()[:60]!r}"
                ) from None
    found = [found] if isinstance(found, dict) else found
    if not isinstance(found, list) or not found:
        raise UndecodablePayload('the payload: expected a list of calls {"to": address, "data": hex}, found none')
    if len(found) > MOST_CALLS:
        raise UndecodablePayload(f"the payload: expected at most {MOST_CALLS:,} calls, found {len(found):,}")
    return found


def _depth(text: str) -> int:
    """How deep the values of the text are nested: too deep, Python's reader of JSON can end the process."""
    depth = deepest = 0
    for bracket in re.findall(r"[\[\]{}]", re.sub(r'"(?:\\.|[^"\\])*"', "", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _parts(number: int, row: Any) -> tuple[str, bytes]:
    """(target, data) of a call."""
    to, data = (row.get("to"), row.get("data")) if isinstance(row, dict) else (None, None)
    if not isinstance(to, str) or not _ADDRESS.fullmatch(to):
        raise UndecodablePayload(f'call {number}: expected "to" with 0x and 40 hex digits, found {to!r:.60}')
    text = data.removeprefix("0x") if isinstance(data, str) else ""
    if not re.fullmatch(r"([0-9a-fA-F]{2}){4,}", text):
        raise UndecodablePayload(f'call {number}: expected "data" in hex, 4 bytes or more, found {data!r:.60}')
    return to.lower(), bytes.fromhex(text)


def _check_target(number: int, data: bytes, to: str, configurator: str | None, calls: Sequence[Call]) -> None:
    wanted = configurator.lower() if configurator else calls[0].to if calls else to
    if to != wanted:
        whose = "the market's configurator is" if configurator else f"call {calls[0].number} goes to"
        raise UndecodablePayload(f"call {number}, {_selector(data)}: goes to {to}, but {whose} {wanted}")


def _collateral(number: int, to: str, function: str, data: bytes, market: Market) -> Call:
    words = _words(number, data, 4)
    if len(data) != 4 + 4 * WORD:
        raise _wrong(number, data, f"expected {4 + 4 * WORD} bytes of {function}, found {len(data)}")
    asset = f"0x{_fitting(number, data, words[0], 160):040x}"
    if asset not in market.reserves.asset:
        raise _wrong(number, data, f"this market has no reserve {asset}")
    at = market.reserves.asset.index(asset)
    symbol = market.reserves.symbol[at]
    if words[2] == 0:
        raise _wrong(number, data, f"takes {symbol:.32} out of the collaterals, which is not compared here")
    unique = market.reserves.symbol.count(symbol) == 1 and not symbol.startswith(EMODE)
    return _call(number, to, function, data, symbol if unique else asset, words[1:4])


def _category(number: int, to: str, function: str, data: bytes, market: Market) -> Call:
    head = 6 if function == CATEGORY_37 else 5
    words = _words(number, data, head)
    _label(number, data, words[4], head, function)
    category = _fitting(number, data, words[0], 8)
    terms = [_fitting(number, data, word, 16) for word in words[1:4]]
    known = market.emodes.id.tolist()
    if category not in known:
        raise _wrong(number, data, f"makes the e-mode {category}, which this market does not have yet")
    if head == 6:
        isolated = bool(_fitting(number, data, words[5], 1))
        if isolated != bool(market.emodes.isolated[known.index(category)]):
            state = "isolated" if isolated else "no longer isolated"
            raise _wrong(number, data, f"makes e-mode {category} {state}, which is not compared here")
    if not terms[0]:
        raise _wrong(number, data, "sets a loan to value of 0, which the contract refuses for an e-mode")
    return _call(number, to, function, data, f"{EMODE}{category}", terms)


def _call(number: int, to: str, function: str, data: bytes, name: str, bps: Sequence[int]) -> Call:
    """The call with its numbers as fractions, if the contract would take them (`PoolConfigurator.sol`)."""
    ltv, threshold, bonus = bps
    if not 0 < threshold <= BPS:
        raise _wrong(number, data, f"expected a threshold of 1 to {BPS:,} basis points, found {threshold:,}")
    if ltv > threshold:
        raise _wrong(number, data, f"a loan to value of {ltv:,} basis points is above the threshold, {threshold:,}")
    if not BPS < bonus <= 2 * BPS:
        raise _wrong(
            number, data, f"expected a bonus of {BPS + 1:,} to {2 * BPS:,} basis points, 10,000 added, found {bonus:,}"
        )
    return Call(
        number=number, function=function, to=to, name=name, ltv=ltv / BPS, liquidation_threshold=threshold / BPS,
        liquidation_bonus=(bonus - BPS) / BPS,
    )  # fmt: skip


def _words(number: int, data: bytes, n: int) -> list[int]:
    if len(data) < 4 + n * WORD:
        raise _wrong(number, data, f"expected {n} words of 32 bytes behind the selector, found {len(data) - 4} bytes")
    return [int.from_bytes(data[4 + WORD * i : 4 + WORD * (i + 1)], "big") for i in range(n)]


def _label(number: int, data: bytes, offset: int, head: int, function: str) -> None:
    """Refuse data that does not end with the label, as a compiler writes it."""
    size = int.from_bytes(data[4 + WORD * head : 4 + WORD * (head + 1)], "big")
    end = 4 + WORD * (head + 1 + -(-size // WORD))
    if offset != WORD * head or len(data) < 4 + WORD * (head + 1) or len(data) != end:
        raise _wrong(number, data, f"{len(data)} bytes do not fit {function}")


def _fitting(number: int, data: bytes, value: int, bits: int) -> int:
    if value >> bits:
        raise _wrong(number, data, f"{value:#x} does not fit {bits} bits")
    return value


def _now(market: Market, key: str) -> Any:
    """The parameter as it is; of an e-mode one value, or one for each reserve."""
    name, _, field = key.rpartition(".")
    if name.startswith(EMODE):
        return getattr(market.emodes, field)[market.emodes.id.tolist().index(int(name.removeprefix(EMODE)))]
    return getattr(market.reserves, field)[market.reserves.index(name)]


def _selector(data: bytes) -> str:
    return f"0x{data[:4].hex()}"


def _known() -> str:
    return ", ".join(f"{signature.partition('(')[0]} (0x{selector})" for selector, signature in FUNCTIONS.items())


def _wrong(number: int, data: bytes, why: str) -> UndecodablePayload:
    return UndecodablePayload(f"call {number}, {_selector(data)}: {why}")
