"""Many price vectors at once along one direction of shock, for the whole book: what `what_if` answers at each.

Along a direction every value is linear in the shock, as long as no oracle's cap acts (`linear`). Three things follow,
and make one pass enough:

* The least ratio of a group's pairs over a block of steps bounds its health factors there, so that an account costs
  nothing before it comes near to 1.
* Once what all collateral can pay (its value over 1 + bonus) is less than the debt, it stays so: every order of
  calls seizes everything, repays what it pays and leaves the rest as deficit. Repaying r takes r off both sides of
  that inequality, and the health factor stays below 1 because threshold x (1 + bonus) < 1. From the first such block
  on, an account is added to its group's sums and not looked at again.
* Between the two, eight steps share one vector: the calls of `settle`, on eight lanes.

Decisions are taken by the expressions of `settle`, so counts are exact; amounts are not rounded to micro-dollars
call by call as there.
"""

from __future__ import annotations

import numpy as np

from risk_core.kernels._jit import inner, kernel, lowest, merged
from risk_core.kernels.book import SLACK
from risk_core.kernels.settle import (
    FACTOR,
    FEE_RATE,
    FIRST_PASSAGE,
    HELPER_MARGIN_USD,
    INVERSE,
    MAX_CALLS,
    MILLI,
    MIN_LEFTOVER_USD,
    MOST_PROFITABLE,
    PROTOCOL_HELPER,
    THRESHOLD,
    settle,
)
from risk_core.kernels.sweep_lanes import (
    DEBT,
    DEFICIT,
    LANES,
    MOST_COLLATERALS,
    MOST_DEBTS,
    N_STATE,
    N_TOTAL,
    REPAID,
    STRIPPED,
    call,
    look,
)


@lowest
def pair_lows(pair_collateral, pair_debt, x, n_factors, low):
    """low[k, b]: the least x_collateral / x_debt of a pair in a block of eight steps."""
    for b in range(low.shape[1]):
        for k in range(pair_collateral.shape[0]):
            c = np.uint64((b * n_factors + pair_collateral[k]) * LANES)
            d = np.uint64((b * n_factors + pair_debt[k]) * LANES)
            least = 1e300
            for q in range(LANES):
                ratio = x[c + np.uint64(q)] / x[d + np.uint64(q)]
                least = ratio if ratio < least else least
            low[k, b] = least


@merged
def settle_block(book, g, at, now, value, x, b, n_steps, policy, stripping, total, row, seized, exact, by_step):
    """Eight steps of an account of any shape, under any policy, one by one. Returns the lanes stripped."""
    leg, n_collateral = book.leg[g], book.n_collateral[g]
    n_legs = book.leg[g + 1] - leg
    factor, reserve, terms, open_from, record = book.factor, book.reserve, book.terms, book.open_from, book.value
    n_factors = x.shape[0] // (seized.shape[0] * LANES)
    count = np.int64(0)
    for q in range(LANES):
        margin, owed, pays = 0.0, 0.0, 0.0
        for k in range(n_legs):
            now[k] = x[np.uint64((b * n_factors + factor[leg + k]) * LANES + q)]
            value[k] = record[at + k]
            if k < n_collateral:
                margin += (value[k] * terms[leg + k, THRESHOLD]) * now[k]
                pays += (value[k] * terms[leg + k, INVERSE]) * now[k]
            else:
                owed += value[k] * now[k]
        if not margin < owed:
            continue
        t = row + np.uint64(q)
        total[t] += 1.0
        total[t + DEBT] += owed
        if pays < stripping * owed:
            count += 1
            total[t + REPAID] += pays
            total[t + DEFICIT] += owed - pays
            for k in range(n_collateral):
                taken = value[k] * now[k]
                seized[b, reserve[leg + k], q] += taken - taken * terms[leg + k, FEE_RATE]
        elif b * LANES + q < n_steps:
            s = b * LANES + q
            settle(
                n_collateral, n_legs, value, now, leg, reserve, terms, open_from, s, policy, exact, s, by_step, MILLI
            )
    return count


