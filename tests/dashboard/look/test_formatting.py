"""How numbers read on screen: facts, and two laws that hold for every number."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.look import formatting as fmt


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (118_640_000, "$118.6M"), (1_240_000_000, "$1.24B"), (23_400, "$23k"), (0, "$0"), (13_860_000_000, "$13.9B"),
        (999.4, "$999"), (999_600, "$1.00M"), (999_960_000, "$1.00B"), (9_999_000, "$10.0M"), (0.2, "< $1"),
        (-6_200_000, "\u2212$6.20M"), (None, "–"), (math.nan, "–"),
    ],
)  # fmt: skip
def test_money_has_three_or_four_digits(value: float | None, text: str) -> None:
    assert fmt.money(value) == text


@given(st.floats(min_value=1e-9, max_value=1e13))
def test_money_that_is_something_never_reads_as_nothing(value: float) -> None:
    assert any(digit in fmt.money(value) for digit in "123456789")


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (118.6e6, 4.1e6, "±\u00a04.1M"),
        (2.31e6, 0.38e6, "±\u00a00.38M"),
        (118.6e6, 12.3e6, "±\u00a012M"),
        (23e3, 1_200, "±\u00a01.2k"),
    ],
)
def test_the_error_is_in_the_unit_of_its_figure_with_two_digits(value: float, error: float, text: str) -> None:
    assert fmt.money_error(value, error) == text


def test_differences_always_carry_a_sign_and_the_minus_is_true() -> None:
    assert fmt.money_change(6.2e6) == "+$6.20M"
    assert fmt.money_change(-48e6) == "\u2212$48.0M"
    assert fmt.move(-0.18) == "\u221218\u202f%"
    assert fmt.move(0.025) == "+2.5\u202f%"
    assert fmt.move(0.0) == "0\u202f%"


@pytest.mark.parametrize(("value", "text"), [(0.845, "84.5"), (0.006, "0.6"), (0.0002, "< 0.1"), (0.0, "0.0")])
def test_a_share_too_small_to_show_is_not_written_as_zero(value: float, text: str) -> None:
    assert fmt.share(value) == f"{text}\u202f%"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.999999, "0.99"), (1.0, "1.00"), (1.044, "1.04"), (0.29, "0.29"), (math.inf, "∞ (no debt)"), (math.nan, "–")],
)
def test_health_factor(value: float, text: str) -> None:
    assert fmt.health_factor(value) == text


@given(st.floats(min_value=0, max_value=1, exclude_max=True), st.integers(min_value=1, max_value=4))
def test_a_health_factor_below_one_never_reads_as_one(value: float, digits: int) -> None:
    assert float(fmt.health_factor(value, digits)) < 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (42, "42\u00a0s ago"),
        (26 * 60, "26\u00a0min ago"),
        (3 * 3600, "3\u00a0h ago"),
        (12 * 86_400, "12\u00a0days ago"),
    ],
)
def test_age_is_relative(seconds: float, text: str) -> None:
    assert fmt.age(seconds) == text


def test_time_and_hash() -> None:
    assert fmt.utc(1_787_356_800) == "22 Aug 2026, 00:00 UTC"
    assert fmt.short_hash("0x7b" + "0" * 34 + "c41d") == "0x7b…c41d"
    assert fmt.short_hash("9f3c" + "0" * 56 + "a1e0") == "9f3c…a1e0"
    assert fmt.hours(24) == "24\u00a0h"
    assert fmt.hours(168) == "7\u00a0d"
