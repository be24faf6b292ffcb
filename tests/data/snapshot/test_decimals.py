"""Columns of decimal integers against Python's own integers, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from data.amounts import Terms
from data.snapshot import decimals
from risk_core.units import RAY

VALUES = st.one_of(
    st.integers(0, 20),
    st.integers(0, 10**36 - 1),
    st.integers(0, 119).flatmap(lambda bits: st.integers(0, min(2**bits, 10**36 - 1))),
    st.builds(lambda digit, zeros: digit * 10**zeros, st.integers(1, 9), st.integers(0, 35)),
)
RATES = st.one_of(
    st.just(RAY),
    st.integers(1, 9).map(lambda n: n * RAY // 2),
    st.integers(RAY, 3 * RAY),
    st.integers(1, 10**31),
)
UNITS = st.sampled_from([10**digits for digits in (0, 2, 6, 8, 18, 22, 23, 30)])


def joined(values: list[int]) -> str:
    return ",".join(map(str, values))


@given(st.lists(VALUES))
def test_texts_become_the_integers_that_they_are(values: list[int]):
    found = decimals.wide(joined(values), len(values))
    assert found is not None
    assert found.ints() == values

    narrow = [value % 10**18 for value in values]
    few = decimals.small(joined(narrow), len(values))
    assert few is not None
    assert few.tolist() == narrow


@given(VALUES, st.integers(0, 40))
def test_leading_zeros_count_as_digits_and_not_as_value(value: int, zeros: int):
    text = "0" * zeros + str(value)
    found = decimals.wide(f"7,{text}", 2)
    assert (found is None) == (len(text) > 36)
    assert found is None or found.ints() == [7, value]


ODD = ["", "-1", "+1", " 1", "1 ", "1_0", "1.0", "1e3", "0x1", "\u0663", "\0", "\n1", "1" * 37, "½"]


@pytest.mark.parametrize("odd", ODD)
def test_what_is_not_plain_digits_is_not_read(odd: str):
    for text in (odd, f"{odd},5", f"5,{odd}", f"5,{odd},5"):
        n = text.count(",") + 1
        assert decimals.wide(text, n) is None
        assert decimals.small(text, n) is None
    assert decimals.small("1" * 19, 1) is None


def test_another_number_of_values_is_not_read():
    assert decimals.wide("1,2", 1) is decimals.wide("1,2", 3) is decimals.wide("1", 0) is None
    assert decimals.small("1,2", 1) is decimals.small("", 1) is decimals.small("1", 0) is None


@given(st.lists(st.tuples(VALUES, st.integers(0, 2)), min_size=1), st.lists(st.tuples(RATES, UNITS), min_size=3))
@example([(2**53 + 1, 0), (2**54 + 2, 0), (2**53 + 3, 0)], [(RAY, 1)] * 3)  # halfway between two floats
@example([(2**119 + 2**66 + 1, 0), (2**99 + 2**46 + 1, 0)], [(RAY, 1)] * 3)  # just above halfway
@example([(10**35 + 1, 0), (2**100 - 1, 0), (2**100, 0)], [(RAY, 10**18)] * 3)
@example([(2, 0), (4, 0), (10**20, 0)], [(RAY // 2, 1), (RAY + 1, 1), (RAY - 1, 1)])  # products near integers
def test_amounts_have_the_bits_that_integers_give(rows, by_index):
    scaled = decimals.wide(joined([value for value, _ in rows]), len(rows))
    index = np.array([place for _, place in rows])
    assert scaled is not None

    down = decimals.tokens(scaled, index, by_index, up=False)
    up = decimals.tokens(scaled, index, by_index, up=True)

    terms = [Terms(rate, rate, unit) for rate, unit in by_index]
    assert down.tolist() == [terms[i].supplied(value) / terms[i].unit for value, i in rows]
    assert up.tolist() == [terms[i].owed(value) / terms[i].unit for value, i in rows]


def test_few_rows_of_a_usual_book_have_to_be_computed_again():
    rng = np.random.default_rng(3)
    low = rng.integers(0, 10**18, 10_000)
    usual = decimals.Wide(rng.integers(0, 10**6, 10_000), low)
    rates = [1_082_374_982_374_982_374_982_374_931, 1_000_000_198_237_498_237_498_374_111]
    _, doubtful = decimals._in_pairs(usual, low % 2, rates, [10**18, 10**6], up=True)
    assert doubtful.mean() < 0.01


@given(st.lists(st.tuples(VALUES, st.integers(0, 3))))
def test_sums_are_exact(rows: list[tuple[int, int]]):
    values = decimals.wide(joined([value for value, _ in rows]), len(rows))
    assert values is not None
    found = decimals.sums(values, np.array([group for _, group in rows], dtype=np.int64), 4)
    assert found == [sum(value for value, group in rows if group == at) for at in range(4)]


def test_more_values_than_can_be_added_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(decimals, "MOST", 1)
    two = decimals.wide("1,2", 2)
    assert two is not None
    with pytest.raises(ValueError, match="at most 1 values, found 2"):
        decimals.sums(two, np.zeros(2, dtype=np.int64), 1)
