"""The engine written the obvious way: plain Python, one account, one step, one call at a time. A slow witness.

Independent of the kernels on purpose: dictionaries of tokens, dollars by multiplication, the rules in the order of
the contract. Its floats differ from the engine's in the last digits, so results are compared with a tolerance.
"""

from __future__ import annotations

import numpy as np


def simulate(market, relative_prices, factor, open_from, policy="largest_legs", borrowers=None, delay=0):
    """Totals per path: (repaid, seized, fee, deficit) USD, calls, accounts. relative_prices: (P, F, T).

    borrowers: who repays `delay` steps after a warning; the accounts that do are the engine's.
    """
    return np.array([_one_path(market, path, factor, open_from, policy, borrowers, delay) for path in relative_prices])


def _one_path(market, path, factor, open_from, policy, borrowers, delay):
    totals = np.zeros(6)
    for account in range(market.n_accounts):
        held = _tokens(market.collateral, account)
        owed = _tokens(market.debt, account)
        if not owed or not held:
            continue
        touched, warned = False, 0
        responds = borrowers is not None and borrowers.responsive(np.array([account]))[0]
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
            total = sum(amount * price[r] for r, amount in owed.items())
            if responds and total > 0:
                margin = sum(amount * price[r] * _terms(market, account, r)[0] for r, amount in held.items())
                warned += 1 <= margin / total < borrowers.zone
                if 1 <= margin / total < borrowers.zone and warned >= delay:
                    owed = {r: amount * margin / (borrowers.target * total) for r, amount in owed.items()}
                    warned = 0
        totals[5] += touched
    return totals


def cascade(market, relative_prices, open_from, policy, impact, step):
    """As `simulate`, each reserve its own factor, and sales move prices: (P, 6) totals, (T, R) mean multipliers.

    Sales are counted to a tenth of a cent, in dollars at the path's prices.
    """
    n_reserves = market.n_reserves
    markets = impact.market if impact.market is not None else np.arange(n_reserves)
    paths, multipliers = [], []
    for path in relative_prices:
        totals, seen = np.zeros(6), []
        books = [(_tokens(market.collateral, a), _tokens(market.debt, a)) for a in range(market.n_accounts)]
        books = [(a, held, owed) for a, (held, owed) in enumerate(books) if held and owed]
        touched, weighing = set(), np.zeros(n_reserves)
        for t in range(path.shape[1]):
            free = market.price * path[:, t]
            weighing *= impact.kept(step)
            multiplier = _multiplier(impact, markets, weighing)
            for _ in range(12):
                price, sold = free * multiplier, np.zeros(n_reserves)
                for account, held, owed in books:
                    for _ in range(64):
                        call = _choose(market, account, held, owed, price, t, open_from, policy) if owed else None
                        if call is None:
                            break
                        money = _execute(market, account, held, owed, price, *call)
                        touched.add(account)
                        totals[:4] += money
                        totals[4] += 1
                        sold[call[0]] += round(money[1], 3)
                weighing += sold / multiplier
                before, multiplier = multiplier, _multiplier(impact, markets, weighing)
                if (before == multiplier).all():
                    break
            seen.append(multiplier)
        totals[5] = len(touched)
        paths.append(totals)
        multipliers.append(seen)
    return np.array(paths), np.mean(multipliers, axis=0)


