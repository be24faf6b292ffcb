"""`wallet-features` on the sample: what it stores is what the published queries say of the same tables."""

from __future__ import annotations

import math

import pytest

from data.store.store import Store
from risk_core.analytics.wallets import NAMES
from tests.flows.running import ran


def run(*words: str) -> str:
    return ran("wallet-features", *words)


def rows(sql: str, parameters: tuple = ()) -> list[tuple]:
    with Store.open() as store:
        return store.rows(sql, parameters)


def change(sql: str) -> None:
    with Store.open() as store, store.transaction() as connection:
        connection.execute(sql)


AS_SQL = """
WITH day AS (SELECT wallet, day, max(risk_factor) AS rf, sum(borrow_eth) AS b, sum(collateral_eth) AS c,
                    sum(available_borrows_eth) AS a FROM stg_wallet_daily GROUP BY wallet, day),
     daily AS (SELECT wallet, avg(c) AS c, avg(a) AS a, sum(rf * b) / nullif(sum(b), 0) AS w, sum(rf > 1.0 / 1.2) AS n,
                      avg(rf) AS r, max(rf) AS m FROM day GROUP BY wallet),
     now AS (SELECT wallet, max(risk_factor) AS r, sum(collateral_eth) AS c, sum(available_borrows_eth) AS a
             FROM stg_wallet_now GROUP BY wallet),
     kept AS (SELECT * FROM stg_lending_events WHERE amount_eth >= 1e-9),
     borrowed AS (SELECT wallet, sum(amount_eth) AS s, avg(amount_eth) AS a, count(*) AS n,
                         count(DISTINCT protocol) AS p FROM kept WHERE event_type = 'borrow' GROUP BY wallet),
     repaid AS (SELECT wallet, sum(amount_eth) AS s, avg(amount_eth) AS a, count(*) AS n
                FROM kept WHERE event_type = 'repay' GROUP BY wallet),
     put AS (SELECT wallet, sum(amount_eth) AS s, count(*) AS n, min(block_timestamp) AS t,
                    count(DISTINCT protocol) AS p FROM kept WHERE event_type = 'deposit' GROUP BY wallet),
     took AS (SELECT wallet, sum(amount_eth) AS s FROM kept WHERE event_type = 'withdraw' GROUP BY wallet),
     lost AS (SELECT wallet, sum(amount_eth) AS s, count(*) AS n, max(block_timestamp) AS t
              FROM kept WHERE event_type = 'liquidation' GROUP BY wallet)
SELECT wallet, now.r, now.c, daily.c, now.a, daily.a, daily.w, daily.n, daily.r, daily.m,
       coalesce(borrowed.s, 0), borrowed.a, coalesce(borrowed.n, 0),
       coalesce(repaid.s, 0), repaid.a, coalesce(repaid.n, 0), coalesce(borrowed.s, 0) - coalesce(repaid.s, 0),
       coalesce(put.n, 0), coalesce(put.s, 0), :as_of - put.t, coalesce(took.s, 0),
       max(0, coalesce(took.s, 0) - coalesce(put.s, 0)),
       coalesce(lost.n, 0), :as_of - lost.t, coalesce(lost.s, 0), coalesce(borrowed.p, 0), coalesce(put.p, 0)
FROM now LEFT JOIN daily USING (wallet) LEFT JOIN borrowed USING (wallet) LEFT JOIN repaid USING (wallet)
LEFT JOIN put USING (wallet) LEFT JOIN took USING (wallet) LEFT JOIN lost USING (wallet) ORDER BY wallet
"""
"""The published definitions as they stand, over the tables that they name."""


def test_the_sample_is_as_the_published_queries_say_and_changes_nothing_twice(sample):
    assert "26 features of" in run()
    [(as_of,)] = rows("SELECT DISTINCT as_of FROM mart_wallet_features")
    stored = rows(f"SELECT wallet, {', '.join(NAMES)} FROM mart_wallet_features ORDER BY wallet")
    expected = rows(AS_SQL, {"as_of": as_of})
    assert len(stored) == len(expected) > 100
    for mine, theirs in zip(stored, expected, strict=True):
        assert mine[0] == theirs[0]
        assert _numbers(mine) == pytest.approx(_numbers(theirs), rel=1e-12, abs=1e-12, nan_ok=True)
    assert sum(row[1 + NAMES.index("liquidation_count")] for row in stored) > 500
    assert rows("SELECT sum(n_days), sum(n_without_value), min(is_synthetic) FROM mart_wallet_features") == [
        (len(stored), 0, 1)
    ]

    before = rows("SELECT max(batch), count(*) FROM mart_wallet_features")
    assert "nothing to do" in run("--skip-if-stored")
    run()
    assert rows("SELECT max(batch), count(*) FROM mart_wallet_features") == before


