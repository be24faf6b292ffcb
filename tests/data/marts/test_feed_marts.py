"""How stale a feed was and what triggered its updates: the SQL on rounds one can check by hand, and on real ones."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data import marts
from data.store.store import Store
from tests.data.feeds import FEED, OTHER, T0, dim_feed, reading, rounds

TARGETS = ("stg_chainlink_prices", "fact_feed_update", "mart_feed_staleness")
HOUR = 3600


@pytest.fixture
def store(own_warehouse: Path):
    with Store.open(own_warehouse) as opened:
        yield opened


def put(store: Store, **frames: pd.DataFrame) -> None:
    store.write_batch("test", "", frames)
    marts.refresh(store, TARGETS)


def triggers(store: Store) -> list[str]:
    return [row[0] for row in store.rows("SELECT trigger FROM fact_feed_update ORDER BY round_id")]


def staleness(store: Store, columns: str = "staleness, age_s") -> tuple:
    return store.rows(f"SELECT {columns} FROM mart_feed_staleness ORDER BY block DESC LIMIT 1")[0]


STEPS = [
    (1, 100_000, T0),
    (2, 100_400, T0 + HOUR),  # 0.4 % after an hour: the heartbeat
    (3, 101_000, T0 + HOUR + 600),  # 0.598 % after ten minutes: the threshold
    (4, 102_000, T0 + 2 * HOUR + 500),  # 0.99 % after 3,500 s: both
    (5, 102_100, T0 + 2 * HOUR + 800),  # 0.1 % after five minutes: neither explains it
    (6, 102_610, T0 + 2 * HOUR + 900),  # exactly 510 / 102,100 = 0.4995 %, not yet the threshold
]


def test_an_update_around_the_full_hour_is_the_clocks(store):
    """Five minutes to a full hour, with 0.1 % and 25 minutes since the last: hourly feeds do that."""
    hour = T0 - 800 + HOUR
    early, on, late = hour - 301, hour - 300, hour + 300
    times = [T0, early, on, late, late + 1]
    steps = rounds([(i + 1, 100_000 + 100 * i, at) for i, at in enumerate(times)])
    put(store, raw_chainlink_rounds=steps, dim_feed=dim_feed())

    assert triggers(store) == ["first", "neither", "clock", "clock", "neither"]


def test_each_update_is_judged_by_the_feeds_own_heartbeat_and_threshold(store):
    put(store, raw_chainlink_rounds=rounds(STEPS), dim_feed=dim_feed())

    assert triggers(store) == ["first", "heartbeat", "deviation", "both", "neither", "neither"]
    gap, move = store.rows("SELECT gap_s, move_pct FROM fact_feed_update WHERE round_id = 3")[0]
    assert (gap, move) == (600, pytest.approx(100 * 600 / 100_400))


@pytest.mark.parametrize(
    ("heartbeat", "deviation", "expected"),
    [
        (None, None, ["first", *["unknown"] * 5]),
        (None, 0.5, ["first", *["unknown"] * 5]),
        (3600, None, ["first", "heartbeat", "not heartbeat", "heartbeat", "not heartbeat", "not heartbeat"]),
        (86_400, 0.5, ["first", "neither", "deviation", "deviation", "neither", "neither"]),
    ],
)
def test_a_fact_that_nobody_published_is_not_made_up(store, heartbeat, deviation, expected):
    put(store, raw_chainlink_rounds=rounds(STEPS), dim_feed=dim_feed(heartbeat, deviation))

    assert triggers(store) == expected


@pytest.mark.parametrize(
    ("age", "heartbeat", "expected"),
    [
        (3600, 3600, "fresh"),
        (3601, 3600, "late"),
        (3960, 3600, "late"),
        (3961, 3600, "stale"),
        (3961, 86_400, "fresh"),  # the same age on a feed with another heartbeat
        (10**6, None, "unknown"),
        (-1, 3600, "unknown"),  # set after the block: no age can be told
    ],
)
def test_age_is_held_against_the_feeds_own_heartbeat_at_the_blocks_time(store, age, heartbeat, expected):
    put(store, raw_chainlink_feeds=reading(100, T0 + age, 100_000, T0), dim_feed=dim_feed(heartbeat))

    assert staleness(store) == (expected, age if age >= 0 else None)


@pytest.mark.parametrize(("answer", "updated_at"), [(-5, T0), (0, T0), (100, 0)])
def test_an_answer_that_is_not_positive_or_not_finished_is_no_price_however_fresh(store, answer, updated_at):
    put(store, raw_chainlink_feeds=reading(100, T0 + 1, answer, updated_at), dim_feed=dim_feed())

    assert staleness(store, "staleness, price") == ("no price", None)


def test_the_gaps_are_those_of_the_window_and_of_the_phase_in_use(store):
    gaps = list(range(1, 101))  # 1 to 100 seconds
    times = T0 + np.cumsum([0, *gaps])
    old = rounds([(1, 100, T0 - 40 * 86_400), (2, 100, T0 - 35 * 86_400)])
    left = rounds([(3, 100, T0 + 10), (4, 100, T0 + 5000)])  # phase 1 goes on after the proxy left it
    used = rounds([(n + 1, 100, int(t)) for n, t in enumerate(times)], phase=2)
    at = reading(100, int(times[-1]) + 7, 100, int(times[-1]), phase=2, number=101)
    put(store, raw_chainlink_rounds=pd.concat([old, left, used]), raw_chainlink_feeds=at, dim_feed=dim_feed())

    # 5,000 s belongs to the other phase, and so does the gap of five days; nearest rank of 1..100.
    assert staleness(store, "n_updates, gap_median_s, gap_p99_s, gap_max_s, age_s") == (100, 50, 99, 100, 7)


def test_rounds_beyond_the_window_no_longer_count(store):
    month = 30 * 86_400
    given_rounds = rounds([(1, 100, T0), (2, 100, T0 + 100), (3, 100, T0 + 150)])
    put(
        store,
        raw_chainlink_rounds=given_rounds,
        dim_feed=dim_feed(),
        raw_chainlink_feeds=reading(100, T0 + 100 + month, 100, T0 + 150, number=3),
    )

    assert staleness(store, "n_updates, gap_max_s") == (1, 50)


def test_a_round_that_arrives_late_between_two_others_changes_both_gaps(store):
    put(store, raw_chainlink_rounds=rounds([(1, 100, T0), (3, 100, T0 + 90)]), dim_feed=dim_feed())
    put(store, raw_chainlink_rounds=rounds([(2, 100, T0 + 30)]))

    assert store.rows("SELECT round_id, gap_s FROM fact_feed_update ORDER BY 1") == [(1, None), (2, 30), (3, 60)]


def test_a_round_that_the_chain_replaced_replaces_its_price(store):
    put(store, raw_chainlink_rounds=rounds([(1, 200_000_000, T0)]), dim_feed=dim_feed())
    put(store, raw_chainlink_rounds=rounds([(1, 300_000_000, T0 + 12)]))
    put(store, raw_chainlink_rounds=rounds([(1, 300_000_000, T0 + 12)], block=101))  # the same, read later

    assert store.rows("SELECT price, updated_at FROM stg_chainlink_prices") == [(3.0, T0 + 12)]
    assert store.rows("SELECT answer FROM raw_chainlink_rounds ORDER BY batch") == [("200000000",), ("300000000",)]


def test_a_round_that_was_replaced_by_a_later_one_leaves_the_window_of_earlier_readings(store):
    put(
        store,
        raw_chainlink_rounds=rounds([(1, 100, T0), (2, 100, T0 + 50)]),
        dim_feed=dim_feed(),
        raw_chainlink_feeds=reading(100, T0 + 60, 100, T0 + 50, number=2),
    )
    assert staleness(store, "n_updates, gap_max_s") == (1, 50)

    put(store, raw_chainlink_rounds=rounds([(2, 100, T0 + 70)]))

    assert staleness(store, "n_updates, gap_max_s") == (0, None)


@pytest.mark.parametrize(
    ("answer", "decimals", "price"),
    [(186_533_000_000, 8, 1865.33), (998_000_000_000_000_001, 18, 0.998), (7, 0, 7.0), (10**30, 18, 1e12)],
)
def test_a_price_is_the_answer_in_whole_units_of_the_feeds_decimals(store, answer, decimals, price):
    put(store, raw_chainlink_rounds=rounds([(1, answer, T0)], decimals=decimals))

    assert store.rows("SELECT price FROM stg_chainlink_prices") == [(price,)]


@pytest.mark.property
@settings(max_examples=20)
@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from([FEED, OTHER]), st.integers(1, 2), st.integers(1, 6), st.integers(-2, 400),
                      st.integers(0, 9000)),
            min_size=1, max_size=6, unique_by=lambda row: row[:3],
        ),
        min_size=1, max_size=4,
    )
)  # fmt: skip
def test_batch_by_batch_gives_what_building_anew_gives(tmp_path_factory, batches):
    """Rounds in any order, also again with other answers; readings and heartbeats arrive in between."""
    with Store.open(tmp_path_factory.mktemp("marts") / "risk.sqlite") as store:
        for i, batch in enumerate(batches):
            frames = [rounds([(number, answer, T0 + at)], feed, phase) for feed, phase, number, answer, at in batch]
            put(
                store,
                raw_chainlink_rounds=pd.concat(frames),
                raw_chainlink_feeds=reading(100 + i, T0 + 3000 * i, 100, T0, feed=batch[0][0], phase=batch[0][1]),
                dim_feed=pd.concat([dim_feed(3600 * (1 + i % 2)), dim_feed(None, feed=OTHER)]),
            )
        step_by_step = {target: store.rows(f"SELECT * FROM {target} ORDER BY 1, 2, 3, 4") for target in TARGETS}

        marts.refresh(store, TARGETS, full=True)

        assert {target: store.rows(f"SELECT * FROM {target} ORDER BY 1, 2, 3, 4") for target in TARGETS} == step_by_step


@pytest.fixture(scope="module")
def recorded(shared_data: Path) -> pd.DataFrame:
    """Real rounds of three hourly feeds on Ethereum, April 2023 to January 2024, by feed and round."""
    found = pd.read_parquet(shared_data / "chainlink_rounds.parquet")
    number = found["round_id"].map(int)
    return found.assign(
        phase=number.map(lambda n: n >> 64),
        number=number.map(lambda n: n & (2**64 - 1)),
        at=found["updated_at"].dt.tz_localize(None).astype("datetime64[s]").astype("int64"),
    ).sort_values(["feed", "number"])


def loaded(store: Store, feed: pd.DataFrame) -> None:
    """Fill the warehouse with a recorded feed, its published heartbeat and threshold, and a reading at its end."""
    address = feed["feed"].iloc[0].lower()
    frame = rounds(
        zip(feed["number"], feed["answer"].map(int), feed["at"], strict=True), address, int(feed["phase"].iloc[0])
    )
    last = feed.sort_values("at").iloc[-1]
    at = reading(1, int(last["at"]) + 60, int(last["answer"]), int(last["at"]), address, int(last["phase"]))
    put(store, raw_chainlink_rounds=frame, raw_chainlink_feeds=at, dim_feed=dim_feed(3600, 0.5, address))


def test_real_rounds_are_judged_as_a_plain_loop_judges_them(store, recorded):
    """Witness: ETH/BTC, the recorded prices as given beside the answers, looped over without SQL."""
    feed = recorded[(recorded["asset"] == "ETH") & (recorded["quote"] == "BTC")]
    loaded(store, feed)
    expected = ["first"]
    for before, after in pairwise(feed.itertuples()):
        late = after.at - before.at >= 3600 - 120
        far = abs(after.price / before.price - 1) * 100 >= 0.5
        near = min(after.at % 3600, -after.at % 3600) <= 300
        other = "clock" if near else "neither"
        expected.append({(1, 1): "both", (1, 0): "heartbeat", (0, 1): "deviation", (0, 0): other}[late, far])

    stored = store.rows(
        "SELECT f.trigger, p.price FROM fact_feed_update f JOIN stg_chainlink_prices p "
        "USING (chain_id, feed, phase_id, round_id) ORDER BY round_id"
    )

    assert [row[0] for row in stored] == expected
    assert [row[1] for row in stored] == pytest.approx(feed["price"].tolist(), rel=1e-12)
    # What is published of the feed is what it did: nearly no update is earlier and smaller than an hour and 0.5 %.
    assert expected.count("neither") + expected.count("clock") <= 0.01 * len(expected)


def test_nearly_every_update_of_a_real_hourly_feed_is_explained(store, recorded):
    """A quarter of the updates of BTC/USD are earlier than an hour and smaller than 0.5 %: those are the clock's."""
    feed = recorded[recorded["asset"] == "BTC"]
    loaded(store, feed)

    count = dict(store.rows("SELECT trigger, count(*) FROM fact_feed_update GROUP BY trigger"))

    assert count["clock"] > 0.2 * len(feed)
    assert count["neither"] < 0.015 * len(feed)


