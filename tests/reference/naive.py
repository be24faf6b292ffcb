"""The engine written the obvious way: plain Python, one account, one step, one call at a time. A slow witness.

Independent of the kernels on purpose: dictionaries of tokens, dollars by multiplication, the rules in the order of
the contract. Its floats differ from the engine's in the last digits, so results are compared with a tolerance.
"""

from __future__ import annotations

import numpy as np


def simulate(market, relative_prices, factor, open_from, policy="largest_legs"):
    """Totals per path: (repaid, seized, fee, deficit) USD, calls, accounts. relative_prices: (P, F, T)."""
    return np.array([_one_path(market, path, factor, open_from, policy) for path in relative_prices])


def _one_path(market, path, factor, open_from, policy):
    totals = np.zeros(6)
    for account in range(market.n_accounts):
        held = _tokens(market.collateral, account)
        owed = _tokens(market.debt, account)
        if not owed or not held:
            continue
        touched = False
        for step in range(path.shape[1]):
            price = [
                market.price[r] * (path[factor[r], step] if factor[r] >= 0 else 1.0) for r in range(market.n_reserves)
            ]
            for _ in range(64):
                call = _choose(market, account, held, owed, price, step, open_from, policy)
                if call is None:
                    break
                touched = True
                totals[:4] += _execute(market, account, held, owed, price, *call)
                totals[4] += 1
        totals[5] += touched
    return totals


def _tokens(side, account):
    at = range(side.indptr[account], side.indptr[account + 1])
    return {int(side.reserve[i]): float(side.amount[i]) for i in at if side.amount[i] > 0}


def _terms(market, account, reserve):
    mode = market.emode[account]
    if mode >= 0 and market.emodes.collateral[mode, reserve]:
        return market.emodes.liquidation_threshold[mode], 1 + market.emodes.liquidation_bonus[mode]
    return market.reserves.liquidation_threshold[reserve], 1 + market.reserves.liquidation_bonus[reserve]


def _choose(market, account, held, owed, price, step, open_from, policy):
    """(collateral, debt, repaid USD, taken USD) of the next call, or None."""
    margin = sum(amount * price[r] * _terms(market, account, r)[0] for r, amount in held.items())
    total = sum(amount * price[r] for r, amount in owed.items())
    if margin >= total:
        return None
    sell = [r for r in sorted(held) if held[r] > 0 and _terms(market, account, r)[1] > 0 and step >= open_from[r]]
    pay = [r for r in sorted(owed) if owed[r] > 0 and step >= open_from[r]]
    if not sell or not pay:
        return None
    if policy == "largest_legs":
        c = _largest([(held[r] * price[r], r) for r in sell])
        d = _largest([(owed[r] * price[r], r) for r in pay])
        return c, d, *_amount(held[c] * price[c], owed[d] * price[d], margin, total, _terms(market, account, c)[1])
    best, gain = None, 0.0
    for c in sell:
        for d in pay:
            bonus = _terms(market, account, c)[1]
            repaid, taken = _amount(held[c] * price[c], owed[d] * price[d], margin, total, bonus)
            fee = (taken - taken / bonus) * market.reserves.protocol_fee[c]
            if best is None or taken - fee - repaid > gain + 1e-9 * abs(gain):
                best, gain = (c, d, repaid, taken), taken - fee - repaid
    return best


def _largest(legs):
    """The first of the largest: a part in 10^9 more is a tie (two legs both left at exactly 1,000)."""
    best, reserve = 0.0, None
    for worth, r in legs:
        if worth > best * (1 + 1e-9):
            best, reserve = worth, r
    return reserve


def _amount(collateral, debt, margin, total, bonus):
    most = debt
    if collateral >= 2000 and debt >= 2000 and margin / total > 0.95:
        most = min(debt, total / 2)
    if most * bonus >= collateral:
        return min(most, collateral / bonus), collateral
    if most < debt and (debt - most < 1000 or collateral - most * bonus < 1000):
        most = min(most, debt - 1000, (collateral - 1000) / bonus)
    return most, most * bonus


def _execute(market, account, held, owed, price, c, d, repaid, taken):
    bonus = _terms(market, account, c)[1]
    fee = (taken - taken / bonus) * market.reserves.protocol_fee[c]
    all_collateral = taken >= held[c] * price[c]
    held[c] = 0.0 if all_collateral else held[c] - taken / price[c]
    owed[d] = 0.0 if repaid >= owed[d] * price[d] else owed[d] - repaid / price[d]
    deficit = 0.0
    if all_collateral and not any(amount * price[r] >= 1e-8 for r, amount in held.items()):
        deficit = sum(amount * price[r] for r, amount in owed.items())
        held.clear()
        owed.clear()
    return np.array([repaid, taken - fee, fee, deficit])