@inner
def add_tails(tail, n_collateral, n_legs, leg, factor, reserve, terms, x, n_factors, total, seized):
    """Accounts stripped from some block on, as sums of a group: tail[b] is what joins there; emptied."""
    for b in range(1, tail.shape[0] - 1):
        for k in range(n_legs + 1):
            tail[b, k] += tail[b - 1, k]
        if tail[b, n_legs] == 0.0:
            continue
        for q in range(LANES):
            row = b * N_TOTAL + q
            pays, owed = 0.0, 0.0
            for k in range(n_legs):
                worth = tail[b, k] * x[(b * n_factors + factor[leg + k]) * LANES + q]
                if k < n_collateral:
                    pays += worth * terms[leg + k, INVERSE]
                    seized[b, reserve[leg + k], q] += worth - worth * terms[leg + k, FEE_RATE]
                else:
                    owed += worth
            total[row] += tail[b, n_legs]
            total[row + 8] += owed
            total[row + 16] += pays
            total[row + 24] += owed - pays
    tail[:, :] = 0.0


@kernel
def sweep(book, x, n_steps, linear, policy, low, least, own, total, state, tail, value, now, seized, exact, by_step):
    """Every account at every step, pruned by its group's bounds.

    x: flat (blocks, F + 1, 8) relative prices, the last step repeated. linear: whether they are so in the shock, as
    they are unless an oracle's cap acts; if not, an account is looked at again after it was stripped. Work:
    low (pairs, blocks), least (blocks + 1,), own flat (blocks, N_STATE), total flat (blocks, N_TOTAL) zeros, state
    (N_STATE,), tail (blocks + 1, most legs + 1) zeros, value and now (most legs,). Out: the first four rows of each
    block of `total` (accounts, then USD of debt, repaid and deficit), seized (blocks, R, 8) USD, and from accounts
    settled one by one exact (steps, N_TOTALS) and by_step (steps, R, 4) as `settle` writes them.
    """
    n_blocks = low.shape[1]
    lanes = seized.shape[2]
    on_largest = policy != MOST_PROFITABLE and policy != FIRST_PASSAGE
    leftover = MIN_LEFTOVER_USD + (HELPER_MARGIN_USD if policy == PROTOCOL_HELPER else 0.0)
    n_factors = x.shape[0] // (n_blocks * LANES)
    factor, reserve, terms, open_from, record = book.factor, book.reserve, book.terms, book.open_from, book.value
    pair_lows(book.pair_collateral, book.pair_debt, x, n_factors, low)
    for g in range(book.first.shape[0] - 1):
        begin, end = book.first[g], book.first[g + 1]
        least[n_blocks] = 1e300
        for b in range(n_blocks):
            bound = 1e300
            for k in range(book.pair_at[g], book.pair_at[g + 1]):
                bound = min(bound, low[np.uint64(book.pair[k]), b])
            least[b] = bound
            least[n_blocks] = min(least[n_blocks], bound)
        if book.health[begin] * least[n_blocks] >= SLACK:
            continue
        stop = SLACK * SLACK / least[n_blocks]
        leg = book.leg[g]
        n_legs = book.leg[g + 1] - leg
        n_collateral = book.n_collateral[g]
        n_debt = n_legs - n_collateral

        # Where a leg is barred, or would heal the account by being seized, no account counts as stripped.
        stripping = -1.0 if policy == FIRST_PASSAGE else STRIPPED
        for k in range(n_legs):
            if open_from[reserve[leg + k]] > 0:
                stripping = -1.0
            if k < n_collateral and not 0.0 < terms[leg + k, FACTOR] * terms[leg + k, THRESHOLD] < 1.0 - 1e-9:
                stripping = -1.0
        few = on_largest and n_collateral <= MOST_COLLATERALS and n_debt <= MOST_DEBTS
        single = n_collateral == 1 and n_debt == 1
        # Absent legs repeat the first of their side with value 0.
        k1, k2, k3 = leg + (n_collateral > 1), leg + 2 * (n_collateral > 2), leg + 3 * (n_collateral > 3)
        l0 = leg + n_collateral
        l1, l2 = l0 + (n_debt > 1), l0 + 2 * (n_debt > 2)
        threshold = (terms[leg, THRESHOLD], terms[k1, THRESHOLD], terms[k2, THRESHOLD], terms[k3, THRESHOLD])
        inverse = (terms[leg, INVERSE], terms[k1, INVERSE], terms[k2, INVERSE], terms[k3, INVERSE])
        fee = (terms[leg, FEE_RATE], terms[k1, FEE_RATE], terms[k2, FEE_RATE], terms[k3, FEE_RATE])
        bonus = (
            terms[leg, FACTOR] if open_from[reserve[leg]] <= 0 else 0.0,
            terms[k1, FACTOR] if open_from[reserve[k1]] <= 0 else 0.0,
            terms[k2, FACTOR] if open_from[reserve[k2]] <= 0 else 0.0,
            terms[k3, FACTOR] if open_from[reserve[k3]] <= 0 else 0.0,
        )
        may = (
            1.0 if open_from[reserve[l0]] <= 0 else 0.0,
            1.0 if open_from[reserve[l1]] <= 0 else 0.0,
            1.0 if open_from[reserve[l2]] <= 0 else 0.0,
        )
        if few:
            for b in range(n_blocks):
                for q in range(LANES):
                    to = b * N_STATE + q
                    base = b * n_factors * LANES + q
                    own[to] = x[base + factor[leg] * LANES]
                    own[to + 8] = x[base + factor[k1] * LANES]
                    own[to + 16] = x[base + factor[k2] * LANES]
                    own[to + 24] = x[base + factor[k3] * LANES]
                    own[to + 32] = x[base + factor[l0] * LANES]
                    own[to + 40] = x[base + factor[l1] * LANES]
                    own[to + 48] = x[base + factor[l2] * LANES]

        at = book.value_at[g]
        tailed = False
        for n in range(begin, end):
            health = book.health[n]
            if health >= stop:
                break
            # Stripped at the last step and at an earlier one is stripped between: both sides are linear in the shock.
            pays, owed = 0.0, 0.0
            last = (n_blocks * n_factors - n_factors) * LANES + LANES - 1
            for k in range(n_collateral):
                pays += record[at + k] * terms[leg + k, INVERSE] * x[last + factor[leg + k] * LANES]
            for k in range(n_collateral, n_legs):
                owed += record[at + k] * x[last + factor[leg + k] * LANES]
            ends_stripped = linear and pays < stripping * owed
            c = (
                record[at],
                record[at + 1] if n_collateral > 1 else 0.0,
                record[at + 2] if n_collateral > 2 else 0.0,
                record[at + 3] if n_collateral > 3 else 0.0,
            )
            to = at + n_collateral
            d = (record[to], record[to + 1] if n_debt > 1 else 0.0, record[to + 2] if n_debt > 2 else 0.0)
            weight = (c[0] * threshold[0], c[1] * threshold[1], c[2] * threshold[2], c[3] * threshold[3])
            paying = (c[0] * inverse[0], c[1] * inverse[1], c[2] * inverse[2], c[3] * inverse[3])
            taking = (c[0] - c[0] * fee[0], c[1] - c[1] * fee[1], c[2] - c[2] * fee[2], c[3] - c[3] * fee[3])
            for b in range(n_blocks):
                if health * least[b] >= SLACK:
                    continue
                row = np.uint64(b * N_TOTAL)
                if few:
                    cell = np.uint64(b * N_STATE)
                    if single:
                        found = look(
                            lanes, False, total, state, own, row, cell, c, d, weight, paying, taking, stripping
                        )
                    else:
                        found = look(lanes, True, total, state, own, row, cell, c, d, weight, paying, taking, stripping)
                    stripped = found // 100
                    left = found - 100 * stripped
                    calls = 0
                    while left > 0 and calls < MAX_CALLS:
                        if single:
                            left = call(
                                lanes,
                                False,
                                total,
                                state,
                                own,
                                row,
                                cell,
                                threshold,
                                bonus,
                                inverse,
                                fee,
                                may,
                                leftover,
                            )
                        else:
                            left = call(
                                lanes,
                                True,
                                total,
                                state,
                                own,
                                row,
                                cell,
                                threshold,
                                bonus,
                                inverse,
                                fee,
                                may,
                                leftover,
                            )
                        calls += 1
                else:
                    stripped = settle_block(
                        book, g, at, now, value, x, b, n_steps, policy, stripping, total, row, seized, exact, by_step
                    )
                if stripped == LANES and ends_stripped:
                    tailed = True
                    for k in range(n_legs):
                        tail[b + 1, k] += record[at + k]
                    tail[b + 1, n_legs] += 1.0
                    break
            at += n_legs

        for k in range(min(n_collateral, MOST_COLLATERALS)):
            if few:
                for b in range(n_blocks):
                    for q in range(LANES):
                        place = np.uint64(b * N_TOTAL + 32 + 8 * k + q)
                        seized[b, reserve[leg + k], q] += total[place]
                        total[place] = 0.0
        if tailed:
            add_tails(tail, n_collateral, n_legs, leg, factor, reserve, terms, x, n_factors, total, seized)
