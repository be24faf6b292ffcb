"""Two routes to the same lending events, compared log by log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data.schemas.lending import RECEIVED

if TYPE_CHECKING:
    from data.store.store import Store

COMPARED = ("event_type", "owner", "asset", "amount_raw", "tx_hash", "block_timestamp")
"""Fields that must be exactly equal, as both routes read one log. Values in USD are not compared: prices differ."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One log on which two routes disagree. `what` is a field, or `missing`; the values are those of each route."""

    block_number: int
    log_index: int
    what: str
    ours: Any
    theirs: Any

    def __str__(self) -> str:
        if self.what == "missing":
            only = "only the logs have it" if self.theirs is None else "the logs do not have it"
            return f"log {self.log_index} of block {self.block_number}: {only} ({self.ours or self.theirs})"
        return (
            f"log {self.log_index} of block {self.block_number}: {self.what} is {self.ours} by the logs, "
            f"{self.theirs} by the other route"
        )


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """`events`: logs that at least one of the routes has; `differences` in the order of the chain."""

    events: int
    differences: list[Difference]


def compare(
    store: Store,
    chain_id: int,
    protocol: str,
    ours: tuple[str, Sequence[str]],
    theirs: tuple[str, Sequence[str]],
    first: int,
    last: int,
) -> Reconciliation:
    """Differences between two routes in blocks `first` to `last`; a route is its `source` and its market names.

    Deficits are left out, as no subgraph has them. A Comet's movement across zero is two events by the logs, with the
    indexes of two logs; a subgraph that has one event instead is reported as a difference.
    """
    a, b = (_events(store, chain_id, protocol, *route, first, last) for route in (ours, theirs))
    found = []
    for key in sorted(a.keys() | b.keys()):
        if key not in a or key not in b:
            our_value, other_value = a.get(key), b.get(key)
            found.append(Difference(*key, "missing", our_value and our_value[0], other_value and other_value[0]))
            continue
        for field, our_value, other_value in zip(COMPARED, a[key], b[key], strict=True):
            if our_value != other_value:
                found.append(Difference(*key, field, our_value, other_value))
    return Reconciliation(len(a.keys() | b.keys()), found)


def _events(
    store: Store, chain_id: int, protocol: str, source: str, markets: Sequence[str], first: int, last: int
) -> dict[tuple[int, int], tuple]:
    """The events of one source that are part of the chain by its newest reading, by (block, log index)."""
    found: dict[tuple[int, int], tuple] = {}
    for kind, table in RECEIVED.items():
        if kind == "deficit":
            continue
        rows = store.rows(
            f"""SELECT e.block_number, e.log_index, '{kind}', e.owner, e.asset, e.amount_raw, e.tx_hash,
                       e.block_timestamp
                FROM {table} AS e JOIN raw_lending_blocks AS b ON b.source = e.source AND b.market = e.market
                     AND b.chain_id = e.chain_id AND b.block_number = e.block_number AND b.block_hash IS e.block_hash
                WHERE b.n_events > 0 AND NOT EXISTS (
                    SELECT 1 FROM raw_lending_blocks AS n WHERE n.source = b.source AND n.market = b.market
                       AND n.chain_id = b.chain_id AND n.block_number = b.block_number AND n.batch > b.batch)
                  AND NOT EXISTS (
                    SELECT 1 FROM {table} AS later WHERE later.source = e.source AND later.market = e.market
                       AND later.chain_id = e.chain_id AND later.block_number = e.block_number
                       AND later.log_index = e.log_index AND later.batch > e.batch)
                  AND e.source = ? AND e.chain_id = ? AND e.protocol = ? AND e.block_number BETWEEN ? AND ?
                  AND e.market IN ({", ".join("?" * len(markets))})
                ORDER BY e.batch""",
            (source, chain_id, protocol, first, last, *markets),
        )
        found |= {(block, index): tuple(rest) for block, index, *rest in rows}
    return found
