"""Read given accounts from the chain at one block, in parts that are stored, so that a killed run can continue."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from flows.aave.accounts import Account, fetch_balances, fetch_flags
from flows.aave.contracts import Reserve
from flows.clients import abis
from flows.clients.block_reader import BlockReader, Call, calls_for

if TYPE_CHECKING:
    from data.store.store import Store
    from flows.pipeline import Run

SOURCE = "verified_path"
TABLE = "ingest_aave_accounts"
PART = 4_000
"""Accounts that are read and stored at a time: about 50 requests."""
DEBTORS_PART = 16_000
"""The same for `debtors_only`, where most accounts need only their flags."""
COLUMNS = ("market", "block", "account", "flags", "emode_id", "supply", "debt", "n_unlisted")
BORROWING = int("01" * 128, 2)
"""The bits of a configuration bitmap that say that a reserve is borrowed."""
Candidates = Mapping[str, Set[str] | None]
"""Account -> tokens that the source says it holds; None where the source does not say."""


@dataclass(frozen=True, slots=True)
class Read:
    """`accounts`: those that hold something, by address. `unlisted`: balances that the source did not list."""

    accounts: list[Account]
    unlisted: int


def read_accounts(
    run: Run,
    reader: BlockReader,
    pool: str,
    market: str,
    reserves: list[Reserve],
    candidates: Candidates,
    progress: Callable[[int], None],
    *,
    emodes: bool = True,
    debtors_only: bool = False,
) -> Read:
    """Flags, e-mode and balances of every candidate at the reader's block; parts stored by an earlier run are used.

    Balances are read for the tokens that the candidates name and for those that the account's flags on chain name:
    every debt and every collateral has a flag, so none of a known account is missed. `emodes`: False for v2.
    `debtors_only`: of accounts without a debt flag nothing more is read, and they are not in the result.
    """
    done = _stored(run.store, market, reader.block.number)
    left = sorted(candidates.keys() - done.keys())
    progress(len(candidates) - len(left))
    size = DEBTORS_PART if debtors_only else PART
    for start in range(0, len(left), size):
        part = left[start : start + size]
        wanted = {account: candidates[account] for account in part}
        if debtors_only:
            rows = [(account, 0) for account in _read_debtors(reader, pool, reserves, part, emodes)]
        else:
            rows = _read_part(reader, pool, reserves, wanted, emodes)
        _keep(run, market, reader.block.number, rows)
        done |= {account.address: (account, unlisted) for account, unlisted in rows}
        progress(len(part))
    found = [done[address] for address in sorted(candidates)]
    # A borrower at a stable rate only (v2) may have neither; its flag shows the debt.
    holding = [a for a, _ in found if (owes(a.flags) if debtors_only else a.supply or a.debt)]
    return Read(holding, sum(unlisted for _, unlisted in found))


def forget(run: Run, market: str, block: int | None = None) -> None:
    """Remove the stored parts of unfinished reads of the market (of one block, or of all)."""
    scope = {"market": market} | ({"block": block} if block is not None else {})
    run.write(SOURCE, f"{market}: forget", {TABLE: pd.DataFrame(columns=COLUMNS)}, scope=scope)


def _read_part(
    reader: BlockReader, pool: str, reserves: list[Reserve], part: Candidates, emodes: bool
) -> list[tuple[Account, int]]:
    addresses = sorted(part)
    flags = fetch_flags(reader, pool, addresses, lambda done: None, emodes=emodes)
    atokens, vtokens = {r.atoken: r.id for r in reserves}, {r.vtoken: r.id for r in reserves}
    listed = {(token, a) for a in addresses for token in part[a] or () if token in atokens or token in vtokens}
    unknown = {(token, a) for a in addresses if part[a] is None for token in atokens}
    flagged = {
        (token, address)
        for address in addresses
        for r in reserves
        for token, bit in ((r.vtoken, 2 * r.id), (r.atoken, 2 * r.id + 1))
        if flags[address][0] >> bit & 1
    }
    balances = fetch_balances(reader, listed | unknown | flagged, lambda done: None)
    held: dict[str, tuple[dict[int, int], dict[int, int]]] = {address: ({}, {}) for address in addresses}
    unlisted = dict.fromkeys(addresses, 0)
    for (token, address), scaled in balances.items():
        supply, debt = held[address]
        if token in atokens:
            supply[atokens[token]] = scaled
        else:
            debt[vtokens[token]] = scaled
        unlisted[address] += part[address] is not None and (token, address) not in listed
    return [(Account(address, *flags[address], *held[address]), unlisted[address]) for address in addresses]


def owes(flags: int) -> bool:
    """Whether a configuration bitmap has a debt flag: an even bit (bit 2i for reserve id i)."""
    return bool(flags & BORROWING)


def _read_debtors(
    reader: BlockReader, pool: str, reserves: list[Reserve], addresses: list[str], emodes: bool
) -> list[Account]:
    """Each address with its flags; those with debt also with e-mode, debts and collateral."""
    flags = fetch_flags(reader, pool, addresses, lambda done: None, emodes=False)
    indebted = [address for address in addresses if owes(flags[address][0])]
    pairs = [
        (token, address, side, r.id)
        for address in indebted
        for r in reserves
        for side, (token, bit) in enumerate(((r.atoken, 2 * r.id + 1), (r.vtoken, 2 * r.id)))
        if flags[address][0] >> bit & 1
    ]
    # Balances and e-modes in one round: each round of requests waits for the node once more.
    calls = [Call(token, abis.SCALED_BALANCE_OF, (address,), address) for token, address, _, _ in pairs]
    if emodes:
        calls += calls_for([(address, address) for address in indebted], pool, abis.GET_USER_EMODE)
    answers = reader.read(calls)
    held: dict[str, tuple[dict[int, int], dict[int, int]]] = {address: ({}, {}) for address in addresses}
    for (_, address, side, reserve_id), scaled in zip(pairs, answers, strict=False):
        if scaled:
            held[address][side][reserve_id] = scaled
    chosen = dict(zip(indebted, answers[len(pairs) :], strict=True)) if emodes else {}
    return [Account(a, flags[a][0], chosen.get(a, 0), *held[a]) for a in addresses]


def _keep(run: Run, market: str, block: int, rows: list[tuple[Account, int]]) -> None:
    frame = pd.DataFrame(
        [
            (market, block, a.address, str(a.flags), a.emode, _document(a.supply), _document(a.debt), unlisted)
            for a, unlisted in rows
        ],
        columns=COLUMNS,
    )
    run.write(SOURCE, f"{market}:{block}:{rows[0][0].address}", {TABLE: frame})


def _stored(store: Store, market: str, block: int) -> dict[str, tuple[Account, int]]:
    rows = store.rows(
        f"SELECT account, flags, emode_id, supply, debt, n_unlisted FROM {TABLE} WHERE market = ? AND block = ?",
        (market, block),
    )
    return {
        account: (Account(account, int(flags), emode, _balances(supply), _balances(debt)), unlisted)
        for account, flags, emode, supply, debt, unlisted in rows
    }


def _document(balances: Mapping[int, int]) -> str:
    return json.dumps({str(reserve_id): str(scaled) for reserve_id, scaled in sorted(balances.items())})


def _balances(document: str) -> dict[int, int]:
    return {int(reserve_id): int(scaled) for reserve_id, scaled in json.loads(document).items()}
