"""HHI, shares of the largest and Gini by hand and by what must hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import risk_core as rc
from risk_core.analytics.concentration import gini, hhi, top_share


def test_by_hand():
    assert hhi([3.0, 1.0]) == pytest.approx(9 / 16 + 1 / 16)
    assert top_share([5.0, 1.0, 3.0, 1.0], 2) == pytest.approx(0.8)
    assert gini([0.0, 0.0, 0.0, 8.0]) == pytest.approx(0.75)
    assert gini([1.0, 2.0, 3.0]) == pytest.approx(2 / 9)


@given(st.lists(st.floats(0.01, 1e9), min_size=1, max_size=50))
def test_equal_parts_are_the_least_and_scale_does_not_matter(amounts: list[float]):
    n = len(amounts)
    assert 1 / n - 1e-12 <= hhi(amounts) <= 1 + 1e-12
    assert hhi(np.array(amounts) * 7) == pytest.approx(hhi(amounts))
    assert -1e-12 <= gini(amounts) <= (n - 1) / n + 1e-12
    slow = np.abs(np.subtract.outer(amounts, amounts)).sum() / (2 * n * np.sum(amounts))
    assert gini(amounts) == pytest.approx(slow, abs=1e-9)


def test_nothing_to_share_is_not_zero():
    assert all(np.isnan(measure([0.0])) for measure in (hhi, top_share, gini))


@pytest.mark.parametrize("amounts", [[-1.0], [float("nan")], ["1"]])
def test_what_is_no_amount_is_refused(amounts):
    with pytest.raises(rc.InputError, match="amounts"):
        hhi(amounts)
