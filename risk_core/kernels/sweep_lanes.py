"""Eight price vectors at once for one account: does it fall, and what do the calls of `settle` make of it.

The lanes are steps of a sweep. Written as loops over rows of eight that the compiler turns into vectors.
"""

from __future__ import annotations

import numpy as np

from risk_core.kernels._jit import merged
from risk_core.kernels.settle import (
    BASE_UNIT_USD,
    MORE,
    largest_admissible,
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
