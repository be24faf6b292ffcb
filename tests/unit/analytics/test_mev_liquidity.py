"""Just-in-time liquidity: a block made by hand with decoys, and what cannot be."""

from __future__ import annotations

import pytest

from risk_core.analytics import mev
from risk_core.errors import InputError

A, V, W, X = range(1, 5)
MANAGER, ROUTER, BOT = 100, 101, 102
P, Q = 11, 12


def swaps(rows: list[tuple], block: int = 7) -> mev.Swaps:
    """(transaction, pool, sender, contract) each, in order: each buys 1 of token 0 for 2,000 of token 1."""
    tx, pool, sender, contract = (list(c) for c in zip(*rows, strict=True)) if rows else [[]] * 4
    n = len(rows)
    return mev.Swaps(
        block=[block] * n, transaction=tx, log=range(n), pool=pool, sender=sender, contract=contract,
        token0=[51] * n, token1=[52] * n, amount0=[-1.0] * n, amount1=[2_000.0] * n,
    )  # fmt: skip


def changes(rows: list[tuple], block: int = 7) -> mev.LiquidityChanges:
    """(transaction, pool, sender, contract, amount0, amount1) each, in order."""
    tx, pool, sender, contract, amount0, amount1 = (list(c) for c in zip(*rows, strict=True)) if rows else [[]] * 6
    return mev.LiquidityChanges(
        block=[block] * len(rows), transaction=tx, log=range(100, 100 + len(rows)), pool=pool, sender=sender,
        contract=contract, amount0=amount0, amount1=amount1,
    )  # fmt: skip


TRADES = [(1, P, V, ROUTER), (2, P, W, ROUTER), (4, Q, V, ROUTER), (9, P, V, ROUTER)]
IN, OUT = (50.0, 100_000.0), (-48.0, -104_000.0)


def test_liquidity_that_stood_for_two_swaps_alone():
    """A puts 50 and 100,000 into P, V and W buy 1 each, and A takes 48 and 104,000 out again.

    The decoys: W's liquidity in P stays; X moves a position of Q in one transaction, and takes out of P what it had
    put in with no swap between; V's trade in P comes when A is gone.
    """
    found = mev.just_in_time(
        swaps(TRADES),
        changes(
            [
                (0, P, A, MANAGER, *IN),
                (0, P, W, MANAGER, 1.0, 2_000.0),
                (3, P, A, MANAGER, *OUT),
                (3, Q, X, MANAGER, 5.0, 10_000.0),
                (5, Q, X, MANAGER, -5.0, -10_000.0),
                (5, Q, X, MANAGER, 5.0, 10_000.0),
                (6, P, X, MANAGER, 7.0, 0.0),
                (8, P, X, MANAGER, -7.0, 0.0),
            ]
        ),
    )
    (one,) = found
    assert (one.block, one.added, one.removed, one.swaps) == (7, (0,), (2,), (0, 1))
    assert (one.put_in, one.taken_out) == ((50.0, 100_000.0), (48.0, 104_000.0))


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([(3, P, A, BOT, *OUT), (5, P, A, BOT, *IN)], "taken out before it was put in"),
        ([(0, P, A, BOT, *IN), (3, P, X, BOT, *OUT)], "taken out by another account through the same contract"),
        ([(0, P, A, BOT, *IN), (3, Q, A, BOT, *OUT)], "taken out of another pool"),
        ([(0, P, A, BOT, *IN), (3, P, A, BOT, 0.0, 0.0)], "fees claimed alone"),
        ([(0, P, A, BOT, *IN), (1, P, A, BOT, *OUT)], "out in the transaction of the swap"),
        ([(1, P, A, BOT, *IN), (2, P, A, BOT, *OUT)], "both in transactions of swaps"),
        ([(0, P, V, BOT, *IN), (2, P, V, BOT, *OUT)], "for a swap of one's own"),
        ([(0, P, A, ROUTER, *IN), (3, P, A, ROUTER, *OUT)], "for a swap through the same contract"),
    ],
)
def test_what_is_none(rows, what):
    assert mev.just_in_time(swaps(TRADES), changes(rows)) == (), what


def test_liquidity_in_steps_and_twice_in_a_block():
    found = mev.just_in_time(
        swaps(TRADES),
        changes(
            [
                (0, P, A, BOT, *IN),
                (2, P, A, BOT, *IN),
                (3, P, A, BOT, *OUT),
                (3, P, A, BOT, *OUT),
                (8, P, A, BOT, *IN),
                (10, P, A, BOT, *OUT),
            ]
        ),
    )
    assert [(one.added, one.removed, one.swaps) for one in found] == [((0, 1), (2, 3), (0,)), ((4,), (5,), (3,))]
    assert found[0].put_in == (100.0, 200_000.0)


def test_nothing_in_and_another_block():
    assert mev.just_in_time(swaps([]), changes([])) == ()
    assert mev.just_in_time(swaps(TRADES), changes([])) == ()
    rows = [(0, P, A, BOT, *IN), (3, P, A, BOT, *OUT)]
    assert mev.just_in_time(swaps(TRADES, block=8), changes(rows)) == ()
    assert mev.just_in_time(swaps([]), changes(rows)) == ()


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(0, P, A, BOT, 1.0, 2.0), (1, P, A, BOT, 1.0, -2.0)], "amount0: entry 1 is 1.0; amount0 and amount1 must"),
        ([(0, P, A, BOT, float("nan"), 2.0)], "LiquidityChanges.amount0: entry 0 is nan; must be finite"),
        ([(1, P, A, BOT, 1.0, 2.0), (0, P, A, BOT, 1.0, 2.0)], r"found \(7, 0, 101\) after \(7, 1, 100\) at entry 1"),
    ],
)
def test_changes_that_none_can_be_are_refused(rows, words):
    with pytest.raises(InputError, match=words):
        changes(rows)
    with pytest.raises(InputError, match="changes"):
        mev.just_in_time(swaps([]), None)  # type: ignore[arg-type]
