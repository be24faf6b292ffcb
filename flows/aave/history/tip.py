"""Compare the books at the newest block with a fresh read: reserves, categories, balances, flags. It always runs.

The logs cannot confirm flags, e-modes, transfers and parameters; errors of the replay, and logs that the node left out,
are found here. Only the latest block is read: no archive node is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flows.aave.history.arithmetic import V3_1, V3_2, V3_3, V3_4, V3_6, V3_7
from flows.aave.history.replay import Replay
from flows.aave.history.state import HistoryError, MarketBook
from flows.clients import abis
from flows.clients.abis import Function
from flows.clients.block_reader import BlockReader, Call, Failure

SHOWN = 5
DATA = {
    "configuration": 0, "liquidity_index": 1, "supply_rate": 2, "debt_index": 3, "debt_rate": 4, "last_update": 6,
    "id": 7, "atoken": 8, "debt_token": 10, "accrued_to_treasury": 12, "unbacked": 13, "isolation_debt": 14,
}  # fmt: skip
"""Field of `ReserveBook` -> its place in the answer of `getReserveData`."""
STRATEGY = 11
"""Place of the rate strategy in that answer."""
BPS_IN_RAY = 10**23
EMODES = range(1, 256)
"""Every category that is possible; 0 is none."""
BITMAPS: tuple[tuple[str, Function, int], ...] = (
    ("collateral", abis.GET_EMODE_COLLATERAL, V3_2),
    ("borrowable", abis.GET_EMODE_BORROWABLE, V3_2),
    ("ltvzero", abis.GET_EMODE_LTVZERO, V3_6),
    ("isolated", abis.GET_EMODE_ISOLATED, V3_7),
)
"""Field of `EModeBook`, its getter, and the revision from which the pool has that getter."""
NOT_IN_LOGS = frozenset({"accrued_to_treasury", "virtual_balance"})
"""Fields that the logs do not give for a while after some upgrades: they are None then, and not compared."""


@dataclass(frozen=True, slots=True)
class Compared:
    """`values`: how many values were compared and are equal. `accounts`: how many accounts."""

    values: int
    accounts: int


def compare_with_node(reader: BlockReader, replay: Replay, progress: Callable[[int], None]) -> Compared:
    """Compare every value. Raises `HistoryError`, which counts the differences and lists the first with both values."""
    book = replay.book()
    checked, wrong = _reserves(reader, replay, book, progress)
    for more, different in (
        _emodes(reader, replay.pool, book, progress),
        _balances(reader, replay, progress),
        _flags(reader, replay, book, progress),
    ):
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
    wrong, checked = [], 3
    in_books = sorted(r.asset for r in book.reserves)
    if in_books != sorted(asset.lower() for asset in assets):
        wrong.append(f"reserves: the node lists {sorted(assets)}, the books {in_books}")
    if revision != book.revision:
        wrong.append(f"POOL_REVISION: the node says {revision}, the books {book.revision}")
    oracle = reader.one(Call(replay.provider, abis.GET_PRICE_ORACLE, about="the provider")) if replay.provider else None
    if oracle is not None and oracle != book.oracle:
        wrong.append(f"oracle: the provider names {oracle}, the books {book.oracle}")
    rows: list[tuple[str, str, int | None, Call]] = []
    for r in book.reserves:
        rows.append((r.asset, "scaled_supply", r.scaled_supply, Call(r.atoken, abis.SCALED_TOTAL_SUPPLY)))
        rows.append((r.asset, "scaled_debt", r.scaled_debt, Call(r.debt_token, abis.SCALED_TOTAL_SUPPLY)))
        if book.revision >= V3_1:
            rows.append(
                (r.asset, "virtual_balance", r.virtual_balance, Call(pool, abis.GET_VIRTUAL_BALANCE, (r.asset,)))
            )
            rows.append((r.asset, "grace_until", r.grace_until, Call(pool, abis.GET_GRACE_PERIOD, (r.asset,))))
        if r.price is not None and r.price > 0 and oracle == book.oracle:
            rows.append((r.asset, "price", r.price, Call(oracle, abis.GET_ASSET_PRICE, (r.asset,))))
        if book.revision >= V3_3:
            rows.append((r.asset, "deficit", r.deficit, Call(pool, abis.GET_DEFICIT, (r.asset,))))
    data = reader.read([Call(pool, abis.GET_RESERVE_DATA, (r.asset,)) for r in book.reserves], progress=progress)
    values = [
        (asset, name, replayed, read)
        for (asset, name, replayed, _), read in zip(
            rows, reader.read([call for *_, call in rows], progress=progress), strict=True
        )
    ]
    for r, answer in zip(book.reserves, data, strict=True):
        # v3.4 removed unbacked supply; its field has no meaning since then.
        values += [
            (r.asset, name, getattr(r, name), answer[place])
            for name, place in DATA.items()
            if name != "unbacked" or book.revision < V3_4
        ]
    values += _rates(reader, book, [answer[STRATEGY] for answer in data], progress)
    for asset, name, replayed, read in values:
        if replayed is None and name in NOT_IN_LOGS:
            continue
        checked += 1
        if replayed != read:
            wrong.append(f"{name} of reserve {asset}: the node says {read}, the books {replayed}")
    return checked, wrong


def _rates(
    reader: BlockReader, book: MarketBook, strategies: list[str], progress: Callable[[int], None]
) -> list[tuple[str, str, Any, Any]]:
    """Rate curves by the logs and by the strategies that tell them (from v3.1 on; others cannot be compared)."""
    known = [(r, strategy) for r, strategy in zip(book.reserves, strategies, strict=True) if r.rates is not None]
    answers = reader.read(
        [Call(strategy, abis.GET_RATE_DATA, (r.asset,)) for r, strategy in known], may_fail=True, progress=progress
    )
    return [
        (r.asset, "rate parameters (ray)", tuple(share * BPS_IN_RAY for share in r.rates or ()), tuple(answer))
        for (r, _), answer in zip(known, answers, strict=True)
        if not isinstance(answer, Failure)
    ]


def _emodes(reader: BlockReader, pool: str, book: MarketBook, progress: Callable[[int], None]) -> tuple[int, list[str]]:
    """Compare every category that is possible: one that the logs do not have must be empty. From v3.2 on.

    Labels are for people and may be anything, so they are left out.
    """
    if book.revision < V3_2:
        return 0, []
    ours = {e.id: e for e in book.emodes}
    terms = reader.read([Call(pool, abis.GET_EMODE_CONFIG, (n,), f"e-mode {n}") for n in EMODES], progress=progress)
    values: list[tuple[int, str, Any, Any]] = []
    for number, answer in zip(EMODES, terms, strict=True):
        e = ours.get(number)
        values.append((number, "terms", (e.ltv, e.threshold, e.bonus) if e else (0, 0, 0), tuple(answer)))
    fields = [(name, getter) for name, getter, since in BITMAPS if book.revision >= since]
    asked = [(e, name, Call(pool, getter, (e.id,), f"e-mode {e.id}")) for e in book.emodes for name, getter in fields]
    answers = reader.read([call for *_, call in asked], progress=progress)
    values += [(e.id, name, getattr(e, name), answer) for (e, name, _), answer in zip(asked, answers, strict=True)]
    return len(values), [
        f"{name} of e-mode {number}: the node says {read}, the books {replayed}"
        for number, name, replayed, read in values
        if replayed != read
    ]


def _balances(reader: BlockReader, replay: Replay, progress: Callable[[int], None]) -> tuple[int, list[str]]:
    """Compare every account that a log of a token named, also those that hold nothing now."""
    pairs = [
        (token.address, account, scaled)
        for token in replay.tokens.values()
        for account, (scaled, _) in token.held.items()
    ]
    answers = reader.read(
        [Call(token, abis.SCALED_BALANCE_OF, (account,), account) for token, account, _ in pairs], progress=progress
    )
    return len(pairs), [
        f"scaled balance of account {account} in token {token}: the node says {read}, the books {replayed}"
        for (token, account, replayed), read in zip(pairs, answers, strict=True)
        if replayed != read
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
    answers = reader.read(calls, progress=progress)
    wrong = []
    for n, account in enumerate(accounts):
        for name, replayed, read in (
            ("flags", book.flags.get(account, 0), answers[2 * n]),
            ("e-mode", book.categories.get(account, 0), answers[2 * n + 1]),
        ):
            if replayed != read:
                wrong.append(f"{name} of account {account}: the node says {read}, the books {replayed}")
    return len(calls), wrong
