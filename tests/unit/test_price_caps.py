"""The cap of a ratio: the published vectors, when it binds, and which updates the contracts refuse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_core.errors import InputError
from risk_core.price_caps import YEAR, CapTerms, UpdateLimits, check_update

DAY = 86_400
NOW = 1_773_100_800
"""10 March 2026, 00:00 UTC"""
TRUE_RATIO = 1_228_200_000_000_000_000
"""stETH per wstETH on that day, as published"""


def terms(ratio: int = 1_191_900_000_000_000_000, at: int = NOW - 7 * DAY, bps: int = 968) -> CapTerms:
    return CapTerms(snapshot_ratio=ratio, snapshot_timestamp=at, max_yearly_growth_bps=bps)


@pytest.mark.parametrize(
    ("ratio", "days", "growth", "largest"),
    [
        (1_234_000_000_000_000_000, 14, 3787772704211060, 1238581689863013698),
        (1_191_900_000_000_000_000, 7, 3658546423135464, 1194112688876712328),
    ],
)
def test_the_published_vectors(ratio, days, growth, largest):
    cap = terms(ratio, 0)
    assert cap.growth_scaled == growth
    assert cap.largest_ratio(days * DAY) == largest


def test_the_update_of_10_march_2026_is_found_to_bind():
    """1.1919 seven days old lets 1.1941 through where 1.2282 is true: 2.78 % too low at the second of the update."""
    found = check_update(terms(), TRUE_RATIO, NOW)
    assert found.binds
    assert found.binds_from == NOW
    assert found.largest_after == 1194112688876712328
    assert found.move == pytest.approx(1.194112688876712 / 1.2282 - 1, rel=1e-12)
    assert found.headroom == pytest.approx(-0.027754, abs=1e-5)
    assert found.broken == ()


def test_the_move_counts_from_what_the_oracle_says_today():
    """Today's cap holds 1.2282 down to 1.2; the new one lets 1.21 through: the price rises by 1.21 / 1.2 - 1."""
    present = terms(1_200_000_000_000_000_000, NOW - DAY, 0)
    found = check_update(terms(1_210_000_000_000_000_000, NOW - DAY + 1, 0), TRUE_RATIO, NOW, present)
    assert found.largest_before == 1_200_000_000_000_000_000
    assert found.move == pytest.approx(1.21 / 1.2 - 1, rel=1e-12)


@pytest.mark.parametrize(
    ("proposed", "limits", "words"),
    [
        (terms(0), UpdateLimits(), "is 0"),
        (terms(at=NOW - 30 * DAY), UpdateLimits(), "not later than the stored"),
        (terms(at=NOW - 181 * DAY), UpdateLimits(), "181 days old"),
        (terms(at=NOW - 6 * DAY), UpdateLimits(minimum_delay=7 * DAY), "wants at least 604,800 s"),
        (
            terms(1_250_000_000_000_000_000),
            UpdateLimits(),
            "raises the snapshot ratio by 8.0194%, a steward may by 3.00%",
        ),
    ],
)
def test_each_rule_that_refuses_an_update_is_named(proposed, limits, words):
    present = terms(1_157_200_000_000_000_000, NOW - 30 * DAY)
    found = check_update(proposed, TRUE_RATIO, NOW, present, limits=limits)
    assert any(words in rule for rule in found.broken), found.broken


def test_the_largest_rise_that_a_steward_may_make_is_not_refused():
    present = terms(1_000_000, NOW - 30 * DAY)
    assert check_update(terms(1_030_000), TRUE_RATIO, NOW, present).broken == ()
    assert check_update(terms(1_030_001), TRUE_RATIO, NOW, present).broken != ()
    assert check_update(terms(1_100_000), TRUE_RATIO, NOW, present, limits=UpdateLimits(most_rise=None)).broken == ()


def test_a_cap_that_the_ratio_outgrows_binds_on_the_day_that_arithmetic_gives():
    """1 % above the ratio, growing 2 % of itself a year under a ratio that grows 4 %: 0.01 / (0.04 - 0.0202) years."""
    cap = CapTerms(snapshot_ratio=1_010_000 * 10**12, snapshot_timestamp=0, max_yearly_growth_bps=200)
    at = cap.binds_from(10**18, 0, 0.04)
    assert at == pytest.approx(0.01 / (0.04 - 0.0202) * YEAR, rel=1e-6)
    assert cap.binds_from(10**18, 0, 0.02) is None
    assert cap.binds_from(1_010_000 * 10**12, 0) is None  # as large as the cap: it does not bind


@pytest.mark.property
@given(
    ratio=st.integers(10**17, 10**19),
    bps=st.integers(0, 5_000),
    over=st.floats(-0.05, 0.05),
    pace=st.floats(-0.5, 1.0),
    age=st.integers(0, 180 * DAY),
)
def test_the_cap_binds_from_the_first_second_on_and_not_before(ratio, bps, over, pace, age):
    cap = terms(ratio, NOW - age, bps)
    now = int(ratio * (1 + over))
    at = cap.binds_from(now, NOW, pace)

    def above(t: int) -> bool:
        return now + int(now * pace * ((t - NOW) / YEAR)) // 1 > cap.largest_ratio(t)

    if at is None:
        assert not any(above(NOW + days * DAY) for days in (0, 1, 100, 36_000))
    else:
        assert at == NOW or not above(at - 2)
        assert above(at) or above(at + 2)  # rounding of one unit


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: terms(-1),
        lambda: terms(2**104),
        lambda: terms(bps=70_000),
        lambda: terms(1.2),
        lambda: check_update(terms(), 0, NOW),
        lambda: check_update(terms(), TRUE_RATIO, -1),
        lambda: check_update(terms(), TRUE_RATIO, NOW, yearly_growth=float("nan")),
        lambda: UpdateLimits(minimum_delay=-1),
        lambda: UpdateLimits(most_rise=float("inf")),
    ],
)
def test_what_is_no_ratio_or_time_is_refused(wrong):
    with pytest.raises(InputError):
        wrong()