def _numbers(row: tuple) -> list[float]:
    return [math.nan if value is None else value for value in row[1:]]


def test_a_changed_event_is_seen_and_a_lost_value_is_said(sample):
    run()
    [(wallet, n)] = rows("SELECT wallet, borrow_count FROM mart_wallet_features ORDER BY borrow_count DESC LIMIT 1")
    change(
        "UPDATE stg_lending_events SET amount_eth = NULL, batch = batch + 1000 WHERE event_type = 'borrow' "
        f"AND wallet = '{wallet}'"
    )
    assert f"{n} events have no known value" in run("--skip-if-stored")
    assert rows(
        "SELECT borrow_count, borrow_amount_sum_eth, borrow_amount_avg_eth, n_without_value FROM mart_wallet_features "
        "WHERE wallet = ?",
        (wallet,),
    ) == [(n, 0.0, None, n)]


def test_events_of_the_sample_say_nothing_of_real_wallets_and_the_other_way_round(sample):
    run()
    [(before,)] = rows("SELECT sum(borrow_count) FROM mart_wallet_features")
    change(
        "UPDATE stg_lending_events SET source = 'logs', batch = batch + 1000 WHERE event_type = 'borrow' "
        "AND wallet = (SELECT wallet FROM stg_lending_events WHERE event_type = 'borrow' LIMIT 1)"
    )
    [(real,)] = rows("SELECT count(*) FROM stg_lending_events WHERE source = 'logs'")
    run()
    assert rows("SELECT sum(borrow_count) FROM mart_wallet_features") == [(before - real,)]
    assert real > 0


def test_what_was_repaid_is_what_was_borrowed_beyond_the_debt(sample):
    """The sample's events add up to its holdings."""
    run()
    wrong = rows(
        "SELECT f.wallet, f.borrow_repay_diff_eth, n.borrow_eth FROM mart_wallet_features AS f "
        "JOIN stg_wallet_now AS n USING (wallet) WHERE f.borrow_count > 0 "
        "AND abs(f.borrow_repay_diff_eth - n.borrow_eth) > 1e-6 * n.borrow_eth + 1e-6"
    )
    assert wrong == []


def test_the_protection_score_is_that_of_plain_queries_and_follows_its_thresholds(sample):
    assert "protection: " in run()
    [(as_of,)] = rows("SELECT DISTINCT as_of FROM mart_wallet_protection")
    assert rows("SELECT count(*) FROM mart_wallet_protection") == rows("SELECT count(*) FROM mart_wallet_features")
    expected = """
    SELECT p.wallet, p.room, p.recent, p.liquidations, max(0.0, 1 - f.risk_factor),
           (SELECT count(*) FROM stg_lending_events e WHERE e.wallet = p.wallet AND e.event_type <> 'liquidation'
            AND coalesce(e.self_initiated, 1) AND e.block_timestamp > :as_of - 604800
            AND e.block_timestamp <= :as_of AND e.amount_eth >= 1e-9),
           (SELECT count(*) FROM stg_lending_events e WHERE e.wallet = p.wallet AND e.event_type = 'liquidation'
            AND e.part = 0 AND e.block_timestamp <= :as_of AND e.amount_eth >= 1e-9)
    FROM mart_wallet_protection p JOIN mart_wallet_features f USING (wallet, as_of)"""
    for wallet, room, recent, liquidations, *plain in rows(expected, {"as_of": as_of}):
        assert (room, recent, liquidations) == (pytest.approx(plain[0]), plain[1], plain[2]), wallet
    assert rows("SELECT sum(recent) > 0, sum(liquidations) > 0, sum(acts) > 0 FROM mart_wallet_protection") == [
        (1, 1, 1)
    ]
    # A later question with other thresholds judges anew.
    before = rows("SELECT level, count(*) FROM mart_wallet_protection GROUP BY level ORDER BY level")
    assert "nothing to do" not in run("--skip-if-stored", "--strong-room", "0.99", "--medium-room", "0.98")
    after = rows("SELECT level, count(*) FROM mart_wallet_protection GROUP BY level ORDER BY level")
    assert before != after
    assert dict(after).get("strong", 0) < dict(before)["strong"]
    assert "nothing to do" in run("--skip-if-stored", "--strong-room", "0.99", "--medium-room", "0.98")


def test_what_somebody_else_repaid_is_no_act_of_the_wallet(sample):
    run()
    [(wallet,)] = rows("SELECT wallet FROM mart_wallet_protection ORDER BY acts DESC LIMIT 1")
    change(f"UPDATE stg_lending_events SET self_initiated = 0 WHERE wallet = '{wallet}'")
    run()
    assert rows("SELECT acts, recent FROM mart_wallet_protection WHERE wallet = ?", (wallet,)) == [(0, 0)]
