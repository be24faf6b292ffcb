"""A plan laid out for cascades: columns of effective prices, and which accounts each pair of prices can wake.

An account wakes when prices have moved so far that it may be liquidated and has to be looked at.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from risk_core.borrowers import Borrowers
from risk_core.checks import IntArray
from risk_core.errors import InputError
from risk_core.kernels.book import SLACK, Book
from risk_core.kernels.line import Queue
from risk_core.kernels.response import Borrowing
from risk_core.kernels.sales import PathState, Sales, Sleepers
from risk_core.kernels.tranche import Limits
from risk_core.liquidators import Liquidators
from risk_core.liquidity import IMMUNE, Impact
from risk_core.oracles import OracleRows
from risk_core.plan import Plan

FIRST_FLOOR = 0.997
"""First lower bound that is assumed for the multiplier of a market; it is lowered when the multiplier falls below it.
The bound counts waiting accounts as a little closer to liquidation than they are, so that most paths never have to
check
all of them again."""


class Cascade:
    """One plan under one scenario and one impact: what `kernels.cascade` reads, and its outputs' meaning.

    A column is what an effective price depends on: the factor of the path and the market of the sales.
    """

    book: Book
    sleepers: Sleepers
    sales: Sales
    limits: Limits | None = None

    def __init__(
        self,
        plan: Plan,
        oracle: OracleRows,
        open_from: IntArray,
        impact: Impact,
        step: timedelta,
        liquidators: Liquidators | None = None,
        borrowers: Borrowers | None = None,
    ) -> None:
        n_reserves = len(oracle.row)
        if impact.n_reserves != n_reserves:
            raise InputError(
                f"Impact.sold_usd: expected {n_reserves} rows, one for each reserve, found {impact.n_reserves}"
            )
        # A linked reserve's price follows the sales of the reserve it is linked to, not its own sales.
        source = oracle.source
        market = oracle.factor if impact.market is None else np.where(source < 0, IMMUNE, impact.market[source])
        fall = np.where((source == np.arange(n_reserves))[:, None], impact.fall, 0.0)
        used = np.unique(market[market != IMMUNE])
        self.n_markets = len(used)
        self.market_of = np.where(market == IMMUNE, self.n_markets, np.searchsorted(used, market)).astype(np.int64)
        moves = np.zeros(self.n_markets + 1, dtype=bool)
        np.logical_or.at(moves, self.market_of, fall[:, -1] > 0)
        moves[-1] = False

        row = np.where(oracle.row < 0, oracle.n_rows, oracle.row)
        width = self.n_markets + 1
        codes, column = np.unique(row * width + self.market_of, return_inverse=True)
        column = column.ravel().astype(np.int64)
        reserve = np.zeros(len(codes), dtype=np.int64)
        reserve[column] = np.arange(n_reserves)
        uncapped = np.where(oracle.uncapped < 0, oracle.n_rows, oracle.uncapped)
        self.book = plan.book(column, len(codes), open_from)
        self.borrowing = _borrowing(plan, step, borrowers)
        self.sleepers = _sleepers(self.book, len(codes), self.borrowing.zone)
        self.sales = Sales(
            factor=codes // width,
            market=codes % width,
            market_of=self.market_of,
            sold=impact.sold_usd,
            fall=fall,
            uncapped=uncapped[reserve],
            cap=oracle.cap[reserve],
            floor=np.where(moves, FIRST_FLOOR, 1.0),
            kept=impact.kept(step),
        )
        if liquidators is not None:
            market_row = np.where(oracle.market_row < 0, oracle.n_rows, oracle.market_row)
            self.limits = Limits(
                row=market_row[reserve],
                cost=liquidators.cost,
                fixed=liquidators.fixed_usd,
                capital=liquidators.capital_usd,
                window=liquidators.steps(step),
                feedback=liquidators.feedback,
            )

    @property
    def path_state_bytes(self) -> int:
        """Bytes of one worker's path state and of this book, which the plan does not keep."""
        queue = () if self.limits is None else tuple(self.queue())
        parts = (*self.book, *self.sleepers, *self.path_state(0), *queue)
        return sum(array.nbytes for array in parts if isinstance(array, np.ndarray))

    def queue(self) -> Queue:
        """One worker's queue, sized by accounts."""
        n_accounts = len(self.sleepers.group)
        return Queue(
            market=np.empty(self.n_markets + 1),
            gain=np.empty(n_accounts + 1),
            slot=np.empty(n_accounts + 1, dtype=np.int64),
        )

    def path_state(self, padded_steps: int) -> PathState:
        """One worker's state. Sized by accounts, but the system gives memory only where an account wakes."""
        n_accounts, n_columns = len(self.sleepers.group), len(self.sales.factor)
        padded = self.sleepers.trigger.shape[1]
        n_reserves = len(self.market_of)
        return PathState(
            price=np.empty(n_columns), inverse=np.zeros(padded), multiplier=np.empty(self.n_markets + 1),
            floor=np.empty(self.n_markets + 1), fall=np.empty(self.n_markets + 1), sold=np.empty(n_reserves),
            counted=np.empty(n_reserves, dtype=np.int64), trigger=np.empty_like(self.sleepers.trigger),
            cursor=np.empty(len(self.sleepers.first) - 1, dtype=np.int64),
            woken=np.zeros(n_accounts + 1, dtype=np.int64), account=np.empty(n_accounts, dtype=np.int64),
            at=np.empty(n_accounts + 1, dtype=np.int64), balance=np.empty_like(self.book.value),
            liquidated=np.empty(n_accounts, dtype=np.bool_), warned=np.empty(n_accounts, dtype=np.int64),
            limit=np.empty(n_accounts),
            next=np.empty(n_accounts, dtype=np.int64), queue=np.empty(padded_steps + 1, dtype=np.int64),
            active=np.empty(n_accounts, dtype=np.int64),
        )  # fmt: skip


