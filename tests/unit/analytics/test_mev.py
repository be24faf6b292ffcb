"""Sandwiches, back-runs and scores: a block made by hand, the rules one by one, and a quadratic twin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_core.analytics import mev
from risk_core.errors import InputError

A, B, V, W, X, Y = range(1, 7)
"""Accounts: two attackers and four others."""
BOT, ROUTER = 100, 101
P, Q = 11, 12
ETH, USD = 51, 52


def swaps(rows: list[tuple], block: int = 7) -> mev.Swaps:
    """(transaction, pool, sender, contract, amount0, amount1) each, in order; token 0 is ETH, token 1 USD."""
    tx, pool, sender, contract, amount0, amount1 = (list(c) for c in zip(*rows, strict=True)) if rows else [[]] * 6
    n = len(rows)
    return mev.Swaps(
        block=[block] * n, transaction=tx, log=range(n), pool=pool, sender=sender, contract=contract,
        token0=[ETH] * n, token1=[USD] * n, amount0=amount0, amount1=amount1,
    )  # fmt: skip


BLOCK = [
    # A sandwich in P: A pays 2,000 USD for 1 ETH, V pays 3,100 for 1.5, A gets 2,060 back.
    (0, P, A, BOT, -1.0, 2_000.0),
    (1, P, V, ROUTER, -1.5, 3_100.0),
    (2, P, A, BOT, 1.0, -2_060.0),
    # A back-run: W buys in P, B sells in P and buys in Q at once, and keeps the difference in USD.
    (5, P, W, ROUTER, -4.0, 8_400.0),
    (6, P, B, 103, 2.0, -4_190.0),
    (6, Q, B, 103, -2.0, 4_150.0),
    # Decoys: Y buys and sells in Q with nobody between who buys; X sells right after Y in one pool alone.
    (8, Q, Y, ROUTER, -1.0, 2_080.0),
    (9, Q, X, ROUTER, 1.0, -2_070.0),
    (10, Q, Y, ROUTER, 1.0, -2_060.0),
]


def score_of(found: mev.Swaps, **more: Any) -> mev.Scores:
    gas = np.array([20.0, 21, 22, 21, 20, 22, 90, 21, 20, 21, 22, 20])
    given = {
        "tx_block": np.full(len(gas), 7),
        "gas_price": gas,
        "priority_fee": np.ones(len(gas)),
        "liquidations": [2],
    }
    return mev.scores([7], found, **given | more)


def test_a_block_with_a_sandwich_a_back_run_and_a_decoy():
    found = swaps(BLOCK)
    result = score_of(found)

    (one,) = result.sandwiches.found
    assert (one.legs, one.victims, one.profit) == ((0, 2), (1,), 60.0)
    assert result.sandwiches.discarded == 0
    assert result.back_runs == ((3, 4),)
    assert mev.arbitrages(found) == [4]
    counts = {name: int(of[0]) for name, of in result.counts.items()}
    assert counts == {
        "swaps": 9,
        "sandwiched": 1,
        "liquidations": 2,
        "arbitrages": 1,
        "back_runs": 1,
        "transactions": 12,
        "gas_outliers": 1,
    }
    # 35 x 1/9 + 20 x 1/12 + 15 x 1/10 + 15 x 2/5 + 15 x 1/10
    assert result.parts[0].tolist() == pytest.approx([1 / 9, 1 / 12, 0.1, 0.4, 0.1])
    assert result.score[0] == pytest.approx(35 / 9 + 20 / 12 + 1.5 + 6 + 1.5)
    assert result.points.sum(axis=1)[0] == pytest.approx(result.score[0])


def test_weights_are_chosen_and_checked():
    only = dict.fromkeys(mev.WEIGHTS, 0.0) | {"liquidations": 1.0}
    assert score_of(swaps(BLOCK), weights=only).score[0] == pytest.approx(40)
    with pytest.raises(InputError, match="sum of 1"):
        score_of(swaps(BLOCK), weights=only | {"gas": 0.5})
    with pytest.raises(InputError, match="expected sandwiched, gas"):
        score_of(swaps(BLOCK), weights={"gas": 1.0})


def buy(tx: int, who: int, contract: int = ROUTER, amount: float = 1.0) -> tuple:
    return (tx, P, who, contract, -amount, 2_000.0 * amount)


def sell(tx: int, who: int, contract: int = ROUTER, amount: float = 1.0) -> tuple:
    return (tx, P, who, contract, amount, -2_010.0 * amount)


def legs(rows: list[tuple], **limits: int) -> list[tuple]:
    return [(one.legs, one.victims) for one in mev.sandwiches(swaps(rows), **limits).found]


def test_the_same_contract_called_by_two_accounts():
    assert legs([buy(0, A, BOT), buy(1, V), sell(2, B, BOT)]) == [((0, 2), (1,))]


def test_users_of_a_public_router_are_no_attacker():
    """Three accounts use it: X and Y only happen to buy and sell around V."""
    rows = [buy(0, X), buy(1, V, 104), sell(2, Y), buy(3, W)]
    assert legs(rows) == []
    assert legs(rows, most_callers=3) == [((0, 2), (1,))]


def test_two_front_runs_and_a_set_that_splits():
    rows = [buy(0, A, BOT), buy(1, V), buy(2, A, BOT), buy(3, W), sell(4, A, BOT, 2.0)]
    assert legs(rows) == [((0, 2, 4), (1, 3))]
    # Without the second victim the set splits between its last two swaps, and nothing is left of it.
    assert legs(rows[:3] + rows[4:]) == []
    # Bought and sold without a victim, then a sandwich: only the second part counts.
    assert legs([sell(0, A, BOT), buy(1, A, BOT), buy(2, V), sell(3, A, BOT)]) == [((1, 3), (2,))]


@pytest.mark.parametrize(
    "between",
    [
        [],
        [sell(1, V)],  # the other way
        [buy(1, V, BOT)],  # through the attacker's own contract
        [buy(0, V)],  # in the attacker's own transaction
        [(1, Q, V, ROUTER, -1.0, 2_000.0)],  # another pool
    ],
)
def test_no_victim_no_sandwich(between: list[tuple]):
    assert legs([buy(0, A, BOT), *between, sell(2, A, BOT)]) == []


def test_the_same_direction_twice_is_no_sandwich():
    assert legs([buy(0, A, BOT), buy(1, V), buy(2, A, BOT)]) == []


@pytest.mark.parametrize(("victims", "found", "discarded"), [(30, 1, 0), (31, 0, 1)])
def test_more_than_thirty_victims_are_discarded(victims: int, found: int, discarded: int):
    rows = [buy(0, A, BOT), *(buy(1 + i, 1_000 + i) for i in range(victims)), sell(90, A, BOT)]
    result = mev.sandwiches(swaps(rows))
    assert (len(result.found), result.discarded) == (found, discarded)


@pytest.mark.parametrize(("groups", "found", "discarded"), [(10, 1, 0), (11, 0, 1)])
def test_more_than_ten_groups_are_discarded(groups: int, found: int, discarded: int):
    rows = []
    for i in range(groups):
        rows += [buy(2 * i, A, BOT), buy(2 * i + 1, 1_000 + i)]
    result = mev.sandwiches(swaps([*rows, sell(2 * groups, A, BOT, float(groups))]))
    assert (len(result.found), result.discarded) == (found, discarded)


def test_a_profit_is_said_only_where_the_balance_closes():
    half = mev.sandwiches(swaps([buy(0, A, BOT), buy(1, V), sell(2, A, BOT, 0.5)]))
    assert np.isnan(half.found[0].profit)


def test_an_unknown_token_makes_no_arbitrage():
    found = swaps(BLOCK)
    unknown = np.array(found.token0)
    unknown[5] = mev.ABSENT
    columns = {name: getattr(found, name) for name in mev.Swaps.__slots__}
    assert mev.arbitrages(mev.Swaps(**columns | {"token0": unknown})) == []


def test_gas_and_priority():
    assert mev.gas_outliers([10.0] * 9 + [10.2, 10.4]).tolist() == [False] * 10 + [True]  # floor: 1 % of the median
    assert not mev.gas_outliers([0.0, 0.0]).any()
    assert mev.gas_outliers([]).tolist() == []
    assert mev.priority([]) == mev.priority([0, 0]) == 0
    assert mev.priority([0] * 9 + [5] * 2) == 1
    assert mev.priority([1.0] * 10) == pytest.approx(0.1)


def test_a_block_without_transactions_scores_nothing():
    result = mev.scores([7, 8], swaps([]), tx_block=[], gas_price=[], priority_fee=[], liquidations=[0, 0])
    assert result.score.tolist() == [0, 0]


def test_what_does_not_belong_is_refused():
    with pytest.raises(InputError, match=r"ordered by block.* found \(7, 0, 1\) after \(7, 1, 0\) at entry 1"):
        swaps([buy(1, A), buy(0, V)])
    with pytest.raises(InputError, match="found block 7 at entry 0"):
        mev.scores([8], swaps([buy(0, A)]), tx_block=[], gas_price=[], priority_fee=[], liquidations=[0])


def slow(rows: list[tuple]) -> set[tuple[int, int]]:
    """Front-run and back-run of every sandwich with one front-run, by looking at every pair of one account's swaps."""
    found = set()
    for i, (ti, pi, si, ci, ai, _) in enumerate(rows):
        for j in range(i + 1, len(rows)):
            tj, pj, sj, cj, aj, _ = rows[j]
            if pj != pi or sj != si:
                continue
            victim = any(
                p == pi and (a > 0) == (ai > 0) and t not in (ti, tj) and s != si and c not in (ci, cj)
                for t, p, s, c, a, _ in rows[i + 1 : j]
            )
            if victim and tj > ti and (aj > 0) != (ai > 0):
                found.add((i, j))
            break  # only neighbours in the account's own row of swaps
    return found


@pytest.mark.property
@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from([P, Q]), st.sampled_from([A, B, V, W]), st.booleans()), max_size=28))
def test_the_same_as_the_quadratic_twin(drawn: list[tuple]):
    """Each account has a contract of its own, so that both identities agree."""
    rows = [(i // 2 * 2, p, who, who + 100, 1.0 if side else -1.0, 0.0) for i, (p, who, side) in enumerate(drawn)]
    found = mev.sandwiches(swaps(rows)).found
    assert {(one.legs[-2], one.legs[-1]) for one in found} == slow(rows)


def test_an_attacker_is_not_its_own_victim_through_another_contract():
    assert legs([buy(0, A, BOT), buy(1, A, 104), sell(2, B, BOT)]) == []


def test_who_follows_in_the_same_direction_is_no_back_run():
    """The bot of the made-up block buys in P where it sold."""
    rows = list(BLOCK)
    rows[4] = (6, P, B, 103, -2.0, 4_210.0)
    assert mev.back_runs(swaps(rows)) == []