def queue(market, relative_prices, open_from, policy, impact, step, limits):
    """As `cascade`, by liquidators who must earn, with finite depth and capital: (P, 6) totals, (P, T) waiting debt."""
    n_reserves = market.n_reserves
    markets = impact.market if impact.market is not None else np.arange(n_reserves)
    window = limits.steps(step)
    paths, waits = [], []
    for path in relative_prices:
        totals, waiting, spent = np.zeros(6), [], []
        books = [(_tokens(market.collateral, a), _tokens(market.debt, a)) for a in range(market.n_accounts)]
        books = [(a, held, owed) for a, (held, owed) in enumerate(books) if held and owed]
        touched, weighing = set(), np.zeros(n_reserves)
        for t in range(path.shape[1]):
            free = market.price * path[:, t]
            weighing *= impact.kept(step)
            seen = _multiplier(impact, markets, weighing) ** limits.feedback
            spent.append(0.0)
            for _ in range(12):
                price = free * seen
                line = []
                for account, held, owed in books:
                    if owed and _below(market, account, held, owed, price):
                        call = _choose(market, account, held, owed, price, t, open_from, policy)
                        line.append((0.0 if call is None else -_gain(market, account, call), account, held, owed))
                left = 0.0
                for _, account, held, owed in sorted(line, key=lambda entry: entry[0]):
                    for _ in range(64):
                        call = _choose(market, account, held, owed, price, t, open_from, policy) if owed else None
                        capital = limits.capital_usd - sum(spent[-window:])
                        call = _affordable(market, account, held, owed, price, free, call, impact, markets, weighing,
                                           limits, capital)  # fmt: skip
                        if call is None:
                            break
                        c, d = call[:2]
                        money = _execute(market, account, held, owed, price, *call)
                        spent[-1] += money[0]
                        touched.add(account)
                        totals[:4] += money
                        totals[4] += 1
                        if markets[c] != markets[d] or markets[c] < 0:
                            weighing[c] += money[1] / price[c] * free[c]
                    if owed and _below(market, account, held, owed, price):
                        left += sum(amount * price[r] for r, amount in owed.items())
                before, seen = seen, _multiplier(impact, markets, weighing) ** limits.feedback
                if (before == seen).all():
                    break
            waiting.append(left)
        totals[5] = len(touched)
        paths.append(totals)
        waits.append(waiting)
    return np.array(paths), np.array(waits)


def _below(market, account, held, owed, price):
    margin = sum(amount * price[r] * _terms(market, account, r)[0] for r, amount in held.items())
    return margin < sum(amount * price[r] for r, amount in owed.items())


def _gain(market, account, call):
    c, _, repaid, taken = call
    bonus = _terms(market, account, c)[1]
    return taken - (taken - taken / bonus) * market.reserves.protocol_fee[c] - repaid


def _affordable(market, account, held, owed, price, free, call, impact, markets, weighing, limits, capital):
    """The call made smaller until its last dollar pays and the capital is enough; None where nothing is left."""
    if call is None:
        return None
    c, d, repaid, taken = call
    bonus = _terms(market, account, c)[1]
    kept = 1 - (1 - 1 / bonus) * market.reserves.protocol_fee[c]
    together = markets[c] == markets[d] and markets[c] >= 0
    quoted = _multiplier(impact, markets, weighing)
    paid = (1 + limits.cost) * free[d] * (1.0 if together else quoted[d]) / price[d]

    def worth(sale):
        """The multiplier of the collateral's market after a sale."""
        more = weighing.copy()
        more[c] += sale
        return 1.0 if together else _multiplier(impact, markets, more)[c]

    def pays(amount):
        sale = amount * bonus * kept / price[c] * free[c]
        return bonus * kept * free[c] / price[c] * worth(sale) >= paid

    most = repaid if taken == repaid * bonus else taken / bonus
    affordable = most
    if not pays(most):
        low, high = 0.0, most
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (middle, high) if pays(middle) else (low, middle)
        affordable = low
    affordable = min(affordable, capital)
    if affordable < repaid * (1 - 1e-12):
        affordable = min(affordable, owed[d] * price[d] - 1000, (held[c] * price[c] - 1000) / bonus)
        if affordable < 0.01:
            return None
        repaid, taken = affordable, affordable * bonus
    if limits.fixed_usd == 0:  # where the last dollar pays, the whole call does
        return None if affordable <= 0 else (c, d, repaid, taken)
    grid = np.linspace(0.0, taken * kept / price[c] * free[c], 401)
    received = np.trapezoid([worth(sale) for sale in grid], grid)
    return None if received - repaid * paid < limits.fixed_usd else (c, d, repaid, taken)


def _multiplier(impact, markets, sold):
    fall = {int(m): 0.0 for m in markets}
    for r, quantity in enumerate(sold):
        x, y = impact.sold_usd[r], -np.log(impact.price[r])
        if quantity <= x[-1]:
            fall[int(markets[r])] += np.interp(quantity, x, y)
        else:
            fall[int(markets[r])] += y[-1] + (quantity - x[-1]) * (y[-1] - y[-2]) / (x[-1] - x[-2])
    return np.array([1.0 if m < 0 else np.exp(-min(fall[int(m)], 100.0)) for m in markets])


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
