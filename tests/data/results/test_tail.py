"""Who makes the tail, as it is stored: names, shares that add up to 1, and steps that add up to the figure."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

import data
import risk_core as rc
from data import results
from data.results.figures import curves
from data.results.tail import SHARED, SHARED_LEVELS, SHOWN_IN_STEPS, _steps, envelope_series, tail_series
from tests.data.conftest import ACCOUNTS, SEED


@pytest.fixture(scope="module")
def simulated() -> tuple[rc.Market, rc.Result]:
    market = data.sample.book(ACCOUNTS, SEED)
    factor = np.where(np.char.find(np.array(market.reserves.symbol), "ETH") >= 0, 0, -1)
    scenario = rc.Scenario(
        name="baseline-24h", horizon=timedelta(hours=24), n_steps=4, factors=("ETH",), volatility=[1.5],
        correlation=[[1.0]], factor=factor,
    )  # fmt: skip
    return market, rc.simulate(market, scenario, n_paths=4_000, seed=5)


@pytest.fixture(scope="module")
def stored(simulated):
    market, result = simulated
    return tail_series(result, market)


def test_every_set_of_shares_adds_up_to_one_and_names_its_parts(stored, simulated):
    market, result = simulated
    told = {(one["measure"], one["level"]): one for one in stored["shares"]}
    assert set(told) == {(name, level) for name, _, _ in SHARED for level in SHARED_LEVELS}
    one = told["es_repaid", 0.99]
    assert one["value"] == rc.measures.expected_shortfall(result, 0.99, of="repaid").value
    for parts in ("reserves", "sold", "accounts", "drivers"):
        assert sum(row["share"] for row in one[parts]) == pytest.approx(1.0), parts
    assert {row["name"] for row in one["reserves"] + one["sold"]} <= set(market.reserves.symbol)
    assert {row["name"] for row in one["accounts"]} <= {*market.accounts.tolist(), ""}
    assert [row["name"] for row in one["accounts"]][-1] == ""
    found = rc.contributions(market, result, 0.99, "repaid", "shortfall")
    assert [row["name"] for row in one["accounts"]][:-1] == market.accounts[found.accounts].tolist()
    assert one["drivers"][0] == {"name": "ETH", "share": pytest.approx(1.0), "se": pytest.approx(0.0, abs=1e-9),
                                 "kind": "factor"}  # fmt: skip
    with_debt = int((np.diff(market.debt.indptr) > 0).sum())
    assert one["other_accounts"] + len(one["accounts"]) - 1 == with_debt


def test_fewer_than_thirty_paths_are_a_reason_and_no_shares(stored):
    """4,000 paths have 4 beyond 99.9 %."""
    rare = next(one for one in stored["shares"] if (one["measure"], one["level"]) == ("es_repaid", 0.999))
    assert rare["no_shares"] == "4 paths with a loss lie beyond the level, 30 are needed"
    assert rare["reserves"] == rare["accounts"] == rare["drivers"] == []


def test_steps_add_up_to_the_mean_and_to_the_tail(stored, simulated):
    _, result = simulated
    steps = stored["steps"]
    assert steps["hours"] == [6.0, 12.0, 18.0, 24.0]
    assert sum(steps["first_liquidation"]) == pytest.approx(1.0)
    assert _sum(steps["all"]["repaid"]) == pytest.approx(rc.measures.mean(result).value, rel=1e-6)
    assert _sum(steps["tail"]["repaid"]) == pytest.approx(
        rc.measures.expected_shortfall(result, 0.99, of="repaid").value
    )
    assert steps["tail"]["n_draws"] == 40


def _sum(rows) -> float:
    return sum(sum(row["usd"]) for row in rows)


def test_more_reserves_than_are_shown_are_one_row():
    market = data.sample.book(200, SEED)
    usd = np.arange(2.0 * market.n_reserves).reshape(2, -1)
    rows = _steps(usd, market)
    assert len(rows) == SHOWN_IN_STEPS + 1
    assert rows[-1]["name"] == ""
    assert np.sum([row["usd"] for row in rows], axis=0).tolist() == usd.sum(axis=1).tolist()
    assert rows[0]["name"] == market.reserves.symbol[-1]


def test_a_finer_histogram_leaves_the_farthest_paths_out_and_counts_them(simulated):
    market, result = simulated
    most = curves(result, market)["histogram_of_most"]
    beyond = int((result.repaid_usd > most["edges"][-1]).sum())
    assert 0 < most["beyond"] == beyond <= 4
    assert sum(most["count"]) + beyond == 4_000
    assert most["edges"][0] == 0.0


def test_the_curves_are_stored_and_sealed_with_the_run(store, simulated, stored):
    market, result = simulated
    more = stored | {"envelope": envelope_series([("t5", "Price law", "words", True, result)])}
    saved = results.save_result(store, result, market, more=more)
    assert saved.series["shares"] == stored["shares"]
    assert saved.series["envelope"][0]["figure"]["value"] == saved.figure("lar_repaid", 0.99).value
    assert results.latest() == saved
