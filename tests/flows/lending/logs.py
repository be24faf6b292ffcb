"""Logs as a node sends them, built by eth_abi from the published declarations; the decoder under test takes no part."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from eth_abi import encode
from eth_utils import keccak


def address(number: int) -> str:
    """A recognisable address."""
    return f"0x{number:040x}"


def log(
    contract: str, signature: str, indexed: Iterable[Any] = (), rest: Iterable[Any] = (), *, block: int = 100,
    index: int = 0, tx: int = 1, salt: str = "",
) -> dict[str, Any]:  # fmt: skip
    """One log: `indexed` values in the topics, `rest` in the data, in the order of the declaration's types.

    `signature` marks indexed types with a star: `Supply(address*,address*,uint256)`.
    """
    kinds = signature[signature.index("(") + 1 : -1].split(",")
    stars = [kind.rstrip("*") for kind in kinds if kind.endswith("*")]
    plain = [kind for kind in kinds if not kind.endswith("*")]
    topics = [keccak(text=signature.replace("*", ""))]
    topics += [encode([kind], [value]) for kind, value in zip(stars, indexed, strict=True)]
    return {
        "address": contract,
        "topics": ["0x" + topic.hex() for topic in topics],
        "data": "0x" + encode(plain, list(rest)).hex(),
        "blockNumber": hex(block),
        "blockHash": block_hash(block, salt),
        "transactionHash": "0x" + keccak(text=f"tx {block} {tx} {salt}").hex(),
        "transactionIndex": hex(tx),
        "logIndex": hex(index),
        "removed": False,
    }


def block_hash(number: int, salt: str = "") -> str:
    return "0x" + keccak(text=f"block {number} {salt}").hex()
