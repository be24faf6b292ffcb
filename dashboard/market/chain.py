"""What happened on a chain, as the Chain page shows it: transfers by the hour, and the newest blocks with their trades.

No pandas here; `_daily_moves` in `dashboard.market.loading` says why.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dashboard.market.trades import trades_of
from data.chain import StoredBlock, newest_block
from data.settings import SAMPLE_CHAIN, SAMPLE_MARKET
from data.store import Reader
from risk_core.analytics import mev

HOUR, DAY = 3_600, 86_400
DAYS = 28
"""Days before an hour that define what is usual."""
SHOWN_HOURS = 48
BLOCKS = 48
LIQUIDATIONS = 12
"""Rows of a list of liquidations."""
LARGEST_DAYS = 7
TOKENS = 7
"""Tokens with a series of their own, those that moved most often; the others are one series for each standard."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token contract; symbol is empty and decimals None where no stored table has them."""

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

    Arrays over blocks are (b,); `swap_*` are in the order of `swaps`, `change_*` in that of `changes`. Tokens of swaps
    are places in `tokens`.
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
    changes: mev.LiquidityChanges
    change_sender: tuple[str, ...]
    change_hash: tuple[str, ...]
    just_in_time: tuple[mev.JustInTime, ...]
    tokens: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class Liquidation:
    """One liquidation in the market.

    `seized_usd` is None where no price was known at the time; `repaid`, in tokens of `debt`, is None where the decimals
    were not known. `tx_hash`, `log_index`: its key.
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
    """(chain id, its newest block) of the chain read last; the sample only without another; None without blocks."""
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
    return max(chains, key=lambda chain: (chain[0] != SAMPLE_CHAIN, chain[1].timestamp), default=None)


def load_activity(store: Reader, chain_id: int, newest: StoredBlock) -> Activity:
    """Everything that the Chain page shows of a chain: its last `BLOCKS` blocks and its hours."""
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
    changed = store.rows(
        "SELECT x.block_number, x.log_index, x.transaction_hash, x.contract, x.primitive, x.amount, "
        f"coalesce(x.amount_2, '0') FROM {counts.format(table='stg_primitives')} {within} "
        "AND x.primitive IN ('mint', 'burn') ORDER BY x.block_number, x.log_index",
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
    trades = trades_of(paid, traded, moved, changed)
    hours = _hours(store, chain_id, newest)
    known = _known(store, chain_id, [*trades.tokens, *(one.address for one, _ in hours.series if one is not None)])
    named = tuple((None if one is None else known.get(one.address, one), kind) for one, kind in hours.series)
    return Activity(
        chain_id=chain_id, synthetic=chain_id == SAMPLE_CHAIN, newest=newest,
        hours=Hours(ts=hours.ts, transfers=hours.transfers, amounts=hours.amounts, series=named), number=number,
        ts=np.array([row[2] for row in rows], dtype=np.int64), gas_used=np.array([float(row[3]) for row in rows]),
        base_fee=base_fee, flash_loans=happened["flash_loan"], swaps=trades.swaps,
        scores=mev.scores(
            number, trades.swaps, tx_block=of_block, gas_price=price, priority_fee=np.maximum(price - fees, 0.0),
            liquidations=happened["liquidation"],
        ),
        swap_sender=trades.swap_sender, swap_hash=trades.swap_hash, changes=trades.changes,
        change_sender=trades.change_sender, change_hash=trades.change_hash,
        just_in_time=mev.just_in_time(trades.swaps, trades.changes),
        tokens=tuple(known.get(address, Token(address)) for address in trades.tokens),
    )  # fmt: skip


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
    """(n,) true for the hours whose blocks were all read: no number is missing inside, before or after them."""
    held = {row[0]: row[1:] for row in read}
    whole = np.zeros(len(ts), bool)
    for i, hour in enumerate(ts.tolist()):
        before, now, after = (held.get(hour + step) for step in (-HOUR, 0, HOUR))
        if before and now and after:
            whole[i] = now[2] == now[1] - now[0] + 1 and before[1] == now[0] - 1 and after[0] == now[1] + 1
    return whole


def _known(store: Reader, chain_id: int, addresses: Iterable[str]) -> dict[str, Token]:
    """Address to `Token` from the stored tables; the sample's chain has the tokens of the sample's market."""
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
