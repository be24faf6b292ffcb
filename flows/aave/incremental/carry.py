"""A new snapshot from an old one: accounts that no event has touched since are carried forward, the rest is read.

This is correct because the old snapshot holds the tokens' whole supply: an account that no event has touched still has
the same scaled balances, flags and e-mode. Reserves, e-modes, prices and indices are never carried. If the
block of the old snapshot was replaced, an older snapshot is used instead and the blocks since that one are read again;
if rules or tokens changed in between, nothing is carried.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.snapshot.loading import missing_rows
from flows.aave.account_columns import AccountColumns
from flows.aave.accounts import Account, read_accounts
from flows.aave.contracts import Contracts, Reserve
from flows.aave.holders import Pair, ScannedRange
from flows.aave.incremental.suspects import doubtful
from flows.aave.reading import MarketAt, progress_bar
from flows.clients.block_reader import Block, get_block
from flows.clients.json_rpc import JsonRpc
from flows.errors import SourceRefused

if TYPE_CHECKING:
    from data.store.store import Store
    from flows.aave.holder_scan import HolderScan

CANDIDATES = 16
"""Stored snapshots that are tried, newest first, before everything is read again."""


@dataclass(frozen=True, slots=True)
class Base:
    """A stored snapshot whose block is still on the chain: its block, the batch that wrote it, and its accounts."""

    block: int
    batch: int
    kept: AccountColumns

    def pairs_of(self, addresses: Iterable[str], reserves: Iterable[Reserve]) -> set[Pair]:
        """The (token, account) pairs of the given accounts that had a balance."""
        by_id = {r.id: r for r in reserves}
        pairs = set()
        for account in (self.kept.account(a) for a in addresses if a in self.kept):
            pairs |= {(by_id[i].atoken, account.address) for i in account.supply}
            pairs |= {(by_id[i].vtoken, account.address) for i in account.debt}
        return pairs


@dataclass(frozen=True, slots=True)
class Carried:
    """The accounts at a new block: `kept` from the snapshot at `base_block`, `read` those of `touched`."""

    base_block: int
    base_batch: int
    kept: AccountColumns
    read: Sequence[Account]
    touched: frozenset[str]
    doubtful: Sequence[str] | None = None
    """`flows.aave.incremental.suspects.doubtful` of `kept`, where that was computed while the node was waited for."""

    def accounts(self) -> list[Account]:
        """All accounts, sorted by address."""
        return sorted((*self.kept.accounts(), *self.read), key=lambda account: account.address)


def carry(at: MarketAt, scan: HolderScan, base: Base, ranges: Sequence[ScannedRange] | None = None) -> Carried:
    """Every account at the block of `at`: read where an event since `base` has touched it, else carried from `base`.

    `ranges`: the log since `base`, where it was read already.
    """
    with progress_bar("log", "block") as bar:
        touched, pairs = scan.changes(base.block, at.block, progress=bar, ranges=ranges)
    pairs |= base.pairs_of(touched, at.reserves)
    with (
        progress_bar("accounts", "read", len(pairs) + 2 * len(touched)) as bar,
        ThreadPoolExecutor(1) as beside,
    ):
        asked = beside.submit(
            read_accounts, at.reader, at.contracts.pool, at.reserves, touched, pairs, bar.update
        )  # while the node answers, the others are looked at
        kept = base.kept.without(touched)
        suspects = doubtful(at.reserves, at.emodes, kept)
        read = asked.result()
    return Carried(base.block, base.batch, kept, read, frozenset(touched), suspects)


def stored_accounts(store: Store, market: str, block: int) -> AccountColumns | None:
    """The accounts of a stored snapshot; None where a position has no account, so that there is nothing to build on."""
    try:
        return AccountColumns.stored(store, market, block)
    except KeyError:
        return None


def find_base(
    store: Store,
    rpc: JsonRpc,
    market: str,
    at: Contracts,
    reserves: Sequence[Reserve],
    block: Block,
    loaded: Base | None = None,
    hashes: Mapping[int, str] | None = None,
) -> Base | None:
    """The newest snapshot up to `block` that can be carried forward; None when everything has to be read.

    `loaded`: a snapshot whose accounts were read already. `hashes`: of blocks, asked for after `block`: so that a block
    which was replaced before is noticed here, and one that is replaced later by the last check of the read.
    """
    rows = store.rows(
        "SELECT block, block_hash, batch FROM fact_snapshot WHERE market = ? AND chain_id = ? AND provider = ? "
        "AND pool = ? AND pool_revision = ? AND is_synthetic = 0 AND block <= ? ORDER BY block DESC LIMIT ?",
        (market, at.chain_id, at.provider, at.pool, at.revision, block.number, CANDIDATES),
    )
    for number, known_hash, batch in rows:
        if missing_rows(store, market, number) or not _same_tokens(store, market, number, reserves):
            continue
        if not _is_canonical(rpc, number, known_hash, block, hashes or {}):
            continue
        at_hand = loaded is not None and (loaded.block, loaded.batch) == (number, batch)
        kept = loaded.kept if at_hand and loaded else stored_accounts(store, market, number)
        if kept is not None and _holds_everything(store, market, number, kept):
            return Base(number, batch, kept)
    return None


def _holds_everything(store: Store, market: str, block: int, kept: AccountColumns) -> bool:
    """Whether the accounts hold the tokens' whole supply: other routes may store snapshots that lack a few holders."""
    issued = {}
    for reserve_id, atokens, debts in store.rows(
        "SELECT reserve_id, scaled_atoken_supply, scaled_debt_supply FROM raw_aave_reserves "
        "WHERE market = ? AND block = ?",
        (market, block),
    ):
        issued |= {("supply", reserve_id): int(atokens), ("debt", reserve_id): int(debts)}
    return kept.sums() == {side: total for side, total in issued.items() if total}


def _is_canonical(rpc: JsonRpc, number: int, known_hash: str, block: Block, hashes: Mapping[int, str]) -> bool:
    if number == block.number:
        return block.hash == known_hash
    if number in hashes:
        return hashes[number] == known_hash
    try:
        return get_block(rpc, number).hash == known_hash
    except SourceRefused:  # a shorter chain, or a node without old blocks
        return False


def _same_tokens(store: Store, market: str, block: int, reserves: Sequence[Reserve]) -> bool:
    """Whether every reserve of the snapshot still has its id and tokens; new reserves are allowed."""
    now = {(r.asset, r.id, r.atoken, r.vtoken) for r in reserves}
    then = store.rows(
        "SELECT asset, reserve_id, atoken, vtoken FROM raw_aave_reserves WHERE market = ? AND block = ?",
        (market, block),
    )
    return set(then) <= now


def differences(carried: Sequence[Account], read: Sequence[Account]) -> list[str]:
    """One line for each account that a full read found different from the carried state; empty when there is none."""
    carried_by, read_by = ({a.address: a for a in side} for side in (carried, read))
    found = []
    for address in sorted(carried_by.keys() | read_by.keys()):
        old, new = carried_by.get(address), read_by.get(address)
        if old == new:
            continue
        if old is None or new is None:
            found.append(f"{address}: {'read but not carried' if old is None else 'carried but holds nothing'}")
            continue
        parts = [
            f"{name} carried as {getattr(old, name)}, read as {getattr(new, name)}"
            for name in ("supply", "debt", "flags", "emode")
            if getattr(old, name) != getattr(new, name)
        ]
        found.append(f"{address}: " + "; ".join(parts))
    return found