def test_the_longest_gap_of_a_real_feed_is_its_heartbeat(store, recorded):
    """11,106 rounds of ETH/USD in nine months: the ceiling of the gaps is the heartbeat, and nothing was stale."""
    feed = recorded[(recorded["asset"] == "ETH") & (recorded["quote"] == "USD")]
    month = feed[feed["at"] > feed["at"].max() - 30 * 86_400]
    loaded(store, month)

    n, median, p99, longest = staleness(store, "n_updates, gap_median_s, gap_p99_s, gap_max_s")

    gaps = month["at"].diff().dropna()
    assert n == (gaps >= 0).sum()
    assert longest == gaps.max()
    assert median == np.sort(gaps[gaps >= 0])[-(-n // 2) - 1]
    assert 3600 <= p99 <= longest <= 1.1 * 3600
    assert feed["at"].diff().max() <= 1.1 * 3600


def test_rounds_of_a_retired_aggregator_are_told_from_the_current_ones(store):
    """Phase 1 ended with round 2; a feed that has one phase only is all current."""
    retired, current = (
        rounds([(1, 100_000, T0), (2, 100_100, T0 + HOUR)]),
        rounds([(1, 99_000, T0 + 2 * HOUR)], phase=2),
    )
    other = rounds([(1, 5_000, T0)], feed=OTHER)
    put(store, raw_chainlink_rounds=pd.concat([retired, current, other]), dim_feed=dim_feed())

    assert store.rows("SELECT feed, phase_id, round_id, is_current_phase FROM chainlink_prices ORDER BY 1, 2, 3") == [
        (OTHER, 1, 1, 1),
        (FEED, 1, 1, 0),
        (FEED, 1, 2, 0),
        (FEED, 2, 1, 1),
    ]
