"""The books at the tip against a fresh read from the node: every reserve, balance, flag and e-mode. It always runs.

Flags, e-modes and transfers have no second witness in the logs; what a replay got wrong, or a node left out, shows
here. The latest block is enough: no archive is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flows.aave.history.arithmetic import V3_1, V3_3, V3_4
from flows.aave.history.replay import Replay
from flows.aave.history.state import HistoryError, MarketBook
from flows.clients import abis
from flows.clients.block_reader import BlockReader, Call

SHOWN = 5
DATA = {
    "configuration": 0, "liquidity_index": 1, "supply_rate": 2, "debt_index": 3, "debt_rate": 4, "last_update": 6,
    "id": 7, "atoken": 8, "debt_token": 10, "accrued_to_treasury": 12, "unbacked": 13, "isolation_debt": 14,
}  # fmt: skip
"""Our names and the places in `getReserveData`."""
UNSAID = frozenset({"accrued_to_treasury", "virtual_balance"})
"""What the logs do not tell for a while after some upgrades: None then, and not compared."""


@dataclass(frozen=True, slots=True)
class Compared:
    """How many values of the node equal ours, and how many of them belong to accounts."""

    values: int
    accounts: int


def compare_with_node(reader: BlockReader, replay: Replay, progress: Callable[[int], None]) -> Compared:
    """Raises `HistoryError` that counts the differences and names the first by token, account and both values."""
    book = replay.book()
    checked, wrong = _reserves(reader, replay, book, progress)
    for more, different in (_balances(reader, replay, progress), _flags(reader, replay, book, progress)):
        checked += more
        wrong += different
    if wrong:
        shown = "; ".join(wrong[:SHOWN])
        raise HistoryError(
            f"at block {reader.block.number} the books from logs differ from the node in {len(wrong):,} of "
            f"{checked:,} values: {shown}. A log is missing (another node, a smaller range?) or a rule is not known; "
            "nothing was written"
        )
    accounts = {account for token in replay.tokens.values() for account in token.held}
    return Compared(checked, len(accounts | replay.flags.keys() | replay.categories.keys()))


def _reserves(
    reader: BlockReader, replay: Replay, book: MarketBook, progress: Callable[[int], None]
) -> tuple[int, list[str]]:
    pool = replay.pool
    assets, revision = reader.read(
        [Call(pool, abis.GET_RESERVES_LIST, about="the pool"), Call(pool, abis.POOL_REVISION, about="the pool")]
    )
    wrong, checked = [], 2
    ours = sorted(r.asset for r in book.reserves)
    if ours != sorted(asset.lower() for asset in assets):
        wrong.append(f"reserves: the node lists {sorted(assets)}, the books {ours}")
    if revision != book.revision:
        wrong.append(f"POOL_REVISION: the node says {revision}, the books {book.revision}")
    rows: list[tuple[str, str, int | None, Call]] = []
    for r in book.reserves:
        rows.append((r.asset, "scaled_supply", r.scaled_supply, Call(r.atoken, abis.SCALED_TOTAL_SUPPLY)))
        rows.append((r.asset, "scaled_debt", r.scaled_debt, Call(r.debt_token, abis.SCALED_TOTAL_SUPPLY)))
        if book.revision >= V3_1:
            rows.append(
                (r.asset, "virtual_balance", r.virtual_balance, Call(pool, abis.GET_VIRTUAL_BALANCE, (r.asset,)))
            )
            rows.append((r.asset, "grace_until", r.grace_until, Call(pool, abis.GET_GRACE_PERIOD, (r.asset,))))
        if book.revision >= V3_3:
            rows.append((r.asset, "deficit", r.deficit, Call(pool, abis.GET_DEFICIT, (r.asset,))))
    data = reader.read([Call(pool, abis.GET_RESERVE_DATA, (r.asset,)) for r in book.reserves], progress=progress)
    said = [
        (asset, name, mine, theirs)
        for (asset, name, mine, _), theirs in zip(
            rows, reader.read([call for *_, call in rows], progress=progress), strict=True
        )
    ]
    for r, answer in zip(book.reserves, data, strict=True):
        # Unbacked supply went with v3.4; what its field says since then is nobody's promise.
        said += [
            (r.asset, name, getattr(r, name), answer[place])
            for name, place in DATA.items()
            if name != "unbacked" or book.revision < V3_4
        ]
    for asset, name, mine, theirs in said:
        if mine is None and name in UNSAID:
            continue
        checked += 1
        if mine != theirs:
            wrong.append(f"{name} of reserve {asset}: the node says {theirs}, the books {mine}")
    return checked, wrong


def _balances(reader: BlockReader, replay: Replay, progress: Callable[[int], None]) -> tuple[int, list[str]]:
    """Every account that any log of a token named, those that hold nothing now as well."""
    pairs = [
        (token.address, account, scaled)
        for token in replay.tokens.values()
        for account, (scaled, _) in token.held.items()
    ]
    said = reader.read(
        [Call(token, abis.SCALED_BALANCE_OF, (account,), account) for token, account, _ in pairs], progress=progress
    )
    return len(pairs), [
        f"scaled balance of account {account} in token {token}: the node says {theirs}, the books {mine}"
        for (token, account, mine), theirs in zip(pairs, said, strict=True)
        if mine != theirs
    ]


def _flags(
    reader: BlockReader, replay: Replay, book: MarketBook, progress: Callable[[int], None]
) -> tuple[int, list[str]]:
    known = {account for token in replay.tokens.values() for account in token.held}
    accounts = sorted(known | replay.flags.keys() | replay.categories.keys())
    calls = [
        Call(replay.pool, getter, (account,), account)
        for account in accounts
        for getter in (abis.GET_USER_CONFIGURATION, abis.GET_USER_EMODE)
    ]
    said = reader.read(calls, progress=progress)
    wrong = []
    for n, account in enumerate(accounts):
        for name, mine, theirs in (
            ("flags", book.flags.get(account, 0), said[2 * n]),
            ("e-mode", book.categories.get(account, 0), said[2 * n + 1]),
        ):
            if mine != theirs:
                wrong.append(f"{name} of account {account}: the node says {theirs}, the books {mine}")
    return len(calls), wrong
