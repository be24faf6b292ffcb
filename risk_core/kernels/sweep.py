"""Many price vectors at once along one direction of shock, for the whole book: what `what_if` answers at each.

Along a direction every value is linear in the shock. Three things follow, and make one pass enough:

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

from risk_core.kernels._jit import kernel, lowest, merged
from risk_core.kernels.book import SLACK
from risk_core.kernels.settle import (
    BASE_UNIT_USD,
    FACTOR,
    FEE_RATE,
    FIRST_PASSAGE,
    HELPER_MARGIN_USD,
    INVERSE,
    MAX_CALLS,
    MIN_LEFTOVER_USD,
    MORE,
    MOST_PROFITABLE,
    PROTOCOL_HELPER,
    THRESHOLD,
    largest_admissible,
    settle,
)

LANES = 8
MOST_COLLATERALS = 4
MOST_DEBTS = 3
STRIPPED = 1.0 - 1e-12
"""How far below the debt the collateral's paying power must lie: well above rounding."""

# Rows of 8 lanes at constant distances in flat arrays, so that the compiler sees that they do not overlap.
# `total`, one set a block:
DEBT, REPAID, DEFICIT, SEIZED = np.uint64(8), np.uint64(16), np.uint64(24), np.uint64(32)
N_TOTAL = 32 + 8 * MOST_COLLATERALS
# balances (snapshot dollars) and prices of the legs in hand:
C1, C2, C3 = np.uint64(8), np.uint64(16), np.uint64(24)
D0, D1, D2 = np.uint64(32), np.uint64(40), np.uint64(48)
N_STATE = 8 * (MOST_COLLATERALS + MOST_DEBTS)


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
def look(lanes, several, total, state, x, at, now, c, d, weight, paying, taking, stripping):
    """Eight steps of one account: counted where below 1, added up where stripped, put into `state` where to settle.

    several: false leaves out all legs but the first of each side (a constant where this is compiled in). c, d: its
    values; weight: times threshold; paying: over 1 + bonus; taking: less the fee. at, now: first elements of the
    block in `total` and `x`. Returns 100 x lanes stripped + lanes to settle.
    """
    found = np.int64(0)
    for q in range(lanes):
        i = np.uint64(q)
        p = now + i
        x0, y0 = x[p], x[p + D0]
        margin, owed, pays = weight[0] * x0, d[0] * y0, paying[0] * x0
        if several:
            x1, x2, x3, y1, y2 = x[p + C1], x[p + C2], x[p + C3], x[p + D1], x[p + D2]
            margin = margin + weight[1] * x1 + weight[2] * x2 + weight[3] * x3
            owed = owed + d[1] * y1 + d[2] * y2
            pays = pays + paying[1] * x1 + paying[2] * x2 + paying[3] * x3
        below = margin < owed
        stripped = below & (pays < stripping * owed)
        left = below & (not stripped)
        t = at + i
        total[t] += 1.0 if below else 0.0
        total[t + DEBT] += owed if below else 0.0
        total[t + REPAID] += pays if stripped else 0.0
        total[t + DEFICIT] += owed - pays if stripped else 0.0
        total[t + SEIZED] += taking[0] * x0 if stripped else 0.0
        state[i] = c[0] if left else 0.0
        state[D0 + i] = d[0] if left else 0.0
        if several:
            total[t + SEIZED + C1] += taking[1] * x1 if stripped else 0.0
            total[t + SEIZED + C2] += taking[2] * x2 if stripped else 0.0
            total[t + SEIZED + C3] += taking[3] * x3 if stripped else 0.0
            state[C1 + i] = c[1] if left else 0.0
            state[C2 + i] = c[2] if left else 0.0
            state[C3 + i] = c[3] if left else 0.0
            state[D1 + i] = d[1] if left else 0.0
            state[D2 + i] = d[2] if left else 0.0
        found += (100 if stripped else 0) + (1 if left else 0)
    return found


