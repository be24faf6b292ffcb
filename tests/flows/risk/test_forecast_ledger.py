"""The ledger of forecasts: which are tested, what the tests say, and the flow on the sample."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.errors import NoResult
from data.store.store import Store
from flows.risk import ledger
from risk_core.analytics import backtests
from risk_core.errors import InputError
from tests.flows.running import ran

DAY = 86_400
ONE = ledger.Forecast(
    run_id="a" * 64, market="M", law="law", measure="lar_repaid", horizon_seconds=DAY, made_at=0, valid_until=DAY,
    sealed_at=60, sha256="b" * 64, after_the_fact=False, window_read="whole", is_synthetic=False,
    values={0.9: 90.0, 0.95: 95.0, 0.99: 99.0}, shortfall=97.5, quantiles=100 * backtests.middle_levels(200),
    outcome=50.0,
)  # fmt: skip


def daily(n: int, days: int = 1, **changes: object) -> list[ledger.Forecast]:
    return [
        replace(
            ONE, run_id=f"{i:064x}", made_at=i * DAY, valid_until=(i + days) * DAY, horizon_seconds=days * DAY,
            sealed_at=i * DAY + 60, **changes,
        )
        for i in range(n)
    ]  # fmt: skip


def states(forecasts: list[ledger.Forecast]) -> list[str]:
    return [score.state for score in ledger.scored(forecasts)]


def test_forecasts_of_a_day_are_all_tested_and_of_seven_days_every_seventh():
    assert states(daily(9)) == ["tested"] * 9
    assert [i for i, state in enumerate(states(daily(22, days=7))) if state == "tested"] == [0, 7, 14, 21]


def test_daily_runs_that_begin_some_minutes_early_are_still_one_a_day():
    early = [replace(one, made_at=one.made_at - 300 * (i % 2)) for i, one in enumerate(daily(6))]
    assert states(early) == ["tested"] * 6


def test_two_runs_of_one_day_are_one_forecast_the_one_stored_first():
    first, second = ONE, replace(ONE, run_id="0" * 64, sealed_at=61)
    scores = ledger.scored([second, first])
    assert [(score.forecast.run_id[0], score.state) for score in scores] == [("a", "tested"), ("0", "overlaps")]


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"after_the_fact": True}, "after the fact"),
        ({"window_read": "partial", "outcome": None}, "not over"),
        ({"window_read": "unread", "outcome": None}, "not read"),
        ({"outcome": None}, "unpriced"),
    ],
)
def test_what_is_not_known_or_was_known_before_is_kept_out(changes, state):
    scores = ledger.scored([replace(ONE, **changes)])
    assert [score.state for score in scores] == [state]
    assert {record.n for record in ledger.records(scores)} == {0}


def test_one_after_the_fact_takes_no_place():
    late = replace(ONE, run_id="0" * 64, sealed_at=30, after_the_fact=True)
    assert states([late, ONE]) == ["after the fact", "tested"]


def test_the_choice_does_not_depend_on_what_came():
    """An unpriced window keeps its place: otherwise its neighbours would be chosen by their outcome."""
    known = daily(14, days=7)
    unknown = [replace(known[0], outcome=None), *known[1:]]
    places = [[i for i, s in enumerate(states(some)) if s != "overlaps"] for some in (known, unknown)]
    assert places == [[0, 7], [0, 7]]


def test_exceptions_and_tests_are_those_of_the_analytics():
    """250 days, 5 of them above 99 %: Kupiec's published value for that count."""
    forecasts = [replace(one, outcome=100.0 if i % 50 == 7 else 10.0) for i, one in enumerate(daily(250))]
    records = {record.level: record for record in ledger.records(ledger.scored(forecasts))}

    record = records[0.99]
    assert (record.n, record.exceptions, record.zone, record.enough) == (250, 5, "yellow", True)
    assert record.kupiec_p == pytest.approx(backtests.kupiec(5, 250, 0.99).p_value)
    assert record.evidence is None
    assert records[0.95].evidence_most >= records[0.95].evidence > 0
    assert record.pinball_usd == pytest.approx((5 * 0.99 * 1 + 245 * 0.01 * 89) / 250)


