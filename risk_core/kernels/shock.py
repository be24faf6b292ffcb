"""One price vector, no randomness: who is below 1, and what liquidators would do about it at once."""

from __future__ import annotations

from risk_core.kernels._jit import kernel
from risk_core.kernels.book import SLACK
from risk_core.kernels.settle import THRESHOLD, settle


@kernel
def touched(book, x, account, group, health):
    """Accounts with health factor below 1 at the relative prices x (1, F + 1, 1), weakest group prefix first.

    account, group (n,) int64 and health (n,) float64 are filled; returns how many.
    """
    count = 0
    for g in range(book.first.shape[0] - 1):
        low = 1e300
        for k in range(book.pair_at[g], book.pair_at[g + 1]):
            p = book.pair[k]
            ratio = x[0, book.pair_collateral[p], 0] / x[0, book.pair_debt[p], 0]
            low = ratio if ratio < low else low
        n = book.first[g]
        if book.health[n] * low >= SLACK:
            continue
        stop = SLACK * SLACK / low
        leg = book.leg[g]
        n_legs = book.leg[g + 1] - leg
        n_collateral = book.n_collateral[g]
        at = book.value_at[g]
        while n < book.first[g + 1] and book.health[n] < stop:
            margin = 0.0
            owed = 0.0
            for k in range(n_collateral):
                margin += (book.value[at + k] * book.terms[leg + k, THRESHOLD]) * x[0, book.factor[leg + k], 0]
            for k in range(n_collateral, n_legs):
                owed += book.value[at + k] * x[0, book.factor[leg + k], 0]
            if margin < owed:
                account[count] = n
                group[count] = g
                health[count] = margin / owed
                count += 1
            at += n_legs
            n += 1
    return count


@kernel
def settle_each(book, x, account, group, policy, value, now, by_step, debt, out):
    """Settle each listed account, from its balances at the snapshot. out (k, N_TOTALS) micro-USD, debt (k,) USD."""
    for i in range(account.shape[0]):
        g = group[i]
        leg = book.leg[g]
        n_legs = book.leg[g + 1] - leg
        n_collateral = book.n_collateral[g]
        at = book.value_at[g] + (account[i] - book.first[g]) * n_legs
        owed = 0.0
        for k in range(n_legs):
            value[k] = book.value[at + k]
            now[k] = x[0, book.factor[leg + k], 0]
            if k >= n_collateral:
                owed += value[k] * now[k]
        debt[i] = owed
        settle(
            n_collateral, n_legs, value, now, leg, book.reserve, book.terms, book.open_from, 0, policy, out, i, by_step
        )