def _borrowing(plan: Plan, step: timedelta, borrowers: Borrowers | None) -> Borrowing:
    """Who responds, for the kernel; without borrowers that respond, nobody."""
    if borrowers is None:
        return Borrowing(responsive=np.zeros(plan.n_accounts, dtype=np.bool_), zone=1.0, target=1.0, delay=0)
    return Borrowing(
        responsive=borrowers.responsive(plan.account),
        zone=borrowers.zone,
        target=borrowers.target,
        delay=borrowers.steps(step),
    )


def _sleepers(book: Book, n_columns: int, zone: float) -> Sleepers:
    """Every account under each of its pairs, by health factor at the snapshot over the zone."""
    n_groups, n_pairs = len(book.n_collateral), len(book.pair_collateral)
    group = np.repeat(np.arange(n_groups), np.diff(book.first))
    # Listed in the order of health once; a stable sort by pair (a radix sort of 16-bit keys) keeps it.
    order = np.argsort(book.health, kind="stable")
    n_listed = np.diff(book.pair_at)[group[order]]
    listed = np.repeat(order, n_listed)
    start = np.cumsum(n_listed) - n_listed
    pair = book.pair[np.repeat(book.pair_at[:-1][group[order]] - start, n_listed) + np.arange(len(listed))]
    by_pair = np.argsort(pair.astype(np.uint16 if n_pairs < 2**16 else np.int64), kind="stable")
    account = listed[by_pair]
    first = np.zeros(n_pairs + 1, dtype=np.int64)
    np.cumsum(np.bincount(pair, minlength=n_pairs), out=first[1:])
    padded = -(-n_columns // 8) * 8
    pair_at = np.full((n_columns, padded), -1, dtype=np.int64)
    pair_at[book.pair_collateral, book.pair_debt] = np.arange(n_pairs)
    trigger = np.zeros((n_columns, padded))
    health = book.health[account] / zone
    with np.errstate(divide="ignore"):
        trigger[book.pair_collateral, book.pair_debt] = SLACK / health[first[:-1]]
    return Sleepers(first=first, account=account, health=health, pair=pair_at, trigger=trigger, group=group)
