"""One price vector, no randomness: which accounts are below 1, and what liquidators would do at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from risk_core.kernels._jit import kernel
from risk_core.kernels.book import SLACK
from risk_core.kernels.settle import DEFICIT, MILLI, N_TERMS, PROTOCOL_FEE, REPAID, SEIZED, THRESHOLD, settle

MICRO_USD = 1e-6


class Work(NamedTuple):
    """Work space for the current group; L legs at most."""

    value: np.ndarray  # (L,) balances of the current account, snapshot dollars
    now: np.ndarray  # (L,) relative prices
    reserve: np.ndarray  # (L,) int64
    terms: np.ndarray  # (L, N_TERMS)


@kernel
def groups_at_risk(book, walk, x, low, first, stop):
    """The groups with an account that may be below 1 at the relative prices x (F + 1,): how many, and accounts in them.

    Written for each such group: first (groups,) int64, its number; stop (groups,) int64, the account from which on all
    are surely above 1, found by bisection because a group is sorted. low (pairs,) is work space.
    """
    for p in range(low.shape[0]):
        low[p] = x[book.pair_collateral[p]] / x[book.pair_debt[p]]
    weakest, pair_at, pair = walk.weakest, book.pair_at, book.pair
    groups = 0
    accounts = 0
    for g in range(weakest.shape[0]):
        least = 1e300
        for k in range(pair_at[g], pair_at[g + 1]):
            ratio = low[pair[k]]
            least = ratio if ratio < least else least
        if weakest[g] * least >= SLACK:
            continue
        begin = book.first[g]
        bound = SLACK * SLACK / least
        a, b = begin, book.first[g + 1]
        while a < b:
            middle = (a + b) // 2
            if book.health[middle] < bound:
                a = middle + 1
            else:
                b = middle
        first[groups] = g
        stop[groups] = a
        accounts += a - begin
        groups += 1
    return groups, accounts


@kernel
def settle_below(walk, open_from, x, first, stop, policy, work, row, by_step, account, found, left):
    """Settle every account of the groups' prefixes whose health factor is below 1, from its balances at the snapshot.

    Filled for each, in the order of the book: account, its place in the book; found (6, n), health factor and USD of
    debt, repaid, seized, fee and deficit; left (legs of all of them), what remains of each leg over what was there, in
    the order of the legs, or an empty array where nobody asks. row (1, N_TOTALS) int64 zeros. Returns how many.
    """
    shape, record, kind, kind_factor = walk.shape, walk.record, walk.kind, walk.factor
    value, now, reserve, terms = work.value, work.now, work.reserve, work.terms
    count = 0
    filled = 0
    # Typed: numba gives a literal a type of its own, for which it would compile `settle` once more.
    none, one, two = np.int64(0), np.int64(1), np.int64(2)
    for i in range(first.shape[0]):
        g = first[i]
        n_collateral, n_legs, at, leg = shape[g, 2], shape[g, 3], shape[g, 4], shape[g, 5]
        for k in range(n_legs):
            what = kind[leg + k]
            now[k] = x[kind_factor[what]]
            reserve[k] = walk.reserve[what]
            for c in range(N_TERMS):
                terms[k, c] = walk.terms[what, c]
        for n in range(shape[g, 0], stop[i]):
            margin = 0.0
            owed = 0.0
            for k in range(n_collateral):
                value[k] = record[at + 1 + k]
                margin += (value[k] * terms[k, THRESHOLD]) * now[k]
            for k in range(n_collateral, n_legs):
                value[k] = record[at + 1 + k]
                owed += value[k] * now[k]
            at += n_legs + 1
            if not margin < owed:
                continue
            account[count] = n
            found[0, count] = margin / owed
            found[1, count] = owed
            if n_legs == 2:  # two of three accounts: constants, so that the loops over legs fall away
                settle(one, two, value, now, none, reserve, terms, open_from, none, policy, row, none, by_step, MILLI)
            else:
                settle(
                    n_collateral, n_legs, value, now, none, reserve, terms, open_from, none, policy, row, none, by_step,
                    MILLI,
                )  # fmt: skip
            found[2, count] = row[0, REPAID] * MICRO_USD
            found[3, count] = row[0, SEIZED] * MICRO_USD
            found[4, count] = row[0, PROTOCOL_FEE] * MICRO_USD
            found[5, count] = row[0, DEFICIT] * MICRO_USD
            row[0, REPAID] = row[0, SEIZED] = row[0, PROTOCOL_FEE] = row[0, DEFICIT] = 0
            if left.shape[0] > 0:
                before = at - n_legs
                for k in range(n_legs):
                    left[filled + k] = value[k] / record[before + k] if record[before + k] > 0.0 else 0.0
                filled += n_legs
            count += 1
    return count
