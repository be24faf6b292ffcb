"""Back-runs, which close elsewhere what a swap moved, and cyclic arbitrage."""

from __future__ import annotations

from itertools import pairwise

from risk_core.analytics.mev.sandwiches import Sandwiches
from risk_core.analytics.mev.swaps import ABSENT, Rows, Swaps, transactions


def back_runs(swaps: Swaps, taken: Sandwiches | None = None) -> list[tuple[int, int]]:
    """(row of the swap that was followed, row of the back-run), in order.

    A back-run stands in the very next transaction of the block, by another account through another contract, in the
    same pool in the opposite direction, and swaps in at least one more pool in that transaction: it closes elsewhere
    what the first swap moved. Swaps of `taken` (attackers and victims) are not counted again. Each transaction counts
    once.
    """
    used: set[int] = set()
    for one in (taken or Sandwiches(found=(), discarded=0)).found:
        used.update(one.legs, one.victims)
    rows, pools = Rows.of(swaps), swaps.pool.tolist()
    groups = transactions(swaps)
    found: list[tuple[int, int]] = []
    for (a, b), (c, d) in pairwise(groups):
        adjacent = rows.block[a] == rows.block[c] and rows.transaction[c] == rows.transaction[a] + 1
        shared = rows.contract[a] == rows.contract[c] != ABSENT
        if not adjacent or rows.sender[a] == rows.sender[c] or shared or len(set(pools[c:d])) < 2:
            continue
        moved = {pools[row]: row for row in range(a, b) if row not in used}
        for row in range(c, d):
            first = moved.get(pools[row])
            if first is not None and row not in used and rows.inward[first] != rows.inward[row]:
                found.append((first, row))
                break
    return found


def arbitrages(swaps: Swaps) -> list[int]:
    """First rows of the transactions that are cyclic arbitrage by their balances.

    In at least two pools, and over all swaps of the transaction no token is lost and one is gained. Transactions in
    which a token is unknown are not counted.
    """
    pools = swaps.pool.tolist()
    tokens = (swaps.token0.tolist(), swaps.token1.tolist())
    amounts = (swaps.amount0.tolist(), swaps.amount1.tolist())
    found = []
    for a, b in transactions(swaps):
        if b - a < 2 or len(set(pools[a:b])) < 2:
            continue
        net: dict[int, float] = {}
        gross: dict[int, float] = {}
        for side, amount in zip(tokens, amounts, strict=True):
            for row in range(a, b):
                net[side[row]] = net.get(side[row], 0.0) - amount[row]
                gross[side[row]] = gross.get(side[row], 0.0) + abs(amount[row])
        if ABSENT in net:
            continue
        # Amounts are doubles of exact integers: what is handed from pool to pool cancels to 15 digits, not to zero.
        gains = [0.0 if abs(value) <= 1e-12 * gross[token] else value for token, value in net.items()]
        if min(gains) >= 0 and max(gains) > 0:
            found.append(a)
    return found
