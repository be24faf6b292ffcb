"""The accounts of a verified read, from a subgraph or a file. Stored in parts, so that a killed run can continue."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.aave.candidates import subgraph as aave_subgraph
from flows.aave.candidates.subgraph import GraphPosition, GraphReserve, KnownSubgraph
from flows.aave.candidates.subgraph_rows import SOURCE, Indices, indices, market_frames, position_frames
from flows.clients.graphql import Subgraph
from flows.errors import ConfigurationError, CrossCheckFailed
from flows.pipeline import Mark, Run

if TYPE_CHECKING:
    from data.store.store import Store
    from flows.clients.block_reader import Block

ADDRESS = re.compile(r"0x[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Indexed:
    """A subgraph's reserves and holdings of a market at a block."""

    reserves: list[GraphReserve]
    positions: list[GraphPosition] = field(repr=False)


def from_file(path: str) -> list[str]:
    """Addresses from a text file, lower case, sorted: one on each line, in its first column; `#` begins a comment.

    Raises `ConfigurationError`, which names the line without an address.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(
            f"--candidates: {path!r} is neither `subgraph` nor a readable text file ({exc}). Give "
            "a file with one account a line, or `subgraph`"
        ) from exc
    found = set()
    for number, line in enumerate(lines, start=1):
        word = re.split(r"[\s,;#]", line.strip().lower(), maxsplit=1)[0]
        if not word:
            continue
        if not ADDRESS.fullmatch(word):
            raise ConfigurationError(
                f"--candidates: line {number} of {path}: expected 0x and 40 hex digits, found {line.strip()[:60]!r}"
            )
        found.add(word)
    if not found:
        raise ConfigurationError(f"--candidates: {path} names no account; expected one address on each line")
    return sorted(found)


def require_same_chain(subgraph: Subgraph, head: Any, block: Block) -> None:
    """Require that the subgraph's newest block has the time of the chain's block. Raises `CrossCheckFailed`."""
    if head.block == block.number and head.time is not None and head.time != block.time:
        raise CrossCheckFailed(
            f"{subgraph} is at block {head.block} with time {head.time}, the node's has time {block.time}: "
            "the subgraph is of another chain, or of a branch that was replaced. Nothing was written"
        )


def from_subgraph(
    run: Run,
    open_subgraph: Callable[[], Subgraph],
    which: KnownSubgraph,
    provider: str,
    block: Block,
    *,
    shards: Sequence[str] = aave_subgraph.SHARDS,
    go_on: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> Indexed:
    """Reserves and every holding at `block`, stored as received and typed.

    `go_on`: use the shards that an earlier run has stored; must be False after a run that was refused because of the
    subgraph's answers. Staged holdings that the subgraph no longer has are removed.

    Raises `CrossCheckFailed` for a subgraph without reserves of this market.
    """
    with open_subgraph() as subgraph:
        assert isinstance(subgraph, Subgraph)
        reserves = aave_subgraph.fetch_reserves(subgraph, which, provider, block.number)
        emodes = aave_subgraph.fetch_emodes(subgraph, which, block.number)
        if not reserves:
            raise CrossCheckFailed(
                f"{subgraph} has no reserve of the pool of {provider} at block {block.number}; is it of this market? "
                "Nothing was written"
            )
    by_asset = {reserve.asset: indices(reserve, which.version, block.time) for reserve in reserves}
    kept = run.store.checkpoint(SOURCE, which.id) or {}
    done: list[str] = kept.get("shards", []) if go_on and kept.get("hash") == block.hash else []
    if not done:
        run.write(SOURCE, f"{which.id}:{block.number}", market_frames(which, block, reserves, emodes))
    positions = _stored(run.store, which, block, done)
    progress(len(done))
    left = [] if "" in done else [shard for shard in shards if shard not in done]
    for shard, found in aave_subgraph.fetch_positions(open_subgraph, which, provider, block.number, left):
        done = [*done, shard]
        _keep(run, which, block, found.values(), by_asset, done)
        positions += [
            replace(p, body="") for p in found.values()
        ]  # the text is stored already and takes half of the memory
        progress(1)
    _drop_others(run, which, block, positions, by_asset)
    return Indexed(reserves, positions)


def _keep(
    run: Run,
    which: KnownSubgraph,
    block: Block,
    found: Iterable[GraphPosition],
    by_asset: dict[str, Indices],
    done: list[str],
) -> None:
    """Store a shard and the note that it is complete, in one transaction."""
    frames = position_frames(which, block, found, by_asset)
    frames = {table: frame for table, frame in frames.items() if len(frame)}
    come_to = Mark(SOURCE, which.id, {"block": block.number, "hash": block.hash, "shards": done})
    run.write(SOURCE, f"{which.id}:{block.number}:{done[-1]}", frames, marks=[come_to])


def _drop_others(
    run: Run,
    which: KnownSubgraph,
    block: Block,
    positions: list[GraphPosition],
    by_asset: dict[str, Indices],
) -> None:
    """Remove staged holdings of the block that an earlier run stored and this run did not find."""
    at = (which.market, block.number)
    stored = run.store.rows("SELECT count(*) FROM stg_graph_account_positions WHERE market = ? AND block = ?", at)[0][0]
    if stored != len(positions):
        staged = position_frames(which, block, positions, by_asset)["stg_graph_account_positions"]
        run.write(
            SOURCE,
            f"{which.id}:{block.number}:all",
            {"stg_graph_account_positions": staged},
            scope={"market": which.market, "block": block.number},
        )


def _stored(store: Store, which: KnownSubgraph, block: Block, done: list[str]) -> list[GraphPosition]:
    if not done:
        return []
    rows = store.rows(
        "SELECT account, asset, scaled_supply, scaled_debt, stable_debt_raw, is_collateral, emode_id, "
        "last_update_timestamp FROM stg_graph_account_positions WHERE market = ? AND block = ? AND subgraph = ?",
        (which.market, block.number, which.id),
    )
    return [
        GraphPosition(
            id=f"{account}{asset}", body="", payload_sha256="", account=account, asset=asset,
            scaled_supply=int(supply), scaled_debt=int(debt), stable_debt=int(stable), is_collateral=bool(flag),
            emode=emode, last_update=updated,
        )
        for account, asset, supply, debt, stable, flag, emode, updated in rows
        if account.startswith(tuple(f"0x{shard}" for shard in done))
    ]  # fmt: skip
