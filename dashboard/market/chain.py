"""What happened on a chain, as the Chain page shows it: transfers by the hour, and the newest blocks with their trades.

No pandas here, for the reason told in `dashboard.market.warehouse`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.chain import StoredBlock, newest_block
from data.settings import SAMPLE_CHAIN, SAMPLE_MARKET
from data.store import Reader
from risk_core.analytics import mev

HOUR, DAY = 3_600, 86_400
DAYS = 28
"""Days that say what is usual."""
SHOWN_HOURS = 48
BLOCKS = 48
LIQUIDATIONS = 12
"""Rows of a list of liquidations."""
LARGEST_DAYS = 7
TOKENS = 7
"""Tokens with a series of their own, those that moved most often; the rest is one series for each standard."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token contract; symbol is empty and decimals None where nothing stored says."""

    address: str
    symbol: str = ""
    decimals: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """Transfers by the hour.

    ts (h,): consecutive starts of hours. transfers, amounts: (h, series), NaN for an hour that was not read as a
    whole; amounts in smallest units. series: (token or None for all others, standard).
    """

    ts: np.ndarray
    transfers: np.ndarray
    amounts: np.ndarray
    series: tuple[tuple[Token | None, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """The newest blocks, oldest first, and the hours.

    Arrays over blocks are (b,); `swap_*` are in the order of `swaps`. Tokens of swaps are places in `tokens`.
    flash_loans: how many each block has.
    """

    chain_id: int
    synthetic: bool
    newest: StoredBlock
    hours: Hours
    number: np.ndarray
    ts: np.ndarray
    gas_used: np.ndarray
    base_fee: np.ndarray
    flash_loans: np.ndarray
    swaps: mev.Swaps
    scores: mev.Scores
    swap_sender: tuple[str, ...]
    swap_hash: tuple[str, ...]
    tokens: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class Liquidation:
    """One of the market.

    seized_usd is None where no price was known at the time, repaid (tokens of `debt`) where the decimals were not.
    tx_hash, log_index: its key.
    """

    ts: int
    wallet: str
    protocol: str
    collateral: str
    debt: str
    seized_usd: float | None
    repaid: float | None
    tx_hash: str
    log_index: int


def load_liquidations(
    market: str, path: Path | str | None, *, wallet: str | None = None, largest: bool = False
) -> tuple[Liquidation, ...]:
    """The newest liquidations of a market or of one wallet in it, the newest first.

    largest: those of the newest `LARGEST_DAYS` days that took most, instead; without a known value they come last.
    """
    sql = (
        "SELECT e.block_timestamp, e.wallet, e.protocol, coalesce(e.symbol, e.asset), coalesce("
        "(SELECT d.symbol FROM dim_lending_asset AS d WHERE d.chain_id = e.chain_id AND d.asset = e.debt_asset), "
        "e.debt_asset, ''), e.amount_usd, e.debt_amount, e.tx_hash, e.log_index FROM stg_lending_events AS e "
        "WHERE e.market = :market AND e.event_type = 'liquidation' AND e.part = 0"
    )
    sql += " AND e.wallet = :wallet" if wallet is not None else ""
    since = (
        "(SELECT max(block_timestamp) FROM stg_lending_events WHERE market = :market AND event_type = 'liquidation') "
        f"- {LARGEST_DAYS * DAY}"
    )
    sql += (
        f" AND e.block_timestamp > {since} ORDER BY e.amount_usd DESC NULLS LAST, e.block_number DESC, e.log_index DESC"
        if largest
        else " ORDER BY e.block_number DESC, e.log_index DESC"
    )
    with Reader.open(path) as store:
        rows = store.rows(f"{sql} LIMIT {LIQUIDATIONS}", {"market": market, "wallet": wallet})
    return tuple(Liquidation(*row) for row in rows)


def newest_activity(store: Reader) -> tuple[int, StoredBlock] | None:
    """The chain whose newest block is the youngest, and that block; the sample's only where there is no other."""
    chains: list[tuple[int, StoredBlock]] = []
    after = -1
    while True:
        [(found,)] = store.rows("SELECT min(chain_id) FROM stg_chain_blocks WHERE chain_id > ?", (after,))
        if found is None:
            break
        after = int(found)
        head = newest_block(store, after)
        if head is not None:
            chains.append((after, head))
    return max(chains, key=lambda one: (one[0] != SAMPLE_CHAIN, one[1].timestamp), default=None)


def load_activity(store: Reader, chain_id: int, newest: StoredBlock) -> Activity:
    """Everything that the page shows of a chain."""
    rows = store.rows(
        "SELECT block_number, block_hash, timestamp, gas_used, coalesce(base_fee_per_gas, '0') FROM stg_chain_blocks "
        "WHERE chain_id = ? AND orphaned = 0 ORDER BY block_number DESC LIMIT ?",
        (chain_id, BLOCKS),
    )[::-1]
    number = np.array([row[0] for row in rows], dtype=np.int64)
    base_fee = np.array([float(row[4]) for row in rows])
    span = (chain_id, int(number[0]), int(number[-1]))
    counts = (
        "stg_chain_blocks AS b CROSS JOIN {table} AS x ON x.chain_id = b.chain_id AND x.block_number = b.block_number "
        "AND x.block_hash = b.block_hash"
    )
    within = "WHERE b.chain_id = ? AND b.block_number BETWEEN ? AND ? AND b.orphaned = 0"
    paid = store.rows(
        "SELECT x.block_number, x.transaction_index, x.transaction_hash, x.from_address, coalesce(x.to_address, ''), "
        "coalesce(r.effective_gas_price, x.gas_price, '0') "
        f"FROM {counts.format(table='raw_chain_transactions')} LEFT JOIN raw_chain_receipts AS r "
        "ON r.chain_id = x.chain_id AND r.block_number = x.block_number AND r.block_hash = x.block_hash "
        f"AND r.transaction_index = x.transaction_index {within} ORDER BY x.block_number, x.transaction_index",
        span,
    )
    traded = store.rows(
        "SELECT x.block_number, x.log_index, x.transaction_hash, x.pool, x.amount0, x.amount1 "
        f"FROM {counts.format(table='stg_dex_swaps')} {within} ORDER BY x.block_number, x.log_index",
        span,
    )
    moved = store.rows(
        "SELECT x.transaction_hash, x.from_address, x.to_address, x.amount, x.token "
        f"FROM {counts.format(table='stg_token_transfers')} {within} AND x.standard = 'ERC20'",
        span,
    )
    done = store.rows(
        f"SELECT x.block_number, x.primitive, count(*) FROM {counts.format(table='stg_primitives')} {within} "
        "AND x.primitive IN ('liquidation', 'flash_loan') GROUP BY x.block_number, x.primitive",
        span,
    )
    place = {int(n): i for i, n in enumerate(number)}
    happened = {name: np.zeros(len(number), np.int64) for name in ("liquidation", "flash_loan")}
    for block, primitive, n in done:
        happened[primitive][place[block]] = n
    of_block = np.array([row[0] for row in paid], dtype=np.int64)
    price = np.array([float(row[5]) for row in paid])
    fees = base_fee[np.searchsorted(number, of_block)] if len(paid) else np.zeros(0)
    swaps, kept, addresses = _swaps(paid, traded, moved)
    signer = {row[2]: row[3] for row in paid}
    hours = _hours(store, chain_id, newest)
    known = _known(store, chain_id, [*addresses, *(one.address for one, _ in hours.series if one is not None)])
    named = tuple((None if one is None else known.get(one.address, one), kind) for one, kind in hours.series)
    return Activity(
        chain_id=chain_id, synthetic=chain_id == SAMPLE_CHAIN, newest=newest,
        hours=Hours(ts=hours.ts, transfers=hours.transfers, amounts=hours.amounts, series=named), number=number,
        ts=np.array([row[2] for row in rows], dtype=np.int64), gas_used=np.array([float(row[3]) for row in rows]),
        base_fee=base_fee, flash_loans=happened["flash_loan"], swaps=swaps,
        scores=mev.scores(
            number, swaps, tx_block=of_block, gas_price=price, priority_fee=np.maximum(price - fees, 0.0),
            liquidations=happened["liquidation"],
        ),
        swap_sender=tuple(signer[row[2]] for row in kept), swap_hash=tuple(row[2] for row in kept),
        tokens=tuple(known.get(address, Token(address)) for address in addresses),
    )  # fmt: skip


def _swaps(paid: list[tuple], traded: list[tuple], moved: list[tuple]) -> tuple[mev.Swaps, list[tuple], list[str]]:
    """The swaps in the engine's form, their rows, and the addresses that its token codes stand for.

    A pool's tokens are not in its event: they are those of the transfers of the same amount to and from it in the same
    transaction; where there is none the token is unknown. A swap whose transaction is not stored is left out.
    """
    transaction = {row[2]: (row[1], row[3], row[4]) for row in paid}
    kept = sorted(
        (row for row in traded if row[2] in transaction), key=lambda row: (row[0], transaction[row[2]][0], row[1])
    )
    into = {(tx, to, amount): token for tx, _, to, amount, token in moved}
    out_of = {(tx, sender, amount): token for tx, sender, _, amount, token in moved}
    codes: dict[str, int] = {}
    tokens: dict[str, int] = {}

    def code(text: str) -> int:
        return codes.setdefault(text, len(codes)) if text else mev.ABSENT

    def token(row: tuple, amount: str) -> int:
        paid_out = amount.startswith("-")
        found = (out_of if paid_out else into).get((row[2], row[3], amount.lstrip("-")))
        return tokens.setdefault(found, len(tokens)) if found else mev.ABSENT

    swaps = mev.Swaps(
        block=[row[0] for row in kept],
        transaction=[transaction[row[2]][0] for row in kept],
        log=[row[1] for row in kept],
        pool=[code(row[3]) for row in kept],
        sender=[code(transaction[row[2]][1]) for row in kept],
        contract=[code(transaction[row[2]][2]) for row in kept],
        token0=[token(row, row[4]) for row in kept],
        token1=[token(row, row[5]) for row in kept],
        amount0=[float(row[4]) for row in kept],
        amount1=[float(row[5]) for row in kept],
    )
    return swaps, kept, list(tokens)


def _hours(store: Reader, chain_id: int, newest: StoredBlock) -> Hours:
    last = newest.timestamp // HOUR * HOUR
    first = last - DAYS * DAY - SHOWN_HOURS * HOUR
    top = store.rows(
        "SELECT token, coalesce(max(standard), '') FROM mart_token_transfer_hourly WHERE chain_id = ? AND hour > ? "
        "GROUP BY token ORDER BY sum(transfers) DESC, token LIMIT ?",
        (chain_id, last - SHOWN_HOURS * HOUR, TOKENS),
    )
    counted = store.rows(
        "SELECT hour, CASE WHEN token IN (SELECT value FROM json_each(?)) THEN token ELSE '' END AS own, "
        "coalesce(standard, ''), sum(transfers), sum(amount) FROM mart_token_transfer_hourly "
        "WHERE chain_id = ? AND hour >= ? GROUP BY hour, own, CASE own WHEN '' THEN standard END",
        (json.dumps([row[0] for row in top]), chain_id, first),
    )
    read = store.rows(
        "SELECT timestamp / 3600 * 3600 AS hour, min(block_number), max(block_number), count(*) FROM stg_chain_blocks "
        "WHERE chain_id = ? AND timestamp >= ? AND orphaned = 0 GROUP BY hour ORDER BY hour",
        (chain_id, first - HOUR),
    )
    begins = min([row[0] for row in read] or [last])
    ts = np.arange(max(first, begins), last + HOUR, HOUR)
    rest = sorted({row[2] for row in counted if not row[1]})
    others = {kind: len(top) + i for i, kind in enumerate(rest)}
    by_token = {row[0]: i for i, row in enumerate(top)}
    whole = _whole(ts, read)
    transfers = np.where(whole[:, None], np.zeros((len(ts), len(top) + len(rest))), np.nan)
    amounts = transfers.copy()
    for hour, token, kind, n, amount in counted:
        at = (hour - int(ts[0])) // HOUR
        if 0 <= at < len(ts) and whole[at]:
            column = by_token[token] if token else others[kind]
            transfers[at, column], amounts[at, column] = n, amount
    series = (*((Token(row[0]), row[1]) for row in top), *((None, kind) for kind in rest))
    return Hours(ts=ts, transfers=transfers, amounts=amounts, series=series)


def _whole(ts: np.ndarray, read: list[tuple]) -> np.ndarray:
    """True for the hours of which every block was read: no number is missing inside, before or after them."""
    held = {row[0]: row[1:] for row in read}
    whole = np.zeros(len(ts), bool)
    for i, hour in enumerate(ts.tolist()):
        before, now, after = (held.get(hour + step) for step in (-HOUR, 0, HOUR))
        if before and now and after:
            whole[i] = now[2] == now[1] - now[0] + 1 and before[1] == now[0] - 1 and after[0] == now[1] + 1
    return whole


def _known(store: Reader, chain_id: int, addresses: Iterable[str]) -> dict[str, Token]:
    """What stored tables say of tokens; the sample's chain has the tokens of the sample's market."""
    wanted = json.dumps(sorted(set(addresses)))
    market = f"market {'=' if chain_id == SAMPLE_CHAIN else '<>'} '{SAMPLE_MARKET}'"
    rows = store.rows(
        "SELECT asset, symbol, decimals FROM dim_lending_asset "
        "WHERE chain_id = ?1 AND asset IN (SELECT value FROM json_each(?2)) UNION ALL "
        "SELECT r.asset, r.symbol, r.decimals FROM (SELECT market, max(block) AS block FROM fact_snapshot "
        f"WHERE {market} AND (chain_id = ?1 OR ?1 = {SAMPLE_CHAIN}) GROUP BY market) AS s "
        "CROSS JOIN raw_aave_reserves AS r ON r.market = s.market AND r.block = s.block "
        "WHERE r.asset IN (SELECT value FROM json_each(?2))",
        (chain_id, wanted),
    )
    return {row[0]: Token(row[0], row[1], row[2]) for row in rows}
