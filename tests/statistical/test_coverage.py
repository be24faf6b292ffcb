"""The intervals of the measures hold the truth as often as they say. `python -m tests.statistical.es_coverage` is the
same study at length."""

from __future__ import annotations

import numpy as np
import pytest

from risk_core.price_models import SAMPLINGS
from tests.statistical.es_coverage import TILTED, TILTS, Case, Row, study, tilted

pytestmark = pytest.mark.statistical

SAMPLES = 500
FOUR = 4 * np.sqrt(0.95 * 0.05 / SAMPLES)
"""Four standard errors of a coverage."""


def check(row: Row) -> None:
    assert row.given > 0.95, row.reason
    assert abs(row.coverage - 0.955) < 0.015 + FOUR, str(row)
    assert max(row.below, row.above) < 0.035 + 4 * np.sqrt(0.035 / SAMPLES), str(row)


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize(("book", "of"), [("small", "repaid"), ("rare deficits", "deficit")])
def test_a_shortfall_is_covered_where_the_tail_is_lumpy(book, of, sampling):
    """Of 3,000 accounts one borrower makes the tail now and then: mean +- 1.96 errors covers 89 to 93 %, and lies too
    low in nearly all the rest."""
    (row,) = study([Case(book, of, "shortfall", 0.99, 10_000)], SAMPLES, 200_000, [sampling])
    check(row)


def test_a_quantile_at_the_edge_of_a_cliff_is_no_certainty():
    """On the book of 3,000 accounts the 90 % and 95 % quantiles stand at the edge of one borrower. With one quantile
    for both ends the interval covers 92 % and 81 %."""
    (row,) = study([Case("small", "repaid", "shortfall", 0.95, 2_048)], SAMPLES, 200_000, ["plain"])
    check(row)


@pytest.mark.parametrize("measure", ["quantile", "mean", "share"])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_so_are_the_other_measures(measure, sampling):
    case = Case("small", "repaid", measure, 0.99 if measure == "quantile" else 0.0, 10_000)
    (row,) = study([case], SAMPLES, 200_000, [sampling])
    assert row.given == 1
    assert row.coverage > 0.93 - FOUR  # whole ranks, and amounts that many paths share, cover more
    assert max(row.below, row.above) < 0.035 + 4 * np.sqrt(0.035 / SAMPLES), str(row)


def test_so_are_weighted_paths():
    for row in tilted(TILTS, SAMPLES, 100_000):
        assert row.sampling == TILTED
        check(row)
