"""The 26 features of a wallet: one wallet by hand, and every wallet against the definitions in plain Python."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import risk_core as rc
from risk_core.analytics import wallets
from risk_core.analytics.wallets import BORROW, DAY, DEPOSIT, KINDS, LIQUIDATION, NAMES, REPAY, WITHDRAW

NAN = float("nan")
AS_OF = 100 * DAY + 3_600
V2, V3, C2, C3 = range(4)


def states(rows: list[tuple], days: bool) -> wallets.States:
    """Rows of (wallet, collateral, available, borrow, risk), with the day last for daily states."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * (6 if days else 5)
    return wallets.States(
        wallet=np.array(columns[0], dtype=np.int64),
        collateral=np.array(columns[1], dtype=float),
        available=np.array(columns[2], dtype=float),
        borrow=np.array(columns[3], dtype=float),
        risk=np.array(columns[4], dtype=float),
        day=np.array(columns[5], dtype=np.int64) if days else None,
    )


def events(rows: list[tuple]) -> wallets.Events:
    """Rows of (wallet, kind, eth, time, protocol, further)."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * 6
    whole = [np.array(columns[i], dtype=np.int64) for i in (0, 1, 3, 4)]
    return wallets.Events(
        wallet=whole[0],
        kind=whole[1],
        eth=np.array(columns[2], dtype=float),
        time=whole[2],
        protocol=whole[3],
        further=np.array(columns[5], dtype=bool),
    )


def told(n: int, now: list[tuple], days: list[tuple], done: list[tuple], as_of: int = AS_OF) -> np.ndarray:
    return wallets.features(n, states(now, False), states(days, True), events(done), as_of)


TEN = [
    (1, DEPOSIT, 10.0, 90 * DAY, V3, False),
    (1, DEPOSIT, 5.0, 91 * DAY, C2, False),
    (1, BORROW, 4.0, 91 * DAY + 100, V3, False),
    (1, BORROW, 2.0, 92 * DAY, V2, False),
    (1, BORROW, 1e-10, 92 * DAY, C3, False),  # dust
    (1, REPAY, 1.5, 93 * DAY, V3, False),
    (1, REPAY, 0.5, 94 * DAY, V2, False),
    (1, WITHDRAW, 17.0, 95 * DAY, V3, False),
    (1, LIQUIDATION, 3.0, 96 * DAY, V3, False),
    (1, LIQUIDATION, 0.5, 96 * DAY, V3, True),  # a second collateral of the same liquidation
    (1, BORROW, 9.0, AS_OF + 1, C3, False),  # after the time asked for
]
"""Ten events, in eleven rows."""
BY_HAND = {
    "risk_factor": 0.8,
    "total_collateral_eth": 8.0,
    "total_collateral_avg_eth": (12 + 10) / 2,
    "total_available_borrows_eth": 1.0,
    "total_available_borrows_avg_eth": (3 + 4) / 2,
    "avg_weighted_risk_factor": (0.9 * 5 + 0.6 * 10) / 15,
    "risk_factor_above_threshold_daily_count": 1,
    "avg_risk_factor": 0.75,
    "max_risk_factor": 0.9,
    "borrow_amount_sum_eth": 6.0,
    "borrow_amount_avg_eth": 3.0,
    "borrow_count": 2,
    "repay_amount_sum_eth": 2.0,
    "repay_amount_avg_eth": 1.0,
    "repay_count": 2,
    "borrow_repay_diff_eth": 4.0,
    "deposit_count": 2,
    "deposit_amount_sum_eth": 15.0,
    "time_since_first_deposit": 10 * DAY + 3_600,
    "withdraw_amount_sum_eth": 17.0,
    "withdraw_deposit_diff_eth": 2.0,
    "liquidation_count": 1,
    "time_since_last_liquidated": 4 * DAY + 3_600,
    "liquidation_amount_sum_eth": 3.5,
    "unique_borrow_protocol_count": 2,
    "unique_lending_protocol_count": 2,
}
NOW = [(1, 6.0, 1.0, 4.0, 0.8), (1, 2.0, NAN, 0.0, 0.0)]
DAYS = [
    (1, 8.0, 2.0, 4.0, 0.5, 97),
    (1, 10.0, 4.0, 10.0, 0.6, 98),
    (1, 4.0, 1.0, 1.0, 0.9, 97),
    (1, 99.0, 99.0, 99.0, 2.0, 101),  # after the time asked for
]


def test_a_wallet_of_ten_events_by_hand():
    out = told(3, NOW, DAYS, TEN)
    assert out.shape == (3, 26)
    assert dict(zip(NAMES, out[1].tolist(), strict=True)) == pytest.approx(BY_HAND, rel=1e-14)
    assert list(BY_HAND) == list(NAMES)


def test_a_wallet_of_which_nothing_is_stored_has_no_means_and_no_state():
    said = dict(zip(NAMES, told(3, NOW, DAYS, TEN)[0].tolist(), strict=True))
    zero = {name for name, value in said.items() if value == 0}
    assert zero == {
        "risk_factor_above_threshold_daily_count", "borrow_amount_sum_eth", "borrow_count", "repay_amount_sum_eth",
        "repay_count", "borrow_repay_diff_eth", "deposit_count", "deposit_amount_sum_eth", "withdraw_amount_sum_eth",
        "withdraw_deposit_diff_eth", "liquidation_count", "liquidation_amount_sum_eth", "unique_borrow_protocol_count",
        "unique_lending_protocol_count",
    }  # fmt: skip
    assert all(math.isnan(value) for name, value in said.items() if name not in zero)


def test_a_wallet_without_debt_has_risk_zero_and_no_weighed_mean():
    said = dict(zip(NAMES, told(1, [(0, 5, 4, 0, 0)], [(0, 5, 4, 0, 0, 99)], [])[0].tolist(), strict=True))
    assert (said["risk_factor"], said["avg_risk_factor"], said["max_risk_factor"]) == (0, 0, 0)
    assert math.isnan(said["avg_weighted_risk_factor"])


def test_an_event_without_a_value_counts_and_is_missing_from_the_sums():
    said = dict(
        zip(NAMES, told(1, [], [], [(0, BORROW, NAN, 5, V3, False), (0, BORROW, 2.0, 5, V3, False)])[0], strict=True)
    )
    assert (said["borrow_count"], said["borrow_amount_sum_eth"], said["borrow_amount_avg_eth"]) == (2, 2, 2)


def test_a_day_is_near_above_the_threshold_not_at_it():
    at = [(0, 1, 1, 1, 1 / 1.2, 1), (0, 1, 1, 1, np.nextafter(1 / 1.2, 1), 2)]
    assert told(1, [], at, [])[0, NAMES.index("risk_factor_above_threshold_daily_count")] == 1


def test_seven_groups_hold_all_26():
    assert len(set(NAMES)) == len(wallets.FEATURES) == 26
    assert len({feature.group for feature in wallets.FEATURES}) == 7


# --- the definitions, in plain Python ---


def _sum(values):
    known = [v for v in values if not math.isnan(v)]
    return sum(known) if known else NAN


def _mean(values):
    known = [v for v in values if not math.isnan(v)]
    return sum(known) / len(known) if known else NAN


def twin(wallet: int, now: list[tuple], days: list[tuple], done: list[tuple], as_of: int) -> dict[str, float]:
    mine = [row for row in now if row[0] == wallet]
    daily: dict[int, list[tuple]] = {}
    for row in days:
        if row[0] == wallet and row[5] <= as_of // DAY:
            daily.setdefault(row[5], []).append(row)
    risk = {d: max(r[4] for r in rows) for d, rows in daily.items()}
    debt = {d: _sum(r[3] for r in rows) for d, rows in daily.items()}
    kept = [e for e in done if e[0] == wallet and e[3] <= as_of and not e[2] < 1e-9]
    of = {kind: [e for e in kept if e[1] == code] for code, kind in enumerate(KINDS)}
    total = {kind: sum(e[2] for e in rows if not math.isnan(e[2])) for kind, rows in of.items()}
    count = {kind: sum(1 for e in rows if not e[5]) for kind, rows in of.items()}
    owed = sum(d for d in debt.values() if not math.isnan(d))
    return {
        "risk_factor": max((r[4] for r in mine), default=NAN),
        "total_collateral_eth": _sum(r[1] for r in mine),
        "total_collateral_avg_eth": _mean([_sum(r[1] for r in rows) for rows in daily.values()]),
        "total_available_borrows_eth": _sum(r[2] for r in mine),
        "total_available_borrows_avg_eth": _mean([_sum(r[2] for r in rows) for rows in daily.values()]),
        "avg_weighted_risk_factor": sum(risk[d] * debt[d] for d in daily if not math.isnan(debt[d])) / owed
        if owed
        else NAN,
        "risk_factor_above_threshold_daily_count": sum(r > 1 / 1.2 for r in risk.values()),
        "avg_risk_factor": _mean(list(risk.values())),
        "max_risk_factor": max(risk.values(), default=NAN),
        "borrow_amount_sum_eth": total["borrow"],
        "borrow_amount_avg_eth": _mean([e[2] for e in of["borrow"]]),
        "borrow_count": count["borrow"],
        "repay_amount_sum_eth": total["repay"],
        "repay_amount_avg_eth": _mean([e[2] for e in of["repay"]]),
        "repay_count": count["repay"],
        "borrow_repay_diff_eth": total["borrow"] - total["repay"],
        "deposit_count": count["deposit"],
        "deposit_amount_sum_eth": total["deposit"],
        "time_since_first_deposit": as_of - min((e[3] for e in of["deposit"]), default=NAN),
        "withdraw_amount_sum_eth": total["withdraw"],
        "withdraw_deposit_diff_eth": max(0, total["withdraw"] - total["deposit"]),
        "liquidation_count": count["liquidation"],
        "time_since_last_liquidated": as_of - max((e[3] for e in of["liquidation"]), default=NAN),
        "liquidation_amount_sum_eth": total["liquidation"],
        "unique_borrow_protocol_count": len({e[4] for e in of["borrow"]}),
        "unique_lending_protocol_count": len({e[4] for e in of["deposit"]}),
    }


eth = st.one_of(st.just(NAN), st.just(0.0), st.just(1e-10), st.floats(1e-9, 1e4).map(lambda x: round(x, 6)))
ratio = st.floats(0, 3).map(lambda x: round(x, 4))
who = st.integers(0, 2)
state = st.tuples(who, eth, eth, eth, ratio)
day_state = st.tuples(who, eth, eth, eth, ratio, st.integers(97, 102))
event = st.tuples(who, st.integers(0, 4), eth, st.integers(99 * DAY, 101 * DAY), st.integers(0, 3), st.booleans())


@given(st.lists(state, max_size=8), st.lists(day_state, max_size=25), st.lists(event, max_size=25))
def test_every_wallet_is_as_the_definitions_say(now, days, done):
    out = told(3, now, days, done)
    for wallet in range(3):
        expected = twin(wallet, now, days, done, AS_OF)
        found = dict(zip(NAMES, out[wallet].tolist(), strict=True))
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True)


@given(st.lists(event, max_size=20), st.randoms())
def test_the_order_of_rows_says_nothing(done, random):
    shuffled = done[:]
    random.shuffle(shuffled)
    np.testing.assert_allclose(told(3, [], [], done), told(3, [], [], shuffled), rtol=1e-12)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (lambda: told(1, [(1, 1, 1, 1, 1)], [], []), r"now.wallet: entry 0 is 1; must be in \[0, 1\)"),
        (lambda: told(1, [(0, -1, 1, 1, 1)], [], []), r"States.collateral: entry 0 is -1.0"),
        (lambda: told(1, [], [], [(0, 5, 1, 1, 0, False)]), r"Events.kind: entry 0 is 5; must be in \[0, 5\)"),
        (lambda: told(1, [], [], [(0, 1, math.inf, 1, 0, False)]), r"Events.eth: entry 0 is inf"),
        (lambda: wallets.features(1, states([], False), states([], False), events([]), 1), "days.day: expected"),
    ],
)
def test_what_cannot_be_is_refused(what, message):
    with pytest.raises(rc.InputError, match=message):
        what()


def test_no_wallets_no_rows():
    assert told(0, [], [], []).shape == (0, 26)