@pytest.mark.parametrize(("level", "least"), [(0.9, 10), (0.95, 20), (0.99, 100)])
def test_fewer_forecasts_than_one_exception_needs_are_too_few(level, least):
    assert ledger.needed(level) == least
    for n in (least - 1, least):
        [record] = [r for r in ledger.records(ledger.scored(daily(n))) if r.level == level]
        assert record.enough == (n == least)


def test_laws_and_lengths_have_records_of_their_own():
    mixed = daily(3) + [replace(one, law="other", run_id="f" + one.run_id[1:]) for one in daily(2)]
    found = {(r.law, r.level): r.n for r in ledger.records(ledger.scored(mixed))}
    assert (found["law", 0.9], found["other", 0.9]) == (3, 2)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"values": {0.9: 1.0}}, "expected the levels 0.9, 0.95 and 0.99, found 0.9"), ({"valid_until": 0}, "ends at 0")],
)
def test_a_forecast_that_cannot_be_one_is_refused_by_name(changes, words):
    with pytest.raises(InputError, match=words):
        replace(ONE, **changes)


def rows(sql: str, params: tuple = ()) -> list[tuple]:
    with Store.open(readonly=True) as store:
        return store.rows(sql, params)


def run(*options: str) -> str:
    return ran("forecast-ledger", *options)


def test_the_sample_has_a_record_and_a_re_run_changes_nothing(sample):
    said = run()

    assert "sample-bursts, 24 h, 95%: " in said
    assert "60 tested, too few to say (100 are needed)" in said
    tests = "SELECT law, horizon_seconds, n, is_synthetic FROM mart_forecast_test WHERE level = 0.95 AND measure = ?"
    assert sorted(rows(tests, ("lar_repaid",))) == [
        ("sample-bursts", DAY, 60, 1),
        ("sample-bursts", 7 * DAY, 8, 1),
        ("sample-one-by-one", DAY, 60, 1),
    ]
    before = rows("SELECT * FROM mart_forecast_score"), rows("SELECT * FROM mart_forecast_test")
    run()
    assert (rows("SELECT * FROM mart_forecast_score"), rows("SELECT * FROM mart_forecast_test")) == before


def test_what_came_is_the_sum_of_the_stored_liquidations(sample):
    run()
    [(made, until, came)] = rows(
        "SELECT made_at, valid_until, outcome FROM mart_forecast_score WHERE measure = 'lar_repaid' AND "
        "horizon_seconds = 86400 AND law = 'sample-bursts' ORDER BY outcome DESC LIMIT 1"
    )
    [(total,)] = rows(
        "SELECT sum(debt_amount_usd) FROM stg_lending_events WHERE event_type = 'liquidation' AND block_timestamp > ? "
        "AND block_timestamp <= ?", (made, until),
    )  # fmt: skip
    assert came == pytest.approx(total, rel=1e-12)


def test_a_warehouse_without_forecasts_names_the_command(sample):
    with Store.open() as store, store.transaction() as connection:
        connection.execute("DELETE FROM fact_forecast")
        connection.execute("DELETE FROM mart_forecast_outcome")
    with pytest.raises(NoResult, match="python -m flows risk-scenarios"):
        run()


def test_the_made_up_forecasts_are_sealed_as_real_ones(sample):
    from data.results import runs

    with Store.open(readonly=True) as store:
        [(run_id,)] = store.rows("SELECT run_id FROM fact_risk_run WHERE scenario_id = 'sample-history-168h' LIMIT 1")
        found = runs.read(store, run_id)
    assert found.is_synthetic
    assert np.all(np.diff(found.series["quantiles"]["repaid"]) >= 0)
