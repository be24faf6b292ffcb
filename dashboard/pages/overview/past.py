"""Looking back: which stored block a reader chose, what it is compared with, and both as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import parse_qsl

import risk_core as rc
from dashboard.look import formatting as fmt
from dashboard.market.looking_back import StoredBlock, timeline
from dashboard.market.page_data import PageData, Unavailable
from data.snapshot.changes import Changes, Moved

LIST = "python -m data snapshots"
ANOTHER = "python -m flows aave-market"
ONE_ONLY = "One snapshot of this market is stored. What changed since is shown as soon as a second one is:"
LONGEST = 20
"""Digits of a block number that are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The block that a page shows, `at`, and the one that it is compared with; None where no other one is stored.

    `blocks`: every stored block of the market, oldest first.
    """

    blocks: tuple[StoredBlock, ...]
    at: StoredBlock
    against: StoredBlock | None

    @property
    def newest(self) -> StoredBlock:
        """The newest stored block."""
        return self.blocks[-1]

    @property
    def is_past(self) -> bool:
        """Whether a newer block is stored."""
        return self.at.block != self.newest.block

    @property
    def before(self) -> StoredBlock | None:
        """The stored block before the chosen one."""
        return _beside(self.blocks, self.at, -1)

    @property
    def after(self) -> StoredBlock | None:
        """The stored block after the chosen one."""
        return _beside(self.blocks, self.at, 1)

    @property
    def span(self) -> tuple[int, int] | None:
        """The numbers of the two blocks that are compared, in order of time."""
        if self.against is None:
            return None
        first, second = sorted((self.at, self.against), key=lambda one: (one.time, one.block))
        return first.block, second.block

    @property
    def drawn(self) -> list[StoredBlock]:
        """The blocks of the timeline, and the two that the page is about."""
        kept = {one.block for one in timeline(self.blocks)} | {self.at.block}
        kept |= set() if self.against is None else {self.against.block}
        return [one for one in self.blocks if one.block in kept]


def query_of(search: str | None) -> dict[str, str]:
    """The address' query by name."""
    return dict(parse_qsl((search or "").lstrip("?"), keep_blank_values=True))


def chosen(source: PageData, query: Mapping[str, str]) -> Chosen | None:
    """What the query asks for: `block` (default: the newest) and `against` (default: the stored one before it).

    The oldest block is compared with the one after it. None where no block is stored. Raises `InputError` for a block
    that is not stored, with the nearest that are, and `Unavailable`.
    """
    blocks = source.blocks()
    if not blocks:
        return None
    at = _stored(blocks, query["block"], "block") if "block" in query else blocks[-1]
    if "against" in query:
        against = _stored(blocks, query["against"], "against")
        if against.block == at.block:
            raise rc.InputError(f"against={at.block}: expected another block than the one shown; leave it out")
    else:
        against = _beside(blocks, at, -1) or _beside(blocks, at, 1)
    return Chosen(blocks=blocks, at=at, against=against)


def hash_of(source: PageData, query: Mapping[str, str], newest: str | None = None) -> str | None:
    """The hash of the snapshot that the query asks for; `newest` where it names no block. Raises as `chosen`."""
    if "block" not in query:
        return newest
    found = chosen(source, {"block": query["block"]})
    return newest if found is None else found.at.hash


def _beside(blocks: tuple[StoredBlock, ...], at: StoredBlock, step: int) -> StoredBlock | None:
    place = next(i for i, one in enumerate(blocks) if one.block == at.block) + step
    return blocks[place] if 0 <= place < len(blocks) else None


def _stored(blocks: tuple[StoredBlock, ...], text: str, name: str) -> StoredBlock:
    if not (text.isascii() and text.isdigit() and len(text) <= LONGEST):
        raise rc.InputError(f"{name}: expected the number of a stored block, found {text!r:.60}; `{LIST}` lists them")
    number = int(text)
    found = next((one for one in blocks if one.block == number), None)
    if found is None:
        near = sorted(blocks, key=lambda one: (abs(one.block - number), one.block))[:3]
        told = ", ".join(f"{one.block} ({fmt.utc(one.time)})" for one in near)
        raise rc.InputError(
            f"{name}={number}: this block was not read; the nearest that were: {told}. `{LIST}` lists them"
        )
    return found


def changes_of(source: PageData, found: Chosen | None) -> Changes:
    """What changed between the two blocks. Raises `Unavailable` where only one is stored."""
    if found is None or found.span is None:
        raise Unavailable("No other snapshot yet", ONE_ONLY, ANOTHER)
    return source.changes(*found.span)


def timeline_json(source: PageData, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/overview/timeline`: the stored blocks with what was owed and the stored LaR, and which one is chosen."""
    found = chosen(source, query)
    if found is None:
        raise Unavailable("No snapshot yet", "No block of a market was read.", ANOTHER)
    return {
        "market": source.status().market,
        "is_synthetic": source.status().synthetic,
        "unit": "USD",
        "lar": "debt repaid over 24 h, exceeded on one path in a hundred, with its 95 % interval",
        "n_stored": len(found.blocks),
        "block": found.at.block,
        "against": None if found.against is None else found.against.block,
        "blocks": [
            {
                "block": one.block, "block_time": one.time, "debt_usd": one.debt_usd, "lar_99_usd": one.lar_usd,
                "low": one.low, "high": one.high, "few_draws": one.few_draws, "looks_ahead": one.looks_ahead,
            }
            for one in found.drawn
        ],
    }  # fmt: skip


def changes_json(source: PageData, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/overview/changes`: what changed from one stored block to another, exactly, in USD and accounts."""
    found = changes_of(source, chosen(source, query))
    return {
        "market": found.market,
        "is_synthetic": source.status().synthetic,
        "unit": "USD",
        "first": {"block": found.first, "block_time": found.first_time},
        "second": {"block": found.second, "block_time": found.second_time},
        "accounts": {
            name: getattr(found, name) for name in ("opened", "closed", "grown", "shrunk", "liquidated")
        },
        "debt": _side(found, "debt"),
        "supply": _side(found, "supply"),
        "unpriced": list(found.unpriced),
    }  # fmt: skip


def _side(found: Changes, side: str) -> dict[str, Any]:
    rows: tuple[Moved, ...] = getattr(found, side)
    total = {name: value for name, value in asdict(found.total(side)).items() if name != "symbol"}
    return {"total": total, "reserves": [asdict(row) for row in rows]}
