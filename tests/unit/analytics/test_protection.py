"""The protection score of a wallet: ten events counted by hand, each step of the rule, what must hold for any rule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_core import InputError
from risk_core.analytics import protection as p
from risk_core.analytics.wallets import BORROW, DAY, DEPOSIT, LIQUIDATION, REPAY, WITHDRAW, Events

NOW = 1_000 * DAY
HOUR = 3_600


def events(*rows: tuple[int, int, float], **columns) -> Events:
    """(wallet, kind, days before now)."""
    wallet, kind, ago = zip(*rows, strict=True) if rows else ((), (), ())
    n = len(wallet)
    given = dict(wallet=wallet, kind=kind, eth=np.ones(n), time=[NOW - round(d * DAY) for d in ago], protocol=[0] * n)
    return Events(**given | columns)


def test_ten_events_by_hand():
    """Wallet 0: two acts. The deposit before its first loan is none, nor is the repayment that a loan follows."""
    done = events(
        (0, DEPOSIT, 100), (0, BORROW, 99), (0, REPAY, 50), (0, REPAY, 49.5), (0, DEPOSIT, 20), (0, REPAY, 10),
        (0, BORROW, 9.2), (0, WITHDRAW, 3), (0, LIQUIDATION, 40), (1, DEPOSIT, 2),
    )  # fmt: skip
    found = p.inputs([0.8, 0.0, np.nan], done, NOW)
    assert found.room.tolist()[:2] == pytest.approx([0.2, 1.0])
    assert np.isnan(found.room[2])
    assert found.acts.tolist() == [2, 0, 0]  # 50 and 49.5 days ago are one; 20 is one; 10 is undone after 19 hours
    assert found.recent.tolist() == [1, 1, 0]
    assert found.liquidations.tolist() == [1, 0, 0]
    assert [p.LEVELS[level] for level in p.levels(found)] == ["weak", "no debt", "not known"]


def test_a_loop_in_one_second_and_what_is_long_ago_or_dust_do_not_count():
    done = events(
        (0, BORROW, 900), (0, REPAY, 800), (0, DEPOSIT, 30), (0, BORROW, 30), (0, REPAY, 5), (0, LIQUIDATION, 731),
        eth=[1, 1, 1, 1, 1e-10, 1],
    )  # fmt: skip
    found = p.inputs([0.5], done, NOW)
    assert (found.acts.tolist(), found.recent.tolist(), found.liquidations.tolist()) == ([0], [0], [0])
    later = p.inputs([0.5], done, NOW - 100 * DAY)
    assert (later.acts.tolist(), later.liquidations.tolist()) == ([1], [1])


def test_the_second_collateral_of_a_liquidation_is_no_second_one():
    done = events((0, LIQUIDATION, 5), (0, LIQUIDATION, 5), further=[False, True])
    assert p.inputs([0.5], done, NOW).liquidations.tolist() == [1]


@pytest.mark.parametrize(
    ("room", "acts", "recent", "liquidations", "level"),
    [
        (0.5, 0, 0, 0, "strong"),
        (0.49, 0, 0, 0, "medium"),
        (0.3, 0, 0, 1, "medium"),
        (0.29, 0, 0, 0, "weak"),
        (0.1, 5, 0, 0, "strong"),
        (0.1, 4, 9, 0, "weak"),
        (0.1, 0, 10, 0, "strong"),
        (0.6, 9, 99, 1, "medium"),
        (0.6, 9, 99, 2, "weak"),
        (0.0, 0, 0, 0, "weak"),
    ],
)
def test_each_step_of_the_rule(room, acts, recent, liquidations, level):
    def one(value):
        return np.array([value])

    found = p.Inputs(room=one(room), acts=one(acts), recent=one(recent), liquidations=one(liquidations))
    assert p.LEVELS[p.levels(found)[0]] == level


@pytest.mark.property
@given(
    st.floats(0, 0.99), st.integers(0, 20), st.integers(0, 30), st.integers(0, 4),
    st.floats(0, 0.2), st.integers(0, 5), st.integers(0, 5), st.integers(0, 2),
)  # fmt: skip
def test_better_inputs_never_lower_the_level(room, acts, recent, lost, room_more, acts_more, recent_more, lost_less):
    def at(*values):
        return p.levels(
            p.Inputs(
                **{name: np.array([v]) for name, v in zip(p.Inputs.__slots__, values, strict=True)}
            )
        )[0]  # fmt: skip

    better = (min(room + room_more, 0.999), acts + acts_more, recent + recent_more, max(lost - lost_less, 0))
    assert at(*better) >= at(room, acts, recent, lost)


@pytest.mark.property
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 60 * 24)), max_size=40))
def test_acts_are_those_of_a_plain_loop(rows):
    found = p.inputs(np.full(4, 0.5), events(*[(w, k, h / 24) for w, k, h in rows]), NOW).acts
    for wallet in range(4):
        mine = sorted((NOW - h * HOUR, k) for w, k, h in rows if w == wallet)
        loans = [t for t, k in mine if k == BORROW]
        count, last = 0, None
        for t, k in mine:
            if k not in (REPAY, DEPOSIT) or not loans or t <= loans[0]:
                continue
            if any(kk in (BORROW, WITHDRAW) and t <= tt <= t + 24 * HOUR for tt, kk in mine):
                continue
            count += (last is None or t - last > 24 * HOUR) and t + 24 * HOUR <= NOW  # its quiet time has passed
            last = t
        assert found[wallet] == count


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: p.Rule(strong_room=50), "fraction"),
        (lambda: p.Rule(strong_room=0.2), "at most strong_room"),
        (lambda: p.Rule(strong_acts=0), "strong_acts"),
        (lambda: p.inputs([-0.1], events(), NOW), "risk"),
        (lambda: p.inputs([np.inf], events(), NOW), "risk"),
        (lambda: p.inputs([0.5], events((1, REPAY, 1)), NOW), "events.wallet"),
        (lambda: p.inputs([0.5], events(), -1), "as_of"),
        (lambda: p.inputs([0.5], None, NOW), "Events"),
        (lambda: p.levels(None), "Inputs"),
        (lambda: p.Inputs(room=[1.1], acts=[0], recent=[0], liquidations=[0]), "Inputs.room"),
        (lambda: p.Inputs(room=[0.1], acts=[0.5], recent=[0], liquidations=[0]), "Inputs.acts"),
        (lambda: p.Inputs(room=[0.1], acts=[0], recent=[0, 1], liquidations=[0]), "Inputs.recent"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
