"""A replay that was not finished, or may go on later: one file beside the warehouse, replaced whole or not at all.

The first line says whose replay it is, up to which block, and the size and digest of every part; the second is the
digest of the first; then come the parts: the state, and the books that wait for the comparison at the tip. The file
saves time alone: without it the logs are read from the first block again, with the same result.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.errors import FlowError

FORMAT = "replay of an Aave market, 1"
AGAIN = "--anew reads the logs from the first block again and replaces it"


class CheckpointRefused(FlowError):
    """A kept replay is damaged, of another market, or of blocks that are no longer part of the chain."""


@dataclass(frozen=True, slots=True)
class Whose:
    """The market that a replay is of, and the digest of the rules that it followed."""

    market: str
    chain_id: int
    provider: str
    rules: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A replay after the last log of `block`, whose hash is `hash`; its logs were read from block `first` on.

    `state`: what `flows.aave.history.keeping.kept` gave, packed. `books`: (block, packed record) of each book that no
    comparison has proven yet. `settled`: block -> (the prices that were asked for, why it was not stored, "" where it
    was) of every block that earlier runs have dealt with. `proven`: the replay was equal to a node at a later block.
    """

    whose: Whose
    first: int
    block: int
    hash: str
    state: bytes
    books: tuple[tuple[int, bytes], ...] = ()
    settled: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    proven: bool = False


def packed(value: Any) -> bytes:
    """JSON values as bytes; `unpacked` is the way back. Integers of any size stay exact."""
    return zlib.compress(json.dumps(value, separators=(",", ":")).encode(), 1)


def unpacked(raw: bytes) -> Any:
    """The values that `packed` got."""
    return json.loads(zlib.decompress(raw))


def place_of(warehouse: Path, whose: Whose) -> Path:
    """Where the replay of a market is kept: beside the warehouse."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", whose.market)[:40]
    return warehouse.with_name(f"{warehouse.name}.{name}-{whose.chain_id}-{whose.provider[2:10]}.replay")


def write(path: Path, kept: Checkpoint) -> None:
    """Replace the file. A process that ends in the middle leaves the old one."""
    parts = [kept.state, *(raw for _, raw in kept.books)]
    head = {
        "format": FORMAT,
        "market": kept.whose.market,
        "chain_id": kept.whose.chain_id,
        "provider": kept.whose.provider,
        "rules": kept.whose.rules,
        "first": kept.first,
        "block": kept.block,
        "hash": kept.hash,
        "proven": kept.proven,
        "books": [block for block, _ in kept.books],
        "settled": [[block, *told] for block, told in sorted(kept.settled.items())],
        "parts": [[len(raw), hashlib.sha256(raw).hexdigest()] for raw in parts],
    }
    line = json.dumps(head, sort_keys=True).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with open(beside, "wb") as file:
            file.write(line + b"\n" + hashlib.sha256(line).hexdigest().encode() + b"\n")
            for raw in parts:
                file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def read(path: Path, whose: Whose) -> Checkpoint | None:
    """The replay that is kept at `path`; None where there is none, or one by other rules than today's.

    Raises `CheckpointRefused` for a file that is cut off, was altered, or is of another market, chain or provider.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    line, _, rest = raw.partition(b"\n")
    digest, _, rest = rest.partition(b"\n")
    _require(path, hashlib.sha256(line).hexdigest().encode(), digest, "its first line")
    try:
        head = json.loads(line)
        found = Whose(head["market"], head["chain_id"], head["provider"], head["rules"])
        parts = [(int(size), str(sha256)) for size, sha256 in head["parts"]]
        blocks = [int(block) for block in head["books"]]
        settled = {int(block): (str(prices), str(reason)) for block, prices, reason in head["settled"]}
        if head["format"] != FORMAT or len(parts) != 1 + len(blocks):
            raise ValueError
        made = (int(head["first"]), int(head["block"]), str(head["hash"]), bool(head["proven"]))
    except (KeyError, TypeError, ValueError):
        raise CheckpointRefused(f"{path}: is not a kept replay of this version; {AGAIN}") from None
    for name in ("market", "chain_id", "provider"):
        if getattr(found, name) != getattr(whose, name):
            raise CheckpointRefused(
                f"{path}: is the replay of {name} {getattr(found, name)}, expected {getattr(whose, name)}; put the "
                f"right file there, or {AGAIN}"
            )
    if len(rest) != sum(size for size, _ in parts):
        raise CheckpointRefused(
            f"{path}: expected {sum(size for size, _ in parts):,} bytes after its head, found {len(rest):,}: it is "
            f"cut off or was altered; {AGAIN}"
        )
    cut, at = [], 0
    for number, (size, sha256) in enumerate(parts):
        cut.append(rest[at : at + size])
        at += size
        what = f"the book of block {blocks[number - 1]}" if number else "the state"
        _require(path, hashlib.sha256(cut[-1]).hexdigest().encode(), sha256.encode(), what)
    if found.rules != whose.rules:
        return None
    first, block, block_hash, proven = made
    books = tuple(zip(blocks, cut[1:], strict=True))
    return Checkpoint(whose, first, block, block_hash, cut[0], books, settled, proven)


def _require(path: Path, found: bytes, expected: bytes, what: str) -> None:
    if found != expected:
        raise CheckpointRefused(
            f"{path}: {what} has digest {found[:16].decode()}, the file says {expected[:16].decode('ascii', 'replace')}"
            f": it is cut off or was altered; {AGAIN}"
        )
