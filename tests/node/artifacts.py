"""Compiled contracts: encode calls and constructors, decode answers, events and errors."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from eth_abi import decode, encode
from eth_utils import keccak

from tests.node.toolchain import COMPILED


def _type(item: dict[str, Any]) -> str:
    if not item["type"].startswith("tuple"):
        return item["type"]
    inner = ",".join(_type(part) for part in item["components"])
    return f"({inner}){item['type'][len('tuple') :]}"


@dataclass(frozen=True)
class Contract:
    """One compiled contract. `functions` maps a name to (selector, input types, output types)."""

    name: str
    bytecode: str
    runtime: str
    links: dict[str, list[int]]
    constructor: list[str]
    functions: dict[str, tuple[bytes, list[str], list[str]]] = field(repr=False)
    errors: dict[bytes, str] = field(repr=False)
    events: dict[str, tuple[str, list[dict[str, Any]]]] = field(repr=False)

    def encode(self, function: str, *args: object) -> str:
        selector, inputs, _ = self.functions[function]
        return "0x" + (selector + encode(inputs, args)).hex()

    def decode(self, function: str, answer: str | bytes) -> Any:
        """The single output, or the tuple of outputs."""
        raw = answer if isinstance(answer, bytes) else bytes.fromhex(answer[2:])
        values = decode(self.functions[function][2], raw)
        return values[0] if len(values) == 1 else values

    def creation(self, *args: object, libraries: dict[str, str] | None = None) -> str:
        """Creation code with libraries linked in, followed by the constructor's arguments."""
        code = self.bytecode
        for library, offsets in self.links.items():
            address = (libraries or {})[library][2:].lower()
            for offset in offsets:
                code = code[: 2 * offset] + address + code[2 * offset + 40 :]
        return "0x" + code + encode(self.constructor, args).hex()

    def event(self, log: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
        """Name and arguments of a log, or None when this contract has no such event."""
        if log["topics"][0] not in self.events:
            return None
        name, inputs = self.events[log["topics"][0]]
        plain = [i for i in inputs if not i["indexed"]]
        indexed = [i for i in inputs if i["indexed"]]
        values = decode([_type(i) for i in plain], bytes.fromhex(log["data"][2:]))
        args = dict(zip((i["name"] for i in plain), values, strict=True))
        for item, topic in zip(indexed, log["topics"][1:], strict=True):
            args[item["name"]] = decode([item["type"]], bytes.fromhex(topic[2:]))[0]
        return name, args


@cache
def _compiled() -> dict[str, Any]:
    return json.loads(COMPILED.read_text(encoding="utf-8"))["contracts"]


@cache
def contract(name: str) -> Contract:
    """A contract of the market, or one of our doubles, by name."""
    raw = _compiled()[name]
    functions: dict[str, tuple[bytes, list[str], list[str]]] = {}
    errors: dict[bytes, str] = {}
    events: dict[str, tuple[str, list[dict[str, Any]]]] = {}
    constructor: list[str] = []
    for item in raw["abi"]:
        inputs = [_type(i) for i in item.get("inputs", [])]
        signature = f"{item.get('name', '')}({','.join(inputs)})"
        match item["type"]:
            case "function":
                entry = (keccak(text=signature)[:4], inputs, [_type(o) for o in item["outputs"]])
                functions[signature] = entry
                functions.setdefault(item["name"], entry)
            case "error":
                errors[keccak(text=signature)[:4]] = item["name"]
            case "event":
                events["0x" + keccak(text=signature).hex()] = (item["name"], item["inputs"])
            case "constructor":
                constructor = inputs
    return Contract(name, raw["bytecode"], raw["runtime"], raw["links"], constructor, functions, errors, events)


def error_name(data: str | None) -> str:
    """Name of a custom error, text of a `require`, or code of a panic, from the data of a revert."""
    raw = bytes.fromhex((data or "0x")[2:])
    if not raw:
        return "(no reason)"
    match raw[:4].hex():
        case "08c379a0":
            return decode(["string"], raw[4:])[0]
        case "4e487b71":
            return f"Panic({decode(['uint256'], raw[4:])[0]:#04x})"
    for name in ("Errors", "LiquidationLogic", "PoolInstance"):
        if raw[:4] in contract(name).errors:
            return contract(name).errors[raw[:4]]
    return f"(unknown error {raw[:4].hex()})"
