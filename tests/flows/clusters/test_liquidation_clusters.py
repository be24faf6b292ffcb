"""`liquidation-clusters` on the sample: the stated process comes back, is stored once; too little is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import risk_core as rc
from data import load_market
from data.liquidations import StoredLiquidations, events_of
from data.results import latest
from data.sample import liquidations
from data.snapshot.loading import newest
from data.store.store import Store
from flows.clusters import fitting
from flows.clusters.fitting import LEAST, TooFewEvents
from flows.clusters.liquidation_clusters import read
from risk_core.analytics import hawkes
from tests.flows.running import ran


def run(*words: str) -> str:
    return ran("liquidation-clusters", "--paths", "200", "--past-days", "3", *words)


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

    # So are rates that follow the hour of the day, and gaps that know nothing of other kinds.
    hours, renewal = one["by_hour"], one["renewal"]
    assert hours["n_parameters"] == 3 + 9 + 1 + 23
    assert hours["converged"]
    assert hours["log_likelihood"] > likelihood
    assert 2 * hours["n_parameters"] - 2 * hours["log_likelihood"] > 2 * one["n_parameters"] - 2 * likelihood
    constant = np.array(one["mu"]).sum()
    inside = [low <= constant <= high for low, high in zip(hours["low"], hours["high"], strict=True)]
    assert sum(inside) >= 20  # of 24 intervals of 95 %
    assert (np.array(renewal["shape"]) < 1).all()
    assert renewal["n_parameters"] == 6
    [(poisson,)] = rows("SELECT poisson_log_likelihood FROM fact_cluster_calibration")
    assert poisson < renewal["log_likelihood"] < likelihood
    assert 0 < renewal["gain_out_of_sample"] < unseen
    before = rows("SELECT max(batch) FROM fact_batch WHERE source = 'clusters'")
    assert "nothing to do" in run("--skip-if-stored")
    run()
    assert len(rows("SELECT 1 FROM fact_cluster_calibration")) == 1
    assert rows("SELECT count(*) FROM mart_cluster_probability") == [(4,)]
    assert rows("SELECT max(batch) FROM fact_batch WHERE source = 'clusters'")[0][0] >= before[0][0]


def test_what_was_seen_stands_beside_what_would_be_expected(sample):
    said = run("--engine-paths", "60")
    assert "by prices alone not known" in said
    told = {row[0]: row[1:] for row in rows("SELECT of, missing, n_windows, mean, dispersion_window, gain, run_id FROM "
                                            "mart_cluster_comparison ORDER BY place")}  # fmt: skip
    assert list(told) == ["seen", "prices", "process", "independent"]
    missing, n_windows, mean, dispersion, gain, run_id = told["prices"]
    assert "risk-scenarios" in missing
    assert (n_windows, mean, dispersion, gain, run_id) == (0, None, None, None, None)
    assert "nothing to do" in run("--skip-if-stored")

    # With a risk run the same paths are counted that the run was made of.
    ran("risk-scenarios", "--paths", "200")
    assert "by prices alone" in run("--skip-if-stored", "--engine-paths", "60")
    [(missing, n_windows, n_events, mean, run_id, curve)] = rows(
        "SELECT missing, n_windows, n_events, mean, run_id, curve FROM mart_cluster_comparison WHERE of = 'prices'"
    )
    at = newest()
    engine = latest(market=at.market, snapshot_hash=at.hash)
    whole = rc.simulate(load_market(), engine.scenario(), 60, seed=engine.seed, policy=engine.policy)
    assert (missing, n_windows, run_id) == ("", 60, engine.run_id)
    assert n_events == whole.n_liquidations.sum()
    assert mean == pytest.approx(whole.n_liquidations.mean())
    # A path without any call never reaches one.
    assert json.loads(curve)["greatest"][0] == pytest.approx((whole.n_liquidations > 0).mean())

    # What was seen, by hand from the stored times.
    [(first, last)] = rows("SELECT first_ts, last_ts FROM fact_cluster_calibration")
    seconds = np.array(rows("SELECT block_timestamp FROM stg_lending_events WHERE event_type = 'liquidation' AND "
                            f"part = 0 AND block_timestamp > {first}"))[:, 0]  # fmt: skip
    days = (last - first) // 86_400
    counted = np.bincount((seconds[seconds > last - days * 86_400] - 1 - (last - days * 86_400)) // 86_400)
    _, n_windows, mean, dispersion, gain, _ = told["seen"]
    assert n_windows == days
    assert mean == pytest.approx(counted.mean(), rel=0.01)  # blocks are spread over their seconds
    assert dispersion == pytest.approx(counted.var() / counted.mean(), rel=0.05)
    # The sample is made by the process that is fitted, so the process looks as what was seen does.
    process = told["process"]
    assert process[2] == pytest.approx(mean, rel=0.3)
    assert gain > 0.2
    assert process[4] > 0.2
    assert told["independent"][1:5] == (0, pytest.approx(mean), 1.0, None)


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


def test_a_window_begins_at_a_full_hour_so_that_its_parts_are_hours_of_the_day(sample):
    at = newest()
    with Store.open() as store:
        assert read(store, at.market, at.block_time + 1234, 30).first % 3600 == 0
    # All events of one hour of the day: its rate stands at that hour, UTC, whatever hour the window begins at.
    for begin in (0, 7):
        seconds = np.sort(np.concatenate([86_400 * d + 3_600 * 15 + 60 * np.arange(1, 40, 9) for d in range(60)]))
        kept = seconds[seconds > begin * 3600]
        found = StoredLiquidations(kept, ("ETH",) * len(kept), np.zeros(len(kept)), begin * 3600, 60 * 86_400)
        events = events_of(found, ("ETH",))
        rates, _, _ = fitting._by_hour(events, events.until(0.75 * events.end), 0.0, 1, found.first).rates()
        assert int(np.argmax(rates)) == 15


def test_a_kind_with_few_early_events_is_judged_as_a_poisson_process():
    rng = np.random.default_rng(4)
    early, late = rng.integers(0, 60 * 86_400, 300), rng.integers(80 * 86_400, 90 * 86_400, 80)
    order = np.argsort(np.concatenate([early, late]), kind="stable")
    seconds = np.concatenate([early, late])[order]
    kinds = tuple(np.array(["ETH"] * 300 + ["BTC"] * 80)[order].tolist())
    events = events_of(StoredLiquidations(seconds, kinds, np.zeros(380), 0, 90 * 86_400), ("ETH", "BTC"))
    done = fitting._renewal(events, events.until(0.75 * events.end), 0.0, 80)
    assert np.isfinite(done.gain_out_of_sample)
    assert done.log_likelihood > hawkes.poisson_log_likelihood(events)
