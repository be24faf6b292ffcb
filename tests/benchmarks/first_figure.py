"""Requests until the first live figure: `aave-market --borrowers` over a node that allows 10,000 blocks a query.

Counted, not timed: the whole flow runs against a node on loopback (`book_node`) with as many blocks as Ethereum has had
from the market's first one to November 2026, and 85,000 accounts that have borrowed, half of which owe something still.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from unittest.mock import patch

from tests.benchmarks import book_node
from tests.benchmarks.table import Table

CANDIDATES = 85_000
BLOCKS = 10_200_000
"""12 seconds each since the market's first block, in January 2023."""


def run(table: Table) -> None:
    """Every HTTP request of the flow, its estimate included."""
    table.title(f"first figure: {CANDIDATES:,} accounts that have borrowed, {BLOCKS:,} blocks, 10,000 a query")
    requests, said = count()
    table.note(said)
    table.add("first_figure_requests", requests, "requests", "aave-market --borrowers, from nothing")


def count(candidates: int = CANDIDATES, blocks: int = BLOCKS) -> tuple[int, str]:
    """(HTTP requests of the flow into a new warehouse, its line)."""
    from flows import registry
    from flows.clients.json_rpc import JsonRpc

    made: list[JsonRpc] = []
    begin = JsonRpc.__init__

    def noted(self: JsonRpc, *args: object, **more: object) -> None:
        made.append(self)
        begin(self, *args, **more)  # type: ignore[arg-type]

    spec = registry.load("aave-market")
    with (
        book_node.running(candidates, 0, "--blocks", str(blocks), "--borrowed") as url,
        tempfile.TemporaryDirectory() as folder,
        patch.dict(
            os.environ,
            {
                "ETH_RPC_URL": url,
                "AAVE_POOL_ADDRESSES_PROVIDER": book_node.PROVIDER,
                "AAVE_MARKET": "Bench",
                "RISK_DB": str(Path(folder) / "risk.sqlite"),
            },
        ),
        patch.object(JsonRpc, "__init__", noted),
    ):
        said = spec.run(registry.parser(spec).parse_args(["--borrowers", "--from-block", str(book_node.FIRST_BLOCK)]))
    return sum(rpc.requests_made for rpc in made), said
