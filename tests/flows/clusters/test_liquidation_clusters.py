"""`liquidation-clusters` on the sample: the stated process comes back, is stored once; too little is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from data.liquidations import StoredLiquidations, events_of
from data.sample import liquidations
from data.store.store import Store
from flows import registry
from flows.clusters import fitting
from flows.clusters.fitting import LEAST, TooFewEvents
from flows.clusters.liquidation_clusters import FLOW


def run(*words: str) -> str:
    return FLOW.run(registry.parser(FLOW).parse_args(["--paths", "200", "--past-days", "3", *words]))


def rows(sql: str) -> list[tuple]:
    with Store.open() as store:
        return store.rows(sql)


@pytest.fixture(scope="module")
def fitted_once(sample_file: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The sample with its fit, and what the command said."""
    path = Path(shutil.copy(sample_file, tmp_path_factory.mktemp("fitted") / "risk.sqlite"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RISK_DB", str(path))
        return path, run()


@pytest.fixture
def fitted(fitted_once: tuple[Path, str], own_warehouse: Path) -> str:
    """The same in a warehouse of the test's own; gives what was said."""
    path, said = fitted_once
    shutil.copy(path, own_warehouse)
    return said


def test_the_fit_of_the_sample_is_stored_with_its_judgement_and_changes_nothing_twice(fitted):
    assert "stationary" in fitted
    [(kinds, parameters, radius, seen, unseen, ks)] = rows(
        "SELECT kinds, parameters, spectral_radius, gain_in_sample, gain_out_of_sample, ks_p "
        "FROM fact_cluster_calibration"
    )
    assert json.loads(kinds) == ["ETH", "BTC", "other"]
    branching = np.array(json.loads(parameters)["branching"])
    true = (liquidations.MODEL.alpha / liquidations.MODEL.beta).sum(axis=2)
    low, high = (json.loads(parameters)[f"branching_{end}"][0][0] for end in ("low", "high"))
    assert low <= true[0, 0] <= high
    assert branching[0, 0] == pytest.approx(true[0, 0], abs=0.15)
    assert 0.5 < radius < 0.9
    assert seen > 0.3
    assert unseen > 0.3
    assert ks > 0.01
    told = rows("SELECT ts, probability, low, high, poisson, seen FROM mart_cluster_probability ORDER BY ts")
    assert len(told) == 4
    assert all(low <= p <= high for _, p, low, high, _, _ in told)
    assert all(p > poisson for _, p, _, _, poisson, _ in told)
    assert [came is None for *_, came in told] == [False, False, False, True]

    # The sample is made by one exponential: a second one is never less likely, and is not worth its numbers.
    [(likelihood,)] = rows("SELECT log_likelihood FROM fact_cluster_calibration")
    one, two = json.loads(parameters), json.loads(parameters)["two_speed"]
    assert (one["n_parameters"], two["n_parameters"]) == (3 + 9 + 1, 3 + 18 + 2)
    assert two["log_likelihood"] >= likelihood - 1e-3
    assert 2 * two["n_parameters"] - 2 * two["log_likelihood"] > 2 * one["n_parameters"] - 2 * likelihood
    assert two["converged"]
    assert np.array(two["beta"]).shape == (3, 3, 2)
    before = rows("SELECT max(batch) FROM fact_batch WHERE source = 'clusters'")
    assert "nothing to do" in run("--skip-if-stored")
    run()
    assert len(rows("SELECT 1 FROM fact_cluster_calibration")) == 1
    assert rows("SELECT count(*) FROM mart_cluster_probability") == [(4,)]
    assert rows("SELECT max(batch) FROM fact_batch WHERE source = 'clusters'")[0][0] >= before[0][0]


def test_too_few_liquidations_are_refused_or_said(sample):
    with Store.open() as store, store.transaction() as connection:
        connection.execute("DELETE FROM stg_lending_events WHERE block_number > 20000")
    with pytest.raises(TooFewEvents, match=f"at least {LEAST}.*lending-events"):
        run()
    assert "nothing to do" in run("--or-nothing")
    assert rows("SELECT count(*) FROM fact_cluster_calibration") == [(0,)]


def test_a_forecast_needs_a_past_of_its_own(sample):
    said = run("--days", "30", "--past-days", "30")
    assert "liquidations fitted" in said
    [(first, least)] = rows(
        "SELECT (SELECT first_ts FROM fact_cluster_calibration), (SELECT min(ts) FROM mart_cluster_probability)"
    )
    assert least > first


@pytest.mark.parametrize("words", ["begin .* h before the snapshot", "first 75% of the window"])
def test_liquidations_at_one_time_are_refused_or_said(sample, words):
    with Store.open() as store, store.transaction() as connection:
        [(newest, oldest)] = connection.execute(
            "SELECT max(block_timestamp), min(block_number) FROM stg_lending_events WHERE event_type = 'liquidation'"
        ).fetchall()
        connection.execute(
            "UPDATE stg_lending_events SET block_timestamp = ? WHERE event_type = 'liquidation'", (newest,)
        )
        if "75" in words:
            connection.execute(
                "UPDATE stg_lending_events SET block_timestamp = ? WHERE event_type = 'liquidation' "
                "AND block_number = ?",
                (newest - 30 * 86_400, oldest),
            )
    with pytest.raises(TooFewEvents, match=words):
        run()
    assert "nothing to do" in run("--or-nothing")


def test_another_question_is_computed_though_the_fit_is_stored(fitted):
    assert "P(5 within 1 h" in run("--skip-if-stored", "--at-least", "5")
    assert "nothing to do" in run("--skip-if-stored", "--at-least", "5")
    assert rows("SELECT at_least, count(*) FROM mart_cluster_probability GROUP BY 1") == [(5, 4), (8, 4)]


def events(n: int, kinds: tuple[str, ...] = ("ETH",)) -> StoredLiquidations:
    seconds = np.sort(np.random.default_rng(3).integers(0, 90 * 86_400, n))
    named = tuple(kinds[i % len(kinds)] for i in range(n))
    return StoredLiquidations(seconds, named, np.zeros(n), 0, 90 * 86_400)


def test_rare_kinds_are_counted_among_the_others():
    found = events(400, ("ETH",) * 7 + ("BTC",))
    names = fitting.kinds_of(found)
    assert names == ("ETH", "other")
    assert np.bincount(events_of(found, names).kinds).tolist() == [350, 50]


def test_liquidations_of_one_block_are_spread_over_its_seconds():
    found = StoredLiquidations(np.array([1200] * LEAST), ("ETH",) * LEAST, np.zeros(LEAST), 0, 2400)
    spread = events_of(found, fitting.kinds_of(found))
    assert spread.times[0] * 3600 == pytest.approx(1188 + 6 / LEAST)
    assert (np.diff(spread.times) > 0).all()


def test_independent_liquidations_gain_nothing_from_the_fit():
    done = fitting.fitted(events(600))
    assert done.fit.model.branching[0, 0] < 0.15
    assert done.gain_out_of_sample < 0.05


@pytest.mark.parametrize(("times", "came"), [([10.1, 10.2, 10.3], 1), ([10.1, 10.9, 12.5], 0), ([9.9, 10.1, 10.2], 0)])
def test_a_burst_is_seen_where_enough_come_within_the_time(times, came):
    assert fitting._seen(np.array(times), 10.0, 20.0, 0.5, 3, 100.0) == came
    assert fitting._seen(np.array([1.0]), 90.0, 114.0, 0.5, 3, 100.0) is None