@merged
def call(lanes, several, total, state, x, at, now, threshold, bonus, inverse, fee, may, leftover):
    """One call on each of eight lanes whose account is below 1: an iteration of `settle` under largest_legs.

    threshold, bonus (1 + it; 0 where the leg cannot be seized), inverse, fee: of each collateral. may: 1 for a debt
    that may be repaid, else 0. Returns the lanes that are still below 1.
    """
    still = np.int64(0)
    for q in range(lanes):
        i = np.uint64(q)
        p = now + i
        c0, d0, x0, y0 = state[i], state[D0 + i], x[p], x[p + D0]
        margin, owed = (c0 * threshold[0]) * x0, d0 * y0
        held = c0 * x0 if bonus[0] > 0.0 else 0.0
        debt = owed * may[0]
        of, price, rate, over, under = c0, x0, fee[0], bonus[0], inverse[0]
        of_debt, debt_price = d0, y0
        if several:
            c1, c2, c3, d1, d2 = state[C1 + i], state[C2 + i], state[C3 + i], state[D1 + i], state[D2 + i]
            x1, x2, x3, y1, y2 = x[p + C1], x[p + C2], x[p + C3], x[p + D1], x[p + D2]
            margin = margin + (c1 * threshold[1]) * x1 + (c2 * threshold[2]) * x2 + (c3 * threshold[3]) * x3
            owed = owed + d1 * y1 + d2 * y2
            h1 = c1 * x1 if bonus[1] > 0.0 else 0.0
            h2 = c2 * x2 if bonus[2] > 0.0 else 0.0
            h3 = c3 * x3 if bonus[3] > 0.0 else 0.0
            is1 = h1 > held * MORE
            held = h1 if is1 else held
            is2 = h2 > held * MORE
            held = h2 if is2 else held
            is3 = h3 > held * MORE
            held = h3 if is3 else held
            of = c3 if is3 else (c2 if is2 else (c1 if is1 else c0))
            price = x3 if is3 else (x2 if is2 else (x1 if is1 else x0))
            rate = fee[3] if is3 else (fee[2] if is2 else (fee[1] if is1 else fee[0]))
            over = bonus[3] if is3 else (bonus[2] if is2 else (bonus[1] if is1 else bonus[0]))
            under = inverse[3] if is3 else (inverse[2] if is2 else (inverse[1] if is1 else inverse[0]))
            is2 = is2 & (not is3)
            is1 = is1 & (not is2) & (not is3)
            v1, v2 = d1 * y1 * may[1], d2 * y2 * may[2]
            owes1 = v1 > debt * MORE
            debt = v1 if owes1 else debt
            owes2 = v2 > debt * MORE
            debt = v2 if owes2 else debt
            owes1 = owes1 & (not owes2)
            of_debt = d2 if owes2 else (d1 if owes1 else d0)
            debt_price = y2 if owes2 else (y1 if owes1 else y0)

        act = (margin < owed) & (held > 0.0) & (debt > 0.0)
        repaid, taken, debt_cleared, collateral_cleared = largest_admissible(
            debt, held, margin, owed, over, under, leftover
        )
        seized = taken - taken * rate
        of = of - taken / price
        of = 0.0 if (collateral_cleared | (of < 0.0)) else of
        of_debt = of_debt - repaid / debt_price
        of_debt = 0.0 if (debt_cleared | (of_debt < 0.0)) else of_debt
        t = at + i
        total[t + REPAID] += repaid if act else 0.0
        if several:
            is0 = not (is1 | is2 | is3)
            c0, c1, c2, c3 = of if is0 else c0, of if is1 else c1, of if is2 else c2, of if is3 else c3
            d0, d1, d2 = d0 if (owes1 | owes2) else of_debt, of_debt if owes1 else d1, of_debt if owes2 else d2
            richest = max(max(c0 * x0, c1 * x1), max(c2 * x2, c3 * x3))
            rest = d0 * y0 + d1 * y1 + d2 * y2
            total[t + SEIZED] += seized if act & is0 else 0.0
            total[t + SEIZED + C1] += seized if act & is1 else 0.0
            total[t + SEIZED + C2] += seized if act & is2 else 0.0
            total[t + SEIZED + C3] += seized if act & is3 else 0.0
        else:
            c0, d0 = of, of_debt
            richest, rest = c0 * x0, d0 * y0
            total[t + SEIZED] += seized if act else 0.0
        burnt = act & collateral_cleared & (richest < BASE_UNIT_USD)
        total[t + DEFICIT] += rest if burnt else 0.0

        # A lane without a call is done: it keeps no balances, and the next round passes it by.
        keep = act & (not burnt)
        c0, d0 = c0 if keep else 0.0, d0 if keep else 0.0
        state[i], state[D0 + i] = c0, d0
        margin, owed = (c0 * threshold[0]) * x0, d0 * y0
        if several:
            c1, c2, c3 = c1 if keep else 0.0, c2 if keep else 0.0, c3 if keep else 0.0
            d1, d2 = d1 if keep else 0.0, d2 if keep else 0.0
            state[C1 + i], state[C2 + i], state[C3 + i], state[D1 + i], state[D2 + i] = c1, c2, c3, d1, d2
            margin = margin + (c1 * threshold[1]) * x1 + (c2 * threshold[2]) * x2 + (c3 * threshold[3]) * x3
            owed = owed + d1 * y1 + d2 * y2
        still += 1 if margin < owed else 0
    return still


@merged
def settle_block(
    n_collateral, n_legs, record, at, now, value, leg, factor, reserve, terms, open_from, x, b, n_factors, n_steps,
    policy, stripping, total, row, state, seized, exact, by_step,
):  # fmt: skip
    """Eight steps of an account of any shape, under any policy, one by one. Returns the lanes stripped."""
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
            settle(n_collateral, n_legs, value, now, leg, reserve, terms, open_from, s, policy, exact, s, by_step)
    return count


@kernel
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
def sweep(book, x, n_steps, policy, low, least, own, total, state, tail, value, now, seized, exact, by_step):
    """Every account at every step, pruned by its group's bounds.

    x: flat (blocks, F + 1, 8) relative prices, the last step repeated. Work: low (pairs, blocks), least (blocks + 1,),
    own flat (blocks, N_STATE), total flat (blocks, N_TOTAL) zeros, state (N_STATE,), tail (blocks + 1, most legs + 1)
    zeros, value and now (most legs,). Out: the first four rows of each block of `total` (accounts, then USD of debt,
    repaid and deficit), seized (blocks, R, 8) USD, and from accounts settled one by one exact (steps, N_TOTALS) and
    by_step (steps, R, 4) as `settle` writes them.
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
            ends_stripped = pays < stripping * owed
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
                        n_collateral, n_legs, record, at, now, value, leg, factor, reserve, terms, open_from, x, b,
                        n_factors, n_steps, policy, stripping, total, row, state, seized, exact, by_step,
                    )  # fmt: skip
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
